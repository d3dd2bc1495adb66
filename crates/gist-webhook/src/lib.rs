//! Events by webhook, as Standard Webhooks 1.0.0 wants them. Blocking, with a few threads of its own.
//!
//! # Layout
//!
//! * [`secret`], [`sign`]: what proves to a receiver who sent a message
//! * [`mod@envelope`]: types of events, filters, bodies
//! * [`guard`]: which addresses may be reached at all
//! * [`redact`]: addresses without what is secret in them
//! * [`client`]: one attempt
//! * [`schedule`]: what becomes of a delivery after an attempt
//! * [`outbox`]: what is asked of whoever keeps the messages that wait, a folder or a database
//! * [`spool`]: an outbox in a folder
//! * [`clock`]: time of day that never goes back
//! * [`dispatcher`]: the threads that bring messages from an outbox to their endpoints

pub mod client;
pub mod clock;
pub mod dispatcher;
pub mod envelope;
pub mod guard;
pub mod outbox;
pub mod redact;
pub mod schedule;
pub mod secret;
pub mod sign;
pub mod spool;

pub use client::{Client, Target};
pub use dispatcher::{Dispatcher, Endpoint, Observer};
pub use envelope::{EventFilter, EventType, envelope};
pub use guard::Guard;
pub use outbox::{Attempt, Delivery, Next, Outbox, OutboxError};
pub use secret::Secret;
pub use spool::Spool;
