//! What encoder and decoder are made of. All of it runs on one core: a stream of speech leaves the others to the
//! language model, see [`gist_kernels::team::on_one_core`].

use gist_kernels::product::{Strided, product};
use gist_kernels::{PackedMatrix, math, vectorized};

use crate::Error;
use crate::model::HEAD;
use crate::weights::Weights;

/// What queries are multiplied with, `HEAD^-½`; a power of two, so that it can go into their weights without rounding.
const QUERY_SCALE: f32 = 0.125;
const _: () = assert!(HEAD == 64);

/// Layer normalisation with Whisper's epsilon.
pub(crate) struct Norm {
    gamma: Vec<f32>,
    beta: Vec<f32>,
}

impl Norm {
    pub(crate) fn load(weights: &mut Weights, name: &str, width: usize) -> Result<Self, Error> {
        Ok(Self {
            gamma: weights.f32(&format!("{name}/gamma"), &[width])?,
            beta: weights.f32(&format!("{name}/beta"), &[width])?,
        })
    }

    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len()];
        math::layer_norm(x, &self.gamma, &self.beta, 1e-5, &mut out);
        out
    }
}

/// Weights `[rows, columns]` and bias of an array; those of its first `queries` rows are scaled as queries are.
fn scaled(
    weights: &mut Weights,
    name: &str,
    (rows, columns): (usize, usize),
    queries: usize,
) -> Result<(Vec<f32>, Vec<f32>), Error> {
    let mut weight = weights.f32(&format!("{name}/weight"), &[rows, columns])?;
    let mut bias = weights.f32(&format!("{name}/bias"), &[rows])?;
    weight[..queries * columns].iter_mut().chain(&mut bias[..queries]).for_each(|x| *x *= QUERY_SCALE);
    Ok((weight, bias))
}

/// A matrix of f32 with a bias, for hundreds of rows at once.
pub(crate) struct Dense {
    /// `[rows, columns]`
    weight: Vec<f32>,
    bias: Vec<f32>,
    columns: usize,
}

impl Dense {
    /// The first `queries` rows make queries.
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        shape: (usize, usize),
        queries: usize,
    ) -> Result<Self, Error> {
        let (weight, bias) = scaled(weights, name, shape, queries)?;
        Ok(Self { weight, bias, columns: shape.1 })
    }

    /// A convolution over three rows of `inputs` values, which lie one after the other: the matrix `[rows, 3 * inputs]`.
    pub(crate) fn convolution(
        weights: &mut Weights,
        name: &str,
        rows: usize,
        inputs: usize,
    ) -> Result<Self, Error> {
        let weight = weights.f32(&format!("{name}/weight"), &[rows, inputs, 3])?;
        let turned =
            |row: &[f32]| (0..3 * inputs).map(|i| row[i % inputs * 3 + i / inputs]).collect::<Vec<_>>();
        Ok(Self {
            weight: weight.chunks_exact(3 * inputs).flat_map(turned).collect(),
            bias: weights.f32(&format!("{name}/bias"), &[rows])?,
            columns: 3 * inputs,
        })
    }

    /// `out [n, rows]`, without the bias, of `n` rows of `x` that lie `stride` values apart.
    fn multiply(&self, x: &[f32], stride: usize, out: &mut [f32]) {
        let rows = self.bias.len();
        let shape = (out.len() / rows, rows, self.columns);
        let weight = Strided::rows(&self.weight, self.columns).transposed();
        product(shape, Strided::rows(x, stride), weight, out, rows, false);
    }

    /// `[n, columns]` to `[n, rows]`.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; x.len() / self.columns * self.bias.len()];
        self.multiply(x, self.columns, &mut out);
        math::add_bias(&mut out, &self.bias);
        out
    }

    /// GELU of [`Self::forward`], of rows of `x` that lie `stride` values apart; as many as `out` has room for.
    pub(crate) fn gelu(&self, x: &[f32], stride: usize, out: &mut [f32]) {
        self.multiply(x, stride, out);
        math::gelu_erf(out, &self.bias);
    }

    /// The transpose of [`Self::forward`], `[rows, n]`.
    pub(crate) fn forward_transposed(&self, x: &[f32]) -> Vec<f32> {
        let (n, rows) = (x.len() / self.columns, self.bias.len());
        let mut out: Vec<f32> = self.bias.iter().flat_map(|bias| std::iter::repeat_n(*bias, n)).collect();
        let x = Strided::rows(x, self.columns).transposed();
        product((rows, n, self.columns), Strided::rows(&self.weight, self.columns), x, &mut out, n, true);
        out
    }

    /// The first `rows` rows, and the others.
    pub(crate) fn split(mut self, rows: usize) -> (Self, Self) {
        let (weight, bias) = (self.weight.split_off(rows * self.columns), self.bias.split_off(rows));
        let columns = self.columns;
        (self, Self { weight, bias, columns })
    }
}

/// A matrix of 8 bits with a bias, for a row or a few: reading it is what that takes.
pub(crate) struct Packed {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

impl Packed {
    /// The first `queries` rows make queries.
    pub(crate) fn load(
        weights: &mut Weights,
        name: &str,
        shape: (usize, usize),
        queries: usize,
    ) -> Result<Self, Error> {
        let (weight, bias) = scaled(weights, name, shape, queries)?;
        Ok(Self { weight: packed(weights, name, weight, shape)?, bias })
    }

    /// `[n, columns]` to `[n, rows]`.
    pub(crate) fn forward(&self, x: &[f32]) -> Vec<f32> {
        let mut out = multiply(&self.weight, x);
        math::add_bias(&mut out, &self.bias);
        out
    }

    /// GELU of [`Self::forward`].
    pub(crate) fn gelu(&self, x: &[f32]) -> Vec<f32> {
        let mut out = multiply(&self.weight, x);
        math::gelu_erf(&mut out, &self.bias);
        out
    }
}

/// Packs an array `[rows, columns]`.
pub(crate) fn packed(
    weights: &Weights,
    name: &str,
    values: Vec<f32>,
    (rows, columns): (usize, usize),
) -> Result<PackedMatrix, Error> {
    PackedMatrix::quantize(values, rows, columns)
        .ok_or_else(|| Error::format(weights.path(), format!("{name} has rows of {columns} values")))
}

/// `[n, columns]` to `[n, rows]`.
pub(crate) fn multiply(weight: &PackedMatrix, x: &[f32]) -> Vec<f32> {
    let n = x.len() / weight.in_features();
    let mut out = vec![0.0; n * weight.out_features()];
    weight.forward(x, n, &mut out);
    out
}

/// Softmax in place.
pub(crate) fn softmax(row: &mut [f32]) {
    vectorized(|| {
        let top = math::max(row);
        let scale = 1.0 / math::exp_sum(row, top);
        row.iter_mut().for_each(|x| *x *= scale);
    });
}

/// Keys and values of a layer. Keys lie dimension by dimension, so that scores of many positions are one vector.
pub(crate) struct Memory {
    /// `[width, capacity]`
    pub(crate) keys: Vec<f32>,
    pub(crate) capacity: usize,
    /// `[positions, width]`
    pub(crate) values: Vec<f32>,
}

impl Memory {
    /// All heads of one query, `[width]`, scaled, over the first `positions`.
    pub(crate) fn attend(&self, query: &[f32], positions: usize, scores: &mut Vec<f32>, out: &mut [f32]) {
        scores.resize(positions, 0.0);
        let width = query.len();
        for (head, (query, out)) in query.chunks_exact(HEAD).zip(out.chunks_exact_mut(HEAD)).enumerate() {
            let keys = &self.keys[head * HEAD * self.capacity..];
            let values = &self.values[head * HEAD..];
            vectorized(|| attend(query, (keys, self.capacity), (values, width), scores, out));
        }
    }
}

/// One head; `keys` and `values` with what lies between two rows. To be inlined into code for this CPU.
#[inline(always)]
fn attend(
    query: &[f32],
    (keys, capacity): (&[f32], usize),
    (values, width): (&[f32], usize),
    scores: &mut [f32],
    out: &mut [f32],
) {
    scores.fill(0.0);
    let n = scores.len();
    for (query, keys) in query.as_chunks::<4>().0.iter().zip(keys.chunks(4 * capacity)) {
        let [a, b, c, d] = [0, 1, 2, 3].map(|i| &keys[i * capacity..][..n]);
        for (i, score) in scores.iter_mut().enumerate() {
            *score += query[0] * a[i] + query[1] * b[i] + query[2] * c[i] + query[3] * d[i];
        }
    }
    let top = math::max(scores);
    let scale = 1.0 / math::exp_sum(scores, top);
    let mut sum = [0.0; HEAD];
    for (score, values) in scores.iter().zip(values.chunks(width)) {
        let values: &[f32; HEAD] = values.first_chunk().expect("a head in each row");
        for (sum, value) in sum.iter_mut().zip(values) {
            *sum += score * value;
        }
    }
    out.iter_mut().zip(sum).for_each(|(out, sum)| *out = sum * scale);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn softmax_sums_to_one_and_survives_masks() {
        let mut row: Vec<f32> = (0..37).map(|i| i as f32 * 3.0 - 40.0).collect();
        row[5] = f32::NEG_INFINITY;
        softmax(&mut row);
        assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        assert!(row[5] < 1e-30);
    }

    #[test]
    fn attention_agrees_with_its_definition() {
        let value = |i: usize| ((i * 37 % 101) as f32 - 50.0) / 60.0;
        for (width, positions, capacity) in [(64, 1, 1), (128, 5, 448), (192, 33, 40)] {
            let query: Vec<f32> = (0..width).map(|i| value(i + 7)).collect();
            let memory = Memory {
                keys: (0..width * capacity).map(value).collect(),
                capacity,
                values: (0..positions * width).map(|i| value(i + 3)).collect(),
            };
            let mut out = vec![0.0; width];
            memory.attend(&query, positions, &mut Vec::new(), &mut out);
            for (i, out) in out.iter().enumerate() {
                let head = i / HEAD * HEAD;
                let weight = |t: usize| {
                    let score = |d: usize| f64::from(query[d]) * f64::from(memory.keys[d * capacity + t]);
                    (head..head + HEAD).map(score).sum::<f64>().exp()
                };
                let all: f64 = (0..positions).map(weight).sum();
                let want: f64 =
                    (0..positions).map(|t| weight(t) / all * f64::from(memory.values[t * width + i])).sum();
                assert!((f64::from(*out) - want).abs() < 1e-5, "{i} of {width}: {out}, not {want}");
            }
        }
    }
}
