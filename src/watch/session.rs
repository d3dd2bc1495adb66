//! Which session a stream goes on with, and what of it the element is given.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use gist_core::{Observation, Record};
use gist_store::{Ended, Error, Resumed, Session, Store};
use tempfile::TempPath;

use crate::run::input::redact;

/// How a session ended that goes on when the program is started again.
pub(super) const STOPPED: &str = "stopped";
/// How a session ended whose stream is not in the configuration any more; it goes on when it is again.
pub(super) const UNWATCHED: &str = "not watched any more";
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
    pub(super) record: TempPath,
    /// Its events as they were published.
    pub(super) events: Vec<String>,
    /// The running-time it had reached.
    pub(super) running_time: u64,
    /// The time of day at which that was stored.
    pub(super) seen: SystemTime,
}

/// Chooses; `within` is how old the last session may be, `None` when a new one is to begin.
///
/// # Errors
/// What the store says.
pub(super) fn choose(store: &Store, new: Session, within: Option<Duration>) -> Result<Chosen, Error> {
    let Some(last) = store.sessions(Some(&new.stream), 1)?.into_iter().next() else {
        return Ok(Chosen { session: new, past: None });
    };
    let stopped = last.ended.as_ref().is_none_or(|ended| [STOPPED, UNWATCHED].contains(&ended.note.as_str()));
    if let Some(within) = within.filter(|_| stopped) {
        let resumed = store.resume(&last.id)?;
        let seen =
            last.ended.as_ref().filter(|ended| ended.note == STOPPED).map_or(resumed.seen, |ended| ended.at);
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
    let Resumed { session, running_time, seen, open, .. } = resumed;
    let events = store.events(&session.id, 0, ALL)?;
    let since = open.iter().map(|chapter| chapter.running_time).min().unwrap_or(running_time);
    let observations = store.observations(&session.id, since, ALL)?;
    // Always the same name: a kill may leave it behind, with all that was said in it, and the next start takes it over.
    let path = store.path().with_added_extension(format!("resume-{}", session.stream));
    let record = write_private(&path, &record_of(&events, &observations))
        .map_err(|error| Error::Disk { path, reason: error.to_string() })?;
    Ok(Chosen { session, past: Some(Past { record, events, running_time, seen }) })
}

/// Writes a file that nobody else may read, and that is gone when it is dropped.
fn write_private(path: &Path, text: &str) -> std::io::Result<TempPath> {
    let written = TempPath::try_from_path(path)?;
    let mut file = File::options().create(true).write(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    Ok(written)
}

/// What `resume-from` takes.
pub(crate) fn record_of(events: &[String], observations: &[Observation]) -> String {
    let lines = events.iter().cloned().chain(observations.iter().map(Record::line));
    lines.flat_map(|line| [line, "\n".to_owned()]).collect()
}

/// The events that a file of lines has not got yet: the program may have ended between an event's way into the store and
/// that into the file, or on the latter. What is there of a line that was cut off is taken away.
///
/// # Errors
/// When the file can't be read or cut.
pub(super) fn missing<'a>(path: &Path, events: &'a [String]) -> std::io::Result<Vec<&'a String>> {
    // What is no file keeps nothing.
    if events.is_empty() || !path.is_file() {
        return Ok(events.iter().collect());
    }
    let mut file = File::options().read(true).write(true).open(path)?;
    let mut missing: HashSet<&[u8]> = events.iter().map(|event| event.as_bytes()).collect();
    let (mut whole, mut line) = (0, Vec::new());
    let mut lines = BufReader::new(&mut file);
    while lines.read_until(b'\n', &mut line)? > 0 {
        let Some(event) = line.strip_suffix(b"\n") else { break };
        missing.remove(event);
        whole += line.len() as u64;
        line.clear();
    }
    if !line.is_empty() && events.iter().any(|event| event.as_bytes().starts_with(&line)) {
        file.set_len(whole)?;
    }
    Ok(events.iter().filter(|event| missing.contains(event.as_bytes())).collect())
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
