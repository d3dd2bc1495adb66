//! Keys (rotated to their positions) and values of 64 tokens in all layers.

use gist_kernels::huge::Huge;
use gist_kernels::team;

use super::panel::{self, Half};
use super::rotation;
use super::{KvType, PAGE, Part, Pool};

#[derive(Debug)]
pub(crate) struct Page {
    kv_type: KvType,
    buffer: Huge<u8>,
    pool: Pool,
}

impl Page {
    /// A page to be filled. Rows hold whatever was there until they are written.
    pub(super) fn open(pool: &Pool) -> Self {
        Self::of(pool, pool.layout().kv_type.open())
    }

    /// A full page whose bytes are still to come.
    pub(super) fn full(pool: &Pool) -> Self {
        Self::of(pool, pool.layout().kv_type)
    }

    /// Bytes of one layer.
    pub(super) fn layer_bytes(&self) -> u64 {
        (self.buffer.len() / self.pool.layout().layers) as u64
    }

    /// As they lie in memory.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// To be filled by somebody who knows their order.
    pub(super) fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.buffer
    }

    fn of(pool: &Pool, kv_type: KvType) -> Self {
        Self { kv_type, buffer: pool.take(kv_type), pool: pool.clone() }
    }

    /// Whether rows can be written.
    pub(super) fn is_open(&self) -> bool {
        self.kv_type == self.pool.layout().kv_type.open()
    }

    /// Keys or values of one head in one layer.
    pub(crate) fn half(&self, layer: usize, part: Part, head: usize) -> Half<'_> {
        let layout = self.pool.layout();
        let range = layout.range(self.kv_type, layer, part, head);
        Half { numbers: layout.numbers(self.kv_type, part), bytes: &self.buffer[range] }
    }

    /// Copies one row of a head to `out` as f32; values as they were before any rotation.
    pub(crate) fn read(&self, layer: usize, part: Part, head: usize, row: usize, out: &mut [f32]) {
        let half = self.half(layer, part, head);
        out.iter_mut().enumerate().for_each(|(channel, x)| *x = half.get(row, channel));
        if part == Part::Value && self.pool.layout().kv_type.rotates() {
            rotation::rotate(out);
        }
    }

    /// Stores one token's part in an open page, `x` being `[kv_heads, head_dim]`.
    pub(super) fn write(&mut self, layer: usize, part: Part, row: usize, x: &mut [f32]) {
        let layout = self.pool.layout();
        let numbers = layout.numbers(self.kv_type, part);
        for (head, x) in x.chunks_exact_mut(layout.head_dim).enumerate() {
            if part == Part::Value && layout.kv_type.rotates() {
                rotation::rotate(x);
            }
            let bytes = &mut self.buffer[layout.range(self.kv_type, layer, part, head)];
            x.iter().enumerate().for_each(|(channel, x)| panel::set(numbers, bytes, row, channel, *x));
        }
    }

    /// The same as it is stored once full.
    pub(super) fn sealed(&self) -> Self {
        self.converted(self.pool.layout().kv_type)
    }

    /// The same with rows that can be written.
    pub(super) fn opened(&self) -> Self {
        self.converted(self.pool.layout().kv_type.open())
    }

    /// Each tile on its own, on all threads.
    fn converted(&self, kv_type: KvType) -> Self {
        let mut page = Self::of(&self.pool, kv_type);
        let layout = self.pool.layout();
        let size = layout.bytes(kv_type) / (layout.layers * layout.kv_heads);
        team::pieces(&mut page.buffer, size, |i, tile| {
            let mut rows = vec![0.0; PAGE * layout.head_dim];
            let (layer, head) = (i / layout.kv_heads, i % layout.kv_heads);
            let (keys, values) = tile.split_at_mut(layout.numbers(kv_type, Part::Key).bytes());
            for (part, bytes) in [(Part::Key, keys), (Part::Value, values)] {
                let half = self.half(layer, part, head);
                for (row, x) in rows.chunks_exact_mut(layout.head_dim).enumerate() {
                    x.iter_mut().enumerate().for_each(|(channel, x)| *x = half.get(row, channel));
                }
                panel::store(layout.numbers(kv_type, part), bytes, &rows, layout.head_dim);
            }
        });
        page
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        let mut page = Self::of(&self.pool, self.kv_type);
        page.buffer.copy_from_slice(&self.buffer);
        page
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.pool.give(self.kv_type, std::mem::take(&mut self.buffer));
    }
}
