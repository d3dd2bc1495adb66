//! What is asked by people: lists of deliveries, dead letters, replay, endpoints, counts.

use std::fs;
use std::time::{Duration, SystemTime};

use gist_webhook::Attempt;
use gist_webhook::schedule::HORIZON;
use rusqlite::types::{ToSqlOutput, Value};
use rusqlite::{ToSql, params};

use crate::Store;
use crate::error::Error;
use crate::open::beside;
use crate::outbox::read_attempt;
use crate::session::rows;
use crate::time::{from_ms, integer, to_ms};

/// Where a delivery stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It waits for its time, or for its endpoint to be enabled.
    Pending,
    /// The receiver has it.
    Delivered,
    /// Given up: a dead letter.
    Dead,
}

impl State {
    /// The name used in the file and on command lines.
    pub fn nick(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Delivered => "delivered",
            Self::Dead => "dead",
        }
    }

    fn of(nick: &str) -> Self {
        match nick {
            "delivered" => Self::Delivered,
            "dead" => Self::Dead,
            _ => Self::Pending,
        }
    }
}

/// Which deliveries are meant; what is `None` is not asked about.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// To this endpoint.
    pub endpoint: Option<String>,
    /// In this state.
    pub state: Option<State>,
    /// Of this message.
    pub webhook_id: Option<String>,
    /// Of messages stored at this time or later.
    pub from: Option<SystemTime>,
    /// Of messages stored before this time.
    pub to: Option<SystemTime>,
}

/// A delivery as people see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its place in the list; given to [`Store::deliveries`] the list goes on behind it.
    pub number: i64,
    /// `webhook-id` of the message.
    pub webhook_id: String,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Type of the event.
    pub event_type: String,
    /// Session of the event, if it is of one.
    pub session: Option<String>,
    /// Number of the event in its session.
    pub sequence: Option<u64>,
    /// When the message was stored.
    pub created: SystemTime,
    /// Where it stands.
    pub state: State,
    /// Attempts made, since the last replay.
    pub attempts: u32,
    /// When the next attempt is due, if it is pending.
    pub next_at: Option<SystemTime>,
    /// Why it was given up.
    pub reason: Option<String>,
    /// The last attempt that the log still has.
    pub last: Option<Attempt>,
}

/// What waits for an endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name.
    pub name: String,
    /// Deliveries that wait.
    pub pending: u64,
    /// Dead letters.
    pub dead: u64,
    /// When the oldest that waits was stored.
    pub oldest_pending: Option<SystemTime>,
    /// Since when and why it gets nothing.
    pub disabled: Option<(SystemTime, String)>,
}

/// Numbers for metrics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Counts {
    /// The endpoints that anything was ever stored for and not dropped yet, by name.
    pub endpoints: Vec<Endpoint>,
    /// Bytes on the disk, the log included.
    pub disk_bytes: u64,
}

const MATCH: &str = "FROM deliveries d JOIN messages m ON m.number = d.message
    WHERE (?1 IS NULL OR d.endpoint = ?1) AND (?2 IS NULL OR d.state = ?2)
        AND (?3 IS NULL OR m.webhook_id = ?3)
        AND (?4 IS NULL OR m.created >= ?4) AND (?5 IS NULL OR m.created < ?5)";

impl Store {
    /// Deliveries, newest first: the first `limit`, or those behind `number` of an earlier page.
    ///
    /// # Errors
    /// What the disk says.
    pub fn deliveries(
        &self,
        filter: &Filter,
        behind: Option<i64>,
        limit: usize,
    ) -> Result<Vec<Listed>, Error> {
        let select = format!(
            "SELECT d.number, m.webhook_id, d.endpoint, m.event_type, s.id, m.sequence, m.created, d.state,
                d.attempts, d.next_at, d.reason, a.number, a.at, a.latency, a.status, a.error, a.answer
             FROM (SELECT d.number {MATCH} AND d.number < ?6 ORDER BY d.number DESC LIMIT ?7) AS page
                JOIN deliveries d ON d.number = page.number
                JOIN messages m ON m.number = d.message
                LEFT JOIN sessions s ON s.number = m.session
                LEFT JOIN attempts a ON a.number = (SELECT max(number) FROM attempts WHERE delivery = d.number)
             ORDER BY d.number DESC"
        );
        let Filter { endpoint, state, webhook_id, from, to } = filter;
        self.read(|transaction| {
            let parameters = params![
                endpoint,
                state,
                webhook_id,
                from.map(to_ms),
                to.map(to_ms),
                behind.unwrap_or(i64::MAX),
                integer(limit),
            ];
            rows(transaction, &select, parameters, |row| {
                let state = State::of(&row.get::<_, String>(7)?);
                let next_at: i64 = row.get(9)?;
                let attempt: Option<i64> = row.get(11)?;
                Ok(Listed {
                    number: row.get(0)?,
                    webhook_id: row.get(1)?,
                    endpoint: row.get(2)?,
                    event_type: row.get(3)?,
                    session: row.get(4)?,
                    sequence: row.get(5)?,
                    created: from_ms(row.get(6)?),
                    state,
                    attempts: row.get(8)?,
                    next_at: (state == State::Pending).then(|| from_ms(next_at)),
                    reason: row.get(10)?,
                    last: attempt.map(|_| read_attempt(row, 12)).transpose()?,
                })
            })
        })
    }

    /// Ids of messages that begin with `prefix`, upper or lower case: the first `limit`.
    ///
    /// # Errors
    /// What the disk says.
    pub fn message_ids(&self, prefix: &str, limit: usize) -> Result<Vec<String>, Error> {
        let select =
            "SELECT webhook_id FROM messages WHERE lower(substr(webhook_id, 1, length(?1))) = lower(?1)
            ORDER BY webhook_id LIMIT ?2";
        self.read(|transaction| rows(transaction, select, params![prefix, integer(limit)], |row| row.get(0)))
    }

    /// The log of a delivery, oldest attempt first.
    ///
    /// # Errors
    /// What the disk says.
    pub fn attempts(&self, webhook_id: &str, endpoint: &str) -> Result<Vec<Attempt>, Error> {
        let select = "SELECT a.at, a.latency, a.status, a.error, a.answer
            FROM attempts a JOIN deliveries d ON d.number = a.delivery JOIN messages m ON m.number = d.message
            WHERE m.webhook_id = ?1 AND d.endpoint = ?2 ORDER BY a.number";
        self.read(|transaction| rows(transaction, select, [webhook_id, endpoint], |row| read_attempt(row, 0)))
    }

    /// Makes delivered and dead deliveries due once more, with the same `webhook-id` and body and a new schedule.
    /// Returns how many. What is pending stays as it is.
    ///
    /// # Errors
    /// What the disk says.
    pub fn replay(&self, filter: &Filter, now: SystemTime) -> Result<usize, Error> {
        let update = format!(
            "UPDATE deliveries SET state = 'pending', attempts = 0, next_at = ?6, since = ?6, reason = NULL
             WHERE state <> 'pending' AND number IN (SELECT d.number {MATCH})"
        );
        let Filter { endpoint, state, webhook_id, from, to } = filter;
        self.write(|transaction| {
            let parameters = params![endpoint, state, webhook_id, from.map(to_ms), to.map(to_ms), to_ms(now)];
            Ok(transaction.execute(&update, parameters)?)
        })
    }

    /// For how long every attempt at an endpoint has failed, from the first of them to the last; `None` when the last
    /// one did not fail. Two attempts lie no farther apart than they are ever scheduled: more is a clock that was set, or
    /// a program that did not run.
    ///
    /// # Errors
    /// What the disk says.
    pub fn failing_for(&self, endpoint: &str) -> Result<Option<Duration>, Error> {
        let select = "WITH log AS (SELECT a.number, a.at, a.status FROM attempts a
                JOIN deliveries d ON d.number = a.delivery WHERE d.endpoint = ?1)
            SELECT sum(step) FROM (
                SELECT max(0, min(?2, at - lag(at, 1, at) OVER (ORDER BY number))) AS step FROM log
                WHERE number > ifnull((SELECT max(number) FROM log WHERE status BETWEEN 200 AND 299), 0))";
        self.read(|transaction| {
            let farthest = integer(HORIZON.as_millis());
            let sum: Option<u64> =
                transaction.query_row(select, params![endpoint, farthest], |row| row.get(0))?;
            Ok(sum.map(Duration::from_millis))
        })
    }

    /// Enables an endpoint. Returns whether it was disabled. What waits for it is delivered when its time has come.
    ///
    /// # Errors
    /// What the disk says.
    pub fn enable(&self, endpoint: &str) -> Result<bool, Error> {
        self.write(|transaction| {
            Ok(transaction.execute("DELETE FROM disabled WHERE endpoint = ?1", [endpoint])? > 0)
        })
    }

    /// Numbers for metrics.
    ///
    /// # Errors
    /// What the disk says.
    pub fn counts(&self) -> Result<Counts, Error> {
        let select = "SELECT e.endpoint, ifnull(pending, 0), ifnull(dead, 0), m.created, x.since, x.reason
            FROM (SELECT endpoint FROM deliveries UNION SELECT endpoint FROM disabled) e
                LEFT JOIN (
                    SELECT endpoint, count(*) FILTER (WHERE state = 'pending') AS pending,
                        count(*) FILTER (WHERE state = 'dead') AS dead,
                        min(message) FILTER (WHERE state = 'pending') AS oldest
                    FROM deliveries GROUP BY endpoint) d USING (endpoint)
                LEFT JOIN messages m ON m.number = d.oldest
                LEFT JOIN disabled x USING (endpoint)
            ORDER BY e.endpoint";
        let endpoints = self.read(|transaction| {
            rows(transaction, select, [], |row| {
                let since: Option<i64> = row.get(4)?;
                let reason: Option<String> = row.get(5)?;
                Ok(Endpoint {
                    name: row.get(0)?,
                    pending: row.get(1)?,
                    dead: row.get(2)?,
                    oldest_pending: row.get::<_, Option<i64>>(3)?.map(from_ms),
                    disabled: since.map(from_ms).zip(reason),
                })
            })
        })?;
        let length = |suffix| fs::metadata(beside(self.path(), suffix)).map_or(0, |file| file.len());
        Ok(Counts { endpoints, disk_bytes: length("") + length("-wal") })
    }
}

impl ToSql for State {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Owned(Value::Text(self.nick().to_owned())))
    }
}
