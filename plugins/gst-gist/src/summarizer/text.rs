//! Caption buffers to plain lines.

/// A line of captions.
pub(super) struct Caption {
    pub(super) text: String,
    /// A new speaker begins.
    pub(super) turn: bool,
    /// It was not UTF-8; what could not be read was replaced.
    pub(super) damaged: bool,
}

/// Decodes a text buffer; `None` when it says nothing.
pub(super) fn decode(bytes: &[u8], markup: bool) -> Option<Caption> {
    let decoded = String::from_utf8_lossy(bytes);
    let damaged = decoded.contains('\u{fffd}') && std::str::from_utf8(bytes).is_err();
    let plain = if markup { strip_markup(&decoded) } else { decoded.into_owned() };
    let plain = plain.trim_matches(|c: char| c.is_whitespace() || c.is_control());
    let unmarked = plain.trim_start_matches(['>', '-', '–', '—']).trim_start();
    let turn = plain.starts_with(">>")
        || plain.starts_with("- ")
        || plain.starts_with("– ")
        || plain.starts_with("— ");
    let text = if turn { unmarked } else { plain };
    (!text.is_empty()).then(|| Caption { text: text.to_owned(), turn, damaged })
}

/// Removes Pango tags and resolves the five entities; what only looks like a tag stays.
fn strip_markup(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['<', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        if rest.starts_with('<') {
            let is_tag = rest[1..].starts_with(|c: char| c.is_ascii_alphabetic() || c == '/');
            match rest.find('>').filter(|_| is_tag) {
                Some(end) => rest = &rest[end + 1..],
                None => {
                    out.push('<');
                    rest = &rest[1..];
                }
            }
        } else {
            let entities = [
                ("&lt;", '<'),
                ("&gt;", '>'),
                ("&amp;", '&'),
                ("&quot;", '"'),
                ("&apos;", '\''),
                ("&#39;", '\''),
            ];
            let found = entities.iter().find(|(name, _)| rest.starts_with(name));
            let (length, c) = found.map_or((1, '&'), |(name, c)| (name.len(), *c));
            out.push(c);
            rest = &rest[length..];
        }
    }
    out + rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_goes_and_entities_are_read() {
        let caption = decode(b"<i>a &lt; b &amp; c</i> 1 < 2\n", true).unwrap();
        assert_eq!(caption.text, "a < b & c 1 < 2");
    }

    #[test]
    fn speaker_marks_become_turns() {
        let caption = decode(b">> So, what next?", false).unwrap();
        assert!(caption.turn && caption.text == "So, what next?");
        assert!(!decode(b"-5 degrees", false).unwrap().turn);
    }

    #[test]
    fn what_is_not_utf8_is_marked_and_kept() {
        let caption = decode(b"caf\xe9 au lait", false).unwrap();
        assert!(caption.damaged && caption.text.ends_with("au lait"));
        assert!(decode(b" \n\0", false).is_none());
    }
}
