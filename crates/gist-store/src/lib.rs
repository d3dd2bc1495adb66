//! What an application that watches streams must never lose, in one SQLite file.
//!
//! Commit precedes publication: [`Store::publish`] takes an event and the messages that tell of it in one transaction
//! and returns when they are on the disk; only then may anybody see them. What was stored is what is sent, byte for
//! byte, at every attempt and after every crash.
//!
//! ```
//! # let folder = tempfile::tempdir()?;
//! # let path = folder.path().join("streamgist.db");
//! use gist_store::{Outgoing, Published, Session, Store};
//! use std::time::SystemTime;
//!
//! let store = Store::open(&path)?; // the one writer
//! let now = SystemTime::now();
//! store.begin(&Session { id: "5d1c8a02".into(), stream: "hall-1".into(), started: now, ..Session::default() })?;
//!
//! let mut event = gist_core::ChapterEvent::new(gist_core::event::Kind::Opened, "hall-1-5d1c8a02-0", 0, 0);
//! event.session = "5d1c8a02".into();
//! let message = Outgoing {
//!     webhook_id: "01JD3V0000000000000000000A".into(),
//!     event_type: "chapter.opened".into(),
//!     body: b"{}".to_vec(),
//!     endpoints: vec!["chat".into()],
//! };
//! assert_eq!(store.publish(&event.to_json(), &[message], now)?, Published::New);
//! // From here on it may be shown, and whoever delivers finds it in the outbox.
//! assert_eq!(gist_webhook::Outbox::due(&store, "chat", now, 10)?.len(), 1);
//!
//! let list = Store::open_read(&path)?; // another process, at the same time
//! assert_eq!(list.events("5d1c8a02", 0, 10)?, [event.to_json()]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Layout
//!
//! * [`open`]: the file: who may open it how, checks, setting a corrupt one aside
//! * `schema`: its tables, and the steps from older ones
//! * [`session`]: sessions, what was observed, gaps
//! * [`resume`]: what a restart needs
//! * [`publish`]: events with their messages
//! * [`journal`]: a queue before it, for when the disk is full
//! * `outbox`: what is asked by who delivers
//! * [`deliveries`]: what is asked by people: lists, dead letters, replay, counts
//! * [`retention`]: what is dropped, and when
//! * [`belief`]: what time it is for that, when the clock can't be trusted

pub mod belief;
pub mod deliveries;
mod error;
pub mod journal;
pub mod open;
mod outbox;
pub mod publish;
pub mod resume;
pub mod retention;
mod schema;
pub mod session;
mod time;

pub use belief::Belief;
pub use deliveries::{Counts, Endpoint, Filter, Listed, State};
pub use error::Error;
pub use journal::{Entry, Journal, Report};
pub use open::Store;
pub use publish::{Outgoing, Published};
pub use resume::Resumed;
pub use retention::{Dropped, Retention};
pub use session::{Ended, Gap, Session};
