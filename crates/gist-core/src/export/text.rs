//! Cleaning and escaping of untrusted text, one function per target.

/// The text on one line: whitespace of any kind becomes one space; control characters, the byte order mark,
/// noncharacters and the controls that reorder what follows (bidi embeddings, overrides and isolates) go. Joiners
/// and the plain left-to-right and right-to-left marks stay, since Persian, Indic scripts, emoji and Hebrew need
/// them.
pub fn one_line(text: &str) -> String {
    let mut line = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_whitespace() {
            if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            }
        } else if !is_dangerous(c) {
            line.push(c);
        }
    }
    line.truncate(line.trim_end().len());
    line
}

fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fdd0}'..='\u{fdef}')
        || matches!(c as u32 & 0xffff, 0xfffe | 0xffff)
}

/// At most `limit` characters; cut between words where that keeps more than half, and marked with `…`.
pub fn shorten(text: &str, limit: usize) -> String {
    if text.chars().count() <= limit {
        return text.into();
    }
    let head: String = text.chars().take(limit.saturating_sub(1)).collect();
    let cut = head.rfind(' ').filter(|&at| at > head.len() / 2).unwrap_or(head.len());
    format!("{}…", head[..cut].trim_end())
}

/// For XML text and for WebVTT cues, where the escaped `>` also breaks up `-->`.
pub fn markup(line: &str) -> String {
    line.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// For a value of an ffmetadata file: `=`, `;`, `#`, `\` and newline are escaped with `\`. FFmpeg joins the next line
/// to one that ends with a backslash even when that is escaped, so a space follows it.
pub fn ffmetadata(value: &str) -> String {
    let mut escaped = escape(value, |c| matches!(c, '=' | ';' | '#' | '\\' | '\n'));
    if escaped.ends_with('\\') {
        escaped.push(' ');
    }
    escaped
}

/// For inline Markdown (CommonMark and GitHub's tables and strikethrough), safe at the start of a line too.
pub fn markdown(line: &str) -> String {
    let mut escaped =
        escape(line, |c| matches!(c, '\\' | '`' | '*' | '_' | '[' | ']' | '<' | '>' | '&' | '|' | '~'));
    // At the start of a line these would begin a heading, a list, or underline the line before.
    let digits = escaped.chars().take_while(char::is_ascii_digit).count();
    if escaped.starts_with(['#', '-', '+', '=']) {
        escaped.insert(0, '\\');
    } else if digits > 0 && escaped[digits..].starts_with(['.', ')']) {
        escaped.insert(digits, '\\');
    }
    escaped
}

fn escape(text: &str, special: impl Fn(char) -> bool) -> String {
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if special(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_keeps_what_languages_need_and_drops_what_deceives() {
        assert_eq!(one_line("  a\u{0}b\r\n\tc\u{2028}d\u{202e} "), "ab c d");
        assert_eq!(one_line("می\u{200c}خواهم 👩\u{200d}🔬"), "می\u{200c}خواهم 👩\u{200d}🔬");
    }

    #[test]
    fn shorten_counts_characters_and_cuts_between_words() {
        assert_eq!(shorten("short", 100), "short");
        assert_eq!(shorten("one two three", 10), "one two…");
        assert_eq!(shorten(&"字".repeat(200), 100).chars().count(), 100);
    }

    #[test]
    fn markdown_cannot_begin_a_block_or_a_link() {
        assert_eq!(markdown("1. [x](y)"), "1\\. \\[x\\](y)");
        assert_eq!(markdown("# a *b* <i>"), "\\# a \\*b\\* \\<i\\>");
        assert_eq!(markdown("- 2024 was"), "\\- 2024 was");
        assert_eq!(markdown("2024 was"), "2024 was");
    }
}
