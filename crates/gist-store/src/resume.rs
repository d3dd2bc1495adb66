//! What a restart needs.

use std::time::SystemTime;

use gist_core::ChapterEvent;
use rusqlite::{Connection, OptionalExtension};

use crate::error::{Error, Fault, Step};
use crate::session::{gaps_of, read_session, rows, session_number};
use crate::time::from_ms;
use crate::{Gap, Session, Store};

/// What a session needs to go on.
#[derive(Clone, Debug, PartialEq)]
pub struct Resumed {
    /// The session.
    pub session: Session,
    /// Number of its next event.
    pub next_sequence: u64,
    /// Index of its next chapter (`first-index`).
    pub next_index: u64,
    /// The last running-time that is known, in nanoseconds.
    pub running_time: u64,
    /// The time of day at which that was stored; the beginning of the session when nothing was.
    pub seen: SystemTime,
    /// The closed chapters as they stand, in the order of their index.
    pub closed: Vec<ChapterEvent>,
    /// Opened after the last that was closed, and never closed. Usually one, two when the text of the one before was
    /// still being written.
    pub open: Vec<ChapterEvent>,
    /// Its gaps, in the order in which they were recorded.
    pub gaps: Vec<Gap>,
}

impl Store {
    /// Lets a session run again, and says where it was.
    ///
    /// # Errors
    /// [`Error::NoSession`], or what the disk says.
    pub fn resume(&self, session: &str) -> Result<Resumed, Error> {
        self.write(|transaction| {
            let number = session_number(transaction, session)?;
            transaction
                .execute("UPDATE sessions SET ended = NULL, note = NULL WHERE number = ?1", [number])?;
            resumed(transaction, number)
        })
    }
}

/// Everything of a session that its next run goes on from.
fn resumed(connection: &Connection, number: i64) -> Step<Resumed> {
    let session = connection.query_row("SELECT * FROM sessions WHERE number = ?1", [number], read_session)?;
    let (next_sequence, next_index) = connection.query_row(
        "SELECT ifnull(max(sequence) + 1, 0), ifnull(max(chapter_index) FILTER (WHERE type <> 'digest') + 1, 0)
            FROM events WHERE session = ?1",
        [number],
        |row| Ok((row.get(0)?, row.get::<_, u64>(1)?)),
    )?;
    // Not the ends of observations: a caption may claim any. Of each group SQLite takes the other columns from the row
    // that has the maximum.
    let last = "SELECT running_time, at FROM (
            SELECT max(emitted_at) AS running_time, at FROM events WHERE session = ?1
            UNION ALL SELECT max(start_running_time), at FROM observations WHERE session = ?1
            UNION ALL SELECT max(to_running_time), at FROM gaps WHERE session = ?1)
        WHERE running_time IS NOT NULL ORDER BY running_time DESC LIMIT 1";
    let last =
        connection.query_row(last, [number], |row| Ok((row.get(0)?, from_ms(row.get(1)?)))).optional()?;
    let (running_time, seen) = last.unwrap_or((0, session.started));
    let closed = "SELECT json, max(sequence) FROM events WHERE session = ?1 AND type IN ('closed', 'revised')
        GROUP BY id ORDER BY chapter_index, sequence";
    // Chapters close in the order of their index, so what is open below a closed one was given up.
    let open = "SELECT json, max(sequence) FROM events WHERE session = ?1 AND type IN ('opened', 'updated')
        AND chapter_index > ifnull((SELECT max(chapter_index) FROM events
            WHERE session = ?1 AND type IN ('closed', 'revised')), -1)
        GROUP BY id ORDER BY chapter_index, sequence";
    Ok(Resumed {
        next_sequence,
        next_index: next_index.max(session.first_index),
        running_time,
        seen,
        closed: parsed(rows(connection, closed, [number], |row| row.get(0))?)?,
        open: parsed(rows(connection, open, [number], |row| row.get(0))?)?,
        gaps: gaps_of(connection, number)?,
        session,
    })
}

fn parsed(events: Vec<String>) -> Step<Vec<ChapterEvent>> {
    let parse = |json: String| {
        serde_json::from_str(&json)
            .map_err(|error| Fault::Corrupt(format!("an event can't be read: {error}")))
    };
    events.into_iter().map(parse).collect()
}
