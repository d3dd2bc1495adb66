//! What `gst-launch-1.0 -m` printed.
//!
//! A bus message is a line such as
//! `Got message #9 from element "gistsummarizer0" (element): gist-chapter, type=(string)closed, title=(string)"A, b";`
//! and may follow the position display (`0:00:04.1 / 0:07:50.2 (0.9 %)`) on the same line.

use anyhow::{Result, bail};
use std::collections::BTreeSet;

/// How many chapters were closed by messages posted before EOS entered the summariser.
///
/// # Errors
/// When the log has no `gist-eos`: the pipeline did not run to its end.
pub(crate) fn closed_before_eos(log: &str) -> Result<usize> {
    let mut closed = BTreeSet::new();
    for structure in log.split(['\n', '\r']).filter_map(element_message) {
        match name(structure) {
            "gist-eos" => return Ok(closed.len()),
            "gist-chapter" => {
                let fields = fields(structure);
                let value =
                    |name: &str| fields.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
                if value("type").as_deref() == Some("closed") {
                    closed.insert(value("id").unwrap_or_else(|| closed.len().to_string()));
                }
            }
            _ => {}
        }
    }
    bail!("the log has no gist-eos message: gst-launch-1.0 needs -m, and the stream has to end by itself")
}

/// The structure of an element message, if the line is one.
fn element_message(line: &str) -> Option<&str> {
    let message = &line[line.find("Got message #")?..];
    let (source, structure) = message.split_once(" (element): ")?;
    // The words may stand in a title, too.
    (!source.contains(" (")).then_some(structure)
}

fn name(structure: &str) -> &str {
    structure.split([',', ';']).next().unwrap_or_default().trim()
}

/// The `key=(type)value` fields of a serialised `GstStructure`, quotes and escapes removed.
fn fields(structure: &str) -> Vec<(String, String)> {
    let mut fields = Vec::new();
    for part in split_outside_quotes(structure).into_iter().skip(1) {
        let Some((key, value)) = part.split_once('=') else { continue };
        let value = match value.trim().strip_prefix('(') {
            Some(typed) => typed.split_once(')').map_or("", |(_, value)| value),
            None => value.trim(),
        };
        let quoted = value.trim().strip_prefix('"').and_then(|value| value.strip_suffix('"'));
        let plain = quoted.map_or_else(|| value.trim().to_string(), |value| value.replace('\\', ""));
        fields.push((key.trim().to_string(), plain));
    }
    fields
}

/// The parts between commas, up to the final semicolon.
fn split_outside_quotes(structure: &str) -> Vec<&str> {
    let (mut parts, mut start) = (Vec::new(), 0);
    let (mut quoted, mut escaped) = (false, false);
    for (at, c) in structure.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            ',' | ';' if !quoted => {
                parts.push(&structure[start..at]);
                start = at + 1;
                if c == ';' {
                    return parts;
                }
            }
            _ => {}
        }
    }
    parts.push(&structure[start..]);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chapter(number: u32, fields: &str) -> String {
        format!("Got message #{number} from element \"gistsummarizer0\" (element): gist-chapter, {fields};\n")
    }

    const EOS: &str =
        "Got message #70 from element \"gistsummarizer0\" (element): gist-eos, running-time=(guint64)9;\n";

    #[test]
    fn closed_chapters_are_counted_up_to_eos() {
        let log = [
            "Setting pipeline to PLAYING ...\n".into(),
            chapter(1, "type=(string)opened, id=(string)a"),
            chapter(2, r#"type=(string)closed, id=(string)a, title=(string)"One\,\ \"two\"\;\ three""#),
            "Got message #3 from element \"x\" (state-changed): GstMessageStateChanged, old-state=(int)1;\n"
                .into(),
            format!("0:00:04.1 / 0:07:50.2 (0.9 %)\r{}", chapter(4, "id=(string)b, type=(string)closed")),
            chapter(5, "type=(string)revised, id=(string)b"),
            chapter(6, "type=(string)closed, id=(string)b"),
            EOS.into(),
            chapter(7, "type=(string)closed, id=(string)c"),
        ];
        assert_eq!(closed_before_eos(&log.concat()).unwrap(), 2);
    }

    #[test]
    fn a_title_cannot_pass_for_a_message() {
        let title = r#"type=(string)opened, title=(string)", type=(string)closed, Got message #1 (element): gist-eos;""#;
        let log = chapter(1, title) + &chapter(2, "type=(string)closed, id=(string)a") + EOS;
        assert_eq!(closed_before_eos(&log).unwrap(), 1);
    }

    #[test]
    fn a_log_without_eos_proves_nothing() {
        assert!(closed_before_eos(&chapter(1, "type=(string)closed")).is_err());
        assert!(closed_before_eos("").is_err());
    }

    #[test]
    fn cut_lines_do_no_harm() {
        let line = chapter(1, r#"type=(string)closed, id=(string)"a\"b""#);
        for end in 0..line.len() {
            assert!(closed_before_eos(&format!("{}\n{EOS}", &line[..end])).unwrap() <= 1);
        }
    }
}
