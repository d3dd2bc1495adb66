//! Matrix times rows, behind one small trait: packed kernels, wide integers for halves, floats, and candle for the rest.

mod dense;

use std::cell::OnceCell;
use std::sync::Arc;

use candle_core::quantized::{QMatMul, QTensor};
use candle_core::{Device, Module, Result, Tensor};

use crate::error::LoadError;
use crate::weights::Weights;
use gist_kernels::wide::{WideMatrix, WideRows};
use gist_kernels::{PackedMatrix, QuantizedRows};

pub use dense::Dense;

/// A matrix that layers may share.
pub(crate) type Matrix = Arc<dyn Linear>;

/// Reads the matrix `[outputs, inputs]`.
pub(crate) fn matrix(
    weights: &dyn Weights,
    name: &str,
    outputs: usize,
    inputs: usize,
) -> std::result::Result<Matrix, LoadError> {
    linear(weights.tensor(name, &[outputs, inputs])?)
        .map_err(|e| weights.invalid(format!("tensor {name}: {e}")))
}

/// The fast implementation for the type of the weight, or candle's where there is none.
pub(crate) fn linear(weight: QTensor) -> Result<Matrix> {
    if let Some(packed) = PackedMatrix::pack(&weight) {
        return Ok(Arc::new(packed));
    }
    if let Some(dense) = Dense::new(&weight)? {
        return Ok(Arc::new(dense));
    }
    Ok(Arc::new(Candle::new(Arc::new(weight))?))
}

/// From this many rows on the matrix is dequantised: one f32 product beats candle's row by row dots.
const DEQUANTISE_FROM: usize = 16;

/// Rows of activations, which several matrices may take (q, k, v; gate, up): quantised for the first that wants them so.
pub struct Rows<'a> {
    x: &'a [f32],
    rows: usize,
    fine: bool,
    quantized: OnceCell<QuantizedRows>,
    wide: OnceCell<WideRows>,
}

impl<'a> Rows<'a> {
    /// `x` is `[rows, inputs]`, row-major.
    #[must_use]
    pub fn new(x: &'a [f32], rows: usize) -> Self {
        Self { x, rows, fine: false, quantized: OnceCell::new(), wide: OnceCell::new() }
    }

    /// Rows that are rounded less: for few of them, as the logits', of which a hair may decide.
    #[must_use]
    pub fn fine(x: &'a [f32], rows: usize) -> Self {
        Self { fine: true, ..Self::new(x, rows) }
    }

    fn features(&self) -> usize {
        self.x.len() / self.rows.max(1)
    }

    fn quantized(&self) -> &QuantizedRows {
        let quantize = if self.fine { QuantizedRows::fine } else { QuantizedRows::new };
        self.quantized.get_or_init(|| quantize(self.x, self.rows, self.features()))
    }

    fn wide(&self) -> &WideRows {
        self.wide.get_or_init(|| WideRows::new(self.x, self.rows, self.features()))
    }
}

/// A matrix of shape `[outputs, inputs]` that maps rows of activations.
pub trait Linear: Send + Sync {
    /// `x` is `[rows, inputs]`, `out` is `[rows, outputs]`, row-major and exactly that long.
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]);

    /// Copies row `index` of the matrix, dequantised, to `out`, `[inputs]`: the look-up of an embedding.
    fn row(&self, index: usize, out: &mut [f32]);

    /// Bytes of memory the matrix takes.
    fn bytes(&self) -> u64;

    /// The same in integers of 14 bits, see [`gist_kernels::wide`], where that rounds hardly more than how it is stored,
    /// and is faster.
    fn wide(&self) -> Option<Matrix> {
        None
    }
}

/// candle's quantised products, for types that no kernel of ours knows.
pub struct Candle {
    weight: Arc<QTensor>,
    matmul: QMatMul,
    inputs: usize,
}

impl Candle {
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
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]) {
        self.forward_quantized(x.quantized(), out);
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        Self::row(self, index, out);
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self) as u64
    }
}

impl Linear for WideMatrix {
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]) {
        Self::forward(self, x.wide(), out);
    }

    fn row(&self, index: usize, out: &mut [f32]) {
        Self::row(self, index, out);
    }

    fn bytes(&self) -> u64 {
        Self::bytes(self) as u64
    }
}

impl Linear for Candle {
    fn forward(&self, x: &Rows<'_>, out: &mut [f32]) {
        // The shapes were checked when the weights were read; nothing a user does reaches this.
        let y = self.compute(x.x, x.rows).expect("a product of checked shapes");
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
