//! A rolling context in a file: `GISTCTX1`, the length of a JSON header, the header, the pages, a SHA-256 of all that.
//!
//! It belongs to one model: what the header says of that, of the version and of every size is checked before a page is
//! read, and a file that was cut off or changed is refused.

use std::io::{self, Read, Write};

use gist_core::model::{ModelError, SegmentId};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::decoder::CHUNK;
use crate::kv::{Cache, Layout, PAGE, Pool, Region, Saved, SinkPositions};
use crate::rolling::{RollingContext, SCRATCH_TOKENS};

/// The last digit is the version: pages of another one lie otherwise.
const MAGIC: &[u8; 8] = b"GISTCTX1";
/// No count and no position comes to so much: a token a nanosecond for three months.
const MOST: u64 = 1 << 53;
/// A header of a context of a million tokens, each a segment of its own, takes less.
const MAX_HEADER: u64 = 64 << 20;

#[derive(Serialize, Deserialize)]
struct Header {
    model: String,
    kv_type: String,
    layers: usize,
    kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    memory_length: usize,
    window: Vec<usize>,
    memory: Vec<usize>,
    next_id: SegmentId,
    appended: u64,
    evicted: u64,
    regions: [Saved; 3],
    /// What the owner wants to keep with it.
    note: Value,
}

/// Hashes what passes.
struct Hashing<T> {
    inner: T,
    hash: Sha256,
}

impl<T: Write> Write for Hashing<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<T: Read> Read for Hashing<T> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(bytes)?;
        self.hash.update(&bytes[..n]);
        Ok(n)
    }
}

impl RollingContext {
    /// Writes everything that is encoded, and `note` with it; `model` tells the model it belongs to.
    pub(crate) fn save(&self, model: &str, note: &Value, to: &mut dyn Write) -> io::Result<()> {
        let Layout { layers, kv_heads, head_dim, kv_type } = self.pool.layout();
        let header = Header {
            model: model.to_owned(),
            kv_type: kv_type.to_string(),
            layers,
            kv_heads,
            head_dim,
            capacity: self.capacity,
            memory_length: self.memory_length,
            window: self.window.iter().copied().collect(),
            memory: self.memory.iter().copied().collect(),
            next_id: self.next_id,
            appended: self.appended,
            evicted: self.evicted,
            regions: self.cache.regions().each_ref().map(Region::describe),
            note: note.clone(),
        };
        let header = serde_json::to_vec(&header)?;
        let mut to = Hashing { inner: to, hash: Sha256::new() };
        to.write_all(MAGIC)?;
        to.write_all(&(header.len() as u64).to_le_bytes())?;
        to.write_all(&header)?;
        self.cache.regions().iter().try_for_each(|region| region.save(&mut to))?;
        let sum = to.hash.finalize();
        to.inner.write_all(&sum)?;
        to.inner.flush()
    }

    /// Reads what [`RollingContext::save`] wrote for the same model, and the note.
    ///
    /// # Errors
    /// A sentence: it is no saved context, or of another model, version or type, or damaged, or larger than the model.
    pub(crate) fn restore(
        model: &str,
        layout: Layout,
        most: usize,
        from: &mut dyn Read,
    ) -> Result<(Self, Value), ModelError> {
        let refused = |why: String| ModelError::Backend(format!("the saved context cannot be used: {why}"));
        let io = |e: io::Error| {
            refused(match e.kind() {
                io::ErrorKind::UnexpectedEof => "it is cut off".into(),
                _ => e.to_string(),
            })
        };
        let mut from = Hashing { inner: from, hash: Sha256::new() };
        let mut start = [0; 16];
        from.read_exact(&mut start).map_err(io)?;
        let (magic, length) = start.split_at(8);
        if magic != MAGIC {
            let ours = magic.starts_with(&MAGIC[..7]);
            let why = if ours { "it was written by another version" } else { "it is none" };
            return Err(refused(why.into()));
        }
        let length = u64::from_le_bytes(length.try_into().unwrap_or_default());
        if length > MAX_HEADER {
            return Err(refused("it is damaged".into()));
        }
        let mut header = Vec::new();
        (&mut from).take(length).read_to_end(&mut header).map_err(io)?;
        let header: Header = serde_json::from_slice(&header).map_err(|_| refused("it is damaged".into()))?;
        header.check(model, layout, most).map_err(refused)?;
        let Header {
            capacity, memory_length, window, memory, next_id, appended, evicted, regions, note, ..
        } = header;
        let pool = Pool::new(layout, (capacity + SCRATCH_TOKENS).div_ceil(PAGE));
        let mut read = |saved| Region::restore(saved, capacity, &pool, &mut from).map_err(io);
        let [pinned, texts, segments] = &regions;
        let regions = [read(pinned)?, read(texts)?, read(segments)?];
        let sums = [memory.iter().sum::<usize>(), window.iter().sum()];
        let sum = from.hash.finalize();
        let mut written = [0; 32];
        from.inner.read_exact(&mut written).map_err(io)?;
        let held: usize = regions.iter().map(Region::len).sum();
        let room = regions[0].len() + memory_length + CHUNK;
        if sum[..] != written
            || [regions[1].len(), regions[2].len()] != sums
            || held > capacity
            || room > capacity
        {
            return Err(refused("it is damaged".into()));
        }
        let cache = Cache::restored(regions, SinkPositions::Moving);
        let said = vec![Vec::new(); window.len()].into();
        let (window, memory) = (window.into(), memory.into());
        let context = Self {
            cache,
            pool,
            capacity,
            memory_length,
            window,
            said,
            memory,
            next_id,
            appended,
            evicted,
            budget: None,
            log: None,
            held: None,
        };
        Ok((context, note))
    }
}

impl Header {
    /// Whether it is of this model and could be right.
    fn check(&self, model: &str, layout: Layout, most: usize) -> Result<(), String> {
        let Layout { layers, kv_heads, head_dim, kv_type } = layout;
        if self.model != model || (self.layers, self.kv_heads, self.head_dim) != (layers, kv_heads, head_dim)
        {
            return Err("it belongs to another model".into());
        }
        if self.kv_type != kv_type.to_string() {
            return Err(format!("it is stored as {}, not {kv_type}: set kv-type to that", self.kv_type));
        }
        if self.capacity > most {
            return Err(format!("it holds {} tokens, the model takes {most}", self.capacity));
        }
        // Numbers that no stream reaches could only overflow.
        if self.next_id >= MOST || self.appended >= MOST || self.evicted >= MOST {
            return Err("it is damaged".into());
        }
        let sum = |lengths: &[usize]| lengths.iter().try_fold(0usize, |sum, n| sum.checked_add(*n));
        let fits = |lengths, room| sum(lengths).is_some_and(|n| n <= room);
        if self.memory_length.saturating_add(CHUNK) > self.capacity
            || !fits(&self.window, self.capacity)
            || !fits(&self.memory, self.memory_length)
            || (self.window.len() as u64) > self.next_id
        {
            return Err("it is damaged".into());
        }
        Ok(())
    }
}
