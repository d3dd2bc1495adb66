//! The text decoder: weights of 8 bits, keys and values in f32.

use gist_kernels::{PackedMatrix, math};

use crate::Error;
use crate::layers::{Dense, Memory, Norm, Packed, multiply, packed};
use crate::weights::Weights;

struct Layer {
    self_norm: Norm,
    qkv: Packed,
    self_out: Packed,
    cross_norm: Norm,
    cross_query: Packed,
    /// Of the encoder's output, hundreds of rows at once.
    cross_keys: Dense,
    cross_values: Dense,
    cross_out: Packed,
    feed_norm: Norm,
    up: Packed,
    down: Packed,
}

/// The text decoder.
pub(crate) struct Decoder {
    /// `[vocabulary, width]`, also the output projection.
    embeddings: PackedMatrix,
    /// `[448, width]`
    positions: Vec<f32>,
    layers: Vec<Layer>,
    norm: Norm,
    width: usize,
}

/// Keys and values of one window, by layer: those of the sound, and those of the tokens so far.
pub(crate) struct State {
    cross: Vec<Memory>,
    own: Vec<Memory>,
}

impl Decoder {
    pub(crate) fn load(weights: &mut Weights, vocabulary: usize, width: usize) -> Result<Self, Error> {
        let positions = weights.shape("decoder/position_encodings/encodings").map_or(0, |s| s[0]);
        let layers = (0..weights.layers("decoder/layer_", "ffn/linear_0/bias"))
            .map(|i| {
                let p = format!("decoder/layer_{i}");
                let (own, cross) = (format!("{p}/self_attention"), format!("{p}/attention"));
                let square = (width, width);
                let kv = Dense::load(weights, &format!("{cross}/linear_1"), (2 * width, width), 0)?;
                let (cross_keys, cross_values) = kv.split(width);
                Ok(Layer {
                    self_norm: Norm::load(weights, &format!("{own}/layer_norm"), width)?,
                    qkv: Packed::load(weights, &format!("{own}/linear_0"), (3 * width, width), width)?,
                    self_out: Packed::load(weights, &format!("{own}/linear_1"), square, 0)?,
                    cross_norm: Norm::load(weights, &format!("{cross}/layer_norm"), width)?,
                    cross_query: Packed::load(weights, &format!("{cross}/linear_0"), square, width)?,
                    cross_keys,
                    cross_values,
                    cross_out: Packed::load(weights, &format!("{cross}/linear_2"), square, 0)?,
                    feed_norm: Norm::load(weights, &format!("{p}/ffn/layer_norm"), width)?,
                    up: Packed::load(weights, &format!("{p}/ffn/linear_0"), (4 * width, width), 0)?,
                    down: Packed::load(weights, &format!("{p}/ffn/linear_1"), (width, 4 * width), 0)?,
                })
            })
            .collect::<Result<_, Error>>()?;
        let embeddings = "decoder/embeddings/weight";
        let values = weights.f32(embeddings, &[vocabulary, width])?;
        Ok(Self {
            embeddings: packed(weights, embeddings, values, (vocabulary, width))?,
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
    pub(crate) fn start(&self, sound: &[f32]) -> State {
        let cross = |layer: &Layer| Memory {
            keys: layer.cross_keys.forward_transposed(sound),
            capacity: sound.len() / self.width,
            values: layer.cross_values.forward(sound),
        };
        let capacity = self.max_tokens();
        let own = |_: &Layer| Memory { keys: vec![0.0; self.width * capacity], capacity, values: Vec::new() };
        State { cross: self.layers.iter().map(cross).collect(), own: self.layers.iter().map(own).collect() }
    }

    /// Appends `tokens` (at most [`Decoder::max_tokens`] in all) and returns their hidden states, `[n, width]`.
    pub(crate) fn forward(&self, state: &mut State, tokens: &[u32]) -> Vec<f32> {
        let width = self.width;
        let past = state.own.first().map_or(0, |own| own.values.len() / width);
        let mut x = vec![0.0; tokens.len() * width];
        for (token, x) in tokens.iter().zip(x.chunks_exact_mut(width)) {
            self.embeddings.row(*token as usize, x);
        }
        math::add(&mut x, &self.positions[past * width..]);
        let (mut scores, mut seen) = (Vec::new(), vec![0.0; x.len()]);
        for ((layer, own), cross) in self.layers.iter().zip(&mut state.own).zip(&state.cross) {
            let qkv = layer.qkv.forward(&layer.self_norm.forward(&x));
            for (i, (row, seen)) in qkv.chunks_exact(3 * width).zip(seen.chunks_exact_mut(width)).enumerate()
            {
                let (query, key, value) = (&row[..width], &row[width..2 * width], &row[2 * width..]);
                own.values.extend_from_slice(value);
                key.iter()
                    .zip(own.keys.chunks_exact_mut(own.capacity))
                    .for_each(|(k, keys)| keys[past + i] = *k);
                own.attend(query, past + i + 1, &mut scores, seen);
            }
            math::add(&mut x, &layer.self_out.forward(&seen));
            let queries = layer.cross_query.forward(&layer.cross_norm.forward(&x));
            for (query, seen) in queries.chunks_exact(width).zip(seen.chunks_exact_mut(width)) {
                cross.attend(query, cross.capacity, &mut scores, seen);
            }
            math::add(&mut x, &layer.cross_out.forward(&seen));
            let inner = layer.up.gelu(&layer.feed_norm.forward(&x));
            math::add(&mut x, &layer.down.forward(&inner));
        }
        self.norm.forward(&x)
    }

    /// The logits of one hidden state.
    pub(crate) fn logits(&self, hidden: &[f32]) -> Vec<f32> {
        multiply(&self.embeddings, hidden)
    }
}

impl State {
    /// Forgets the tokens, keeps the sound: for another attempt at the same window.
    pub(crate) fn reset(&mut self) {
        self.own.iter_mut().for_each(|own| own.values.clear());
    }
}
