//! A block of the tower: attention among all patches of the pair, then a feed-forward part, each behind a norm and
//! added to what came in.

use super::config::VisionConfig;
use super::layers::{Affine, FeedForward, Gelu, Norm, add_rows};
use super::positions::Rope;
use crate::error::LoadError;
use crate::linear::Rows;
use crate::weights::Weights;
use gist_kernels::attention;
use gist_kernels::math::by_rows;

/// The weights of a block.
pub(super) struct Block {
    pub(super) attention_norm: Norm,
    /// `[3 * hidden, hidden]`: queries, keys, values.
    pub(super) qkv: Affine,
    pub(super) output: Affine,
    pub(super) feed_norm: Norm,
    pub(super) feed: FeedForward,
    pub(super) heads: usize,
}

/// Activations of one pair, from block to block.
pub(super) struct Scratch {
    /// `[patches, hidden]`: what a norm or the attention gives.
    inner: Vec<f32>,
    /// `[patches, hidden]`: heads, or what a part adds to the stream.
    other: Vec<f32>,
    /// `[patches, max(3 * hidden, intermediate)]`
    wide: Vec<f32>,
}

impl Scratch {
    pub(super) fn new(patches: usize, config: &VisionConfig) -> Self {
        let VisionConfig { hidden, .. } = *config;
        Self {
            inner: vec![0.0; patches * hidden],
            other: vec![0.0; patches * hidden],
            wide: vec![0.0; patches * Self::width(config)],
        }
    }

    /// Width of the widest activation.
    pub(super) fn width(config: &VisionConfig) -> usize {
        config.intermediate.max(3 * config.hidden)
    }
}

impl Block {
    pub(super) fn read(from: &dyn Weights, index: usize, config: &VisionConfig) -> Result<Self, LoadError> {
        let VisionConfig { hidden, intermediate, heads, norm_eps, .. } = *config;
        let name = |part: &str| format!("v.blk.{index}.{part}");
        let feed = FeedForward {
            first: Affine::read(from, &name("ffn_up"), intermediate, hidden)?,
            gelu: Gelu::Tanh,
            second: Affine::read(from, &name("ffn_down"), hidden, intermediate)?,
        };
        Ok(Self {
            attention_norm: Norm::read(from, &name("ln1"), hidden, norm_eps)?,
            qkv: Affine::read(from, &name("attn_qkv"), 3 * hidden, hidden)?,
            output: Affine::read(from, &name("attn_out"), hidden, hidden)?,
            feed_norm: Norm::read(from, &name("ln2"), hidden, norm_eps)?,
            feed,
            heads,
        })
    }

    /// `x`, `[patches, hidden]`, is the residual stream.
    pub(super) fn forward(&self, x: &mut [f32], rope: &Rope, scratch: &mut Scratch) {
        let hidden = self.output.bias.len();
        let patches = x.len() / hidden;
        let head_dim = hidden / self.heads;
        let Scratch { inner, other, wide } = scratch;

        self.attention_norm.forward(x, inner);
        let qkv = &mut wide[..patches * 3 * hidden];
        self.qkv.matrix.forward(&Rows::new(inner, patches), qkv);
        let scale = 1.0 / (head_dim as f32).sqrt();
        by_rows(qkv, 3 * hidden, |first, rows| {
            for (i, row) in rows.chunks_exact_mut(3 * hidden).enumerate() {
                row.iter_mut().zip(&self.qkv.bias).for_each(|(x, b)| *x += b);
                rope.rotate(first + i, &mut row[..hidden], head_dim, scale);
                rope.rotate(first + i, &mut row[hidden..2 * hidden], head_dim, 1.0);
            }
        });
        attention::attend(qkv, self.heads, head_dim, other, inner);
        self.output.matrix.forward(&Rows::new(inner, patches), other);
        add_rows(x, other, &self.output.bias);

        self.feed_norm.forward(x, inner);
        let wide = &mut wide[..patches * self.feed.first.bias.len()];
        self.feed.forward_unbiased(inner, patches, wide, other);
        add_rows(x, other, &self.feed.second.bias);
    }

    pub(super) fn bytes(&self) -> u64 {
        let norms = self.attention_norm.bytes() + self.feed_norm.bytes();
        norms + self.qkv.bytes() + self.output.bytes() + self.feed.bytes()
    }
}
