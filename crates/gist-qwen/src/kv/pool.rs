//! Buffers of pages: what is freed is used again, so that the memory of a context is flat. Those that are kept lie one
//! behind the other on large pages of memory, see [`gist_kernels::huge`].

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

use gist_kernels::huge::{Arena, Huge};

use super::{KvType, Layout};

/// The buffers of a context and its forks.
#[derive(Clone, Debug)]
pub struct Pool(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    layout: Layout,
    free: Mutex<Free>,
    held: AtomicU64,
}

#[derive(Debug)]
struct Free {
    /// Of full pages, and of pages being filled.
    buffers: [Vec<Huge<u8>>; 2],
    /// Room for all that are kept; `None` where the system has none, then none are.
    arena: Option<Arena>,
}

/// Pages being filled of which buffers are kept: three regions of a context, three of a fork, and two to change.
const OPEN: usize = 8;

impl Pool {
    /// Keeps buffers for up to `pages` full pages. They take memory when they are first needed; a fork that makes it
    /// more gives back to the system what is above.
    pub fn new(layout: Layout, pages: usize) -> Self {
        let kept = pages * layout.bytes(layout.kv_type) + OPEN * layout.bytes(layout.kv_type.open());
        let free = Free { buffers: Default::default(), arena: Arena::new(kept) };
        Self(Arc::new(Shared { layout, free: free.into(), held: AtomicU64::new(0) }))
    }

    /// Bytes of the pages held now.
    pub fn bytes(&self) -> u64 {
        self.0.held.load(Ordering::Relaxed)
    }

    pub(crate) fn layout(&self) -> Layout {
        self.0.layout
    }

    /// A buffer for a page of `kv_type`, with whatever was in it.
    pub(super) fn take(&self, kv_type: KvType) -> Huge<u8> {
        let bytes = self.0.layout.bytes(kv_type);
        self.0.held.fetch_add(bytes as u64, Ordering::Relaxed);
        let Free { buffers, arena } = &mut *self.0.free.lock();
        let free = buffers[self.shelf(kv_type)].pop();
        free.or_else(|| arena.as_mut()?.zeros(bytes)).unwrap_or_else(|| Huge::zeros(bytes))
    }

    /// Takes a buffer of a page of `kv_type` back.
    pub(super) fn give(&self, kv_type: KvType, buffer: Huge<u8>) {
        self.0.held.fetch_sub(buffer.len() as u64, Ordering::Relaxed);
        let Free { buffers, arena } = &mut *self.0.free.lock();
        if arena.as_ref().is_some_and(|arena| arena.holds(&buffer)) {
            buffers[self.shelf(kv_type)].push(buffer);
        }
    }

    fn shelf(&self, kv_type: KvType) -> usize {
        usize::from(kv_type != self.0.layout.kv_type)
    }
}
