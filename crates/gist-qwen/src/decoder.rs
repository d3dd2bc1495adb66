//! The decoder: RMS norm, grouped-query attention with rotary positions, SwiGLU or a mixture of experts, DeepStack;
//! f32 activations in plain slices. What differs between families is a switch in [`Config`].

use std::sync::Arc;

use crate::attention::{Queries, attend, recall, scratch_floats};
use crate::config::Config;
use crate::error::LoadError;
use crate::experts::{FeedForward, Inner, Routes};
use crate::kv::{Cache, Part, Target};
use crate::linear::{Matrix, Rows, matrix};
use crate::rope::Rope;
use crate::sequence::Chunk;
use crate::weights::Weights;
use gist_kernels::math;

/// Tokens that are computed at once; intake and answers take turns after each such chunk.
pub const CHUNK: usize = 64;

struct Projection {
    matrix: Matrix,
    bias: Option<Vec<f32>>,
}

impl Projection {
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]) {
        self.matrix.forward(x, out);
        if let Some(bias) = &self.bias {
            math::add_bias(out, bias);
        }
    }
}

struct Layer {
    attention_norm: Vec<f32>,
    query: Projection,
    key: Projection,
    value: Projection,
    /// Norms of queries and keys per head, where the family has them.
    head_norms: Option<[Vec<f32>; 2]>,
    output: Matrix,
    feed_norm: Vec<f32>,
    feed_forward: FeedForward,
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

/// Sees a named intermediate result, row-major.
pub(crate) type Tap<'a> = &'a mut (dyn FnMut(&str, &[f32]) + Send);

/// What is wanted of a chunk besides its keys and values.
pub(crate) enum Want<'a> {
    /// Nothing: the work behind the last layer's keys and values is left out.
    Encoding,
    /// The logits of the last token.
    Logits(&'a mut Vec<f32>),
    /// What logits are computed of, for the last so many tokens, `[tokens, hidden]`: whoever guesses finds out with each
    /// token whether those of the next are needed, and the head is a fifth of a small model.
    Hidden(usize, &'a mut Vec<f32>),
    /// Every intermediate result, by the names of the parity fixtures, and the logits of all tokens.
    Everything(Tap<'a>),
}

impl Want<'_> {
    fn tell(&mut self, name: impl FnOnce() -> String, values: &[f32]) {
        if let Want::Everything(tap) = self {
            tap(&name(), values);
        }
    }

    /// Of how many of the last tokens more than keys and values is wanted; `all` there are.
    pub(crate) fn last(&self, all: usize) -> usize {
        match self {
            Want::Encoding => 0,
            Want::Logits(_) => 1,
            Want::Hidden(last, _) => *last,
            Want::Everything(_) => all,
        }
    }
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
    partials: Vec<f32>,
    projected: Vec<f32>,
    inner: Inner,
    /// For measuring what a budget of pages would keep: the budget, and the shares so far.
    pub(crate) recall: Option<(usize, Vec<f64>)>,
}

impl Scratch {
    /// Bytes for a chunk of `rows` tokens, logits and attention on the threads of this pool included.
    pub(crate) fn bytes(config: &Config, rows: usize) -> u64 {
        let (q, kv) = (config.heads * config.head_dim, config.kv_heads * config.head_dim);
        let intermediate = config.experts.map_or(config.intermediate, |e| e.intermediate);
        let activations = 3 * config.hidden + 6 * q + 2 * kv + 2 * intermediate;
        let attention = scratch_floats(rows, config.heads, config.kv_heads, config.head_dim);
        (4 * (rows * activations + attention + config.vocab)) as u64
    }
}

fn resize(x: &mut Vec<f32>, n: usize) -> &mut [f32] {
    x.resize(n, 0.0);
    x
}

impl Decoder {
    /// Reads the weights; `progress` gets 0 to 1.
    pub(crate) fn read(
        file: &dyn Weights,
        config: Config,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> Result<Self, LoadError> {
        let Config { hidden, vocab, head_dim, .. } = config;
        let (q, kv) = (config.heads * head_dim, config.kv_heads * head_dim);
        let matrix = |name: &str, outputs, inputs| matrix(file, &format!("{name}.weight"), outputs, inputs);
        let projection = |name: &str, outputs| {
            let bias = config.qkv_bias.then(|| file.vector(&format!("{name}.bias"), outputs)).transpose()?;
            Ok(Projection { matrix: matrix(name, outputs, hidden)?, bias })
        };
        let head_norm = |name: &str| file.vector(&format!("{name}.weight"), head_dim);
        // The head is about as large as three layers.
        let steps = (config.layers + 3) as f32;
        let layers = (0..config.layers)
            .map(|i| {
                let name = |part: &str| format!("blk.{i}.{part}");
                let norms = || Ok([head_norm(&name("attn_q_norm"))?, head_norm(&name("attn_k_norm"))?]);
                let layer = Layer {
                    attention_norm: file.vector(&name("attn_norm.weight"), hidden)?,
                    query: projection(&name("attn_q"), q)?,
                    key: projection(&name("attn_k"), kv)?,
                    value: projection(&name("attn_v"), kv)?,
                    head_norms: config.qk_norm.then(norms).transpose()?,
                    output: matrix(&name("attn_output"), hidden, q)?,
                    feed_norm: file.vector(&name("ffn_norm.weight"), hidden)?,
                    feed_forward: FeedForward::read(file, &config, i)?,
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
        let rope = Rope::of(&config);
        Ok(Self { rope, embedding, layers, norm, head, config })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the weights as held.
    pub(crate) fn bytes(&self) -> u64 {
        let layer = |l: &Layer| {
            let attention = [&l.query.matrix, &l.key.matrix, &l.value.matrix, &l.output];
            attention.iter().map(|m| m.bytes()).sum::<u64>() + l.feed_forward.bytes()
        };
        let sum: u64 = self.layers.iter().map(layer).sum();
        let embedding = if Arc::ptr_eq(&self.embedding, &self.head) { 0 } else { self.embedding.bytes() };
        sum + self.head.bytes() + embedding
    }

    /// Encodes a chunk (at most [`CHUNK`] tokens) behind what `cache` holds of `target`.
    pub(crate) fn forward(
        &self,
        chunk: &Chunk<'_>,
        cache: &mut Cache,
        target: Target,
        scratch: &mut Scratch,
        mut want: Want<'_>,
    ) {
        let Config { heads, kv_heads, head_dim, hidden, rms_eps, .. } = self.config;
        let rows = chunk.ids().len();
        let mut x = self.embed(chunk);
        want.tell(|| "text.inputs_embeds".into(), &x);

        cache.region_mut(target).reserve(rows);
        let first = cache.region(target).positions().end;
        let own = self.rope.at(chunk.positions(first));
        if let Want::Everything(tap) = &mut want {
            let (cos, sin) = own.tables();
            tap("text.rope_cos", cos);
            tap("text.rope_sin", sin);
        }
        let mut work = cache.work;
        let shifts: Vec<i64> = cache.sections(target).iter().map(|s| s.shift).collect();
        // A region moved on by `shift` is seen from `shift` positions further back.
        let shifted: Vec<_> = shifts.iter().map(|s| (*s != 0).then(|| self.rope.shifted(&own, -s))).collect();
        scratch.rotated.resize_with(shifts.len().max(scratch.rotated.len()), Vec::new);

        for (i, layer) in self.layers.iter().enumerate() {
            let normed = resize(&mut scratch.normed, rows * hidden);
            math::rms_norm(&x, &layer.attention_norm, rms_eps, normed);
            let key = resize(&mut scratch.key, rows * kv_heads * head_dim);
            let value = resize(&mut scratch.value, rows * kv_heads * head_dim);
            let input = Rows::new(normed, rows);
            layer.key.forward(&input, key);
            layer.value.forward(&input, value);
            if let Some([_, norm]) = &layer.head_norms {
                math::rms_norm_in_place(key, norm, rms_eps);
            }
            own.apply(key, kv_heads, head_dim);
            work.rotated += (rows * kv_heads) as u64;
            want.tell(|| format!("kv.layer{i}.k"), key);
            want.tell(|| format!("kv.layer{i}.v"), value);
            cache.region_mut(target).write(i, Part::Key, key);
            cache.region_mut(target).write(i, Part::Value, value);
            if i + 1 == self.layers.len() && matches!(want, Want::Encoding) {
                // Nobody reads what comes out of the last layer.
                break;
            }

            let query = resize(&mut scratch.query, rows * heads * head_dim);
            layer.query.forward(&input, query);
            if let Some([norm, _]) = &layer.head_norms {
                math::rms_norm_in_place(query, norm, rms_eps);
            }
            for (rotated, shifted) in scratch.rotated.iter_mut().zip(&shifted) {
                rotated.clear();
                rotated.extend_from_slice(query);
                shifted.as_ref().unwrap_or(&own).apply(rotated, heads, head_dim);
            }
            let rotated: Vec<&[f32]> = scratch.rotated[..shifts.len()].iter().map(Vec::as_slice).collect();
            let attended = resize(&mut scratch.attended, rows * heads * head_dim);
            let queries = Queries { rotated: &rotated, rows, heads, kv_heads, head_dim };
            let sections = cache.sections(target);
            sections.iter().for_each(|section| work.read(section, rows));
            work.rotated += (rows * heads * sections.len()) as u64;
            attend(i, &sections, queries, cache.budget, &mut scratch.partials, attended);
            if let Some((budget, shares)) = &mut scratch.recall {
                shares.push(recall(i, &sections, queries, *budget));
            }
            let projected = resize(&mut scratch.projected, rows * hidden);
            layer.output.forward(&Rows::new(attended, rows), projected);
            math::add(&mut x, projected);

            math::rms_norm(&x, &layer.feed_norm, rms_eps, normed);
            layer.feed_forward.forward(normed, rows, &mut scratch.inner, projected, |scores, routes| {
                tell_routes(&mut want, i, scores, routes);
            });
            math::add(&mut x, projected);
            want.tell(|| format!("text.layer{i}.out"), &x);
            if i < self.config.deepstack_layers {
                chunk.for_visuals(|row, pair, token| {
                    if let Some(rows) = pair.deepstack.get(i) {
                        math::add(&mut x[row * hidden..][..hidden], &rows[token * hidden..][..hidden]);
                    }
                });
            }
            want.tell(|| format!("text.layer{i}.residual"), &x);
        }
        self.finish(&x, rows, scratch, want);
        let times = chunk.positions(first).map(|p| p[0]);
        cache.region_mut(target).commit(times, first + chunk.advance());
        cache.work = work;
    }

    /// The rows the first layer gets, `[rows, hidden]`: embeddings, and what the vision tower made of pictures.
    fn embed(&self, chunk: &Chunk<'_>) -> Vec<f32> {
        let hidden = self.config.hidden;
        let mut x = vec![0.0; chunk.ids().len() * hidden];
        for (token, x) in chunk.ids().iter().zip(x.chunks_exact_mut(hidden)) {
            self.embedding.row(*token as usize, x);
        }
        chunk.for_visuals(|row, pair, token| {
            x[row * hidden..][..hidden].copy_from_slice(&pair.rows[token * hidden..][..hidden]);
        });
        x
    }

    /// The last norm and the logits, of the rows that are wanted.
    fn finish(&self, x: &[f32], rows: usize, scratch: &mut Scratch, mut want: Want<'_>) {
        let Config { hidden, rms_eps, .. } = self.config;
        let last = want.last(rows);
        if last == 0 {
            return;
        }
        let normed = resize(&mut scratch.normed, last * hidden);
        math::rms_norm(&x[(rows - last) * hidden..], &self.norm, rms_eps, normed);
        want.tell(|| "text.final_norm".into(), normed);
        match &mut want {
            Want::Encoding => {}
            Want::Logits(logits) => self.logits(normed, logits),
            Want::Hidden(_, rows) => normed.clone_into(rows),
            Want::Everything(_) => {
                let mut logits = Vec::new();
                self.logits(normed, &mut logits);
                want.tell(|| "text.logits".into(), &logits);
            }
        }
    }

    /// The logits, `[rows, vocab]`, of what [`Want::Hidden`] gives.
    pub(crate) fn logits(&self, rows: &[f32], logits: &mut Vec<f32>) {
        let Config { hidden, vocab, .. } = self.config;
        let count = rows.len() / hidden;
        self.head.forward(&Rows::fine(rows, count), resize(logits, count * vocab));
    }
}

/// Tells how a mixture of experts was routed, by the names of the parity fixtures.
pub(crate) fn tell_routes(want: &mut Want<'_>, layer: usize, scores: &[f32], routes: &Routes) {
    want.tell(|| format!("moe.layer{layer}.router_logits"), scores);
    let column = |pick: fn(&(usize, f32)) -> f32| -> Vec<f32> { routes.iter().flatten().map(pick).collect() };
    want.tell(|| format!("moe.layer{layer}.experts"), &column(|(e, _)| *e as f32));
    want.tell(|| format!("moe.layer{layer}.weights"), &column(|(_, w)| *w));
}
