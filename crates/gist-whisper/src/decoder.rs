//! The text decoder: plain loops over f16 weights with a key and value cache.

use candle_core::Tensor;
use half::f16;

use crate::weights::Weights;
use crate::{Error, kernels};

struct Linear {
    weight: Vec<f16>,
    bias: Vec<f32>,
    columns: usize,
}

impl Linear {
    fn load(weights: &mut Weights, name: &str, rows: usize, columns: usize) -> Result<Self, Error> {
        Ok(Self {
            weight: weights.f16(&format!("{name}/weight"), &[rows, columns])?,
            bias: weights.f32(&format!("{name}/bias"), &[rows])?,
            columns,
        })
    }

    /// `[n, columns]` to `[n, rows]`.
    fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = kernels::matmul(x, &self.weight, self.columns);
        for row in out.chunks_exact_mut(self.bias.len()) {
            row.iter_mut().zip(&self.bias).for_each(|(o, b)| *o += b);
        }
        out
    }
}

struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Norm {
    fn load(weights: &mut Weights, name: &str, width: usize) -> Result<Self, Error> {
        Ok(Self {
            gamma: weights.f32(&format!("{name}/gamma"), &[width])?,
            beta: weights.f32(&format!("{name}/beta"), &[width])?,
        })
    }

    fn forward(&self, x: &[f32]) -> Vec<f32> {
        kernels::layer_norm(x, &self.gamma, &self.beta)
    }
}

struct Layer {
    self_norm: Norm,
    qkv: Linear,
    self_out: Linear,
    cross_norm: Norm,
    cross_query: Linear,
    /// Applied to the encoder's output, hundreds of rows at once: candle's matrix product is the faster one there.
    cross_kv: (Tensor, Tensor),
    cross_out: Linear,
    feed_norm: Norm,
    up: Linear,
    down: Linear,
}

/// The text decoder.
pub(crate) struct Decoder {
    /// `[vocabulary, width]`, also the output projection.
    embeddings: Vec<f16>,
    /// `[448, width]`
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    width: usize,
}

/// Keys and values of one window: those of the sound, and those of the tokens so far.
pub(crate) struct State {
    cross: Vec<(Vec<f32>, Vec<f32>)>,
    own: Vec<(Vec<f32>, Vec<f32>)>,
}

impl Decoder {
    pub(crate) fn load(weights: &mut Weights, vocabulary: usize, width: usize) -> Result<Self, Error> {
        let positions = weights.shape("decoder/position_encodings/encodings").map_or(0, |s| s[0]);
        let layers = (0..weights.layers("decoder/layer_", "ffn/linear_0/bias"))
            .map(|i| {
                let p = format!("decoder/layer_{i}");
                let device = &candle_core::Device::Cpu;
                let kv = weights.f32(&format!("{p}/attention/linear_1/weight"), &[2 * width, width])?;
                let kv_bias = weights.f32(&format!("{p}/attention/linear_1/bias"), &[2 * width])?;
                Ok(Layer {
                    self_norm: Norm::load(weights, &format!("{p}/self_attention/layer_norm"), width)?,
                    qkv: Linear::load(weights, &format!("{p}/self_attention/linear_0"), 3 * width, width)?,
                    self_out: Linear::load(weights, &format!("{p}/self_attention/linear_1"), width, width)?,
                    cross_norm: Norm::load(weights, &format!("{p}/attention/layer_norm"), width)?,
                    cross_query: Linear::load(weights, &format!("{p}/attention/linear_0"), width, width)?,
                    cross_kv: (
                        Tensor::from_vec(kv, (2 * width, width), device)?.t()?,
                        Tensor::from_vec(kv_bias, 2 * width, device)?,
                    ),
                    cross_out: Linear::load(weights, &format!("{p}/attention/linear_2"), width, width)?,
                    feed_norm: Norm::load(weights, &format!("{p}/ffn/layer_norm"), width)?,
                    up: Linear::load(weights, &format!("{p}/ffn/linear_0"), 4 * width, width)?,
                    down: Linear::load(weights, &format!("{p}/ffn/linear_1"), width, 4 * width)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        Ok(Self {
            embeddings: weights.f16("decoder/embeddings/weight", &[vocabulary, width])?,
            positions: weights.f32("decoder/position_encodings/encodings", &[positions, width])?,
            layers,
            norm: Norm::load(weights, "decoder/layer_norm", width)?,
            width,
        })
    }

    /// The most tokens a window can have, prompt included (448).
    pub(crate) fn max_tokens(&self) -> usize {
        self.positions.len() / self.width
    }

    /// Prepares to decode the encoder's output `[t, width]`.
    pub(crate) fn start(&self, sound: &Tensor) -> Result<State, Error> {
        let width = self.width;
        let cross = self
            .layers
            .iter()
            .map(|layer| {
                let kv = sound.matmul(&layer.cross_kv.0)?.broadcast_add(&layer.cross_kv.1)?;
                let half = |start| kv.narrow(1, start, width)?.flatten_all()?.to_vec1::<f32>();
                Ok((half(0)?, half(width)?))
            })
            .collect::<Result<_, Error>>()?;
        Ok(State { cross, own: vec![Default::default(); self.layers.len()] })
    }

    /// Appends `tokens` (at most [`Decoder::max_tokens`] in all) and returns their hidden states, `[n, width]`.
    pub(crate) fn forward(&self, state: &mut State, tokens: &[u32]) -> Vec<f32> {
        let width = self.width;
        let past = state.own.first().map_or(0, |(k, _)| k.len() / width);
        let mut x = Vec::with_capacity(tokens.len() * width);
        for (i, token) in tokens.iter().enumerate() {
            let embedding = &self.embeddings[*token as usize * width..][..width];
            let position = &self.positions[(past + i) * width..][..width];
            x.extend(embedding.iter().zip(position).map(|(e, p)| e.to_f32() + p));
        }
        let add = |x: &mut [f32], y: Vec<f32>| x.iter_mut().zip(y).for_each(|(x, y)| *x += y);
        for ((layer, (keys, values)), cross) in self.layers.iter().zip(&mut state.own).zip(&state.cross) {
            let qkv = layer.qkv.forward(&layer.self_norm.forward(&x));
            let mut queries = Vec::with_capacity(x.len());
            for row in qkv.chunks_exact(3 * width) {
                queries.extend_from_slice(&row[..width]);
                keys.extend_from_slice(&row[width..2 * width]);
                values.extend_from_slice(&row[2 * width..]);
            }
            let y = attention(&queries, keys, values, width, Some(past));
            add(&mut x, layer.self_out.forward(&y));
            let queries = layer.cross_query.forward(&layer.cross_norm.forward(&x));
            let y = attention(&queries, &cross.0, &cross.1, width, None);
            add(&mut x, layer.cross_out.forward(&y));
            let mut y = layer.up.forward(&layer.feed_norm.forward(&x));
            kernels::gelu(&mut y);
            add(&mut x, layer.down.forward(&y));
        }
        self.norm.forward(&x)
    }

    /// The logits of one hidden state.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        kernels::matmul(hidden, &self.embeddings, self.width)
    }
}

impl State {
    /// Forgets the tokens, keeps the sound: for another attempt at the same window.
    pub(crate) fn reset(&mut self) {
        for (keys, values) in &mut self.own {
            keys.clear();
            values.clear();
        }
    }
}

/// All heads for all queries. With `past`, query `i` sees the keys up to position `past + i`; else all of them.
fn attention(queries: &[f32], keys: &[f32], values: &[f32], width: usize, past: Option<usize>) -> Vec<f32> {
    let head = crate::model::HEAD;
    let scale = (head as f32).powf(-0.5);
    let mut out = vec![0.0; queries.len()];
    let mut scores = vec![0.0; keys.len() / width];
    let scaled: Vec<f32> = queries.iter().map(|q| q * scale).collect();
    for (i, (query, out)) in scaled.chunks_exact(width).zip(out.chunks_exact_mut(width)).enumerate() {
        let seen = past.map_or(scores.len(), |past| past + i + 1);
        for h in (0..width).step_by(head) {
            let (query, out) = (&query[h..h + head], &mut out[h..h + head]);
            kernels::attend(query, &keys[h..], &values[h..], width, &mut scores[..seen], out);
        }
    }
    out
}
