//! The decoder: RMS norm, grouped-query attention with rotary positions, SwiGLU; f32 activations in plain slices.

use std::sync::Arc;

use candle_core::quantized::QTensor;
use rayon::prelude::*;

use crate::attention::{Queries, attend};
use crate::config::Config;
use crate::error::LoadError;
use crate::gguf::Gguf;
use crate::kernels::PackedMatrix;
use crate::kv::{Cache, KvType, Layout, Part, Target};
use crate::linear::{Linear, Reference};
use crate::math;
use crate::rope::Rope;

/// Tokens that are computed at once; intake and answers take turns after each such chunk.
pub const CHUNK: usize = 64;

/// Which implementation multiplies the matrices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kernels {
    /// Packed weights and own kernels where the CPU and the type of a matrix allow, candle for the rest.
    #[default]
    Fast,
    /// candle throughout: slower, and what the fast kernels are compared with.
    Reference,
}

type Matrix = Arc<dyn Linear>;

struct Projection {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

impl Projection {
    fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.matrix.forward(x, rows, out);
        if let Some(bias) = &self.bias {
            out.chunks_exact_mut(bias.len()).for_each(|row| math::add(row, bias));
        }
    }
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Projection,
    key: Projection,
    value: Projection,
    output: Matrix,
    feed_norm: Vec<f32>,
    gate: Matrix,
    up: Matrix,
    down: Matrix,
}

/// The weights of a decoder.
pub(crate) struct Decoder {
    config: Config,
    rope: Rope,
    embedding: Matrix,
    layers: Vec<Layer>,
    norm: Vec<f32>,
    /// The same matrix as the embedding when the file has no other.
    head: Matrix,
}

/// Activations of one chunk, kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    rotated: Vec<Vec<f32>>,
    attended: Vec<f32>,
    projected: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Scratch {
    /// Bytes for a chunk of `rows` tokens, logits and attention blocks of two threads included.
    pub(crate) fn bytes(config: &Config, rows: usize) -> u64 {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let activations = 3 * config.hidden + 6 * q + 2 * kv + 2 * config.intermediate;
        let scores = 256 * config.group();
        (4 * (rows * (activations + 2 * scores) + config.vocab)) as u64
    }
}

fn resize(x: &mut Vec<f32>, n: usize) -> &mut [f32] {
    x.resize(n, 0.0);
    x
}

impl Decoder {
    /// Reads the weights; `progress` gets 0 to 1.
    pub(crate) fn read(
        file: &Gguf,
        config: Config,
        kernels: Kernels,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> Result<Self, LoadError> {
        let Config { hidden, intermediate, vocab, head_dim, .. } = config;
        let (q, kv) = (config.heads * head_dim, config.kv_heads * head_dim);
        let matrix = |name: &str, outputs, inputs| {
            linear(file.tensor(&format!("{name}.weight"), &[outputs, inputs])?, kernels)
                .map_err(|e| file.invalid(format!("tensor {name}: {e}")))
        };
        let projection = |name: &str, outputs| {
            let bias = config.qkv_bias.then(|| file.vector(&format!("{name}.bias"), outputs)).transpose()?;
            Ok(Projection { matrix: matrix(name, outputs, hidden)?, bias })
        };
        // The head is about as large as three layers.
        let steps = (config.layers + 3) as f32;
        let layers = (0..config.layers)
            .map(|i| {
                let name = |part: &str| format!("blk.{i}.{part}");
                let layer = Layer {
                    attention_norm: file.vector(&name("attn_norm.weight"), hidden)?,
                    query: projection(&name("attn_q"), q)?,
                    key: projection(&name("attn_k"), kv)?,
                    value: projection(&name("attn_v"), kv)?,
                    output: matrix(&name("attn_output"), hidden, q)?,
                    feed_norm: file.vector(&name("ffn_norm.weight"), hidden)?,
                    gate: matrix(&name("ffn_gate"), intermediate, hidden)?,
                    up: matrix(&name("ffn_up"), intermediate, hidden)?,
                    down: matrix(&name("ffn_down"), hidden, intermediate)?,
                };
                progress((i + 1) as f32 / steps);
                Ok(layer)
            })
            .collect::<Result<_, LoadError>>()?;
        let embedding = matrix("token_embd", vocab, hidden)?;
        let tied = !file.contains("output.weight");
        let head = if tied { embedding.clone() } else { matrix("output", vocab, hidden)? };
        let norm = file.vector("output_norm.weight", hidden)?;
        progress(1.0);
        let rope = Rope::new(config.rope_theta, head_dim);
        Ok(Self { rope, embedding, layers, norm, head, config })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// The shape of a KV page of this model.
    pub(crate) fn layout(&self, kv_type: KvType) -> Layout {
        let Config { layers, kv_heads, head_dim, .. } = self.config;
        Layout { layers, kv_heads, head_dim, kv_type }
    }

    /// Bytes of the weights as held.
    pub(crate) fn bytes(&self) -> u64 {
        let matrices = self.layers.iter().flat_map(|l| {
            [&l.query.matrix, &l.key.matrix, &l.value.matrix, &l.output, &l.gate, &l.up, &l.down]
        });
        let sum: u64 = matrices.map(|m| m.bytes()).sum();
        let embedding = if Arc::ptr_eq(&self.embedding, &self.head) { 0 } else { self.embedding.bytes() };
        sum + self.head.bytes() + embedding
    }

    /// Encodes `tokens` (at most [`CHUNK`]) behind what `cache` holds of `target`. With `logits` set, it receives the
    /// logits of the last token.
    pub(crate) fn forward(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        target: Target,
        scratch: &mut Scratch,
        logits: Option<&mut Vec<f32>>,
    ) {
        let Config { heads, kv_heads, head_dim, hidden, intermediate, .. } = self.config;
        let (rows, rms_eps) = (tokens.len(), self.config.rms_eps);
        let mut x = vec![0.0; rows * hidden];
        for (token, x) in tokens.iter().zip(x.chunks_exact_mut(hidden)) {
            self.embedding.row(*token as usize, x);
        }

        cache.region_mut(target).reserve(rows);
        let first = cache.region(target).positions().end;
        let positions = first..first + rows as i64;
        let shifts: Vec<i64> = cache.sections(target).iter().map(|s| s.shift).collect();
        let rotations: Vec<_> =
            shifts.iter().map(|shift| self.rope.at(positions.clone().map(|p| p - shift))).collect();
        let own = self.rope.at(positions);
        scratch.rotated.resize_with(shifts.len().max(scratch.rotated.len()), Vec::new);

        for (i, layer) in self.layers.iter().enumerate() {
            let normed = resize(&mut scratch.normed, rows * hidden);
            math::rms_norm(&x, &layer.attention_norm, rms_eps, normed);
            let key = resize(&mut scratch.key, rows * kv_heads * head_dim);
            let value = resize(&mut scratch.value, rows * kv_heads * head_dim);
            layer.key.forward(normed, rows, key);
            layer.value.forward(normed, rows, value);
            own.apply(key, kv_heads, head_dim);
            cache.region_mut(target).write(i, Part::Key, key);
            cache.region_mut(target).write(i, Part::Value, value);
            if i + 1 == self.layers.len() && logits.is_none() {
                // Nobody reads what comes out of the last layer.
                break;
            }

            let query = resize(&mut scratch.query, rows * heads * head_dim);
            layer.query.forward(normed, rows, query);
            for (rotated, rotation) in scratch.rotated.iter_mut().zip(&rotations) {
                rotated.clear();
                rotated.extend_from_slice(query);
                rotation.apply(rotated, heads, head_dim);
            }
            let rotated: Vec<&[f32]> = scratch.rotated[..shifts.len()].iter().map(Vec::as_slice).collect();
            let attended = resize(&mut scratch.attended, rows * heads * head_dim);
            let queries = Queries { rotated: &rotated, rows, heads, kv_heads, head_dim };
            attend(i, &cache.sections(target), queries, attended);
            let projected = resize(&mut scratch.projected, rows * hidden);
            layer.output.forward(attended, rows, projected);
            math::add(&mut x, projected);

            math::rms_norm(&x, &layer.feed_norm, rms_eps, normed);
            let gate = resize(&mut scratch.gate, rows * intermediate);
            let up = resize(&mut scratch.up, rows * intermediate);
            layer.gate.forward(normed, rows, gate);
            layer.up.forward(normed, rows, up);
            gate.par_chunks_mut(1 << 14).zip(up.par_chunks(1 << 14)).for_each(|(g, u)| math::silu_mul(g, u));
            layer.down.forward(gate, rows, projected);
            math::add(&mut x, projected);
        }
        if let Some(logits) = logits {
            let normed = resize(&mut scratch.normed, hidden);
            math::rms_norm(&x[(rows - 1) * hidden..], &self.norm, rms_eps, normed);
            logits.resize(self.config.vocab, 0.0);
            self.head.forward(normed, 1, logits);
        }
        cache.region_mut(target).commit(rows);
    }
}

/// The matrix in the wanted implementation; candle's where the fast kernels do not know its type.
fn linear(weight: QTensor, kernels: Kernels) -> candle_core::Result<Matrix> {
    if kernels == Kernels::Fast
        && let Some(packed) = PackedMatrix::pack(&weight)
    {
        return Ok(Arc::new(packed));
    }
    Ok(Arc::new(Reference::new(Arc::new(weight))?))
}
