//! A run of tokens: the pinned prompt, the memory texts, or the window.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use super::{KvType, PAGE, Page, Part, Pool};

/// Rows are counted from the first token of the first page; those before the first in view are evicted.
#[derive(Clone, Debug)]
pub(crate) struct Region {
    pool: Pool,
    pub(super) pages: VecDeque<Arc<Page>>,
    pub(super) rows: Range<usize>,
    /// Position in time of each token held. Many tokens of a picture share one.
    pub(super) times: VecDeque<i64>,
    /// Position of the next token on this region's axis; explicit, since rows come and go.
    pub(super) next: i64,
}

impl Region {
    pub(crate) fn new(pool: Pool, next: i64) -> Self {
        Self { pool, pages: VecDeque::new(), rows: 0..0, times: VecDeque::new(), next }
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

    /// Makes room for `n` tokens behind the last one. The pages written to are this region's own and open from here
    /// on; one that was sealed and cut off in its middle holds what it held, unpacked.
    pub(crate) fn reserve(&mut self, n: usize) {
        let end = self.rows.end + n;
        while self.pages.len() * PAGE < end {
            self.pages.push_back(Arc::new(Page::open(&self.pool)));
        }
        for page in self.pages.range_mut(self.rows.end / PAGE..) {
            if page.is_open() {
                Arc::make_mut(page);
            } else {
                *page = Arc::new(page.opened());
            }
        }
    }

    /// Stores keys and values, `[n, kv_heads, head_dim]`, of one layer behind the last token, where [`Self::reserve`]
    /// made room. They count only after [`Self::commit`]. What is in `x` afterwards is of no use.
    pub(crate) fn write(&mut self, layer: usize, part: Part, x: &mut [f32]) {
        let layout = self.pool.layout();
        for (i, x) in x.chunks_exact_mut(layout.kv_heads * layout.head_dim).enumerate() {
            let row = self.rows.end + i;
            Arc::make_mut(&mut self.pages[row / PAGE]).write(layer, part, row % PAGE, x);
        }
    }

    /// Counts the tokens written, which stand at `times`; `next` is where the one after them will stand. Pages that
    /// are full are sealed.
    pub(crate) fn commit(&mut self, times: impl ExactSizeIterator<Item = i64>, next: i64) {
        let before = self.rows.end;
        self.rows.end += times.len();
        self.times.extend(times);
        self.next = next;
        let layout = self.pool.layout();
        if layout.kv_type != layout.kv_type.open() {
            for page in self.pages.range_mut(before / PAGE..self.rows.end / PAGE) {
                *page = Arc::new(page.sealed());
            }
        }
    }

    /// Tokens that fit into the page that the next `n` end in, and do not fill it: until a page is full, what was added
    /// can be cut off without a trace.
    pub(crate) fn left_open(&self, n: usize) -> usize {
        PAGE - 1 - (self.rows.end + n) % PAGE
    }

    /// Adds pages that hold what the first one holds, as many as `n` tokens fill: for benches of a depth that it would
    /// take hours to reach. The first page and the last one have to be full.
    pub(crate) fn repeat(&mut self, n: usize) {
        assert!(
            self.rows.start == 0 && self.rows.end >= PAGE && self.rows.end.is_multiple_of(PAGE),
            "full pages"
        );
        for _ in 0..n / PAGE {
            self.pages.push_back(Arc::new(Page::clone(&self.pages[0])));
            self.rows.end += PAGE;
            self.times.extend((self.next..).take(PAGE));
            self.next += PAGE as i64;
        }
    }

    /// How full pages are stored.
    pub(crate) fn kv_type(&self) -> KvType {
        self.pool.layout().kv_type
    }

    /// Where the first `n` rows end, counted from the beginning of the first page.
    pub(crate) fn end(&self, n: usize) -> usize {
        self.rows.start + n
    }

    /// How many pages the first `n` rows lie in, counted from the oldest token held; `n` may run into rows written
    /// and not committed.
    pub(crate) fn pages(&self, n: usize) -> usize {
        if n == 0 { 0 } else { (self.rows.start + n).div_ceil(PAGE) }
    }

    /// A page and which of its rows are among the first `n`.
    pub(crate) fn page(&self, index: usize, n: usize) -> (&Page, Range<usize>) {
        let from = self.rows.start.saturating_sub(index * PAGE);
        let to = (self.rows.start + n - index * PAGE).min(PAGE);
        (&self.pages[index], from..to)
    }

    /// Row `row`, counted from the oldest token held, of a head, as f32.
    pub(crate) fn read(&self, layer: usize, part: Part, head: usize, row: usize, out: &mut [f32]) {
        let row = self.rows.start + row;
        self.pages[row / PAGE].read(layer, part, head, row % PAGE, out);
    }

    /// Address and bytes of the pages held.
    #[cfg(test)]
    pub(super) fn buffers(&self) -> impl Iterator<Item = (usize, u64)> + '_ {
        self.pages.iter().map(|page| (Arc::as_ptr(page).addr(), page.bytes().len() as u64))
    }

    /// A hash of every number in view, for tests of what must not change.
    pub(crate) fn digest(&self, state: &mut impl std::hash::Hasher) {
        let layout = self.pool.layout();
        let mut buffer = vec![0.0; layout.head_dim];
        for row in 0..self.len() {
            for (layer, head) in (0..layout.layers).flat_map(|l| (0..layout.kv_heads).map(move |h| (l, h))) {
                for part in [Part::Key, Part::Value] {
                    self.read(layer, part, head, row, &mut buffer);
                    buffer.iter().for_each(|x| state.write_u32(x.to_bits()));
                }
            }
        }
        self.times.iter().for_each(|time| state.write_i64(*time));
        state.write_i64(self.next);
        state.write_usize(self.len());
    }
}
