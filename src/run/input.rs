//! What the user named, checked before anything starts.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};

pub(crate) use gist_webhook::redact::redact;
use gist_webhook::redact::without_password;
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
        for odd in ["pa?ss", "pa/s?s", "12?34", "pa ss", "pa\"s's<>", "p@s:s", "?"] {
            let Input::Media { name, .. } =
                Input::new(&format!("rtsp://u:{odd}@cam:554/1?x=y")).expect("address")
            else {
                panic!("media")
            };
            assert_eq!(name, "rtsp://cam:554/1?…", "{odd}");
        }
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
