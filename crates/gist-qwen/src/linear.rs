//! Matrix times rows, behind one small trait: the reference path on candle is the oracle of the fast kernels.

use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Module, Result, Tensor};

use crate::kernels::PackedMatrix;

/// From this many rows on the reference path dequantises the matrix: one f32 product beats candle's row by row dots.
const DEQUANTISE_FROM: usize = 16;

/// A matrix of shape `[outputs, inputs]` that maps rows of activations.
pub trait Linear: Send + Sync {
    /// `x` is `[rows, inputs]`, `out` is `[rows, outputs]`, both row-major and exactly that long.
    fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]);

    /// Copies row `index` of the matrix, dequantised, to `out`, `[inputs]`: the look-up of an embedding.
    fn row(&self, index: usize, out: &mut [f32]);

    /// Bytes of memory the matrix takes.
    fn bytes(&self) -> u64;
}

/// The reference path: candle's quantised products.
pub struct Reference {
    weight: Arc<QTensor>,
    matmul: QMatMul,
    inputs: usize,
}

impl Reference {
    /// Wraps a matrix of shape `[outputs, inputs]`.
    ///
    /// # Errors
    /// When it is not a matrix, or candle cannot dequantise it.
    pub fn new(weight: Arc<QTensor>) -> Result<Self> {
        let (_, inputs) = weight.shape().dims2()?;
        Ok(Self { matmul: QMatMul::from_arc(weight.clone())?, weight, inputs })
    }

    fn compute(&self, x: &[f32], rows: usize) -> Result<Vec<f32>> {
        let x = Tensor::from_slice(x, (rows, self.inputs), &Device::Cpu)?;
        let y = if rows < DEQUANTISE_FROM {
            self.matmul.forward(&x)?
        } else {
            x.matmul(&self.weight.dequantize(&Device::Cpu)?.t()?)?
        };
        y.flatten_all()?.to_vec1()
    }
}

impl Linear for PackedMatrix {
    fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        Self::forward(self, x, rows, out);
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        Self::row(self, index, out);
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self) as u64
    }
}

impl Linear for Reference {
    fn forward(&self, x: &[f32], rows: usize, out: &mut [f32]) {
        // The shapes were checked when the weights were read; nothing a user does reaches this.
        let y = self.compute(x, rows).expect("a product of checked shapes");
        out.copy_from_slice(&y);
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        let row = Tensor::new(&[index as u32], &Device::Cpu).and_then(|id| self.weight.embedding(&id));
        let row = row.and_then(|row| row.flatten_all()?.to_vec1::<f32>()).expect("a row of a checked shape");
        out.copy_from_slice(&row);
    }

    fn bytes(&self) -> u64 {
        self.weight.storage_size_in_bytes() as u64
    }
}
