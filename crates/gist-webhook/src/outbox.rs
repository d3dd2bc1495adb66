//! What is asked of whoever keeps the messages that wait: a spool folder, or the application's database.
//!
//! A message is stored once, body and all, before anything is sent; each endpoint that wants it has a delivery of its
//! own. The body that is sent is the stored one, byte for byte, at every attempt.

use std::time::{Duration, SystemTime};

/// Why the outbox can't be read or written, in words for people.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct OutboxError(pub String);

/// A message on its way to one endpoint.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// `webhook-id`: a ULID, the same at every attempt and for every endpoint.
    pub webhook_id: String,
    /// Name of the endpoint.
    pub endpoint: String,
    /// Type of the event (`chapter.closed`).
    pub event_type: String,
    /// Attempts made so far.
    pub attempts: u32,
    /// When the event was stored.
    pub created: SystemTime,
    /// What is sent, as it was stored.
    pub body: Vec<u8>,
}

/// One attempt, for the delivery log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// When it began.
    pub at: SystemTime,
    /// How long it took.
    pub latency: Duration,
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// The first 1,024 bytes of the answer, what is no UTF-8 replaced.
    pub answer: String,
    /// Why it failed, without secrets.
    pub error: Option<String>,
}

/// What becomes of a delivery after an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// The receiver has it.
    Delivered,
    /// Once more, not before `at`.
    Again {
        /// When.
        at: SystemTime,
        /// When that was decided, by the same clock: one that shows an earlier time later on was set back in between,
        /// and `at` is not to be waited for.
        set: SystemTime,
    },
    /// Given up: kept as a dead letter, which can be listed and replayed.
    Dead {
        /// Why.
        reason: String,
    },
}

/// Where messages wait. Every call is one transaction: it holds after a crash, or it did not happen.
pub trait Outbox: Send + Sync {
    /// The deliveries to `endpoint` whose time has come at `now`, oldest message first, at most `limit`.
    fn due(&self, endpoint: &str, now: SystemTime, limit: usize) -> Result<Vec<Delivery>, OutboxError>;

    /// When the next delivery to `endpoint` is due, as seen at `now`; `None` while nothing waits or the endpoint is
    /// disabled.
    fn next_due(&self, endpoint: &str, now: SystemTime) -> Result<Option<SystemTime>, OutboxError>;

    /// Writes an attempt into the delivery log, and what becomes of the delivery.
    fn record(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) -> Result<(), OutboxError>;

    /// The receiver wants no more (410) or was unreachable for too long: nothing of this endpoint is due until it is
    /// enabled again. What waits for it is kept.
    fn disable(&self, endpoint: &str, reason: &str) -> Result<(), OutboxError>;
}
