//! Sessions, what was observed in them, and their gaps.

use std::time::SystemTime;

use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::time::Span;
use rusqlite::{Connection, OptionalExtension, Row, params};

use crate::Store;
use crate::error::{Error, Step};
use crate::time::{from_ms, integer, to_ms};

/// One watching of a stream. It goes on over reconnects and restarts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// `session-id`.
    pub id: String,
    /// `stream-name`.
    pub stream: String,
    /// Where the stream comes from, user and password redacted.
    pub source: String,
    /// Name of the model.
    pub model: String,
    /// Language of the texts.
    pub language: String,
    /// Index of its first chapter.
    pub first_index: u64,
    /// When it began.
    pub started: SystemTime,
    /// How it ended; `None` while it runs, and when the program ended without a word.
    pub ended: Option<Ended>,
}

impl Default for Session {
    fn default() -> Self {
        Self {
            id: String::new(),
            stream: String::new(),
            source: String::new(),
            model: String::new(),
            language: String::new(),
            first_index: 0,
            started: SystemTime::UNIX_EPOCH,
            ended: None,
        }
    }
}

/// The end of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ended {
    /// When.
    pub at: SystemTime,
    /// How, for people.
    pub note: String,
}

/// A time in which nothing came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// From when to when, in running-time nanoseconds.
    pub span: Span,
    /// When it ended, by the wall clock.
    pub at: SystemTime,
    /// Why nothing came, for people and without secrets.
    pub reason: String,
}

impl Store {
    /// Begins a session.
    ///
    /// # Errors
    /// [`Error::SessionExists`], or what the disk says.
    pub fn begin(&self, session: &Session) -> Result<(), Error> {
        self.write(|transaction| {
            if find_session(transaction, &session.id)?.is_some() {
                return Err(Error::SessionExists(session.id.clone()).into());
            }
            let insert = "INSERT INTO sessions
                (id, stream, source, model, language, first_index, started, ended, note)
                VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
            transaction.execute(
                insert,
                params![
                    session.id,
                    session.stream,
                    session.source,
                    session.model,
                    session.language,
                    integer(session.first_index),
                    to_ms(session.started),
                    session.ended.as_ref().map(|ended| to_ms(ended.at)),
                    session.ended.as_ref().map(|ended| &ended.note),
                ],
            )?;
            Ok(())
        })
    }

    /// Ends a session.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn end(&self, session: &str, ended: &Ended) -> Result<(), Error> {
        self.write(|transaction| {
            let number = session_number(transaction, session)?;
            let update = "UPDATE sessions SET ended = ?2, note = ?3 WHERE number = ?1";
            transaction.execute(update, params![number, to_ms(ended.at), ended.note])?;
            Ok(())
        })
    }

    /// Ends the sessions that nobody goes on with: those of streams that are not `watched`, and all but the newest of a
    /// stream. Returns their ids.
    ///
    /// # Errors
    /// What the disk says.
    pub fn end_unwatched(&self, watched: &[&str], ended: &Ended) -> Result<Vec<String>, Error> {
        self.write(|transaction| {
            let select = "SELECT number, id, stream, number = (SELECT max(number) FROM sessions n WHERE n.stream = s.stream)
                FROM sessions s WHERE ended IS NULL ORDER BY number";
            let running = rows(transaction, select, [], |row| {
                Ok((row.get::<_, i64>(0)?, row.get(1)?, row.get::<_, String>(2)?, row.get::<_, bool>(3)?))
            })?;
            let left = |(.., stream, newest): &(_, _, String, bool)| !newest || !watched.contains(&stream.as_str());
            let mut ids = Vec::new();
            for (number, id, ..) in running.into_iter().filter(left) {
                let update = "UPDATE sessions SET ended = ?2, note = ?3 WHERE number = ?1";
                transaction.execute(update, params![number, to_ms(ended.at), ended.note])?;
                ids.push(id);
            }
            Ok(ids)
        })
    }

    /// A session by its id.
    ///
    /// # Errors
    /// What the disk says.
    pub fn session(&self, id: &str) -> Result<Option<Session>, Error> {
        self.read(|transaction| {
            let select = "SELECT * FROM sessions WHERE id = ?1";
            Ok(transaction.query_row(select, [id], read_session).optional()?)
        })
    }

    /// Ids of sessions that begin with `prefix`, upper or lower case: the first `limit`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn session_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, Error> {
        self.read(|transaction| {
            let select = "SELECT id FROM sessions WHERE lower(substr(id, 1, length(?1))) = lower(?1)
                ORDER BY id LIMIT ?2";
            rows(transaction, select, params![prefix, integer(limit)], |row| row.get(0))
        })
    }

    /// How many chapters of a session are closed.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn closed_chapters(&self, session: &str) -> Result<u64, Error> {
        self.read(|transaction| {
            let number = session_number(transaction, session)?;
            let select =
                "SELECT count(DISTINCT id) FROM events WHERE session = ?1 AND type IN ('closed', 'revised')";
            Ok(transaction.query_row(select, [number], |row| row.get(0))?)
        })
    }

    /// Sessions, of one stream or of all, newest first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn sessions(&self, stream: Option<&str>, limit: usize) -> Result<Vec<Session>, Error> {
        self.read(|transaction| {
            let select =
                "SELECT * FROM sessions WHERE ?1 IS NULL OR stream = ?1 ORDER BY number DESC LIMIT ?2";
            rows(transaction, select, params![stream, integer(limit)], read_session)
        })
    }

    /// Events of a session as they were published, byte for byte, from number `from` on.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn events(&self, session: &str, from: u64, limit: usize) -> Result<Vec<String>, Error> {
        self.read(|transaction| {
            let number = session_number(transaction, session)?;
            let select =
                "SELECT json FROM events WHERE session = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";
            rows(transaction, select, params![number, integer(from), integer(limit)], |row| row.get(0))
        })
    }

    /// Appends what was seen, heard or noted, all of it or nothing. Pictures without text are left out.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn observe(&self, session: &str, observations: &[Observation], now: SystemTime) -> Result<(), Error> {
        self.write(|transaction| {
            let number = session_number(transaction, session)?;
            let mut insert = transaction.prepare_cached(
                "INSERT INTO observations (session, start_running_time, end_running_time, kind, turn, at, text)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            )?;
            for observation in observations.iter().filter(|observation| !observation.text.is_empty()) {
                let Span { start, end } = observation.span;
                let kind = observation.source.name();
                insert.execute(params![
                    number,
                    integer(start),
                    integer(end),
                    kind,
                    observation.turn,
                    to_ms(now),
                    observation.text
                ])?;
            }
            Ok(())
        })
    }

    /// What was observed in a session at or after running-time `from` (nanoseconds), by the start of its span.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn observations(&self, session: &str, from: u64, limit: usize) -> Result<Vec<Observation>, Error> {
        self.read(|transaction| {
            let number = session_number(transaction, session)?;
            let select = "SELECT start_running_time, end_running_time, kind, turn, text FROM observations
                WHERE session = ?1 AND start_running_time >= ?2 ORDER BY start_running_time, number LIMIT ?3";
            rows(transaction, select, params![number, integer(from), integer(limit)], |row| {
                let kind: String = row.get(2)?;
                Ok(Observation {
                    source: Source::named(&kind).unwrap_or(Source::Screen),
                    span: Span::new(row.get(0)?, row.get(1)?),
                    text: row.get(4)?,
                    turn: row.get(3)?,
                })
            })
        })
    }

    /// The gaps of a session, in the order in which they were recorded.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn gaps(&self, session: &str) -> Result<Vec<Gap>, Error> {
        self.read(|transaction| gaps_of(transaction, session_number(transaction, session)?))
    }

    /// Records a time in which nothing came.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn record_gap(&self, session: &str, gap: &Gap) -> Result<(), Error> {
        self.write(|transaction| {
            let number = session_number(transaction, session)?;
            transaction.execute(
                "INSERT INTO gaps (session, from_running_time, to_running_time, at, reason)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![number, integer(gap.span.start), integer(gap.span.end), to_ms(gap.at), gap.reason],
            )?;
            Ok(())
        })
    }
}

pub(crate) fn read_session(row: &Row<'_>) -> rusqlite::Result<Session> {
    let ended: Option<i64> = row.get("ended")?;
    let note: Option<String> = row.get("note")?;
    Ok(Session {
        id: row.get("id")?,
        stream: row.get("stream")?,
        source: row.get("source")?,
        model: row.get("model")?,
        language: row.get("language")?,
        first_index: row.get("first_index")?,
        started: from_ms(row.get("started")?),
        ended: ended.map(|at| Ended { at: from_ms(at), note: note.unwrap_or_default() }),
    })
}

pub(crate) fn gaps_of(connection: &Connection, session: i64) -> Step<Vec<Gap>> {
    let select =
        "SELECT from_running_time, to_running_time, at, reason FROM gaps WHERE session = ?1 ORDER BY number";
    rows(connection, select, [session], |row| {
        let span = Span::new(row.get(0)?, row.get(1)?);
        Ok(Gap { span, at: from_ms(row.get(2)?), reason: row.get(3)? })
    })
}

fn find_session(connection: &Connection, id: &str) -> Step<Option<i64>> {
    let mut select = connection.prepare_cached("SELECT number FROM sessions WHERE id = ?1")?;
    Ok(select.query_row([id], |row| row.get(0)).optional()?)
}

pub(crate) fn session_number(connection: &Connection, id: &str) -> Step<i64> {
    find_session(connection, id)?.ok_or_else(|| Error::NoSession(id.to_owned()).into())
}

/// All rows of a query.
pub(crate) fn rows<T>(
    connection: &Connection,
    query: &str,
    parameters: impl rusqlite::Params,
    read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
) -> Step<Vec<T>> {
    let mut query = connection.prepare_cached(query)?;
    let rows = query.query_map(parameters, read)?;
    Ok(rows.collect::<Result<_, _>>()?)
}
