//! The shape of a vision tower.

/// The shape of a vision tower. Patches are 16 × 16 pixels of 2 frames, four of them (2 × 2) become one token: these
/// numbers are the same in the whole family and checked when a file is read.
#[derive(Clone, Debug, PartialEq)]
pub struct VisionConfig {
    /// Width of a patch's vector.
    pub hidden: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads; divides `hidden`, and `hidden / heads` is a multiple of 4.
    pub heads: usize,
    /// Width inside the feed-forward part.
    pub intermediate: usize,
    /// Width of what comes out: that of the decoder.
    pub out_hidden: usize,
    /// Side of the learned grid of positions, 48 in the released models.
    pub side: usize,
    /// Blocks whose output is also given to the first decoder layers, in their order.
    pub deepstack: Vec<usize>,
    /// Epsilon of the layer norms.
    pub norm_eps: f32,
}
