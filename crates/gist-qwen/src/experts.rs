//! The feed-forward part of a decoder layer: one SwiGLU, or a mixture of experts of which each token takes a few.

use crate::config::{Config, Experts};
use crate::error::LoadError;
use crate::linear::{Matrix, Rows, linear, matrix};
use crate::weights::Weights;
use gist_kernels::math;

/// `down(silu(gate(x)) * up(x))`.
struct SwiGlu {
    gate: Matrix,
    up: Matrix,
    down: Matrix,
    intermediate: usize,
}

/// Activations kept from chunk to chunk.
#[derive(Debug, Default)]
pub(crate) struct Inner {
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl SwiGlu {
    fn forward(&self, x: &[f32], rows: usize, inner: &mut Inner, out: &mut [f32]) {
        let Inner { gate, up } = inner;
        gate.resize(rows * self.intermediate, 0.0);
        up.resize(rows * self.intermediate, 0.0);
        let x = Rows::new(x, rows);
        self.gate.forward(&x, gate);
        self.up.forward(&x, up);
        math::silu_mul(gate, up);
        self.down.forward(&Rows::new(gate, rows), out);
    }

    fn bytes(&self) -> u64 {
        self.gate.bytes() + self.up.bytes() + self.down.bytes()
    }
}

enum Kind {
    Dense(SwiGlu),
    Mixture { router: Matrix, experts: Vec<SwiGlu>, used: usize },
}

/// The feed-forward part of one layer.
pub(crate) struct FeedForward(Kind);

/// Which experts a token takes, the best first, and with what weights; `[rows]` of them.
pub(crate) type Routes = Vec<Vec<(usize, f32)>>;

impl FeedForward {
    /// Reads the part of layer `layer`.
    pub(crate) fn read(file: &dyn Weights, config: &Config, layer: usize) -> Result<Self, LoadError> {
        let hidden = config.hidden;
        let name = |part: &str| format!("blk.{layer}.{part}.weight");
        let Some(Experts { count, used, intermediate }) = config.experts else {
            let intermediate = config.intermediate;
            let part = |part, outputs, inputs| matrix(file, &name(part), outputs, inputs);
            return Ok(Self(Kind::Dense(SwiGlu {
                gate: part("ffn_gate", intermediate, hidden)?,
                up: part("ffn_up", intermediate, hidden)?,
                down: part("ffn_down", hidden, intermediate)?,
                intermediate,
            })));
        };
        let part = |part: &str, outputs, inputs| -> Result<Vec<Matrix>, LoadError> {
            let name = name(part);
            let tensors = file.experts(&name, count, outputs, inputs)?;
            let matrices = tensors
                .into_iter()
                .map(|tensor| linear(tensor).map_err(|e| file.invalid(format!("tensor {name}: {e}"))));
            matrices.collect()
        };
        let gates = part("ffn_gate_exps", intermediate, hidden)?;
        let ups = part("ffn_up_exps", intermediate, hidden)?;
        let downs = part("ffn_down_exps", hidden, intermediate)?;
        let experts = gates.into_iter().zip(ups).zip(downs);
        Ok(Self(Kind::Mixture {
            router: matrix(file, &name("ffn_gate_inp"), count, hidden)?,
            experts: experts.map(|((gate, up), down)| SwiGlu { gate, up, down, intermediate }).collect(),
            used,
        }))
    }

    pub(crate) fn bytes(&self) -> u64 {
        match &self.0 {
            Kind::Dense(dense) => dense.bytes(),
            Kind::Mixture { router, experts, .. } => {
                router.bytes() + experts.iter().map(SwiGlu::bytes).sum::<u64>()
            }
        }
    }

    /// `x` and `out` are `[rows, hidden]`. Tells the routes taken, if there are any.
    pub(crate) fn forward(
        &self,
        x: &[f32],
        rows: usize,
        inner: &mut Inner,
        out: &mut [f32],
        tell: impl FnOnce(&[f32], &Routes),
    ) {
        let (router, experts, used) = match &self.0 {
            Kind::Dense(dense) => return dense.forward(x, rows, inner, out),
            Kind::Mixture { router, experts, used } => (router, experts, *used),
        };
        let hidden = x.len() / rows;
        let mut scores = vec![0.0; rows * experts.len()];
        router.forward(&Rows::new(x, rows), &mut scores);
        let routes: Routes = scores.chunks_exact(experts.len()).map(|s| route(s, used)).collect();
        tell(&scores, &routes);
        out.fill(0.0);
        let (mut taken, mut result) = (Vec::new(), Vec::new());
        for (index, expert) in experts.iter().enumerate() {
            let weight = |row: &Vec<(usize, f32)>| row.iter().find(|(e, _)| *e == index).map(|(_, w)| *w);
            let users: Vec<(usize, f32)> =
                routes.iter().enumerate().filter_map(|(row, r)| Some((row, weight(r)?))).collect();
            if users.is_empty() {
                continue;
            }
            taken.clear();
            users.iter().for_each(|(row, _)| taken.extend_from_slice(&x[row * hidden..][..hidden]));
            result.resize(users.len() * hidden, 0.0);
            expert.forward(&taken, users.len(), inner, &mut result);
            for ((row, weight), y) in users.iter().zip(result.chunks_exact(hidden)) {
                let out = &mut out[row * hidden..][..hidden];
                out.iter_mut().zip(y).for_each(|(out, y)| *out += weight * y);
            }
        }
    }
}

/// The best `used` experts after a softmax over all, their weights renormalised to a sum of 1.
pub(crate) fn route(scores: &[f32], used: usize) -> Vec<(usize, f32)> {
    let top = math::max(scores);
    let mut order: Vec<(usize, f32)> = scores.iter().map(|s| (s - top).exp()).enumerate().collect();
    // A stable order: of equals the first, as torch's topk on the CPU mostly does.
    order.sort_by(|a, b| b.1.total_cmp(&a.1));
    order.truncate(used);
    let sum: f32 = order.iter().map(|(_, w)| w).sum();
    order.iter_mut().for_each(|(_, w)| *w /= sum);
    order
}
