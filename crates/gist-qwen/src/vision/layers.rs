//! What blocks and mergers are made of: norms, matrices with a bias, the two layers between which a GELU stands.

use crate::error::LoadError;
use crate::linear::{Matrix, Rows, matrix};
use crate::weights::Weights;
use gist_kernels::math::{self, by_rows};

/// `x = x + y + bias`, `[rows, width]`: what a part of a block adds to its residual stream.
pub(super) fn add_rows(x: &mut [f32], y: &[f32], bias: &[f32]) {
    let width = bias.len();
    by_rows(x, width, |first, rows| {
        for (x, y) in rows.chunks_exact_mut(width).zip(y[first * width..].chunks_exact(width)) {
            for ((x, y), b) in x.iter_mut().zip(y).zip(bias) {
                *x += y + b;
            }
        }
    });
}

/// A layer norm.
pub(super) struct Norm {
    pub(super) weight: Vec<f32>,
    pub(super) bias: Vec<f32>,
    pub(super) eps: f32,
}

impl Norm {
    pub(super) fn read(from: &dyn Weights, name: &str, width: usize, eps: f32) -> Result<Self, LoadError> {
        let weight = from.vector(&format!("{name}.weight"), width)?;
        Ok(Self { weight, bias: from.vector(&format!("{name}.bias"), width)?, eps })
    }

    /// Both sides are `[rows, width]`.
    pub(super) fn forward(&self, x: &[f32], out: &mut [f32]) {
        math::layer_norm(x, &self.weight, &self.bias, self.eps, out);
    }

    pub(super) fn bytes(&self) -> u64 {
        4 * (self.weight.len() + self.bias.len()) as u64
    }
}

/// A matrix and a bias, `x · Wᵀ + b`.
pub(super) struct Affine {
    pub(super) matrix: Matrix,
    pub(super) bias: Vec<f32>,
}

impl Affine {
    pub(super) fn read(
        from: &dyn Weights,
        name: &str,
        outputs: usize,
        inputs: usize,
    ) -> Result<Self, LoadError> {
        let matrix = matrix(from, &format!("{name}.weight"), outputs, inputs)?;
        Ok(Self { matrix, bias: from.vector(&format!("{name}.bias"), outputs)? })
    }

    pub(super) fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        self.matrix.forward(&Rows::new(x, rows), out);
        math::add_bias(out, &self.bias);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.matrix.bytes() + 4 * self.bias.len() as u64
    }
}

/// Which GELU: the released models were trained with one in the blocks and the other in the mergers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Gelu {
    /// By tanh, in the blocks.
    Tanh,
    /// By erf, in the mergers.
    Erf,
}

/// `second(gelu(first(x)))`
pub(super) struct FeedForward {
    pub(super) first: Affine,
    pub(super) gelu: Gelu,
    pub(super) second: Affine,
}

impl FeedForward {
    /// All of it but the bias of the second layer, which goes with what follows. `inner`, `[rows, intermediate]`, is
    /// overwritten.
    pub(super) fn forward_unbiased(&self, x: &[f32], rows: usize, inner: &mut [f32], out: &mut [f32]) {
        let bias = &self.first.bias;
        self.first.matrix.forward(&Rows::new(x, rows), inner);
        match self.gelu {
            Gelu::Tanh => math::gelu_tanh(inner, bias),
            Gelu::Erf => math::gelu_erf(inner, bias),
        }
        self.second.matrix.forward(&Rows::new(inner, rows), out);
    }

    pub(super) fn bytes(&self) -> u64 {
        self.first.bytes() + self.second.bytes()
    }
}
