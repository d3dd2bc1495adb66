//! What the time of day is taken to be when something is to be dropped for its age.
//!
//! A clock that is set ahead by mistake, or wrong at a start, makes everything old at once, and what was dropped does not
//! come back when the clock is right again. So a clock that leaps ahead is doubted: until it has stood for [`DOUBT`]
//! while the program ran, time goes on from where it was. A clock that is set back is believed at once, as that keeps
//! more.

use std::time::{Duration, SystemTime};

use rusqlite::{OptionalExtension, Transaction, params};

use crate::Store;
use crate::error::{Error, Step};
use crate::time::{from_ms, integer, to_ms};

/// How far ahead a clock may get at once.
pub const TOLERANCE: Duration = Duration::from_secs(3600);
/// For how long, while a program runs, a clock that is farther ahead is doubted.
pub const DOUBT: Duration = Duration::from_secs(24 * 3600);

/// What the time is taken to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Belief {
    /// Time of day, for [`Store::retain`].
    pub time: SystemTime,
    /// By how much the clock is ahead of it, while that is doubted.
    pub ahead: Option<Duration>,
}

/// As the file has it.
struct Known {
    time: SystemTime,
    doubt: Option<Doubt>,
}

#[derive(Clone, Copy)]
struct Doubt {
    /// For how long.
    lasts: Duration,
    /// The clock got ahead while the program ran: it was wrong before, or is now. Else the program may have been away.
    leapt: bool,
}

impl Store {
    /// What the time is taken to be for retention, `elapsed` after this was asked last; `None` at the first time of a
    /// program. It is kept in the store, as is for how long the clock has been doubted.
    ///
    /// When a clock that was ahead is set back to where it should be, what was stored meanwhile is from now on of now.
    /// When one that leapt ahead is believed, what was stored before has aged no more than the time that went by. So
    /// everything is kept for as long as everything else.
    ///
    /// # Errors
    /// What the disk says.
    pub fn believe(&self, clock: SystemTime, elapsed: Option<Duration>) -> Result<Belief, Error> {
        self.write(|transaction| {
            let known = known(transaction, clock)?;
            let went_by = elapsed.unwrap_or_default();
            let steady = known.time.checked_add(went_by).unwrap_or(known.time);
            let ahead = clock.duration_since(steady).ok().filter(|ahead| *ahead > TOLERANCE);
            let doubt = ahead.map(|_| match known.doubt {
                Some(doubt) => Doubt { lasts: doubt.lasts.saturating_add(went_by), ..doubt },
                None => Doubt { lasts: Duration::ZERO, leapt: elapsed.is_some() },
            });
            match (ahead, doubt, known.doubt) {
                (Some(ahead), Some(doubt), _) if doubt.lasts < DOUBT => {
                    keep(transaction, steady, Some(doubt))?;
                    return Ok(Belief { time: steady, ahead: Some(ahead) });
                }
                (Some(ahead), Some(Doubt { leapt: true, .. }), _) => move_on(transaction, steady, ahead)?,
                (None, _, Some(_)) if steady.duration_since(clock).is_ok_and(|back| back <= TOLERANCE) => {
                    bring_back(transaction, clock)?;
                }
                _ => {}
            }
            keep(transaction, clock, None)?;
            Ok(Belief { time: clock, ahead: None })
        })
    }
}

/// What is believed, in a store that has no belief yet what it has of the latest.
fn known(transaction: &Transaction<'_>, clock: SystemTime) -> Step<Known> {
    let select = "SELECT time, doubted, leapt FROM belief";
    let known = transaction.query_row(select, [], |row| {
        let lasts: Option<u64> = row.get(1)?;
        let leapt = row.get(2)?;
        let doubt = lasts.map(|lasts| Doubt { lasts: Duration::from_millis(lasts), leapt });
        Ok(Known { time: from_ms(row.get(0)?), doubt })
    });
    if let Some(known) = known.optional()? {
        return Ok(known);
    }
    let select = "SELECT max(at) FROM (
        SELECT max(at) AS at FROM events UNION ALL SELECT max(at) FROM observations
        UNION ALL SELECT max(at) FROM attempts UNION ALL SELECT max(created) FROM messages
        UNION ALL SELECT max(max(started, ifnull(ended, started))) FROM sessions)";
    let newest: Option<i64> = transaction.query_row(select, [], |row| row.get(0))?;
    Ok(Known { time: newest.map_or(clock, from_ms), doubt: None })
}

fn keep(transaction: &Transaction<'_>, time: SystemTime, doubt: Option<Doubt>) -> Step<()> {
    let put = "INSERT OR REPLACE INTO belief (one, time, doubted, leapt) VALUES (1, ?1, ?2, ?3)";
    let lasts = doubt.map(|doubt| integer(doubt.lasts.as_millis()));
    transaction.execute(put, params![to_ms(time), lasts, doubt.is_some_and(|doubt| doubt.leapt)])?;
    Ok(())
}

/// Nothing is of later than `now`. What waits keeps its time, which says that it is due.
fn bring_back(transaction: &Transaction<'_>, now: SystemTime) -> Step<()> {
    for update in [
        "UPDATE attempts SET at = ?1 WHERE at > ?1",
        "UPDATE observations SET at = ?1 WHERE at > ?1",
        "UPDATE messages SET created = ?1 WHERE created > ?1",
        "UPDATE deliveries SET since = ?1 WHERE since > ?1 AND state <> 'pending'",
        "UPDATE sessions SET ended = ?1 WHERE ended > ?1",
    ] {
        transaction.execute(update, [to_ms(now)])?;
    }
    Ok(())
}

/// What is of `until` or earlier is later by so much.
fn move_on(transaction: &Transaction<'_>, until: SystemTime, by: Duration) -> Step<()> {
    for update in [
        "UPDATE attempts SET at = at + ?2 WHERE at <= ?1",
        "UPDATE observations SET at = at + ?2 WHERE at <= ?1",
        "UPDATE messages SET created = created + ?2 WHERE created <= ?1",
        "UPDATE deliveries SET since = since + ?2 WHERE since <= ?1 AND state <> 'pending'",
        "UPDATE sessions SET ended = ended + ?2 WHERE ended <= ?1",
    ] {
        transaction.execute(update, [to_ms(until), integer(by.as_millis())])?;
    }
    Ok(())
}
