//! The shape of a decoder, from the metadata of its file. What differs between families is a switch here, so that
//! one decoder serves them all.

use crate::error::LoadError;
use crate::gguf::{Gguf, Value};

/// The architectures [`Config::read`] knows, as users see them.
pub const SUPPORTED: &str = "qwen2 (Qwen2, Qwen2.5, Qwen2.5-Coder)";

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
}

impl Config {
    /// Reads the shape from GGUF metadata. Weight shapes are checked against it when they are read.
    ///
    /// # Errors
    /// For another architecture, missing keys and values out of range.
    pub(crate) fn read(file: &Gguf) -> Result<Self, LoadError> {
        let architecture = file.string("general.architecture")?;
        let qkv_bias = match architecture {
            "qwen2" => true,
            _ => {
                return Err(LoadError::Architecture {
                    path: file.path().into(),
                    found: architecture.chars().take(40).collect(),
                    supported: SUPPORTED,
                });
            }
        };
        let size = |key: &str, max| file.size(&format!("{architecture}.{key}"), max);
        let positive = |key: &str| file.positive(&format!("{architecture}.{key}"));
        if let Some(Value::String(scaling)) = file.get(&format!("{architecture}.rope.scaling.type"))
            && scaling != "none"
        {
            return Err(file.invalid(format!("rope scaling `{scaling}` is not supported")));
        }
        let hidden = size("embedding_length", 1 << 16)?;
        let heads = size("attention.head_count", 1 << 10)?;
        let kv_heads = size("attention.head_count_kv", heads)?;
        let head_dim = match file.get(&format!("{architecture}.attention.key_length")) {
            Some(_) => size("attention.key_length", 1 << 10)?,
            None => hidden / heads,
        };
        let config = Self {
            layers: size("block_count", 1 << 8)?,
            hidden,
            intermediate: size("feed_forward_length", 1 << 18)?,
            heads,
            kv_heads,
            head_dim,
            vocab: file.strings("tokenizer.ggml.tokens")?.len(),
            rms_eps: positive("attention.layer_norm_rms_epsilon")? as f32,
            rope_theta: positive("rope.freq_base")?,
            max_context: size("context_length", 1 << 24)?,
            qkv_bias,
        };
        if !heads.is_multiple_of(kv_heads)
            || head_dim == 0
            || !head_dim.is_multiple_of(2)
            || config.vocab == 0
        {
            return Err(file.invalid(format!("its shape is impossible: {config:?}")));
        }
        Ok(config)
    }

    /// Query heads per key head.
    pub(crate) fn group(&self) -> usize {
        self.heads / self.kv_heads
    }
}
