//! The header of a GGUF file, value by value, never trusting a count.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use candle_core::quantized::GgmlDType;

use super::{MAX_HEADER, TensorInfo, Value, read_error};
use crate::error::LoadError;

const MAX_STRING: u64 = 1 << 20;
const MAX_ELEMENTS: u64 = 1 << 20;

/// Reads little-endian values and keeps count of what is left of the file.
pub(super) struct Header<'a> {
    path: &'a Path,
    reader: BufReader<&'a File>,
    left: u64,
    /// Bytes read.
    pub(super) position: u64,
    whole_file: bool,
}

impl<'a> Header<'a> {
    /// Reads `file`, which is `length` bytes long.
    pub(super) fn new(path: &'a Path, file: &'a File, length: u64) -> Self {
        Self {
            path,
            reader: BufReader::with_capacity(1 << 16, file),
            left: length.min(MAX_HEADER),
            position: 0,
            whole_file: length <= MAX_HEADER,
        }
    }

    pub(super) fn invalid(&self, what: impl Into<String>) -> LoadError {
        LoadError::Invalid { path: self.path.into(), what: what.into() }
    }

    /// Fails unless `n` more bytes can follow.
    fn expect(&self, n: u64, what: &str) -> Result<(), LoadError> {
        if n <= self.left {
            Ok(())
        } else if self.whole_file {
            Err(LoadError::Truncated { path: self.path.into(), what: format!("it ends within {what}") })
        } else {
            Err(self.invalid(format!("the header is larger than {} MiB", MAX_HEADER >> 20)))
        }
    }

    pub(super) fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], LoadError> {
        let mut buffer = [0; N];
        self.fill(&mut buffer, what)?;
        Ok(buffer)
    }

    fn fill(&mut self, buffer: &mut [u8], what: &str) -> Result<(), LoadError> {
        let n = buffer.len() as u64;
        self.expect(n, what)?;
        self.reader.read_exact(buffer).map_err(|e| read_error(self.path, e, what))?;
        self.left -= n;
        self.position += n;
        Ok(())
    }

    pub(super) fn u32(&mut self, what: &str) -> Result<u32, LoadError> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    fn u64(&mut self, what: &str) -> Result<u64, LoadError> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    /// A count of things of which each takes at least `size` bytes.
    pub(super) fn count(&mut self, size: u64, max: u64, what: &str) -> Result<u64, LoadError> {
        let n = self.u64(what)?;
        if n > max {
            return Err(self.invalid(format!("{n} {what}, more than {max}")));
        }
        self.expect(n * size, what)?;
        Ok(n)
    }

    pub(super) fn string(&mut self, what: &str) -> Result<String, LoadError> {
        let n = self.count(1, MAX_STRING, what)?;
        let mut buffer = vec![0; n as usize];
        self.fill(&mut buffer, what)?;
        Ok(String::from_utf8(buffer).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned()))
    }

    pub(super) fn value(&mut self, kind: u32) -> Result<Value, LoadError> {
        const WHAT: &str = "the metadata";
        Ok(match kind {
            0 => Value::Int(u8::from_le_bytes(self.bytes(WHAT)?).into()),
            1 => Value::Int(i8::from_le_bytes(self.bytes(WHAT)?).into()),
            2 => Value::Int(u16::from_le_bytes(self.bytes(WHAT)?).into()),
            3 => Value::Int(i16::from_le_bytes(self.bytes(WHAT)?).into()),
            4 => Value::Int(self.u32(WHAT)?.into()),
            5 => Value::Int(i32::from_le_bytes(self.bytes(WHAT)?).into()),
            6 => Value::Float(f32::from_le_bytes(self.bytes(WHAT)?).into()),
            7 => Value::Int(i64::from(self.bytes::<1>(WHAT)?[0] != 0)),
            8 => Value::String(self.string(WHAT)?),
            9 => return self.array(),
            // A count beyond i64 is not a count.
            10 => i64::try_from(self.u64(WHAT)?).map_or(Value::Other, Value::Int),
            11 => Value::Int(i64::from_le_bytes(self.bytes(WHAT)?)),
            12 => Value::Float(f64::from_le_bytes(self.bytes(WHAT)?)),
            _ => return Err(self.invalid(format!("metadata of unknown type {kind}"))),
        })
    }

    fn array(&mut self) -> Result<Value, LoadError> {
        let kind = self.u32("an array")?;
        let size = match kind {
            0 | 1 | 7 => 1,
            2 | 3 => 2,
            4..=6 => 4,
            8 | 10..=12 => 8,
            _ => return Err(self.invalid(format!("an array of type {kind}"))),
        };
        let n = self.count(size, MAX_ELEMENTS, "array elements")?;
        if kind == 8 {
            return (0..n)
                .map(|_| self.string("a string array"))
                .collect::<Result<_, _>>()
                .map(Value::Strings);
        }
        let (mut ints, mut floats) = (Vec::new(), Vec::new());
        for _ in 0..n {
            match self.value(kind)? {
                Value::Int(i) => ints.push(i),
                Value::Float(x) => floats.push(x),
                _ => (),
            }
        }
        Ok(match n as usize {
            n if n == ints.len() => Value::Ints(ints),
            n if n == floats.len() => Value::Floats(floats),
            _ => Value::Other,
        })
    }

    pub(super) fn tensor(&mut self) -> Result<(String, TensorInfo), LoadError> {
        const WHAT: &str = "the tensor table";
        let name = self.string(WHAT)?;
        let rank = self.u32(WHAT)?;
        if !(1..=4).contains(&rank) {
            return Err(self.invalid(format!("tensor {name} has {rank} dimensions")));
        }
        let mut shape = Vec::new();
        for _ in 0..rank {
            let n = self.u64(WHAT)?;
            shape.push(usize::try_from(n).map_err(|_| self.invalid(format!("tensor {name} is too large")))?);
        }
        let code = self.u32(WHAT)?;
        let Some(dtype) = dtype(code) else {
            return Err(self.invalid(format!("tensor {name} has type {code}, which is not supported")));
        };
        let offset = self.u64(WHAT)?;
        let row = shape[0];
        let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d)).filter(|n| *n > 0);
        let size = elements
            .filter(|_| row.is_multiple_of(dtype.block_size()))
            .and_then(|n| (n / dtype.block_size()).checked_mul(dtype.type_size()));
        let Some(size) = size else {
            return Err(self.invalid(format!("tensor {name} has the impossible shape {shape:?}")));
        };
        shape.reverse();
        Ok((name, TensorInfo { dtype, shape, offset, size: size as u64 }))
    }
}

/// The types candle computes with, by their number in the file.
fn dtype(code: u32) -> Option<GgmlDType> {
    use GgmlDType::{BF16, F16, F32, Q2K, Q3K, Q4_0, Q4_1, Q4K, Q5_0, Q5_1, Q5K, Q6K, Q8_0};
    Some(match code {
        0 => F32,
        1 => F16,
        2 => Q4_0,
        3 => Q4_1,
        6 => Q5_0,
        7 => Q5_1,
        8 => Q8_0,
        10 => Q2K,
        11 => Q3K,
        12 => Q4K,
        13 => Q5K,
        14 => Q6K,
        30 => BF16,
        _ => return None,
    })
}
