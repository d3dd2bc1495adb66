//! Sessions that are done, kept in a file: a run over hours goes on where it was stopped.

use std::collections::HashMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use gist_core::ChapterEvent;
use serde::{Deserialize, Serialize};

/// What a session was run with: one that was run with other settings is run again.
#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Settings {
    /// The model's name.
    pub(super) model: String,
    /// Language of the texts.
    pub(super) language: String,
    /// Preset of the texts.
    pub(super) preset: String,
    /// Seconds of each session that were played; none for all.
    pub(super) first: Option<f64>,
    /// Whether chapters began by words alone.
    pub(super) words_only: bool,
}

#[derive(Serialize, Deserialize)]
struct Session {
    id: String,
    settings: Settings,
    events: Vec<ChapterEvent>,
}

/// The file.
#[derive(Debug)]
pub(super) struct Kept {
    path: PathBuf,
    settings: Settings,
    done: HashMap<String, Vec<ChapterEvent>>,
}

impl Kept {
    /// Reads what is there. A last line that was cut off is run again.
    ///
    /// # Errors
    /// When the file is there and cannot be read.
    pub(super) fn open(path: &Path, settings: Settings) -> anyhow::Result<Self> {
        let at = || format!("cannot read {}", path.display());
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(error) => return Err(error).with_context(at),
        };
        let sessions = text.lines().filter_map(|line| serde_json::from_str::<Session>(line).ok());
        let done =
            sessions.filter(|session| session.settings == settings).map(|s| (s.id, s.events)).collect();
        Ok(Self { path: path.to_owned(), settings, done })
    }

    /// The events of a session that is done.
    pub(super) fn get(&self, id: &str) -> Option<&[ChapterEvent]> {
        self.done.get(id).map(Vec::as_slice)
    }

    /// Adds a session that is done now.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn add(&self, id: &str, events: &[ChapterEvent]) -> anyhow::Result<()> {
        let session =
            Session { id: id.to_owned(), settings: self.settings.clone(), events: events.to_owned() };
        // Behind a newline: a line that was cut off must not swallow this one.
        let line = format!("\n{}\n", serde_json::to_string(&session)?);
        let mut file = std::fs::File::options().create(true).append(true).open(&self.path)?;
        file.write_all(line.as_bytes()).with_context(|| format!("cannot write {}", self.path.display()))
    }
}

#[cfg(test)]
mod tests {
    use gist_core::event::Kind;

    use super::*;

    #[test]
    fn a_session_that_is_done_is_known_again_and_only_with_the_same_settings() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("kept.jsonl");
        let settings = |language: &str| Settings {
            model: "mock".into(),
            language: language.into(),
            preset: "none".into(),
            first: None,
            words_only: false,
        };
        let events = [ChapterEvent::new(Kind::Closed, "a-0", 0, 1)];
        let kept = Kept::open(&path, settings("auto")).unwrap();
        assert!(kept.get("a").is_none());
        kept.add("a", &events).unwrap();
        // Killed while it wrote.
        std::fs::File::options()
            .append(true)
            .open(&path)
            .unwrap()
            .write_all(b"{\"id\":\"b\",\"sett")
            .unwrap();
        kept.add("c", &events).unwrap();
        let again = Kept::open(&path, settings("auto")).unwrap();
        assert_eq!(again.get("a"), Some(&events[..]));
        assert!(again.get("b").is_none());
        assert!(again.get("c").is_some());
        assert!(Kept::open(&path, settings("Chinese")).unwrap().get("a").is_none());
    }
}
