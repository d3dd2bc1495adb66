//! Embeddings computed once: a file that grows by what it does not hold yet.
//!
//! The file is `gistemb1`, the number of values as u32, and records of a hash of the text (u64), a scale (f32) and that
//! many i8, all little-endian. A record that was cut off in the middle of writing is dropped on the next open, so work
//! that was interrupted goes on where it was. Eight bits a value move a cosine by about 0.0001.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use gist_core::boundary::Embed;

use crate::{Embedder, Error};

const MAGIC: &[u8; 8] = b"gistemb1";
/// A million lines of 384 values.
const MAX_FILE: u64 = 512 << 20;
/// No embedding has more values.
const MAX_VALUES: usize = 4096;

/// Embeddings from a file, and those it lacks from a model, if there is one.
pub struct Cache {
    path: PathBuf,
    model: Option<Embedder>,
    inner: Mutex<Inner>,
}

/// A vector in eight bits a value, and what to multiply them by.
type Small = (f32, Box<[i8]>);

struct Inner {
    /// `None` when nothing is to be added.
    file: Option<File>,
    values: usize,
    known: HashMap<u64, Small>,
}

impl std::fmt::Debug for Cache {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cache").field("path", &self.path).field("model", &self.model).finish_non_exhaustive()
    }
}

impl Cache {
    /// Opens the file, or begins it when there is a model to fill it.
    ///
    /// # Errors
    /// When it cannot be read or written, or is no such file or one of another model.
    pub fn open(path: &Path, model: Option<Embedder>) -> Result<Self, Error> {
        let io = |source| Error::Io { path: path.to_owned(), source };
        let format = |why: &str| Error::format(path, why);
        let mut file = match &model {
            Some(_) => OpenOptions::new()
                .read(true)
                .write(true)
                .create(true)
                .truncate(false)
                .open(path)
                .map_err(io)?,
            None => File::open(path).map_err(io)?,
        };
        let mut bytes = Vec::new();
        (&mut file).take(MAX_FILE + 1).read_to_end(&mut bytes).map_err(io)?;
        if bytes.len() as u64 > MAX_FILE {
            return Err(format("too large for a cache of embeddings"));
        }
        let (mut values, mut known) = (model.as_ref().map_or(0, Embedder::values), HashMap::new());
        if bytes.is_empty() && model.is_some() {
            file.write_all(MAGIC)
                .and_then(|()| file.write_all(&(values as u32).to_le_bytes()))
                .map_err(io)?;
        } else {
            let (magic, rest) =
                bytes.split_first_chunk::<8>().ok_or_else(|| format("no cache of embeddings"))?;
            let (count, records) =
                rest.split_first_chunk::<4>().ok_or_else(|| format("no cache of embeddings"))?;
            let count = u32::from_le_bytes(*count) as usize;
            if magic != MAGIC || !(1..=MAX_VALUES).contains(&count) || model.is_some() && count != values {
                return Err(format("no cache of embeddings of this model"));
            }
            values = count;
            let records = records.chunks_exact(12 + values);
            let whole = bytes.len() - records.remainder().len();
            known = records.filter_map(record).collect();
            if model.is_some() {
                file.set_len(whole as u64).map_err(io)?;
                file.seek(SeekFrom::End(0)).map_err(io)?;
            }
        }
        let file = model.as_ref().map(|_| file);
        Ok(Self { path: path.to_owned(), model, inner: Mutex::new(Inner { file, values, known }) })
    }

    /// How many embeddings there are.
    pub fn len(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).known.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The embedding of a text, from the file or computed and added to it; `None` when it is not there and there is no
    /// model.
    ///
    /// # Errors
    /// When the model fails or the file can't be written.
    pub fn get(&self, text: &str) -> Result<Option<Vec<f32>>, Error> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let key = hash(text);
        if !inner.known.contains_key(&key) {
            let Some(model) = &self.model else { return Ok(None) };
            let vector = model.embed(text)?;
            let (scale, small) = shrink(&vector);
            let mut bytes = [&key.to_le_bytes()[..], &scale.to_le_bytes()].concat();
            bytes.extend(small.iter().flat_map(|x| x.to_le_bytes()));
            if let Some(file) = &mut inner.file {
                file.write_all(&bytes).map_err(|source| Error::Io { path: self.path.clone(), source })?;
            }
            inner.known.insert(key, (scale, small));
        }
        // What was just computed is given out as it will be read, so that the second run is the same as the first.
        Ok(inner.known.get(&key).map(|(scale, small)| small.iter().map(|x| f32::from(*x) * scale).collect()))
    }

    /// How many values an embedding has.
    pub fn values(&self) -> usize {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).values
    }
}

impl Embed for Cache {
    fn embed(&self, text: &str) -> Option<Vec<f32>> {
        self.get(text).inspect_err(|why| tracing::warn!(%why, "no embedding")).ok().flatten()
    }
}

fn record(bytes: &[u8]) -> Option<(u64, Small)> {
    let (key, rest) = bytes.split_first_chunk::<8>()?;
    let (scale, small) = rest.split_first_chunk::<4>()?;
    let scale = f32::from_le_bytes(*scale);
    let sound = scale.is_finite() && scale > 0.0 && scale <= 1.0 / 127.0 + 1e-6;
    sound.then(|| (u64::from_le_bytes(*key), (scale, small.iter().map(|b| b.cast_signed()).collect())))
}

/// A vector in eight bits a value, and what to multiply them by.
fn shrink(vector: &[f32]) -> Small {
    let scale = vector.iter().fold(0.0f32, |most, x| most.max(x.abs())) / 127.0;
    (scale, vector.iter().map(|x| (x / scale).round() as i8).collect())
}

/// FNV-1a: stable over runs and machines.
fn hash(text: &str) -> u64 {
    text.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |state, byte| (state ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}
