//! Matrices that are not quantised: f32, f16 or bf16 in memory, f32 in the product.

use std::borrow::Cow;
use std::sync::Arc;

use candle_core::Result;
use candle_core::quantized::{GgmlDType, QTensor};
use half::slice::HalfFloatSliceExt;
use half::{bf16, f16};

use super::{Linear, Matrix, Rows};
use gist_kernels::product::{Strided, product};
use gist_kernels::team;
use gist_kernels::wide::WideMatrix;

/// Output rows that are converted to f32 and multiplied at once: with 4096 inputs 1 MB, which stays in the cache.
const BLOCK: usize = 64;

enum Values {
    F32(Vec<f32>),
    F16(Vec<f16>),
    BF16(Vec<bf16>),
}

impl Values {
    /// A range as f32, converted where it has to be.
    fn read(&self, range: std::ops::Range<usize>) -> Cow<'_, [f32]> {
        let mut out = vec![0.0; range.len()];
        match self {
            Self::F32(values) => return Cow::Borrowed(&values[range]),
            Self::F16(values) => values[range].convert_to_f32_slice(&mut out),
            Self::BF16(values) => values[range].convert_to_f32_slice(&mut out),
        }
        Cow::Owned(out)
    }
}

/// A matrix `[outputs, inputs]` of floats.
pub struct Dense {
    values: Values,
    outputs: usize,
    inputs: usize,
}

impl Dense {
    /// Takes a matrix of floats; `None` for other types.
    ///
    /// # Errors
    /// When it is no matrix or not in host memory.
    pub fn new(weight: &QTensor) -> Result<Option<Self>> {
        let (outputs, inputs) = weight.shape().dims2()?;
        let bytes = weight.data()?;
        let pairs = || bytes.chunks_exact(2).map(|b| u16::from_le_bytes([b[0], b[1]]));
        let values = match weight.dtype() {
            GgmlDType::F32 => Values::F32(
                bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect(),
            ),
            GgmlDType::F16 => Values::F16(pairs().map(f16::from_bits).collect()),
            GgmlDType::BF16 => Values::BF16(pairs().map(bf16::from_bits).collect()),
            _ => return Ok(None),
        };
        Ok(Some(Self { values, outputs, inputs }))
    }
}

impl Linear for Dense {
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]) {
        let Rows { x, rows, .. } = *x;
        let (outputs, inputs) = (self.outputs, self.inputs);
        assert!(x.len() == rows * inputs && out.len() == rows * outputs, "operands of another shape");
        if rows == 0 {
            return;
        }
        let block = |first: usize| {
            let width = BLOCK.min(outputs - first);
            let weights = self.values.read(first * inputs..(first + width) * inputs);
            let mut part = vec![0.0; rows * width];
            let (x, weights) = (Strided::rows(x, inputs), Strided::rows(&weights, inputs));
            product((rows, width, inputs), x, weights.transposed(), &mut part, width, false);
            (first, width, part)
        };
        let parts = team::map(outputs.div_ceil(BLOCK), |i| block(i * BLOCK));
        for (first, width, part) in parts {
            for (out, part) in out.chunks_exact_mut(outputs).zip(part.chunks_exact(width)) {
                out[first..first + width].copy_from_slice(part);
            }
        }
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        out.copy_from_slice(&self.values.read(index * self.inputs..(index + 1) * self.inputs));
    }

    fn wide(&self) -> Option<Matrix> {
        if matches!(self.values, Values::F32(_)) {
            return None;
        }
        let wide = WideMatrix::new(self.outputs, self.inputs, |index, out| self.row(index, out))?;
        Some(Arc::new(wide))
    }

    fn bytes(&self) -> u64 {
        let width = if matches!(self.values, Values::F32(_)) { 4 } else { 2 };
        (self.outputs * self.inputs * width) as u64
    }
}
