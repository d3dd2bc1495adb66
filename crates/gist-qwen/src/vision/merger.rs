//! From four patches to a row of the decoder.

use super::config::VisionConfig;
use super::layers::{Affine, FeedForward, Gelu, Norm};
use crate::error::LoadError;
use crate::picture::MERGE_SIZE;
use crate::weights::Weights;
use gist_kernels::math;

/// Patches of a token.
pub(super) const MERGED: usize = MERGE_SIZE * MERGE_SIZE;

/// A merger. The patches of a token follow each other, so to put them side by side changes nothing in memory: the
/// merger at the end norms each patch, those of the deepstack all four together, and only the width of the norm tells.
pub(super) struct Merger {
    pub(super) norm: Norm,
    pub(super) feed: FeedForward,
}

impl Merger {
    /// The merger at the end of the tower.
    pub(super) fn last(from: &dyn Weights, config: &VisionConfig) -> Result<Self, LoadError> {
        Self::read(from, config, ("v.post_ln", config.hidden), "mm.0", "mm.2")
    }

    /// The merger behind block `layer`.
    pub(super) fn deepstack(
        from: &dyn Weights,
        config: &VisionConfig,
        layer: usize,
    ) -> Result<Self, LoadError> {
        let name = |part: &str| format!("v.deepstack.{layer}.{part}");
        let norm = (&*name("norm"), MERGED * config.hidden);
        Self::read(from, config, norm, &name("fc1"), &name("fc2"))
    }

    fn read(
        from: &dyn Weights,
        config: &VisionConfig,
        (norm, norm_width): (&str, usize),
        first: &str,
        second: &str,
    ) -> Result<Self, LoadError> {
        let width = MERGED * config.hidden;
        let norm = Norm::read(from, norm, norm_width, config.norm_eps)?;
        let feed = FeedForward {
            first: Affine::read(from, first, width, width)?,
            gelu: Gelu::Erf,
            second: Affine::read(from, second, config.out_hidden, width)?,
        };
        Ok(Self { norm, feed })
    }

    /// `x` is `[patches, hidden]`; returns `[patches / 4, out_hidden]`.
    pub(super) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let (width, bias) = (self.feed.first.bias.len(), &self.feed.second.bias);
        let tokens = x.len() / width;
        let (mut normed, mut inner) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        let mut out = vec![0.0; tokens * bias.len()];
        self.norm.forward(x, &mut normed);
        self.feed.forward_unbiased(&normed, tokens, &mut inner, &mut out);
        math::add_bias(&mut out, bias);
        out
    }

    pub(super) fn bytes(&self) -> u64 {
        self.norm.bytes() + self.feed.bytes()
    }
}
