//! The header of a safetensors file: a length, then JSON that says where each tensor lies.
//!
//! Format: <https://github.com/huggingface/safetensors#format>. The crate of that name is not used for it: it buffers
//! the JSON in a form that takes up to 32 times the memory of the text.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use serde::de::{Deserialize, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::super::read_error;
use crate::error::LoadError;

/// A header may take this much; those of the family take 0.1 MB. The format allows 100 MB.
const MAX_HEADER: u64 = 16 << 20;
const MAX_DIMENSIONS: usize = 8;

/// Where a tensor lies, checked to be inside the file.
#[derive(Debug, PartialEq)]
pub(super) struct Entry {
    /// As in the file: `F32`, `BF16`, ...
    pub(super) dtype: String,
    /// Row-major.
    pub(super) shape: Vec<usize>,
    /// From the start of the file.
    pub(super) offset: u64,
    pub(super) size: u64,
}

impl Entry {
    /// Values in it; `None` when there are more than a `usize` counts.
    pub(super) fn elements(&self) -> Option<usize> {
        self.shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d))
    }
}

/// Reads the header of `file`, which is `length` bytes long.
///
/// # Errors
/// When the header is too long or damaged, and when the tensors do not fill the file without gaps and overlaps.
pub(super) fn read(path: &Path, file: &File, length: u64) -> Result<HashMap<String, Entry>, LoadError> {
    let invalid = |what: String| LoadError::Invalid { path: path.into(), what };
    let mut size = [0; 8];
    file.read_exact_at(&mut size, 0).map_err(|e| read_error(path, e, "the header"))?;
    let size = u64::from_le_bytes(size);
    if size > MAX_HEADER {
        return Err(invalid(format!("its header of {size} bytes is larger than {} MiB", MAX_HEADER >> 20)));
    }
    let start = 8 + size;
    if start > length {
        return Err(LoadError::Truncated { path: path.into(), what: "it ends within the header".into() });
    }
    let mut json = vec![0; size as usize];
    file.read_exact_at(&mut json, 8).map_err(|e| read_error(path, e, "the header"))?;
    let Table(mut entries) =
        serde_json::from_slice(&json).map_err(|e| invalid(format!("its header is wrong: {e}")))?;

    // Tensors that overlap would let a small file fill any amount of memory.
    let mut order: Vec<(&String, &mut Entry)> = entries.iter_mut().collect();
    order.sort_by_key(|(_, entry)| (entry.offset, entry.size));
    let mut end = 0;
    for (name, entry) in order {
        if entry.offset != end {
            return Err(invalid(format!("tensor {name} overlaps another, or leaves a gap")));
        }
        let expected = bytes_per_value(&entry.dtype).map(|n| entry.elements().and_then(|e| e.checked_mul(n)));
        if expected.is_some_and(|n| n.is_none_or(|n| n as u64 != entry.size)) {
            return Err(invalid(format!(
                "tensor {name} has {:?} values in {} bytes",
                entry.shape, entry.size
            )));
        }
        end = end.checked_add(entry.size).filter(|end| *end <= length - start).ok_or_else(|| {
            LoadError::Truncated { path: path.into(), what: format!("tensor {name} is missing") }
        })?;
        entry.offset += start;
    }
    if end < length - start {
        return Err(invalid(format!("{} bytes at its end belong to no tensor", length - start - end)));
    }
    Ok(entries)
}

/// Bytes of the types that are read; others are only checked to lie inside the file.
fn bytes_per_value(dtype: &str) -> Option<usize> {
    match dtype {
        "F32" => Some(4),
        "F16" | "BF16" => Some(2),
        _ => None,
    }
}

struct Table(HashMap<String, Entry>);

impl<'de> Deserialize<'de> for Table {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Tensors;
        impl<'de> Visitor<'de> for Tensors {
            type Value = Table;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("tensors by name")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Table, A::Error> {
                let mut entries = HashMap::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        map.next_value::<IgnoredAny>()?;
                        continue;
                    }
                    let raw: RawEntry = map.next_value()?;
                    let [from, to] = raw.data_offsets;
                    let size = to.checked_sub(from);
                    let size = size.ok_or_else(|| A::Error::custom(format!("tensor {name} ends early")))?;
                    let entry = Entry { dtype: raw.dtype, shape: raw.shape.0, offset: from, size };
                    if entries.insert(name, entry).is_some() {
                        return Err(A::Error::custom("a tensor is there twice"));
                    }
                }
                Ok(Table(entries))
            }
        }
        deserializer.deserialize_map(Tensors)
    }
}

#[derive(serde::Deserialize)]
struct RawEntry {
    dtype: String,
    shape: Shape,
    data_offsets: [u64; 2],
}

struct Shape(Vec<usize>);

impl<'de> Deserialize<'de> for Shape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Dimensions;
        impl<'de> Visitor<'de> for Dimensions {
            type Value = Shape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "at most {MAX_DIMENSIONS} dimensions")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Shape, A::Error> {
                let mut shape = Vec::new();
                while let Some(n) = seq.next_element()? {
                    if shape.len() == MAX_DIMENSIONS {
                        return Err(A::Error::custom(format!("more than {MAX_DIMENSIONS} dimensions")));
                    }
                    shape.push(n);
                }
                Ok(Shape(shape))
            }
        }
        deserializer.deserialize_seq(Dimensions)
    }
}
