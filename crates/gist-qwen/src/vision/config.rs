//! The shape of a vision tower.

/// The shape of a vision tower. Patches are 16 × 16 pixels of 2 frames, four of them (2 × 2) become one token: these
/// numbers are the same in the whole family and checked when a file is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct VisionConfig {
    /// Width of a patch's vector.
    pub(crate) hidden: usize,
    /// Blocks.
    pub(crate) depth: usize,
    /// Attention heads; divides `hidden`, and `hidden / heads` is a multiple of 4.
    pub(crate) heads: usize,
    /// Width inside the feed-forward part.
    pub(crate) intermediate: usize,
    /// Width of what comes out: that of the decoder.
    pub(crate) out_hidden: usize,
    /// Side of the learned grid of positions, 48 in the released models.
    pub(crate) side: usize,
    /// Blocks whose output is also given to the first decoder layers, in their order.
    pub(crate) deepstack: Vec<usize>,
    /// Epsilon of the layer norms.
    pub(crate) norm_eps: f32,
}
