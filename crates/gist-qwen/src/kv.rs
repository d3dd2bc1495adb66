//! Keys and values in pages of 64 tokens, shared by reference count: a fork is a clone of the page lists, and a page
//! is copied only when one of its holders writes to it.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::config::Config;
use half::f16;
use half::slice::HalfFloatSliceExt;

/// Tokens in a page.
pub const PAGE: usize = 64;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// Half precision.
    #[default]
    F16,
    /// Full precision, for tests of exactness.
    F32,
}

impl std::fmt::Display for KvType {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::F16 => "f16",
            Self::F32 => "f32",
        })
    }
}

/// The shape of a page: `[layer][key or value][kv head][token][head_dim]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Decoder layers.
    pub layers: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// How numbers are stored.
    pub kv_type: KvType,
}

/// Which half of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Key = 0,
    Value = 1,
}

impl Layout {
    /// The pages of a model.
    pub(crate) fn of(config: &Config, kv_type: KvType) -> Self {
        let Config { layers, kv_heads, head_dim, .. } = *config;
        Self { layers, kv_heads, head_dim, kv_type }
    }

    /// Bytes of one page.
    pub fn page_bytes(&self) -> u64 {
        let width = match self.kv_type {
            KvType::F16 => 2,
            KvType::F32 => 4,
        };
        (self.elements() * width) as u64
    }

    fn elements(&self) -> usize {
        self.layers * 2 * self.kv_heads * PAGE * self.head_dim
    }

    fn offset(&self, layer: usize, part: Part, head: usize, row: usize) -> usize {
        (((layer * 2 + part as usize) * self.kv_heads + head) * PAGE + row) * self.head_dim
    }
}

/// Counts the bytes of all pages of a context and its forks.
#[derive(Clone, Debug, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    /// Bytes held now.
    pub fn bytes(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[derive(Clone, Debug)]
enum Rows {
    F16(Vec<f16>),
    F32(Vec<f32>),
}

/// Keys (rotated) and values of 64 tokens in all layers.
#[derive(Debug)]
pub(crate) struct Page {
    rows: Rows,
    layout: Layout,
    counter: Counter,
}

impl Page {
    fn new(layout: Layout, counter: Counter) -> Self {
        let rows = match layout.kv_type {
            KvType::F16 => Rows::F16(vec![f16::ZERO; layout.elements()]),
            KvType::F32 => Rows::F32(vec![0.0; layout.elements()]),
        };
        counter.0.fetch_add(layout.page_bytes(), Ordering::Relaxed);
        Self { rows, layout, counter }
    }

    /// Copies rows of one head to `out`, `[rows, head_dim]`, as f32.
    pub(crate) fn read(&self, layer: usize, part: Part, head: usize, rows: Range<usize>, out: &mut [f32]) {
        let from = self.layout.offset(layer, part, head, rows.start);
        let range = from..from + rows.len() * self.layout.head_dim;
        match &self.rows {
            Rows::F16(values) => values[range].convert_to_f32_slice(out),
            Rows::F32(values) => out.copy_from_slice(&values[range]),
        }
    }

    /// Stores one token's part, `x` being `[kv_heads, head_dim]`.
    fn write(&mut self, layer: usize, part: Part, row: usize, x: &[f32]) {
        for (head, x) in x.chunks_exact(self.layout.head_dim).enumerate() {
            let from = self.layout.offset(layer, part, head, row);
            let range = from..from + x.len();
            match &mut self.rows {
                Rows::F16(values) => values[range].convert_from_f32_slice(x),
                Rows::F32(values) => values[range].copy_from_slice(x),
            }
        }
    }
}

impl Clone for Page {
    fn clone(&self) -> Self {
        self.counter.0.fetch_add(self.layout.page_bytes(), Ordering::Relaxed);
        Self { rows: self.rows.clone(), layout: self.layout, counter: self.counter.clone() }
    }
}

impl Drop for Page {
    fn drop(&mut self) {
        self.counter.0.fetch_sub(self.layout.page_bytes(), Ordering::Relaxed);
    }
}

/// A run of tokens: the pinned prompt, the memory texts, or the window.
///
/// Rows are counted from the first token of the first page; those before `start` are evicted or out of view.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    layout: Layout,
    counter: Counter,
    pages: VecDeque<Arc<Page>>,
    rows: Range<usize>,
    /// Position in time of each token held. Many tokens of a picture share one.
    times: VecDeque<i64>,
    /// Position of the next token on this region's axis; explicit, since rows come and go.
    next: i64,
}

impl Region {
    pub(crate) fn new(layout: Layout, counter: Counter, next: i64) -> Self {
        Self { layout, counter, pages: VecDeque::new(), rows: 0..0, times: VecDeque::new(), next }
    }

    pub(crate) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Where the tokens held stand: from the position of the oldest to that of the next one.
    pub(crate) fn positions(&self) -> Range<i64> {
        self.times.front().copied().unwrap_or(self.next)..self.next
    }

    /// Lets the oldest `n` tokens go.
    pub(crate) fn drop_front(&mut self, n: usize) {
        let n = n.min(self.len());
        self.rows.start += n;
        self.times.drain(..n);
        while self.rows.start >= PAGE || (self.is_empty() && !self.pages.is_empty()) {
            self.pages.pop_front();
            self.rows.start = self.rows.start.saturating_sub(PAGE);
            self.rows.end = self.rows.end.saturating_sub(PAGE);
        }
    }

    /// Lets all but the oldest `n` tokens go; the next token takes the place of the first one cut off.
    pub(crate) fn truncate(&mut self, n: usize) {
        let cut = self.len().saturating_sub(n);
        self.rows.end -= cut;
        if let Some(time) = self.times.get(n) {
            self.next = *time;
        }
        self.times.truncate(n);
        self.pages.truncate(self.rows.end.div_ceil(PAGE));
    }

    /// Lets all tokens go and starts over at position `next`.
    pub(crate) fn clear(&mut self, next: i64) {
        self.pages.clear();
        self.rows = 0..0;
        self.times.clear();
        self.next = next;
    }

    /// Makes room for `n` tokens behind the last one. The pages written to are this region's own from here on.
    pub(crate) fn reserve(&mut self, n: usize) {
        let end = self.rows.end + n;
        while self.pages.len() * PAGE < end {
            self.pages.push_back(Arc::new(Page::new(self.layout, self.counter.clone())));
        }
        for page in self.pages.range_mut(self.rows.end / PAGE..) {
            Arc::make_mut(page);
        }
    }

    /// Stores keys and values, `[n, kv_heads, head_dim]`, of one layer behind the last token, where [`Self::reserve`]
    /// made room. They count only after [`Self::commit`].
    pub(crate) fn write(&mut self, layer: usize, part: Part, x: &[f32]) {
        let width = self.layout.kv_heads * self.layout.head_dim;
        for (i, x) in x.chunks_exact(width).enumerate() {
            let row = self.rows.end + i;
            Arc::make_mut(&mut self.pages[row / PAGE]).write(layer, part, row % PAGE, x);
        }
    }

    /// Counts the tokens written, which stand at `times`; `next` is where the one after them will stand.
    pub(crate) fn commit(&mut self, times: impl ExactSizeIterator<Item = i64>, next: i64) {
        self.rows.end += times.len();
        self.times.extend(times);
        self.next = next;
    }

    /// Calls `f` with each page and the rows in it, for rows `range` counted from the oldest token held; `range` may
    /// run into rows written and not committed.
    pub(crate) fn for_pages(&self, range: Range<usize>, mut f: impl FnMut(&Page, Range<usize>)) {
        let (mut row, end) = (self.rows.start + range.start, self.rows.start + range.end);
        while row < end {
            let page = row / PAGE;
            let stop = end.min((page + 1) * PAGE);
            f(&self.pages[page], row % PAGE..stop - page * PAGE);
            row = stop;
        }
    }

    /// A hash of every byte in view, for tests of what must not change.
    pub(crate) fn digest(&self, state: &mut impl std::hash::Hasher) {
        let width = self.layout.head_dim;
        let mut buffer = vec![0.0; PAGE * width];
        self.for_pages(0..self.len(), |page, rows| {
            for layer in 0..self.layout.layers {
                for head in 0..self.layout.kv_heads {
                    for part in [Part::Key, Part::Value] {
                        let out = &mut buffer[..rows.len() * width];
                        page.read(layer, part, head, rows.clone(), out);
                        out.iter().for_each(|x| state.write_u32(x.to_bits()));
                    }
                }
            }
        });
        self.times.iter().for_each(|time| state.write_i64(*time));
        state.write_i64(self.next);
        state.write_usize(self.len());
    }
}

/// Which region new tokens go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Pinned = 0,
    Memory = 1,
    Window = 2,
}

/// Where the pinned prompt and the memory stand once something of the window was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkPositions {
    /// Right before the window, whose positions grow for ever ("moving sinks").
    #[default]
    Moving,
    /// Where they were, with a gap that grows: what masked full attention over everything comes to.
    Keep,
}

/// All that is encoded of one stream, or of a fork of it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    regions: [Region; 3],
    sinks: SinkPositions,
}

/// A region as new tokens see it.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) region: &'a Region,
    /// Added to the region's own positions so that it ends where the next one begins.
    pub(crate) shift: i64,
    /// The new tokens are in this region and see each other causally.
    pub(crate) last: bool,
}

impl Cache {
    pub(crate) fn new(layout: Layout, counter: Counter, sinks: SinkPositions) -> Self {
        let region = || Region::new(layout, counter.clone(), 0);
        Self { regions: [region(), region(), region()], sinks }
    }

    pub(crate) fn region(&self, target: Target) -> &Region {
        &self.regions[target as usize]
    }

    pub(crate) fn region_mut(&mut self, target: Target) -> &mut Region {
        &mut self.regions[target as usize]
    }

    /// What new tokens of `target` see: its own region and those before it, moved up to stand in one line without
    /// gaps ("moving sinks"). Keys are never touched; a query is rotated by `-shift` for a region instead, which comes
    /// to the same score since only distances count. Nothing evicted and nothing in memory: every shift is 0.
    pub(crate) fn sections(&self, target: Target) -> Vec<Section<'_>> {
        let own = self.region(target);
        let mut sections = vec![Section { region: own, shift: 0, last: true }];
        let mut front = own.positions().start;
        for region in self.regions[..target as usize].iter().rev().filter(|r| !r.is_empty()) {
            let positions = region.positions();
            let shift = match self.sinks {
                SinkPositions::Moving => front - positions.end,
                SinkPositions::Keep => 0,
            };
            front = positions.start + shift;
            sections.push(Section { region, shift, last: false });
        }
        sections.reverse();
        sections
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut state = std::hash::DefaultHasher::new();
        self.regions.iter().for_each(|r| r.digest(&mut state));
        std::hash::Hasher::finish(&state)
    }
}
