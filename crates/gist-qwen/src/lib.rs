//! Qwen language models on the CPU, with a context that rolls.
//!
//! [`QwenModel::load`] reads a GGUF file; what it returns is a [`gist_core::model::Model`]. Weights are there once and
//! shared by all streams; each stream opens a context that is only ever appended to, and questions run on forks that
//! share its pages.
//!
//! # Layout
//!
//! * [`model`]: loading, memory plan, taking turns
//! * `context`, `generation`: the traits of gist-core, ChatML, constrained answers
//! * `rolling`: segments, eviction, forks
//! * [`kv`]: pages of keys and values
//! * `attention`, [`rope`], `decoder`, `math`: the arithmetic
//! * [`linear`]: matrices, reference and fast
//! * [`tokenizer`], [`config`], `gguf`: what is in the file

mod attention;
pub mod config;
mod context;
mod decoder;
mod error;
mod generation;
mod gguf;
pub mod kernels;
pub mod kv;
pub mod linear;
mod math;
pub mod model;
mod rolling;
pub mod rope;
mod sampling;
#[cfg(test)]
mod tests;
pub mod tokenizer;

pub use context::QwenContext;
pub use decoder::{CHUNK, Kernels};
pub use error::LoadError;
pub use kv::KvType;
pub use model::{LoadOptions, MemoryPlan, QwenModel};
pub use rolling::SCRATCH_TOKENS;
