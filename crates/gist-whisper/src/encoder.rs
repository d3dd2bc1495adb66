//! The audio encoder, in f32.
//!
//! Whisper was trained on 30 s whatever the speech, and its cost grows faster than the length. Here only as many
//! positions are computed as the window needs, see [`crate::decode`] for the margin of silence.

use std::sync::atomic::{AtomicBool, Ordering};

use gist_kernels::{attention, math};

use crate::Error;
use crate::layers::{Dense, Norm};
use crate::model::HEAD;
use crate::weights::Weights;

struct Layer {
    attention_norm: Norm,
    qkv: Dense,
    out: Dense,
    feed_norm: Norm,
    up: Dense,
    down: Dense,
}

/// The audio encoder.
pub(crate) struct Encoder {
    conv1: Dense,
    conv2: Dense,
    /// `[1500, width]`
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    width: usize,
}

impl Encoder {
    pub(crate) fn load(weights: &mut Weights, mels: usize, width: usize) -> Result<Self, Error> {
        let positions = weights.shape("encoder/position_encodings/encodings").map_or(0, |s| s[0]);
        let layers = (0..weights.layers("encoder/layer_", "ffn/linear_0/bias"))
            .map(|i| {
                let p = format!("encoder/layer_{i}");
                let attention = format!("{p}/self_attention");
                Ok(Layer {
                    attention_norm: Norm::load(weights, &format!("{attention}/layer_norm"), width)?,
                    qkv: Dense::load(weights, &format!("{attention}/linear_0"), (3 * width, width), width)?,
                    out: Dense::load(weights, &format!("{attention}/linear_1"), (width, width), 0)?,
                    feed_norm: Norm::load(weights, &format!("{p}/ffn/layer_norm"), width)?,
                    up: Dense::load(weights, &format!("{p}/ffn/linear_0"), (4 * width, width), 0)?,
                    down: Dense::load(weights, &format!("{p}/ffn/linear_1"), (width, 4 * width), 0)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            conv1: Dense::convolution(weights, "encoder/conv1", width, mels)?,
            conv2: Dense::convolution(weights, "encoder/conv2", width, width)?,
            positions: weights.f32("encoder/position_encodings/encodings", &[positions, width])?,
            layers,
            norm: Norm::load(weights, "encoder/layer_norm", width)?,
            width,
        })
    }

    /// The most positions it can compute (1500: 30 s).
    pub(crate) fn max_positions(&self) -> usize {
        self.positions.len() / self.width
    }

    /// From a normalised spectrogram `[1 + frames + 1, mels]`, `frames` even, its first and last row zero, to
    /// `[frames / 2, width]`.
    pub(crate) fn forward(&self, mel: &[f32], mels: usize, cancel: &AtomicBool) -> Result<Vec<f32>, Error> {
        let (frames, width) = (mel.len() / mels - 2, self.width);
        let mut inner = vec![0.0; (frames + 2) * width];
        self.conv1.gelu(mel, mels, &mut inner[width..(frames + 1) * width]);
        let mut x = vec![0.0; frames / 2 * width];
        self.conv2.gelu(&inner, 2 * width, &mut x);
        math::add(&mut x, &self.positions);
        let (mut by_head, mut seen) = (x.clone(), x.clone());
        inner.resize(4 * x.len(), 0.0);
        for layer in &self.layers {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            let qkv = layer.qkv.forward(&layer.attention_norm.forward(&x));
            attention::attend(&qkv, width / HEAD, HEAD, &mut by_head, &mut seen);
            math::add(&mut x, &layer.out.forward(&seen));
            layer.up.gelu(&layer.feed_norm.forward(&x), width, &mut inner);
            math::add(&mut x, &layer.down.forward(&inner));
        }
        Ok(self.norm.forward(&x))
    }
}
