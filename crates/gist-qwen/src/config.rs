//! The shape of a decoder, from the metadata of its file. What differs between families is a switch here, so that
//! one decoder serves them all.

mod gguf;
mod hub;
pub(crate) mod json;
#[cfg(test)]
mod tests;
mod vision;

pub(crate) use hub::Hub;
pub use json::refuse_quantized;
pub(crate) use vision::read_mmproj;

/// The architectures that can be loaded, as users see them.
pub const SUPPORTED: &str = "qwen2 (Qwen2, Qwen2.5, Qwen2.5-Coder), qwen3vl and qwen3vlmoe (Qwen3-VL, whose config.json says qwen3_vl or \
     qwen3_vl_moe)";

/// Largest values that are believed. They keep products of two of them far from overflow.
mod max {
    pub(super) const LAYERS: usize = 1 << 8;
    pub(super) const HIDDEN: usize = 1 << 16;
    pub(super) const INTERMEDIATE: usize = 1 << 18;
    pub(super) const HEADS: usize = 1 << 10;
    pub(super) const HEAD_DIM: usize = 1 << 10;
    pub(super) const VOCAB: usize = 1 << 20;
    pub(super) const CONTEXT: usize = 1 << 24;
    pub(super) const EXPERTS: usize = 1 << 12;
    pub(super) const SIDE: usize = 1 << 10;
}

/// The shape of a decoder.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Decoder layers.
    pub layers: usize,
    /// Width of the residual stream.
    pub hidden: usize,
    /// Width inside the feed-forward part.
    pub intermediate: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads; divides `heads`.
    pub kv_heads: usize,
    /// Width of a head; even.
    pub head_dim: usize,
    /// Rows of the embedding.
    pub vocab: usize,
    /// Epsilon of the RMS norms.
    pub rms_eps: f32,
    /// Base of the rotary frequencies.
    pub rope_theta: f64,
    /// Tokens the model was trained on at once.
    pub max_context: usize,
    /// Whether the query, key and value projections have a bias (Qwen2).
    pub qkv_bias: bool,
    /// Whether queries and keys are RMS-normed per head before they are rotated (Qwen3).
    pub qk_norm: bool,
    /// How many frequencies follow time, height and width in interleaved M-RoPE (Qwen3-VL); `None` for one axis.
    pub mrope_section: Option<[usize; 3]>,
    /// Stretched rotary frequencies for contexts beyond the trained length.
    pub yarn: Option<Yarn>,
    /// How many of the first layers take DeepStack rows of the vision tower.
    pub deepstack_layers: usize,
    /// The mixture of experts in place of the feed-forward part.
    pub experts: Option<Experts>,
}

/// YaRN with its published constants (β 32 and 1).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Yarn {
    /// By how much the slow frequencies are stretched.
    pub factor: f64,
    /// `original_max_position_embeddings`.
    pub original_context: usize,
}

/// The shape of a mixture of experts; the weights of those chosen are renormalised to a sum of 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Experts {
    /// How many there are.
    pub count: usize,
    /// How many a token goes through.
    pub used: usize,
    /// Width inside an expert.
    pub intermediate: usize,
}

/// Tokens by which pictures are marked in a prompt, and those that end an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct VisionTokens {
    /// Stands for a part of a still picture.
    pub(crate) image_pad: u32,
    /// Stands for a part of a pair of frames.
    pub(crate) video_pad: u32,
    /// Before the pads of a picture or pair.
    pub(crate) vision_start: u32,
    /// Behind them.
    pub(crate) vision_end: u32,
    /// Tokens that end an answer.
    pub(crate) eos: Vec<u32>,
}

impl VisionTokens {
    /// Takes what is in the vocabulary and different.
    fn checked(self, vocab: usize) -> Result<Self, String> {
        let marks = [self.image_pad, self.video_pad, self.vision_start, self.vision_end];
        let different = (1..marks.len()).all(|i| !marks[..i].contains(&marks[i]));
        let known = marks.iter().chain(&self.eos).all(|t| (*t as usize) < vocab);
        if !different || !known || self.eos.iter().any(|t| marks.contains(t)) {
            return Err(format!("its special tokens are outside of the vocabulary or the same: {self:?}"));
        }
        Ok(self)
    }
}

impl Config {
    /// Refuses shapes that no model can have.
    fn checked(self) -> Result<Self, String> {
        let frequencies = self.head_dim / 2;
        let even = self.head_dim > 0 && self.head_dim.is_multiple_of(2);
        if !even || self.vocab == 0 || !self.heads.is_multiple_of(self.kv_heads) {
            return Err(format!("its shape is impossible: {self:?}"));
        }
        if let Some(section @ [_, height, width]) = self.mrope_section {
            // Height takes the frequencies 1, 4, 7, ..., width 2, 5, 8, ..., time all others.
            let fits = |section: usize, first: usize| section == 0 || first + 3 * (section - 1) < frequencies;
            if section.iter().sum::<usize>() != frequencies || !fits(height, 1) || !fits(width, 2) {
                return Err(format!("its M-RoPE sections {section:?} do not fit {frequencies} frequencies"));
            }
        }
        if self.deepstack_layers > self.layers {
            return Err(format!("DeepStack reaches {} of {} layers", self.deepstack_layers, self.layers));
        }
        if let Some(experts) = self.experts
            && experts.used > experts.count
        {
            return Err(format!("a token goes through {} of {} experts", experts.used, experts.count));
        }
        Ok(self)
    }
}
