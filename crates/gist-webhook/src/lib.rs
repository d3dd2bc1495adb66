//! Events by webhook, as Standard Webhooks 1.0.0 wants them.
//!
//! * [`outbox`]: what is asked of whoever keeps the messages that wait, a folder or a database

pub mod outbox;

pub use outbox::{Attempt, Delivery, Next, Outbox, OutboxError};
