//! Reading fixtures.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

/// Errors are sentences: they end up in a table.
pub(super) type Result<T> = std::result::Result<T, String>;

/// No JSON file of a fixture is larger.
const MAX_JSON: u64 = 64 << 20;

/// Reads a JSON file.
pub(super) fn json(path: &Path) -> Result<Value> {
    let told = |e: &dyn std::fmt::Display| format!("{}: {e}", path.display());
    let length = std::fs::metadata(path).map_err(|e| told(&e))?.len();
    if length > MAX_JSON {
        return Err(told(&"is larger than any fixture"));
    }
    serde_json::from_slice(&std::fs::read(path).map_err(|e| told(&e))?).map_err(|e| told(&e))
}

/// Stems of the files with an extension in a folder, sorted.
pub(super) fn names(folder: &Path, extension: &str) -> Result<Vec<String>> {
    let entries = std::fs::read_dir(folder).map_err(|e| format!("{}: {e}", folder.display()))?;
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let paths = paths.filter(|path| path.extension().is_some_and(|e| e == extension));
    let mut names: Vec<_> = paths.filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned())).collect();
    names.sort();
    Ok(names)
}

/// The tensors of a safetensors file.
pub(super) struct Expected(BTreeMap<String, Tensor>);

impl Expected {
    pub(super) fn read(path: &Path) -> Result<Self> {
        let tensors = candle_core::safetensors::load(path, &Device::Cpu);
        Ok(Self(tensors.map_err(|e| format!("{}: {e}", path.display()))?.into_iter().collect()))
    }

    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    pub(super) fn shape(&self, name: &str) -> Result<Vec<usize>> {
        Ok(self.tensor(name)?.dims().to_vec())
    }

    pub(super) fn floats(&self, name: &str) -> Result<Vec<f32>> {
        let tensor = self.tensor(name)?;
        let values = tensor.to_dtype(DType::F32).and_then(|t| t.flatten_all()?.to_vec1::<f32>());
        values.map_err(|e| format!("{name}: {e}"))
    }

    pub(super) fn integers(&self, name: &str) -> Result<Vec<i64>> {
        let tensor = self.tensor(name)?;
        let values = tensor.to_dtype(DType::I64).and_then(|t| t.flatten_all()?.to_vec1::<i64>());
        values.map_err(|e| format!("{name}: {e}"))
    }

    fn tensor(&self, name: &str) -> Result<&Tensor> {
        self.0.get(name).ok_or_else(|| format!("{name} is missing"))
    }
}

/// The integers of a JSON array.
pub(super) fn integers(value: &Value) -> Vec<i64> {
    value.as_array().into_iter().flatten().filter_map(Value::as_i64).collect()
}

/// The non-negative integers of a JSON array.
pub(super) fn sizes(value: &Value) -> Vec<usize> {
    integers(value).into_iter().filter_map(|n| usize::try_from(n).ok()).collect()
}

/// The token ids of a JSON array.
pub(super) fn ids(value: &Value) -> Vec<u32> {
    integers(value).into_iter().filter_map(|n| u32::try_from(n).ok()).collect()
}
