//! What is dropped, and when.
//!
//! Never: the chapters of a session that runs, and deliveries that wait. The log of attempts and the text of what was
//! observed go first, then delivered messages, dead letters, and the oldest sessions that have ended. Everything goes
//! in small transactions, so that nothing waits long for them.
//!
//! Nothing is older than what was stored before it, whatever the clock said: what was stored while that was behind is
//! dropped for its age together with what surrounds it.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, params};

use crate::Store;
use crate::error::Error;
use crate::session::rows;
use crate::time::{from_ms, to_ms};

/// Rows that one transaction drops.
const CHUNK: i64 = 256;

/// Pages that are given back to the disk at once.
const PAGES: usize = 1024;

/// How much is kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// What is older is dropped. The age of a message counts from its last change, that of a session from its end.
    pub age: Option<Duration>,
    /// Bytes in use, without the pages that wait to be given back. What is oldest is dropped.
    pub bytes: Option<u64>,
}

/// What was dropped.
#[derive(Debug, Default)]
pub struct Dropped {
    /// Deliveries that waited for longer than the age and were given up: they are dead letters now.
    pub given_up: usize,
    /// Entries of the log of attempts, besides those of dropped messages.
    pub attempts: usize,
    /// Observations.
    pub observations: usize,
    /// Messages that every endpoint has.
    pub delivered: usize,
    /// Messages with dead letters.
    pub dead: usize,
    /// Sessions that have ended.
    pub sessions: usize,
    /// Their events: chapters, revisions, digests.
    pub events: usize,
    /// The times of the oldest and the newest that was dropped.
    pub span: Option<(SystemTime, SystemTime)>,
    /// Bytes above the limit that are left, as the rest must stay.
    pub over: u64,
    /// Why it stopped early; what was dropped until then stays dropped.
    pub stopped: Option<Error>,
}

#[derive(Clone, Copy)]
enum Kind {
    Attempts,
    Observations,
    Delivered,
    Dead,
    Sessions,
}

/// What goes first.
const ORDER: [Kind; 5] = [Kind::Attempts, Kind::Observations, Kind::Delivered, Kind::Dead, Kind::Sessions];

impl Store {
    /// Drops what is older than the limit, then the oldest until the rest is small enough, and gives the pages back. For
    /// `now` take what [`Store::believe`] says.
    pub fn retain(&self, retention: &Retention, now: SystemTime) -> Dropped {
        let mut dropped = Dropped::default();
        dropped.stopped = self.try_retain(retention, now, &mut dropped).err();
        dropped
    }

    fn try_retain(&self, retention: &Retention, now: SystemTime, dropped: &mut Dropped) -> Result<(), Error> {
        if let Some(cutoff) = retention.age.and_then(|age| now.checked_sub(age)) {
            dropped.given_up = self.give_up(to_ms(cutoff), to_ms(now))?;
            for kind in ORDER {
                while self.drop_chunk(kind, to_ms(cutoff), dropped)? {}
            }
        }
        if let Some(limit) = retention.bytes {
            for kind in ORDER {
                while self.bytes_used()? > limit && self.drop_chunk(kind, i64::MAX, dropped)? {}
            }
            dropped.over = self.bytes_used()?.saturating_sub(limit);
        }
        self.give_back()
    }

    /// Makes dead letters of the deliveries that nothing happened to since `cutoff`. They are kept for another age.
    fn give_up(&self, cutoff: i64, now: i64) -> Result<usize, Error> {
        self.write(|transaction| {
            let update =
                "UPDATE deliveries SET state = 'dead', since = ?2, reason = 'waited longer than is kept'
                WHERE state = 'pending' AND since < ?1
                    AND message < ifnull((SELECT min(number) FROM messages WHERE created >= ?1), 1 << 62)";
            Ok(transaction.execute(update, [cutoff, now])?)
        })
    }

    /// Drops the oldest of a kind, if they are older than `cutoff`. Returns whether there were any.
    fn drop_chunk(&self, kind: Kind, cutoff: i64, dropped: &mut Dropped) -> Result<bool, Error> {
        let delete = match kind {
            Kind::Attempts => {
                "DELETE FROM attempts WHERE number IN
                 (SELECT number FROM attempts WHERE at < ?1
                    AND number < ifnull((SELECT min(number) FROM attempts WHERE at >= ?1), 1 << 62)
                  ORDER BY number LIMIT ?2) RETURNING at"
            }
            Kind::Observations => {
                "DELETE FROM observations WHERE number IN
                 (SELECT number FROM observations WHERE at < ?1
                    AND number < ifnull((SELECT min(number) FROM observations WHERE at >= ?1), 1 << 62)
                  ORDER BY number LIMIT ?2) RETURNING at"
            }
            Kind::Delivered => {
                "DELETE FROM messages WHERE number IN
                 (SELECT number FROM messages m WHERE created < ?1 AND NOT EXISTS (SELECT 1 FROM deliveries
                    WHERE message = m.number AND (state <> 'delivered' OR since >= ?1))
                    AND number < ifnull((SELECT min(number) FROM messages WHERE created >= ?1), 1 << 62)
                  ORDER BY number LIMIT ?2) RETURNING created"
            }
            Kind::Dead => {
                "DELETE FROM messages WHERE number IN
                 (SELECT number FROM messages m WHERE created < ?1 AND NOT EXISTS (SELECT 1 FROM deliveries
                    WHERE message = m.number AND (state = 'pending' OR since >= ?1))
                    AND number < ifnull((SELECT min(number) FROM messages WHERE created >= ?1), 1 << 62)
                  ORDER BY number LIMIT ?2) RETURNING created"
            }
            Kind::Sessions => return self.drop_session(cutoff, dropped),
        };
        let times: Vec<i64> =
            self.write(|transaction| rows(transaction, delete, params![cutoff, CHUNK], |row| row.get(0)))?;
        let count = match kind {
            Kind::Attempts => &mut dropped.attempts,
            Kind::Observations => &mut dropped.observations,
            Kind::Delivered => &mut dropped.delivered,
            Kind::Dead | Kind::Sessions => &mut dropped.dead,
        };
        *count += times.len();
        dropped.widen(&times);
        Ok(!times.is_empty())
    }

    /// Drops the oldest session that has ended before `cutoff` and of which no message is left.
    fn drop_session(&self, cutoff: i64, dropped: &mut Dropped) -> Result<bool, Error> {
        let gone = self.write(|transaction| {
            let select = "SELECT number, started, ended FROM sessions s WHERE ended < ?1
                AND NOT EXISTS (SELECT 1 FROM messages WHERE session = s.number)
                AND NOT EXISTS (SELECT 1 FROM sessions WHERE number < s.number AND max(started, ifnull(ended, 0)) >= ?1)
                ORDER BY number LIMIT 1";
            let found = transaction
                .query_row(select, [cutoff], |row| Ok((row.get::<_, i64>(0)?, [row.get(1)?, row.get(2)?])))
                .optional()?;
            let Some((number, times)) = found else { return Ok(None) };
            let events = transaction.execute("DELETE FROM events WHERE session = ?1", [number])?;
            let observations =
                transaction.execute("DELETE FROM observations WHERE session = ?1", [number])?;
            transaction.execute("DELETE FROM gaps WHERE session = ?1", [number])?;
            transaction.execute("DELETE FROM sessions WHERE number = ?1", [number])?;
            Ok(Some((events, observations, times)))
        })?;
        if let Some((events, observations, times)) = gone {
            dropped.sessions += 1;
            dropped.events += events;
            dropped.observations += observations;
            dropped.widen(&times);
        }
        Ok(gone.is_some())
    }

    /// Bytes of the pages that hold something.
    fn bytes_used(&self) -> Result<u64, Error> {
        self.read(|transaction| {
            let pragma = |name: &str| transaction.pragma_query_value(None, name, |row| row.get::<_, u64>(0));
            Ok((pragma("page_count")? - pragma("freelist_count")?) * pragma("page_size")?)
        })
    }

    /// Gives free pages back to the disk.
    fn give_back(&self) -> Result<(), Error> {
        let mut free = true;
        while free {
            free = self.outside(|connection| {
                // Each row of it is a page.
                rows(connection, &format!("PRAGMA incremental_vacuum({PAGES})"), [], |_| Ok(()))?;
                let left: u64 = connection.pragma_query_value(None, "freelist_count", |row| row.get(0))?;
                Ok(left > 0)
            })?;
        }
        // The file becomes shorter when the log is written into it. Passive: it waits for no reader.
        self.outside(|connection| Ok(connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(()))?))
    }
}

impl Dropped {
    fn widen(&mut self, times: &[i64]) {
        for time in times.iter().copied().map(from_ms) {
            self.span = Some(self.span.map_or((time, time), |(from, to)| (from.min(time), to.max(time))));
        }
    }
}
