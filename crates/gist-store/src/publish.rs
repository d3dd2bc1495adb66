//! Events and the messages that tell of them, in one transaction.

use std::time::SystemTime;

use gist_core::ChapterEvent;
use gist_core::event::{Kind, SCHEMA};
use rusqlite::{Connection, OptionalExtension, params};

use crate::Store;
use crate::error::{Error, Step};
use crate::session::session_number;
use crate::time::to_ms;

/// A message for the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// `webhook-id`: a ULID, the same for every endpoint and at every attempt.
    pub webhook_id: String,
    /// Type of the event (`chapter.closed`).
    pub event_type: String,
    /// What is sent, byte for byte.
    pub body: Vec<u8>,
    /// Names of the endpoints that want it.
    pub endpoints: Vec<String>,
}

/// What became of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Published {
    /// It is in the store now, with its messages.
    New,
    /// It was there before, the same to the byte. Its messages are those of the first time.
    Known,
}

impl Store {
    /// Stores a `gist-chapters-v1` event, as it is, and the messages that tell of it. When this returns both are on
    /// the disk; only then may the event be shown to anybody.
    ///
    /// # Errors
    /// [`Error::NotAnEvent`], [`Error::NoSession`], [`Error::Conflict`] when the session has another event of that
    /// number, [`Error::BodyDiffers`] when the outbox has another message of that id, or what the disk says.
    pub fn publish(&self, json: &str, outgoing: &[Outgoing], now: SystemTime) -> Result<Published, Error> {
        let event = Columns::of(json)?;
        self.write(|transaction| {
            let session = session_number(transaction, &event.session)?;
            let known = "SELECT json = ?3 FROM events WHERE session = ?1 AND sequence = ?2";
            let known =
                transaction.query_row(known, params![session, event.sequence, json], |row| row.get(0));
            match known.optional()? {
                Some(true) => return Ok(Published::Known),
                Some(false) => {
                    let sequence = event.sequence.unsigned_abs();
                    return Err(Error::Conflict { session: event.session, sequence }.into());
                }
                None => {}
            }
            let mut insert = transaction.prepare_cached(
                "INSERT INTO events (session, sequence, type, id, chapter_index, emitted_at, at, json)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?;
            let Columns { sequence, kind, id, index, emitted_at, .. } = &event;
            insert.execute(params![session, sequence, kind, id, index, emitted_at, to_ms(now), json])?;
            for message in outgoing {
                insert_message(transaction, message, Some((session, event.sequence)), now)?;
            }
            Ok(Published::New)
        })
    }

    /// Stores messages that tell of no chapter: a stream that went away, a test.
    ///
    /// A message that is there already is left as it is, and endpoints that are new to it are added.
    ///
    /// # Errors
    /// [`Error::BodyDiffers`], or what the disk says.
    pub fn post(&self, outgoing: &[Outgoing], now: SystemTime) -> Result<(), Error> {
        self.write(|transaction| {
            outgoing.iter().try_for_each(|message| insert_message(transaction, message, None, now))
        })
    }
}

/// What the table has of an event besides its text.
struct Columns {
    session: String,
    sequence: i64,
    kind: &'static str,
    id: String,
    index: i64,
    emitted_at: i64,
}

impl Columns {
    fn of(json: &str) -> Result<Self, Error> {
        let event: ChapterEvent =
            serde_json::from_str(json).map_err(|error| Error::NotAnEvent(error.to_string()))?;
        if event.schema != SCHEMA {
            return Err(Error::NotAnEvent(format!("its schema is '{}'", event.schema)));
        }
        // Half of what the file can hold, so that one more is never too many.
        let integer = |name: &str, value: u64| match i64::try_from(value) {
            Ok(value) if value <= i64::MAX / 2 => Ok(value),
            _ => Err(Error::NotAnEvent(format!("{name} is {value}"))),
        };
        Ok(Self {
            sequence: integer("sequence", event.sequence)?,
            index: integer("index", event.index)?,
            emitted_at: integer("emitted-at", event.emitted_at)?,
            kind: match event.kind {
                Kind::Opened => "opened",
                Kind::Updated => "updated",
                Kind::Closed => "closed",
                Kind::Revised => "revised",
                Kind::Digest => "digest",
            },
            session: event.session,
            id: event.id,
        })
    }
}

fn insert_message(
    connection: &Connection,
    message: &Outgoing,
    event: Option<(i64, i64)>,
    now: SystemTime,
) -> Step<()> {
    let Outgoing { webhook_id, event_type, body, endpoints } = message;
    let now = to_ms(now);
    let mut select =
        connection.prepare_cached("SELECT number, body = ?2 FROM messages WHERE webhook_id = ?1")?;
    let known =
        select.query_row(params![webhook_id, body], |row| Ok((row.get(0)?, row.get(1)?))).optional()?;
    let number: i64 = match known {
        Some((number, true)) => number,
        Some((_, false)) => return Err(Error::BodyDiffers(webhook_id.clone()).into()),
        None => {
            let mut insert = connection.prepare_cached(
                "INSERT INTO messages (webhook_id, session, sequence, event_type, created, body)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
            )?;
            let (session, sequence) = event.unzip();
            insert.insert(params![webhook_id, session, sequence, event_type, now, body])?
        }
    };
    let mut insert = connection.prepare_cached(
        "INSERT OR IGNORE INTO deliveries (message, endpoint, state, next_at, since)
         VALUES (?1, ?2, 'pending', ?3, ?3)",
    )?;
    for endpoint in endpoints {
        insert.execute(params![number, endpoint, now])?;
    }
    Ok(())
}
