//! The CTranslate2 layout, `model.bin`: what every faster-whisper model is.
//!
//! Little-endian: u32 version, string specification, u32 revision, u32 count, and then for each variable its name, u8
//! rank, u32 dimensions, u8 type, u32 byte length and bytes. A string is a u16 length and bytes with a final NUL.
//! Aliases follow; they only ever name the tied output projection, which is not read twice here.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use half::f16;

use super::{Array, Data, values};
use crate::Error;

struct Reader<'a> {
    path: &'a Path,
    file: BufReader<File>,
    /// Bytes of the file not yet read: no length field may claim more.
    left: u64,
}

impl Reader<'_> {
    fn bytes(&mut self, n: u64) -> Result<Vec<u8>, Error> {
        if n > self.left {
            return Err(Error::format(self.path, "the file is truncated or not a CTranslate2 model"));
        }
        self.left -= n;
        let mut bytes = vec![0; n as usize];
        self.file.read_exact(&mut bytes).map_err(|e| Error::io(self.path, e))?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.bytes(N as u64)?);
        Ok(bytes)
    }

    fn u32(&mut self) -> Result<u32, Error> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn string(&mut self) -> Result<String, Error> {
        let n = u16::from_le_bytes(self.array()?);
        let mut bytes = self.bytes(n.into())?;
        if bytes.last() == Some(&0) {
            bytes.pop();
        }
        String::from_utf8(bytes).map_err(|_| Error::format(self.path, "not a CTranslate2 model"))
    }
}

pub(super) fn read(path: &Path) -> Result<HashMap<String, Array>, Error> {
    let file = File::open(path).map_err(|e| Error::io(path, e))?;
    let left = file.metadata().map_err(|e| Error::io(path, e))?.len();
    let mut reader = Reader { path, file: BufReader::new(file), left };
    let version = reader.u32()?;
    if !(2..=6).contains(&version) {
        let reason = format!("not a CTranslate2 model of a known version (found {version}, know 2 to 6)");
        return Err(Error::format(path, reason));
    }
    let specification = reader.string()?;
    if specification != "WhisperSpec" {
        return Err(Error::format(path, format!("not a Whisper model but a {specification:?}")));
    }
    let _revision = reader.u32()?;
    let count = reader.u32()?;
    let mut arrays = HashMap::new();
    for _ in 0..count {
        let name = reader.string()?;
        let [rank] = reader.array()?;
        let shape: Vec<usize> =
            (0..rank).map(|_| Ok(reader.u32()? as usize)).collect::<Result<_, Error>>()?;
        let [kind] = reader.array()?;
        let length = reader.u32()?;
        let bytes = reader.bytes(length.into())?;
        let data = match kind {
            0 => values(&bytes, f32::from_le_bytes).map(Data::F32),
            4 => values(&bytes, f16::from_le_bytes).map(Data::F16),
            // Integers without a dimension are settings (heads, activation) that every Whisper has alike.
            1..=3 if shape.is_empty() || name.contains("alignment") => continue,
            1..=3 => {
                let reason = "the weights are quantised to integers; convert the model as float16 or float32";
                return Err(Error::format(path, reason));
            }
            _ => return Err(Error::format(path, format!("{name} is of the unknown type {kind}"))),
        };
        let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let stored = data.as_ref().map(|data| match data {
            Data::F32(v) => v.len(),
            Data::F16(v) => v.len(),
        });
        match data {
            Some(data) if elements == stored => arrays.insert(name, Array { shape, data }),
            _ => {
                return Err(Error::format(
                    path,
                    format!("{name}: the size does not match the shape {shape:?}"),
                ));
            }
        };
    }
    Ok(arrays)
}
