//! The GGUF container, read with suspicion: every count and length is checked against the file before anything is
//! allocated, so a hostile file costs at most a small multiple of [`MAX_HEADER`] bytes.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>, versions 2 and 3, little-endian.

mod header;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::patches::{self, PATCHES};
use super::{Info, Raw, Weights, read_error};
use crate::error::LoadError;
use header::Header;

/// Metadata and tensor table together may take this much; real files of this family take 6 MB.
const MAX_HEADER: u64 = 64 << 20;
const MAX_ENTRIES: u64 = 1 << 16;

/// A metadata value; kinds no reader asks for are skipped over.
#[derive(Debug)]
pub(crate) enum Value {
    Int(i64),
    Float(f64),
    String(String),
    Strings(Vec<String>),
    Ints(Vec<i64>),
    Floats(Vec<f64>),
    Other,
}

/// Where a tensor lies, checked to be inside the file.
#[derive(Debug)]
pub(crate) struct TensorInfo {
    dtype: GgmlDType,
    /// Row-major: the file's order reversed.
    shape: Vec<usize>,
    offset: u64,
    size: u64,
}

/// An open GGUF file.
#[derive(Debug)]
pub(crate) struct Gguf {
    path: PathBuf,
    file: File,
    metadata: HashMap<String, Value>,
    tensors: HashMap<String, TensorInfo>,
}

impl Gguf {
    /// Opens `path` and reads metadata and tensor table.
    pub(crate) fn open(path: &Path) -> Result<Self, LoadError> {
        let (file, length) = super::open(path).map_err(|e| match e {
            LoadError::Unsupported { path, .. } => LoadError::NotGguf(path),
            e => e,
        })?;
        let mut header = Header::new(path, &file, length);
        if length < 4 || header.bytes("the magic")? != *b"GGUF" {
            return Err(LoadError::NotGguf(path.into()));
        }
        let version = header.u32("the header")?;
        if !(2..=3).contains(&version) {
            return Err(header.invalid(format!("GGUF version {version}, supported are 2 and 3")));
        }
        let tensor_count = header.count(24, MAX_ENTRIES, "tensors")?;
        let metadata_count = header.count(13, MAX_ENTRIES, "metadata entries")?;
        let mut metadata = HashMap::new();
        for _ in 0..metadata_count {
            let key = header.string("the metadata")?;
            let kind = header.u32("the metadata")?;
            metadata.insert(key, header.value(kind)?);
        }
        let mut tensors = HashMap::new();
        for _ in 0..tensor_count {
            let (name, info) = header.tensor()?;
            tensors.insert(name, info);
        }
        let alignment = match metadata.get("general.alignment") {
            None => 32,
            Some(Value::Int(n)) if (1..=1 << 16).contains(n) => *n as u64,
            Some(_) => return Err(header.invalid("general.alignment is out of range")),
        };
        let start = header.position.div_ceil(alignment) * alignment;
        drop(header);
        let mut sum = 0u64;
        for (name, tensor) in &mut tensors {
            let end = start
                .checked_add(tensor.offset)
                .and_then(|from| Some((from, from.checked_add(tensor.size)?)))
                .filter(|(_, to)| *to <= length);
            let Some((from, _)) = end else {
                return Err(LoadError::Truncated {
                    path: path.into(),
                    what: format!("tensor {name} is missing"),
                });
            };
            tensor.offset = from;
            sum = sum.saturating_add(tensor.size);
        }
        if sum > length {
            // Overlapping tensors would let a small file fill any amount of memory.
            return Err(LoadError::Invalid { path: path.into(), what: "its tensors overlap".into() });
        }
        Ok(Self { path: path.into(), file, metadata, tensors })
    }

    pub(crate) fn invalid(&self, what: impl Into<String>) -> LoadError {
        LoadError::Invalid { path: self.path.clone(), what: what.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LoadError {
        LoadError::Unsupported { path: self.path.clone(), what: what.into() }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&Value> {
        self.metadata.get(key)
    }

    pub(crate) fn string(&self, key: &str) -> Result<&str, LoadError> {
        match self.get(key) {
            Some(Value::String(s)) => Ok(s),
            _ => Err(self.invalid(format!("{key} is missing"))),
        }
    }

    pub(crate) fn strings(&self, key: &str) -> Result<&[String], LoadError> {
        match self.get(key) {
            Some(Value::Strings(s)) => Ok(s),
            _ => Err(self.invalid(format!("{key} is missing"))),
        }
    }

    pub(crate) fn ints(&self, key: &str) -> Result<&[i64], LoadError> {
        match self.get(key) {
            Some(Value::Ints(s)) => Ok(s),
            _ => Err(self.invalid(format!("{key} is missing"))),
        }
    }

    /// An integer that must lie in `0..=max`.
    pub(crate) fn count(&self, key: &str, max: usize) -> Result<usize, LoadError> {
        match self.get(key) {
            Some(Value::Int(0)) => Ok(0),
            _ => self.size(key, max),
        }
    }

    /// An integer that must lie in `1..=max`.
    pub(crate) fn size(&self, key: &str, max: usize) -> Result<usize, LoadError> {
        match self.get(key) {
            Some(Value::Int(n)) => match usize::try_from(*n) {
                Ok(n) if (1..=max).contains(&n) => Ok(n),
                _ => Err(self.invalid(format!("{key} is {n}, not 1 to {max}"))),
            },
            _ => Err(self.invalid(format!("{key} is missing"))),
        }
    }

    /// A finite float above 0.
    pub(crate) fn positive(&self, key: &str) -> Result<f64, LoadError> {
        match self.get(key) {
            Some(Value::Float(x)) if x.is_finite() && *x > 0.0 => Ok(*x),
            _ => Err(self.invalid(format!("{key} is missing or not above 0"))),
        }
    }
}

impl Weights for Gguf {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, tensor: &str) -> bool {
        self.tensors.contains_key(tensor)
    }

    fn infos(&self) -> Vec<Info> {
        let info = |(name, t): (&String, &TensorInfo)| Info {
            name: name.clone(),
            dtype: t.dtype,
            shape: t.shape.clone(),
        };
        self.tensors.iter().map(info).collect()
    }

    fn read(&self, name: &str) -> Result<Raw, LoadError> {
        let second = format!("{PATCHES}.1");
        if name == PATCHES && self.contains(&second) {
            let joined = patches::join(&self.read_stored(name)?, &self.read_stored(&second)?);
            return joined
                .ok_or_else(|| self.invalid(format!("the two parts of {name} do not fit together")));
        }
        self.read_stored(name)
    }
}

impl Gguf {
    /// A tensor as it is stored.
    fn read_stored(&self, name: &str) -> Result<Raw, LoadError> {
        let Some(info) = self.tensors.get(name) else {
            return Err(self.invalid(format!("tensor {name} is missing")));
        };
        let mut bytes = vec![0; info.size as usize];
        self.file
            .read_exact_at(&mut bytes, info.offset)
            .map_err(|e| read_error(&self.path, e, &format!("tensor {name}")))?;
        Ok(Raw { dtype: info.dtype, shape: info.shape.clone(), bytes })
    }
}
