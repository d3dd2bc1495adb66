//! Qwen language models on the CPU, with a context that rolls.
//!
//! [`QwenModel::load`] reads a GGUF file; what it returns is a [`gist_core::model::Model`]. Weights are there once and
//! shared by all streams; each stream opens a context that is only ever appended to, and questions run on forks that
//! share its pages.
//!
//! # Layout
//!
//! * [`model`]: loading, taking turns; `plan`: what memory that takes
//! * `context`, `generation`: the traits of gist-core, constrained answers; `guess`: several of their tokens at once;
//!   `chat`: ChatML
//! * [`mod@bench`]: speed of released shapes, and what packed keys and values cost
//! * [`describe`]: one question about one picture
//! * `features`: encoded pairs on disk
//! * [`parity`]: the product against the reference implementation
//! * `sight`: from pairs of pictures to segments
//! * `rolling`: segments, eviction, forks; `saved`: to a file and back
//! * `sequence`: tokens, their positions, and rows of pictures among them
//! * [`kv`]: pages of keys and values, in floats, 8 or 4 bits
//! * `attention`, [`rope`], `decoder`, `experts`, `math`, `product`: the arithmetic
//! * `path`: own kernels on the CPU, or candle on any device
//! * `reference`: the decoder in candle operations, the oracle and the way to a GPU
//! * [`linear`]: matrices, reference and fast
//! * [`tokenizer`], [`config`], `weights`: what is in the file
//! * `vision`: the tower that turns pictures into rows for the decoder

mod attention;
pub mod bench;
mod chat;
mod checkpoint;
pub mod config;
mod context;
mod decoder;
pub mod describe;
mod error;
mod experts;
mod features;
#[doc(hidden)]
pub mod fuzzing;
mod generation;
mod guess;
pub mod kv;
pub mod linear;
pub mod model;
pub mod parity;
mod path;
pub mod picture;
mod plan;
mod reference;
mod rolling;
pub mod rope;
mod sampling;
mod saved;
mod sequence;
mod sight;
#[cfg(test)]
mod tests;
pub mod tokenizer;
mod vision;
mod weights;

pub use chat::VideoLayout;
pub use checkpoint::sees;
pub use context::QwenContext;
pub use decoder::CHUNK;
pub use error::LoadError;
pub use features::FeatureFolder;
pub use kv::{KvType, SinkPositions};
pub use model::{LoadOptions, QwenModel};
pub use path::ComputeDevice;
pub use plan::{MemoryPlan, PlanTable, Sizes};
pub use rolling::SCRATCH_TOKENS;
pub use vision::VisionConfig;
pub use weights::quantized::Quantization;
