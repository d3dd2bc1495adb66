//! Model files.
//!
//! Both layouts end up as one map of named arrays under the names of the CTranslate2 layout (self-attention with Q, K
//! and V fused; cross-attention with K and V fused), so that the network is built in one way. Readers take nothing on
//! trust: no allocation is larger than the file itself.

mod ctranslate2;
mod safetensors;

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use half::f16;

use crate::Error;

/// The values of an array, in row-major order.
#[derive(Clone, Debug)]
pub(crate) enum Data {
    F32(Vec<f32>),
    F16(Vec<f16>),
}

/// A named array of a model file.
#[derive(Clone, Debug)]
pub(crate) struct Array {
    pub(crate) shape: Vec<usize>,
    pub(crate) data: Data,
}

/// All arrays of a model file.
pub(crate) struct Weights {
    path: PathBuf,
    arrays: HashMap<String, Array>,
}

impl Weights {
    /// Reads `model.bin` (CTranslate2) or `model.safetensors` in the folder `dir`, whichever is there.
    ///
    /// # Errors
    /// When neither is there, or the file is damaged.
    pub(crate) fn read(dir: &Path) -> Result<Self, Error> {
        let path = dir.join("model.bin");
        if path.exists() {
            return Ok(Self { arrays: ctranslate2::read(&path)?, path });
        }
        let path = dir.join("model.safetensors");
        if path.exists() {
            return Ok(Self { arrays: safetensors::read(&path)?, path });
        }
        Err(Error::format(dir, "there is no Whisper model here: neither model.bin nor model.safetensors"))
    }

    /// The file the arrays came from.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The shape of an array, if it is there.
    pub(crate) fn shape(&self, name: &str) -> Option<&[usize]> {
        Some(&self.arrays.get(name)?.shape)
    }

    /// Counts `prefix0/`, `prefix1/`, … up to the first that has no array `suffix`.
    pub(crate) fn layers(&self, prefix: &str, suffix: &str) -> usize {
        (0..).take_while(|i| self.arrays.contains_key(&format!("{prefix}{i}/{suffix}"))).count()
    }

    fn take(&mut self, name: &str, shape: &[usize]) -> Result<Data, Error> {
        let array = self
            .arrays
            .remove(name)
            .ok_or_else(|| Error::format(&self.path, format!("not a Whisper model: there is no {name}")))?;
        if array.shape != shape {
            let reason = format!("{name} has the shape {:?} and should have {shape:?}", array.shape);
            return Err(Error::format(&self.path, reason));
        }
        Ok(array.data)
    }

    /// Takes an array of this shape out, as f32.
    pub(crate) fn f32(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>, Error> {
        Ok(match self.take(name, shape)? {
            Data::F32(v) => v,
            Data::F16(v) => v.into_iter().map(f16::to_f32).collect(),
        })
    }
}

/// Little-endian values from bytes; `None` when the bytes do not divide evenly.
fn values<const N: usize, T>(bytes: &[u8], value: impl Fn([u8; N]) -> T) -> Option<Vec<T>> {
    let (chunks, rest) = bytes.as_chunks::<N>();
    rest.is_empty().then(|| chunks.iter().map(|c| value(*c)).collect())
}
