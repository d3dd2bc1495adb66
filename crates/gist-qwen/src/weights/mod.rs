//! Where weights come from. Whatever the file format, a tensor is asked for by its GGUF name and the shape it must
//! have, row-major; every reader checks lengths against the file before it allocates.

pub(crate) mod gguf;
mod names;
mod patches;
pub(crate) mod quantized;
pub(crate) mod safetensors;
#[cfg(test)]
pub(crate) mod tests;

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::{GgmlDType, QTensor, ggml_file};

use crate::error::LoadError;

/// A tensor as it lies in the file.
pub(crate) struct Raw {
    pub(crate) dtype: GgmlDType,
    /// Row-major.
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: Vec<u8>,
}

/// What is known of a tensor before it is read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Info {
    /// The GGUF name.
    pub(crate) name: String,
    pub(crate) dtype: GgmlDType,
    /// Row-major.
    pub(crate) shape: Vec<usize>,
}

impl Info {
    /// Bytes the tensor takes.
    pub(crate) fn bytes(&self) -> u64 {
        size_in_bytes(self.dtype, &self.shape)
    }
}

/// Bytes of a tensor whose shape was checked against its file.
fn size_in_bytes(dtype: GgmlDType, shape: &[usize]) -> u64 {
    (shape.iter().product::<usize>() / dtype.block_size() * dtype.type_size()) as u64
}

/// A source of weights.
pub(crate) trait Weights: Send + Sync {
    /// The file or folder, for messages.
    fn path(&self) -> &Path;
    /// Whether there is such a tensor.
    fn contains(&self, name: &str) -> bool;
    /// Reads a tensor.
    ///
    /// # Errors
    /// When it is missing or cut off.
    fn read(&self, name: &str) -> Result<Raw, LoadError>;
    /// All tensors, in no order.
    fn infos(&self) -> Vec<Info>;

    /// Bytes all tensors take once they are loaded.
    fn tensor_bytes(&self) -> u64 {
        self.infos().iter().map(Info::bytes).sum()
    }

    /// The matrices `[outputs, inputs]` of all experts of a mixture, one after the other.
    ///
    /// # Errors
    /// When the tensor is missing or of another shape.
    fn experts(
        &self,
        name: &str,
        experts: usize,
        outputs: usize,
        inputs: usize,
    ) -> Result<Vec<QTensor>, LoadError> {
        let raw = self.read(name)?;
        expect_shape(self.path(), name, &raw.shape, &[experts, outputs, inputs])?;
        let size = raw.bytes.len() / experts;
        raw.bytes
            .chunks_exact(size)
            .map(|b| qtensor(self.path(), name, raw.dtype, b, &[outputs, inputs]))
            .collect()
    }

    /// An error about this source.
    fn invalid(&self, what: String) -> LoadError {
        LoadError::Invalid { path: self.path().into(), what }
    }

    /// Reads a tensor that must have exactly this shape.
    ///
    /// # Errors
    /// When it is missing, cut off or of another shape.
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<QTensor, LoadError> {
        let raw = self.read(name)?;
        expect_shape(self.path(), name, &raw.shape, shape)?;
        qtensor(self.path(), name, raw.dtype, &raw.bytes, shape)
    }

    /// Reads a tensor of this shape as f32, row-major; every value must be finite.
    ///
    /// # Errors
    /// As [`Weights::tensor`], and for values that are not numbers.
    fn floats(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let values = self
            .tensor(name, shape)?
            .dequantize(&Device::Cpu)
            .and_then(|t| t.flatten_all()?.to_vec1::<f32>())
            .map_err(|e| self.invalid(format!("tensor {name}: {e}")))?;
        if values.iter().all(|x| x.is_finite()) {
            Ok(values)
        } else {
            Err(self.invalid(format!("tensor {name} holds values that are not numbers")))
        }
    }

    /// Reads a vector as f32.
    ///
    /// # Errors
    /// As [`Weights::floats`].
    fn vector(&self, name: &str, n: usize) -> Result<Vec<f32>, LoadError> {
        self.floats(name, &[n])
    }
}

fn expect_shape(path: &Path, name: &str, found: &[usize], shape: &[usize]) -> Result<(), LoadError> {
    if found == shape {
        return Ok(());
    }
    let what = format!("tensor {name} has shape {found:?}, not {shape:?}");
    Err(LoadError::Invalid { path: path.into(), what })
}

fn qtensor(
    path: &Path,
    name: &str,
    dtype: GgmlDType,
    bytes: &[u8],
    shape: &[usize],
) -> Result<QTensor, LoadError> {
    ggml_file::qtensor_from_ggml(dtype, bytes, shape.to_vec(), &Device::Cpu)
        .map_err(|e| LoadError::Invalid { path: path.into(), what: format!("tensor {name}: {e}") })
}

/// Opens a regular file and tells its length. Anything else is refused before it is opened: opening a pipe would wait
/// for a writer.
pub(crate) fn open(path: &Path) -> Result<(File, u64), LoadError> {
    let io = |source: std::io::Error| match source.kind() {
        ErrorKind::NotFound => LoadError::NotFound(path.into()),
        _ => LoadError::Io { path: path.into(), source },
    };
    if !path.metadata().map_err(io)?.is_file() {
        return Err(LoadError::Unsupported { path: path.into(), what: "it is no file".into() });
    }
    let file = File::open(path).map_err(io)?;
    let length = file.metadata().map_err(io)?.len();
    Ok((file, length))
}

fn read_error(path: &Path, error: std::io::Error, what: &str) -> LoadError {
    match error.kind() {
        ErrorKind::UnexpectedEof => {
            LoadError::Truncated { path: path.into(), what: format!("it ends within {what}") }
        }
        _ => LoadError::Io { path: path.into(), source: error },
    }
}
