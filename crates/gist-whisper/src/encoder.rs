//! The audio encoder, on candle.
//!
//! Whisper was trained on 30 s whatever the speech, and its cost grows faster than the length. Here only as many
//! positions are computed as the window needs, see [`crate::decode`] for the margin of silence.

use std::sync::atomic::{AtomicBool, Ordering};

use candle_core::{CpuStorage, Device, InplaceOp1, Layout, Result, Tensor};
use candle_nn::{Conv1d, Conv1dConfig, LayerNorm, Module};

use crate::weights::Weights;
use crate::{Error, kernels};

struct Linear {
    weight: Tensor,
    bias: Tensor,
}

impl Linear {
    fn load(
        weights: &mut Weights,
        name: &str,
        rows: usize,
        columns: usize,
    ) -> std::result::Result<Self, Error> {
        let weight = weights.f32(&format!("{name}/weight"), &[rows, columns])?;
        let bias = weights.f32(&format!("{name}/bias"), &[rows])?;
        Ok(Self {
            weight: Tensor::from_vec(weight, (rows, columns), &Device::Cpu)?.t()?,
            bias: Tensor::from_vec(bias, rows, &Device::Cpu)?,
        })
    }

    /// `[t, columns]` to `[t, rows]`.
    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight)?.broadcast_add(&self.bias)
    }
}

struct Layer {
    attention_norm: LayerNorm,
    qkv: Linear,
    out: Linear,
    feed_norm: LayerNorm,
    up: Linear,
    down: Linear,
}

/// The audio encoder.
pub(crate) struct Encoder {
    conv1: Conv1d,
    conv2: Conv1d,
    /// `[1500, width]`
    positions: Tensor,
    layers: Vec<Layer>,
    norm: LayerNorm,
    heads: usize,
}

impl Encoder {
    pub(crate) fn load(weights: &mut Weights, mels: usize, width: usize) -> std::result::Result<Self, Error> {
        let positions = weights.shape("encoder/position_encodings/encodings").map_or(0, |s| s[0]);
        let conv = |weights: &mut Weights, name: &str, input, stride| -> std::result::Result<_, Error> {
            let weight = weights.f32(&format!("encoder/{name}/weight"), &[width, input, 3])?;
            let bias = weights.f32(&format!("encoder/{name}/bias"), &[width])?;
            let weight = Tensor::from_vec(weight, (width, input, 3), &Device::Cpu)?;
            let config = Conv1dConfig { padding: 1, stride, ..Default::default() };
            Ok(Conv1d::new(weight, Some(Tensor::from_vec(bias, width, &Device::Cpu)?), config))
        };
        let layers = (0..weights.layers("encoder/layer_", "ffn/linear_0/bias"))
            .map(|i| {
                let p = format!("encoder/layer_{i}");
                Ok(Layer {
                    attention_norm: norm(weights, &format!("{p}/self_attention/layer_norm"), width)?,
                    qkv: Linear::load(weights, &format!("{p}/self_attention/linear_0"), 3 * width, width)?,
                    out: Linear::load(weights, &format!("{p}/self_attention/linear_1"), width, width)?,
                    feed_norm: norm(weights, &format!("{p}/ffn/layer_norm"), width)?,
                    up: Linear::load(weights, &format!("{p}/ffn/linear_0"), 4 * width, width)?,
                    down: Linear::load(weights, &format!("{p}/ffn/linear_1"), width, 4 * width)?,
                })
            })
            .collect::<std::result::Result<_, Error>>()?;
        let encodings = weights.f32("encoder/position_encodings/encodings", &[positions, width])?;
        Ok(Self {
            conv1: conv(weights, "conv1", mels, 1)?,
            conv2: conv(weights, "conv2", width, 2)?,
            positions: Tensor::from_vec(encodings, (positions, width), &Device::Cpu)?,
            layers,
            norm: norm(weights, "encoder/layer_norm", width)?,
            heads: width / crate::model::HEAD,
        })
    }

    /// The most positions it can compute (1500: 30 s).
    pub(crate) fn max_positions(&self) -> usize {
        self.positions.dims()[0]
    }

    /// From a normalised spectrogram `[mels, frames]`, `frames` even, to `[frames / 2, width]`.
    pub(crate) fn forward(
        &self,
        mel: Vec<f32>,
        mels: usize,
        cancel: &AtomicBool,
    ) -> std::result::Result<Tensor, Error> {
        let frames = mel.len() / mels;
        let x = Tensor::from_vec(mel, (1, mels, frames), &Device::Cpu)?;
        let x = self.conv1.forward(&x)?;
        x.inplace_op1(&Gelu)?;
        let x = self.conv2.forward(&x)?;
        x.inplace_op1(&Gelu)?;
        let x = x.squeeze(0)?.t()?.contiguous()?;
        let t = x.dims()[0];
        let mut x = (x + self.positions.narrow(0, 0, t)?)?;
        for layer in &self.layers {
            if cancel.load(Ordering::Relaxed) {
                return Err(Error::Cancelled);
            }
            x = (&x + self.attention(layer, &layer.attention_norm.forward(&x)?)?)?;
            let y = layer.up.forward(&layer.feed_norm.forward(&x)?)?;
            y.inplace_op1(&Gelu)?;
            x = (x + layer.down.forward(&y)?)?;
        }
        Ok(self.norm.forward(&x)?)
    }

    fn attention(&self, layer: &Layer, x: &Tensor) -> Result<Tensor> {
        let (t, width) = x.dims2()?;
        let head = width / self.heads;
        let qkv =
            layer.qkv.forward(x)?.reshape((t, 3, self.heads, head))?.permute((1, 2, 0, 3))?.contiguous()?;
        let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
        let scores = (q * (head as f64).powf(-0.5))?.matmul(&k.t()?)?;
        scores.inplace_op1(&Softmax)?;
        let y = scores.matmul(&v)?.transpose(0, 1)?.reshape((t, width))?;
        layer.out.forward(&y)
    }
}

fn norm(weights: &mut Weights, name: &str, width: usize) -> std::result::Result<LayerNorm, Error> {
    let gamma = Tensor::from_vec(weights.f32(&format!("{name}/gamma"), &[width])?, width, &Device::Cpu)?;
    let beta = Tensor::from_vec(weights.f32(&format!("{name}/beta"), &[width])?, width, &Device::Cpu)?;
    Ok(LayerNorm::new(gamma, beta, 1e-5))
}

struct Gelu;

impl InplaceOp1 for Gelu {
    fn name(&self) -> &'static str {
        "gelu-erf"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        kernels::gelu(contiguous(storage, layout)?);
        Ok(())
    }
}

struct Softmax;

impl InplaceOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax-last"
    }

    fn cpu_fwd(&self, storage: &mut CpuStorage, layout: &Layout) -> Result<()> {
        let width = layout.dims().last().copied().unwrap_or(1);
        kernels::softmax_rows(contiguous(storage, layout)?, width);
        Ok(())
    }
}

fn contiguous<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(v), Some((start, end))) => Ok(&mut v[start..end]),
        _ => candle_core::bail!("a contiguous f32 tensor is needed"),
    }
}
