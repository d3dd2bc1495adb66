//! Which session a stream goes on with, and what of it the element is given.

use std::io::Write;
use std::time::{Duration, SystemTime};

use gist_core::{Observation, Record};
use gist_store::{Ended, Error, Resumed, Session, Store};
use tempfile::NamedTempFile;

use crate::run::input::redact;

/// How a session ended that goes on when the program is started again.
pub(super) const STOPPED: &str = "stopped";
/// Rows that are read at once: more than any session has.
pub(crate) const ALL: usize = i32::MAX as usize;

/// A session to go on with, or a new one.
pub(super) struct Chosen {
    pub(super) session: Session,
    /// `None` for a new one.
    pub(super) past: Option<Past>,
}

/// What an earlier run left behind.
pub(super) struct Past {
    /// Its events and what was observed, for `resume-from`.
    pub(super) record: NamedTempFile,
    /// Its events as they were published.
    pub(super) events: Vec<String>,
    /// The running-time it had reached.
    pub(super) running_time: u64,
}

/// Chooses; `within` is how old the last session may be, `None` when a new one is to begin.
///
/// # Errors
/// What the store says.
pub(super) fn choose(store: &Store, new: Session, within: Option<Duration>) -> Result<Chosen, Error> {
    let Some(last) = store.sessions(Some(&new.stream), 1)?.into_iter().next() else {
        return Ok(Chosen { session: new, past: None });
    };
    let stopped = last.ended.as_ref().is_none_or(|ended| ended.note == STOPPED);
    if let Some(within) = within.filter(|_| stopped) {
        let resumed = store.resume(&last.id)?;
        let seen = resumed.session.started + Duration::from_nanos(resumed.running_time);
        let seen = last.ended.as_ref().map_or(seen, |ended| ended.at.max(seen));
        // A clock that was set back makes it young.
        if SystemTime::now().duration_since(seen).unwrap_or_default() <= within {
            return go_on(store, resumed);
        }
    }
    if last.ended.is_none() || stopped {
        let note = "not gone on with".to_owned();
        store.end(&last.id, &Ended { at: SystemTime::now(), note })?;
    }
    Ok(Chosen { session: new, past: None })
}

/// A session whose pipeline broke down, or whose program ended: all its events, and what was observed in the chapters
/// that have no text yet.
///
/// # Errors
/// What the store says.
pub(super) fn go_on(store: &Store, resumed: Resumed) -> Result<Chosen, Error> {
    let Resumed { session, running_time, open, .. } = resumed;
    let events = store.events(&session.id, 0, ALL)?;
    let since = open.iter().map(|chapter| chapter.running_time).min().unwrap_or(running_time);
    let observations = store.observations(&session.id, since, ALL)?;
    let mut record = tempfile::Builder::new().prefix("streamgist-").suffix(".jsonl").tempfile();
    let text = record_of(&events, &observations);
    if let Ok(file) = &mut record {
        file.write_all(text.as_bytes())
            .map_err(|error| Error::Disk { path: file.path().to_owned(), reason: error.to_string() })?;
    }
    let record =
        record.map_err(|error| Error::Disk { path: std::env::temp_dir(), reason: error.to_string() })?;
    Ok(Chosen { session, past: Some(Past { record, events, running_time }) })
}

/// What `resume-from` takes.
pub(crate) fn record_of(events: &[String], observations: &[Observation]) -> String {
    let lines = events.iter().cloned().chain(observations.iter().map(Record::line));
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// A session that begins now.
pub(super) fn new(stream: &str, source: &str, model: &str, language: &str) -> Session {
    Session {
        id: ulid::Ulid::generate().to_string().to_lowercase(),
        stream: stream.to_owned(),
        source: redact(source),
        model: model.to_owned(),
        language: language.to_owned(),
        started: SystemTime::now(),
        ..Session::default()
    }
}
