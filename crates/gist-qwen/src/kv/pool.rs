//! Buffers of pages: what is freed is used again, so that the memory of a context is flat.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use super::{KvType, Layout};

/// The buffers of a context and its forks.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    layout: Layout,
    /// Free buffers that are kept: of full pages, and of pages being filled.
    keep: [usize; 2],
    free: Mutex<[Vec<Vec<u8>>; 2]>,
    held: AtomicU64,
}

/// Pages being filled of which buffers are kept: three regions of a context, three of a fork, and two to change.
const OPEN: usize = 8;

impl Pool {
    /// Keeps buffers for up to `pages` full pages. They are allocated when they are first needed; a fork that makes
    /// it more gives back to the system what is above.
    pub fn new(layout: Layout, pages: usize) -> Self {
        let keep = if layout.kv_type == layout.kv_type.open() { [pages + OPEN, 0] } else { [pages, OPEN] };
        Self(Arc::new(Shared { layout, keep, free: Mutex::default(), held: AtomicU64::new(0) }))
    }

    /// Bytes of the pages held now.
    pub fn bytes(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.0.layout
    }

    /// A buffer for a page of `kv_type`, with whatever was in it.
    pub(super) fn take(&self, kv_type: KvType) -> Vec<u8> {
        let bytes = self.0.layout.bytes(kv_type);
        self.0.held.fetch_add(bytes as u64, Ordering::Relaxed);
        let free = self.0.free.lock()[self.shelf(kv_type)].pop();
        free.unwrap_or_else(|| vec![0; bytes])
    }

    /// Takes a buffer of a page of `kv_type` back.
    pub(super) fn give(&self, kv_type: KvType, buffer: Vec<u8>) {
        self.0.held.fetch_sub(buffer.len() as u64, Ordering::Relaxed);
        let shelf = self.shelf(kv_type);
        let free = &mut self.0.free.lock()[shelf];
        if free.len() < self.0.keep[shelf] {
            free.push(buffer);
        }
    }

    fn shelf(&self, kv_type: KvType) -> usize {
        usize::from(kv_type != self.0.layout.kv_type)
    }
}
