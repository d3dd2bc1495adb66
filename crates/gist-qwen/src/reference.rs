//! The decoder in plain candle operations, as the formulas read, on any candle device: the oracle of the fast path,
//! and the way to a GPU. Keys and values live in the same pages as the fast path's, so that everything that rolls,
//! forks and evicts is one implementation.
//!
//! Weights are f32 on the device, whatever they are in the file.

use candle_core::{D, DType, Device, Result, Tensor};

use crate::config::{Config, Experts};
use crate::decoder::{Want, tell_routes};
use crate::error::LoadError;
use crate::experts::{Routes, route};
use crate::kv::{Cache, Part, Section, Target};
use crate::rope::{Rope, Rotation};
use crate::sequence::Chunk;
use crate::weights::Weights;

struct Layer {
    attention_norm: Tensor,
    /// Query, key and value: matrix and, in some families, bias.
    qkv: [(Tensor, Option<Tensor>); 3],
    head_norms: Option<[Tensor; 2]>,
    output: Tensor,
    feed_norm: Tensor,
    feed_forward: FeedForward,
}

enum FeedForward {
    Dense([Tensor; 3]),
    Mixture { router: Tensor, experts: Vec<[Tensor; 3]>, used: usize },
}

/// The weights of a decoder on a device.
pub(crate) struct ReferenceDecoder {
    config: Config,
    rope: Rope,
    device: Device,
    embedding: Tensor,
    layers: Vec<Layer>,
    norm: Tensor,
    head: Tensor,
}

impl ReferenceDecoder {
    /// Reads the weights onto the device; `progress` gets 0 to 1.
    pub(crate) fn read(
        file: &dyn Weights,
        config: Config,
        device: &Device,
        progress: &mut (dyn FnMut(f32) + Send),
    ) -> std::result::Result<Self, LoadError> {
        let Config { hidden, vocab, head_dim, heads, kv_heads, intermediate, .. } = config;
        let told = |name: &str| {
            let name = name.to_owned();
            move |e: candle_core::Error| file.invalid(format!("tensor {name}: {e}"))
        };
        let tensor = |name: &str, shape: &[usize]| {
            let name = format!("{name}.weight");
            let values = file.tensor(&name, shape)?;
            let tensor = values.dequantize(&Device::Cpu).and_then(|t| t.to_device(device));
            tensor.map_err(told(&name))
        };
        let layer = |i: usize| {
            let name = |part: &str| format!("blk.{i}.{part}");
            let projection = |part: &str, outputs: usize| {
                let bias = |name: String| {
                    let values = file.vector(&name, outputs)?;
                    Tensor::from_vec(values, outputs, device).map_err(told(&name))
                };
                let bias = config.qkv_bias.then(|| bias(name(part) + ".bias")).transpose()?;
                Ok::<_, LoadError>((tensor(&name(part), &[outputs, hidden])?, bias))
            };
            let feed_forward = match config.experts {
                None => FeedForward::Dense([
                    tensor(&name("ffn_gate"), &[intermediate, hidden])?,
                    tensor(&name("ffn_up"), &[intermediate, hidden])?,
                    tensor(&name("ffn_down"), &[hidden, intermediate])?,
                ]),
                Some(Experts { count, used, intermediate }) => {
                    let part = |part: &str, outputs, inputs| {
                        let name = name(part) + ".weight";
                        let tensors = file.experts(&name, count, outputs, inputs)?.into_iter();
                        let tensors = tensors.map(|t| t.dequantize(&Device::Cpu)?.to_device(device));
                        tensors.collect::<Result<Vec<_>>>().map_err(told(&name))
                    };
                    let gates = part("ffn_gate_exps", intermediate, hidden)?.into_iter();
                    let ups = part("ffn_up_exps", intermediate, hidden)?;
                    let downs = part("ffn_down_exps", hidden, intermediate)?;
                    let experts = gates.zip(ups).zip(downs).map(|((gate, up), down)| [gate, up, down]);
                    let router = tensor(&name("ffn_gate_inp"), &[count, hidden])?;
                    FeedForward::Mixture { router, experts: experts.collect(), used }
                }
            };
            let norm = |part: &str| tensor(&name(part), &[head_dim]);
            let norms = || Ok::<_, LoadError>([norm("attn_q_norm")?, norm("attn_k_norm")?]);
            progress((i + 1) as f32 / config.layers as f32);
            Ok(Layer {
                attention_norm: tensor(&name("attn_norm"), &[hidden])?,
                qkv: [
                    projection("attn_q", heads * head_dim)?,
                    projection("attn_k", kv_heads * head_dim)?,
                    projection("attn_v", kv_heads * head_dim)?,
                ],
                head_norms: config.qk_norm.then(norms).transpose()?,
                output: tensor(&name("attn_output"), &[hidden, heads * head_dim])?,
                feed_norm: tensor(&name("ffn_norm"), &[hidden])?,
                feed_forward,
            })
        };
        let layers = (0..config.layers).map(layer).collect::<std::result::Result<_, LoadError>>()?;
        let embedding = tensor("token_embd", &[vocab, hidden])?;
        let tied = !file.contains("output.weight");
        let head = if tied { embedding.clone() } else { tensor("output", &[vocab, hidden])? };
        let norm = tensor("output_norm", &[hidden])?;
        Ok(Self { rope: Rope::of(&config), device: device.clone(), embedding, layers, norm, head, config })
    }

    pub(crate) fn config(&self) -> &Config {
        &self.config
    }

    /// Bytes of the weights as held on the device.
    pub(crate) fn bytes(&self) -> u64 {
        let matrices = self.layers.iter().flat_map(|layer| {
            let feed_forward: Vec<&Tensor> = match &layer.feed_forward {
                FeedForward::Dense(dense) => dense.iter().collect(),
                FeedForward::Mixture { router, experts, .. } => {
                    std::iter::once(router).chain(experts.iter().flatten()).collect()
                }
            };
            layer.qkv.iter().map(|(matrix, _)| matrix).chain([&layer.output]).chain(feed_forward)
        });
        let tied = self.head.id() == self.embedding.id();
        let ends = [&self.embedding, &self.head].into_iter().take(if tied { 1 } else { 2 });
        matrices.chain(ends).map(|matrix| 4 * matrix.elem_count() as u64).sum()
    }

    /// As [`Decoder::forward`](crate::decoder::Decoder::forward).
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn forward(
        &self,
        chunk: &Chunk<'_>,
        cache: &mut Cache,
        target: Target,
        mut want: Want<'_>,
    ) -> Result<()> {
        let Config { heads, kv_heads, head_dim, rms_eps, .. } = self.config;
        let rows = chunk.ids().len();
        let mut x = self.embed(chunk)?;
        tell(&mut want, || "text.inputs_embeds".into(), &x)?;
        cache.region_mut(target).reserve(rows);
        let first = cache.region(target).positions().end;
        let own = self.rope.at(chunk.positions(first));
        if let Want::Everything(tap) = &mut want {
            let (cos, sin) = own.tables();
            tap("text.rope_cos", cos);
            tap("text.rope_sin", sin);
        }
        let shifts: Vec<i64> = cache.sections(target).iter().map(|s| s.shift).collect();
        for (i, layer) in self.layers.iter().enumerate() {
            let normed = rms_norm(&x, &layer.attention_norm, rms_eps)?;
            let project = |(matrix, bias): &(Tensor, Option<Tensor>), heads: usize| {
                let y = linear(&normed, matrix)?;
                let y = bias.as_ref().map_or(Ok(y.clone()), |bias| y.broadcast_add(bias))?;
                y.reshape((rows, heads, head_dim))
            };
            let [mut query, mut key] = [project(&layer.qkv[0], heads)?, project(&layer.qkv[1], kv_heads)?];
            let value = project(&layer.qkv[2], kv_heads)?;
            if let Some([of_query, of_key]) = &layer.head_norms {
                query = rms_norm(&query, of_query, rms_eps)?;
                key = rms_norm(&key, of_key, rms_eps)?;
            }
            let key = self.rotate(&key, &own)?;
            cache.region_mut(target).write(i, Part::Key, &mut values(&key)?);
            cache.region_mut(target).write(i, Part::Value, &mut values(&value)?);
            tell(&mut want, || format!("kv.layer{i}.k"), &key)?;
            tell(&mut want, || format!("kv.layer{i}.v"), &value)?;
            let queries: Vec<Tensor> = (shifts.iter())
                .map(|shift| self.rotate(&query, &self.rope.shifted(&own, -shift)))
                .collect::<Result<_>>()?;
            let attended = self.attend(i, &cache.sections(target), &queries)?;
            x = (x + linear(&attended, &layer.output)?)?;
            let normed = rms_norm(&x, &layer.feed_norm, rms_eps)?;
            x = (x + layer.feed_forward.forward(&normed, i, &mut want)?)?;
            tell(&mut want, || format!("text.layer{i}.out"), &x)?;
            if i < self.config.deepstack_layers {
                x = (x + self.deepstack(chunk, i)?)?;
            }
            tell(&mut want, || format!("text.layer{i}.residual"), &x)?;
        }
        let last = want.last(rows);
        if last > 0 {
            let normed = rms_norm(&x.narrow(0, rows - last, last)?, &self.norm, rms_eps)?;
            tell(&mut want, || "text.final_norm".into(), &normed)?;
            match &mut want {
                Want::Hidden(_, rows) => **rows = values(&normed)?,
                Want::Logits(logits) => **logits = values(&linear(&normed, &self.head)?)?,
                _ => tell(&mut want, || "text.logits".into(), &linear(&normed, &self.head)?)?,
            }
        }
        let times = chunk.positions(first).map(|p| p[0]);
        cache.region_mut(target).commit(times, first + chunk.advance());
        Ok(())
    }

    /// As [`Decoder::logits`](crate::decoder::Decoder::logits).
    ///
    /// # Errors
    /// When the device fails.
    pub(crate) fn logits(&self, rows: &[f32]) -> Result<Vec<f32>> {
        let hidden = self.config.hidden;
        let rows = Tensor::from_slice(rows, (rows.len() / hidden, hidden), &self.device)?;
        values(&linear(&rows, &self.head)?)
    }

    /// Embeddings, and in their place the rows of pictures, `[rows, hidden]`.
    fn embed(&self, chunk: &Chunk<'_>) -> Result<Tensor> {
        let hidden = self.config.hidden;
        let ids = Tensor::new(chunk.ids(), &self.device)?;
        let mut x = values(&self.embedding.index_select(&ids, 0)?)?;
        chunk.for_visuals(|row, pair, token| {
            x[row * hidden..][..hidden].copy_from_slice(&pair.rows[token * hidden..][..hidden]);
        });
        Tensor::from_vec(x, (chunk.ids().len(), hidden), &self.device)
    }

    /// What is added behind layer `layer`, `[rows, hidden]`.
    fn deepstack(&self, chunk: &Chunk<'_>, layer: usize) -> Result<Tensor> {
        let hidden = self.config.hidden;
        let mut x = vec![0.0; chunk.ids().len() * hidden];
        chunk.for_visuals(|row, pair, token| {
            if let Some(rows) = pair.deepstack.get(layer) {
                x[row * hidden..][..hidden].copy_from_slice(&rows[token * hidden..][..hidden]);
            }
        });
        Tensor::from_vec(x, (chunk.ids().len(), hidden), &self.device)
    }

    /// Rotates `[rows, heads, head_dim]`.
    fn rotate(&self, x: &Tensor, rotation: &Rotation) -> Result<Tensor> {
        let (rows, _, head_dim) = x.dims3()?;
        let (cos, sin) = rotation.tables();
        let table = |t: &[f32]| Tensor::from_slice(t, (rows, 1, head_dim / 2), &self.device);
        let (cos, sin) = (table(cos)?, table(sin)?);
        let low = x.narrow(D::Minus1, 0, head_dim / 2)?;
        let high = x.narrow(D::Minus1, head_dim / 2, head_dim / 2)?;
        let turned_low = (low.broadcast_mul(&cos)? - high.broadcast_mul(&sin)?)?;
        let turned_high = (high.broadcast_mul(&cos)? + low.broadcast_mul(&sin)?)?;
        Tensor::cat(&[turned_low, turned_high], D::Minus1)
    }

    /// Full attention over all sections with one mask; `[rows, heads * head_dim]`.
    fn attend(&self, layer: usize, sections: &[Section<'_>], queries: &[Tensor]) -> Result<Tensor> {
        let Config { heads, kv_heads, head_dim, .. } = self.config;
        let rows = queries[0].dim(0)?;
        let (mut scores, mut all_values) = (Vec::new(), Vec::new());
        for (section, query) in sections.iter().zip(queries) {
            let held = section.region.len();
            let n = if section.last { held + rows } else { held };
            let part = |part| self.gather(layer, section, part, n);
            let (keys, section_values) = (part(Part::Key)?, part(Part::Value)?);
            // [kv_heads, group * rows, head_dim]: query head h uses key head h / group.
            let query = query.transpose(0, 1)?.contiguous()?.reshape((kv_heads, (), head_dim))?;
            let score = (query.matmul(&keys.transpose(1, 2)?)? / (head_dim as f64).sqrt())?;
            let score = score.reshape((heads, rows, n))?;
            let seen = |row: usize, column: usize| !section.last || column <= held + row;
            let mask: Vec<f32> = (0..rows)
                .flat_map(|row| (0..n).map(move |column| (row, column)))
                .map(|(row, column)| if seen(row, column) { 0.0 } else { f32::NEG_INFINITY })
                .collect();
            scores.push(score.broadcast_add(&Tensor::from_vec(mask, (1, rows, n), &self.device)?)?);
            all_values.push(section_values);
        }
        let scores = Tensor::cat(&scores, D::Minus1)?;
        let top = scores.max_keepdim(D::Minus1)?;
        let weights = scores.broadcast_sub(&top)?.exp()?;
        let weights = weights.broadcast_div(&weights.sum_keepdim(D::Minus1)?)?;
        let all_values = Tensor::cat(&all_values, 1)?;
        let weights = weights.reshape((kv_heads, heads / kv_heads * rows, ()))?;
        let attended = weights.matmul(&all_values)?.reshape((heads, rows, head_dim))?;
        attended.transpose(0, 1)?.contiguous()?.reshape((rows, heads * head_dim))
    }

    /// The first `n` keys or values of a section, `[kv_heads, n, head_dim]`.
    fn gather(&self, layer: usize, section: &Section<'_>, part: Part, n: usize) -> Result<Tensor> {
        let Config { kv_heads, head_dim, .. } = self.config;
        let mut all = vec![0.0; kv_heads * n * head_dim];
        for (head, out) in all.chunks_exact_mut((n * head_dim).max(1)).enumerate() {
            for (row, out) in out.chunks_exact_mut(head_dim).enumerate() {
                section.region.read(layer, part, head, row, out);
            }
        }
        Tensor::from_vec(all, (kv_heads, n, head_dim), &self.device)
    }
}

impl FeedForward {
    /// `x` and the result are `[rows, hidden]`.
    fn forward(&self, x: &Tensor, layer: usize, want: &mut Want<'_>) -> Result<Tensor> {
        let swiglu = |x: &Tensor, [gate, up, down]: &[Tensor; 3]| {
            linear(&(linear(x, gate)?.silu()? * linear(x, up)?)?, down)
        };
        let (router, experts, used) = match self {
            Self::Dense(dense) => return swiglu(x, dense),
            Self::Mixture { router, experts, used } => (router, experts, *used),
        };
        let scores = linear(x, router)?.to_vec2::<f32>()?;
        let mut out = x.zeros_like()?;
        let routes: Routes = scores.iter().map(|row| route(row, used)).collect();
        tell_routes(want, layer, &scores.concat(), &routes);
        for (index, expert) in experts.iter().enumerate() {
            let weight = |route: &Vec<(usize, f32)>| {
                route.iter().find(|(e, _)| *e == index).map_or(0.0, |(_, weight)| *weight)
            };
            let weights: Vec<f32> = routes.iter().map(weight).collect();
            if weights.iter().any(|weight| *weight != 0.0) {
                let weights = Tensor::from_vec(weights, (x.dim(0)?, 1), x.device())?;
                out = (out + swiglu(x, expert)?.broadcast_mul(&weights)?)?;
            }
        }
        Ok(out)
    }
}

/// `x · Wᵀ`
fn linear(x: &Tensor, weight: &Tensor) -> Result<Tensor> {
    x.matmul(&weight.t()?)
}

fn rms_norm(x: &Tensor, weight: &Tensor, eps: f32) -> Result<Tensor> {
    let mean = x.sqr()?.mean_keepdim(D::Minus1)?;
    x.broadcast_div(&(mean + f64::from(eps))?.sqrt()?)?.broadcast_mul(weight)
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

fn tell(want: &mut Want<'_>, name: impl FnOnce() -> String, x: &Tensor) -> Result<()> {
    if let Want::Everything(tap) = want {
        tap(&name(), &values(x)?);
    }
    Ok(())
}
