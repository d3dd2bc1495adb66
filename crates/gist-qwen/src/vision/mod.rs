//! The vision tower of Qwen3-VL: two pictures of one size in, rows for the decoder out.
//!
//! A pair is encoded once and for itself: there is no attention between pairs, so nothing that comes later changes it.
//!
//! * `tower`: the stages; `block`, `merger`, `layers`, `positions`: what they are made of
//! * `reference`: the same in plain candle operations, the oracle and the way to a GPU

mod block;
mod config;
mod layers;
mod merger;
mod positions;
mod reference;
#[cfg(test)]
mod tests;
mod tower;

pub use config::VisionConfig;
pub(crate) use reference::ReferenceTower;
pub(crate) use tower::{Tap, VisionTower};

/// A pair as the decoder takes it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Encoded {
    /// Height and width in merged tokens, H/32 and W/32.
    pub(crate) grid: (usize, usize),
    /// `[tokens, hidden]`: what stands in place of the pad tokens.
    pub(crate) rows: Vec<f32>,
    /// For each of the first decoder layers `[tokens, hidden]`, added to its output.
    pub(crate) deepstack: Vec<Vec<f32>>,
}
