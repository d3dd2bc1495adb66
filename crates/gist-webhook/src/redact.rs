//! Addresses without what is secret in them, for logs, messages and errors.

/// Takes what may be secret out of the addresses in `text`: user and password, and everything behind a `?`.
pub fn redact(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        out.push_str(before);
        let end = after.find(|c: char| c.is_whitespace() || "\"'<>".contains(c)).unwrap_or(after.len());
        let (address, behind) = after.split_at(end);
        out.push_str(&without_password(address));
        rest = behind;
    }
    out + rest
}

/// An address, from behind its `://` on, without user, password and what is behind a `?`.
///
/// A password may hold signs by mistake that end it, such as `/` and `?`; when in doubt, too much is taken away.
pub fn without_password(address: &str) -> String {
    let query = address.find('?').unwrap_or(address.len());
    let authority = &address[..address.find('/').unwrap_or(address.len())];
    let port = (!authority.starts_with('[')).then(|| authority.split_once(':')).flatten();
    let odd = authority.contains('?')
        || port.is_some_and(|(_, port)| !port.bytes().all(|byte| byte.is_ascii_digit()));
    let limit = if odd { address.len() } else { query };
    // A host can't hold an @.
    let host = address[..limit].rfind('@').map_or(address, |at| &address[at + 1..]);
    match host.split_once('?') {
        Some((host, _)) => format!("{host}?…"),
        None => host.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_in_addresses_are_never_shown() {
        assert_eq!(redact("rtsp://admin:p@ss/w@10.0.0.7:554/cam1"), "rtsp://10.0.0.7:554/cam1");
        assert_eq!(
            redact("Could not open \"rtsp://u:p@cam/1\", tried http://h/x?token=1 too"),
            "Could not open \"rtsp://cam/1\", tried http://h/x?… too"
        );
        assert_eq!(redact("plain a@b text"), "plain a@b text");
        assert_eq!(
            redact("http://[::1]:80/x?mail=a@b and http://h:80/?m=a@b"),
            "http://[::1]:80/x?… and http://h:80/?…"
        );
        for odd in ["pa?ss", "pa/s?s", "12?34", "pa ss", "pa\"s's<>", "p@s:s", "?"] {
            assert_eq!(without_password(&format!("u:{odd}@cam:554/1?x=y")), "cam:554/1?…", "{odd}");
        }
    }
}
