//! What the user named, checked before anything starts.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

use gst::glib;

use crate::cli::exit::Class;

/// No transcript is this long: ten days of talk are 10 MB.
const MAX_TRANSCRIPT: u64 = 64 << 20;

/// What chapters are made of.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    /// Video or audio.
    Media {
        /// Its address.
        uri: String,
        /// What to call it in front of people: without password.
        name: String,
    },
    /// Words alone.
    Transcript(Transcript),
}

/// A file of timed text.
#[derive(Clone, Debug)]
pub(crate) struct Transcript {
    pub(crate) path: PathBuf,
    /// End of its last line.
    pub(crate) length: gst::ClockTime,
}

impl Input {
    /// Takes a path or an address.
    ///
    /// # Errors
    /// [`Class::Input`] when it is none that could be read.
    pub(crate) fn new(named: &str) -> anyhow::Result<Self> {
        if let Some((scheme, address)) = named.split_once("://")
            && !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
        {
            let name = format!("{scheme}://{}", without_password(address));
            return Ok(Self::Media { uri: named.to_owned(), name });
        }
        let path = Path::new(named);
        check_file(path)?;
        if is_transcript(path) {
            return Transcript::new(path).map(Self::Transcript);
        }
        let uri = fs::canonicalize(path)
            .map_err(|e| e.to_string())
            .and_then(|path| glib::filename_to_uri(path, None).map_err(|e| e.to_string()))
            .map_err(|e| Class::Input.failure(format!("can't read {named}: {e}")))?;
        Ok(Self::Media { uri: uri.into(), name: named.to_owned() })
    }

    /// What to call it in front of people.
    pub(crate) fn name(&self) -> String {
        match self {
            Self::Media { name, .. } => name.clone(),
            Self::Transcript(transcript) => transcript.path.display().to_string(),
        }
    }
}

impl Transcript {
    /// Takes a WebVTT or SubRip file.
    ///
    /// # Errors
    /// [`Class::Input`] when it is none.
    pub(crate) fn new(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let fail = |why: String| Class::Input.failure(why);
        check_file(path)?;
        if !is_transcript(path) {
            return Err(fail(format!("{name} is no transcript: its name ends neither in .vtt nor in .srt")));
        }
        let mut bytes = Vec::new();
        fs::File::open(path)
            .and_then(|file| file.take(MAX_TRANSCRIPT + 1).read_to_end(&mut bytes))
            .map_err(|e| fail(format!("can't read {name}: {e}")))?;
        if bytes.len() as u64 > MAX_TRANSCRIPT {
            return Err(fail(format!("{name} is too large for a transcript")));
        }
        let text = std::str::from_utf8(&bytes).map_err(|e| {
            let line = bytes[..e.valid_up_to()].iter().filter(|b| **b == b'\n').count() + 1;
            fail(format!(
                "{name} is not UTF-8 text (line {line}); convert it, for example: iconv -f CP1252 -t UTF-8"
            ))
        })?;
        let ends =
            text.lines().filter_map(|line| line.split_once("-->")).filter_map(|(_, end)| timestamp(end));
        let length =
            ends.max().ok_or_else(|| fail(format!("{name} has no timed lines (00:01 --> 00:05)")))?;
        Ok(Self { path: path.to_owned(), length })
    }
}

/// Whether some plugin reads addresses like that of `input`; needs GStreamer to be up.
///
/// # Errors
/// [`Class::Input`] when none does.
pub(crate) fn check_scheme(input: &Input) -> anyhow::Result<()> {
    let Input::Media { uri, name } = input else { return Ok(()) };
    let scheme = uri.split("://").next().unwrap_or_default();
    if gst::Element::make_from_uri(gst::URIType::Src, uri, None).is_ok() {
        return Ok(());
    }
    Err(Class::Input
        .failure(format!("{name} can't be opened: no plugin here takes such {scheme}:// addresses")))
}

fn check_file(path: &Path) -> anyhow::Result<()> {
    let name = path.display();
    let why = match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => format!("{name} is a directory, not a video"),
        Ok(meta) if meta.is_file() && meta.len() == 0 => format!("{name} is empty"),
        Ok(_) => match fs::File::open(path) {
            Ok(_) => return Ok(()),
            Err(e) => format!("can't read {name}: {e}"),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => format!("there is no file {name}"),
        Err(e) => format!("can't read {name}: {e}"),
    };
    Err(Class::Input.failure(why))
}

fn is_transcript(path: &Path) -> bool {
    path.extension().is_some_and(|e| e.eq_ignore_ascii_case("vtt") || e.eq_ignore_ascii_case("srt"))
}

/// The time at the start of `text`: `[HH:]MM:SS` with a fraction after a point (WebVTT) or comma (SubRip).
pub(crate) fn timestamp(text: &str) -> Option<gst::ClockTime> {
    let word = text.split_whitespace().next()?;
    let mut seconds = 0.0;
    for field in word.replace(',', ".").split(':') {
        seconds = seconds * 60.0 + field.parse::<f64>().ok().filter(|f| f.is_finite() && *f >= 0.0)?;
    }
    // Beyond the end of all time there is none.
    let time = gist_core::time::nanoseconds(seconds);
    (time < u64::MAX).then(|| gst::ClockTime::from_nseconds(time))
}

/// Takes what may be secret out of the addresses in `text`: user and password, and everything behind a `?`.
pub(crate) fn redact(text: &str) -> String {
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
fn without_password(address: &str) -> String {
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

    fn message(named: &str) -> String {
        let error = Input::new(named).expect_err("refused");
        assert_eq!(Class::of(&error), Class::Input);
        error.to_string()
    }

    #[test]
    fn secrets_in_addresses_are_never_shown() {
        assert_eq!(redact("rtsp://admin:p@ss/w@10.0.0.7:554/cam1"), "rtsp://10.0.0.7:554/cam1");
        assert_eq!(
            redact("Could not open \"rtsp://u:p@cam/1\", tried http://h/x?token=1 too"),
            "Could not open \"rtsp://cam/1\", tried http://h/x?… too"
        );
        assert_eq!(redact("plain a@b text"), "plain a@b text");
        for odd in ["pa?ss", "pa/s?s", "12?34", "pa ss", "pa\"s's<>", "p@s:s", "?"] {
            let Input::Media { name, .. } =
                Input::new(&format!("rtsp://u:{odd}@cam:554/1?x=y")).expect("address")
            else {
                panic!("media")
            };
            assert_eq!(name, "rtsp://cam:554/1?…", "{odd}");
        }
        assert_eq!(
            redact("http://[::1]:80/x?mail=a@b and http://h:80/?m=a@b"),
            "http://[::1]:80/x?… and http://h:80/?…"
        );
        let Input::Media { uri, name } = Input::new("rtsp://u:p@cam/1").expect("address") else {
            panic!("media")
        };
        assert_eq!((uri.as_str(), name.as_str()), ("rtsp://u:p@cam/1", "rtsp://cam/1"));
    }

    #[test]
    fn what_is_no_input_is_said_in_one_sentence() {
        let dir = tempfile::tempdir().expect("tempdir");
        let path = |name: &str| dir.path().join(name).display().to_string();
        assert_eq!(message(&path("none.mp4")), format!("there is no file {}", path("none.mp4")));
        assert!(message(&path("")).contains("is a directory"));
        fs::write(path("empty.mp4"), "").expect("write");
        assert!(message(&path("empty.mp4")).ends_with("is empty"));
        fs::write(path("latin.srt"), b"1\n00:00:01,000 --> 00:00:02,000\ncaf\xe9\n").expect("write");
        assert!(
            message(&path("latin.srt")).contains("not UTF-8 text (line 3)"),
            "{}",
            message(&path("latin.srt"))
        );
        fs::write(path("no.vtt"), "WEBVTT\n\nhello\n").expect("write");
        assert!(message(&path("no.vtt")).contains("no timed lines"));
    }

    #[test]
    fn the_length_of_a_transcript_is_the_end_of_its_last_line() {
        let dir = tempfile::tempdir().expect("tempdir");
        for (name, text) in [
            ("a.vtt", "WEBVTT\n\n01:00.000 --> 01:02.500 align:start\nhi\n\n00:01.000 --> 00:02.000\nho\n"),
            ("a.srt", "\u{feff}1\r\n00:01:00,000 --> 00:01:02,500\r\nhi\r\n"),
        ] {
            let path = dir.path().join(name);
            fs::write(&path, text).expect("write");
            let transcript = Transcript::new(&path).expect("transcript");
            assert_eq!(transcript.length, gst::ClockTime::from_mseconds(62_500), "{name}");
        }
        assert_eq!(timestamp("1:00:00.000 x"), Some(gst::ClockTime::from_seconds(3600)));
        assert_eq!(timestamp("nan"), None);
        assert_eq!(timestamp("99999999999999:00:00"), None, "beyond what a clock can count");
        assert_eq!(timestamp(" "), None);
    }
}
