//! What a chapter is.
//!
//! This crate takes [`Observation`]s in running-time order, keeps them in a [`model::Context`], decides where one
//! chapter ends and the next begins, has the model write the text, and hands out [`ChapterEvent`]s. It knows no
//! I/O, no clock, no GStreamer and no tensors, so all of it runs in a test in milliseconds.
//!
//! # Layout
//!
//! * [`observation`]: what was seen, heard or noted, and when
//! * [`picture`]: pictures for models that see
//! * [`reorder`]: the buffer that brings frames and late text into running-time order
//! * [`model`]: the one small trait a language model has to fill
//! * [`token_log`]: what a context was given
//! * [`boundary`]: where a chapter ends
//! * [`prompt`]: what the model is asked, in which words, and the schema of its answer
//! * [`check`]: whether a text may go out
//! * [`session`]: the state machine that joins these
//! * [`event`]: `gist-chapters-v1`, what comes out
//! * [`record`]: what is left of a run, to go on from
//! * [`export`]: chapters in the formats other programs read
//! * [`mock`]: a model without weights, for tests of timing and failure

pub mod boundary;
pub mod check;
pub mod config;
pub mod event;
pub mod export;
pub mod mock;
pub mod model;
pub mod observation;
pub mod picture;
pub mod prompt;
pub mod record;
pub mod reorder;
pub mod session;
pub mod time;
pub mod token_log;

pub use config::{Config, DigestStyle};
pub use event::ChapterEvent;
pub use observation::Observation;
pub use record::Record;
pub use session::Session;
