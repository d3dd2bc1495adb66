//! What is asked by who delivers.

use std::time::{Duration, SystemTime};

use gist_webhook::{Attempt, Delivery, Next, Outbox, OutboxError};
use rusqlite::{OptionalExtension, Row, params};

use crate::Store;
use crate::error::Error;
use crate::session::rows;
use crate::time::{from_ms, integer, to_ms};

/// How much of an answer is kept.
const ANSWER_BYTES: usize = 1024;

impl Outbox for Store {
    fn due(&self, endpoint: &str, now: SystemTime, limit: usize) -> Result<Vec<Delivery>, OutboxError> {
        // A clock that is behind the moment at which the time was set was set back; waiting for it might take days.
        let select = "SELECT m.webhook_id, m.event_type, d.attempts, m.created, m.body
            FROM deliveries d JOIN messages m ON m.number = d.message
            WHERE d.endpoint = ?1 AND d.state = 'pending' AND (d.next_at <= ?2 OR d.since > ?2)
                AND NOT EXISTS (SELECT 1 FROM disabled WHERE endpoint = ?1)
            ORDER BY d.message LIMIT ?3";
        Ok(self.read(|transaction| {
            rows(transaction, select, params![endpoint, to_ms(now), integer(limit)], |row| {
                Ok(Delivery {
                    webhook_id: row.get(0)?,
                    endpoint: endpoint.to_owned(),
                    event_type: row.get(1)?,
                    attempts: row.get(2)?,
                    created: from_ms(row.get(3)?),
                    body: row.get(4)?,
                })
            })
        })?)
    }

    fn next_due(&self, endpoint: &str, now: SystemTime) -> Result<Option<SystemTime>, OutboxError> {
        let select = "SELECT min(iif(since > ?2, ?2, next_at)) FROM deliveries
            WHERE endpoint = ?1 AND state = 'pending' AND NOT EXISTS (SELECT 1 FROM disabled WHERE endpoint = ?1)";
        let next: Option<i64> = self.read(|transaction| {
            Ok(transaction.query_row(select, params![endpoint, to_ms(now)], |row| row.get(0))?)
        })?;
        Ok(next.map(from_ms))
    }

    fn record(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) -> Result<(), OutboxError> {
        let at = to_ms(attempt.at);
        // By the clock that the next moment is counted by, which may be ahead of the time of day.
        let (state, since, next_at, reason) = match next {
            Next::Delivered => ("delivered", at, None, None),
            Next::Again { at, set } => ("pending", to_ms(*set), Some(to_ms(*at)), None),
            Next::Dead { reason } => ("dead", at, None, Some(reason)),
        };
        Ok(self.write(|transaction| {
            let Delivery { webhook_id, endpoint, .. } = delivery;
            let update = "UPDATE deliveries
                SET attempts = attempts + 1, state = ?3, next_at = ifnull(?4, next_at), since = ?5, reason = ?6
                WHERE endpoint = ?2 AND message = (SELECT number FROM messages WHERE webhook_id = ?1)
                RETURNING number";
            let number: Option<i64> = transaction
                .prepare_cached(update)?
                .query_row(params![webhook_id, endpoint, state, next_at, since, reason], |row| row.get(0))
                .optional()?;
            let no_delivery =
                || Error::NoDelivery { webhook_id: webhook_id.clone(), endpoint: endpoint.clone() };
            let number = number.ok_or_else(no_delivery)?;
            let answer = &attempt.answer[..attempt.answer.floor_char_boundary(ANSWER_BYTES)];
            let latency = integer(attempt.latency.as_millis());
            transaction.execute(
                "INSERT INTO attempts (delivery, at, latency, status, error, answer)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![number, at, latency, attempt.status, attempt.error, answer],
            )?;
            Ok(())
        })?)
    }

    fn disable(&self, endpoint: &str, reason: &str) -> Result<(), OutboxError> {
        // The first reason is the one that people look for.
        let insert = "INSERT OR IGNORE INTO disabled (endpoint, reason, since) VALUES (?1, ?2, ?3)";
        Ok(self.write(|transaction| {
            transaction.execute(insert, params![endpoint, reason, to_ms(SystemTime::now())])?;
            Ok(())
        })?)
    }
}

/// An attempt from the columns `at, latency, status, error, answer`, of which `at` is the column `first`.
pub(crate) fn read_attempt(row: &Row<'_>, first: usize) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        at: from_ms(row.get(first)?),
        latency: Duration::from_millis(row.get(first + 1)?),
        status: row.get(first + 2)?,
        error: row.get(first + 3)?,
        answer: row.get(first + 4)?,
    })
}
