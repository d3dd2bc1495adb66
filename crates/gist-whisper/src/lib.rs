//! Speech to timed text: Whisper behind a voice activity gate.
//!
//! [`WhisperModel`] is loaded once and shared; each stream opens a [`Transcriber`] on it, pushes 16 kHz mono samples
//! and polls lines of text with their times:
//!
//! ```no_run
//! # fn main() -> Result<(), gist_whisper::Error> {
//! use gist_whisper::{Options, Output, Transcriber, WhisperModel};
//! let model = WhisperModel::load("models/whisper-base".as_ref())?;
//! let mut transcriber = Transcriber::new(model.into(), Options::default())?;
//! transcriber.push(&[0.0; 16_000]);
//! transcriber.finish();
//! while let Some(output) = transcriber.poll()? {
//!     if let Output::Line(line) = output {
//!         assert!(line.start < line.end);
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # Layout
//!
//! * `weights`: model files, in the CTranslate2 layout (every faster-whisper model) or as safetensors
//! * `tokenizer`: token ids to text, and the ids of Whisper's control tokens
//! * `mel`: the log-mel spectrogram, computed once as samples arrive
//! * `gate`: which of its frames are speech
//! * `encoder`, `decoder`, `layers`: the network
//! * `decode`: from the decoder's logits to timed text, with the checks that keep invented text out
//! * `sentences`: where one of Whisper's segments holds several
//! * [`transcriber`]: the stream

mod decode;
mod decoder;
mod encoder;
mod error;
mod gate;
mod layers;
mod mel;
mod model;
mod sentences;
mod tokenizer;
pub mod transcriber;
mod weights;

pub use error::Error;
pub use mel::{SAMPLE_NS, SAMPLE_RATE};
pub use model::WhisperModel;

pub use transcriber::{Busy, Line, Options, Output, Transcriber};
