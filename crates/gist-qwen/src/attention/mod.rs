//! Attention over pages with an online softmax: memory is bounded by one block of keys a thread, however long the
//! context is.
//!
//! The pages that are seen are cut into parts, and each part of each key head is a task: it reads its pages once for
//! all queries that share them and leaves weighted sums of values with their maximum and sum of weights, which are
//! merged exactly in the end. [`few`] is for the rows of an answer: it multiplies packed numbers as they are. [`chunk`]
//! is for many rows: it unpacks a block of keys and values and multiplies matrices. [`sparse`] chooses pages for an answer that may not read all.

mod chunk;
mod few;
mod sparse;
#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::ops::Range;

use crate::kv::{Section, rotation};
use gist_kernels::kv::{self, Arch, LANES};
use gist_kernels::math;
use gist_kernels::team;
pub(crate) use sparse::recall;

/// Rows up to which packed numbers are multiplied as they are.
const FEW: usize = 4;
/// Tasks for each thread: so many that threads finish together, though some may be held up.
const TASKS: usize = 4;
/// The fewest pages of a task of few rows (about 10 µs of work).
const FEW_PAGES: usize = 8;

/// The queries of one chunk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Queries<'a> {
    /// For each section the queries as rotated for it, `[rows, heads, head_dim]`.
    pub(crate) rotated: &'a [&'a [f32]],
    pub(crate) rows: usize,
    pub(crate) heads: usize,
    pub(crate) kv_heads: usize,
    pub(crate) head_dim: usize,
}

impl Queries<'_> {
    /// Query heads per key head.
    fn group(&self) -> usize {
        self.heads / self.kv_heads
    }

    /// A head's width in whole vectors.
    fn width(&self) -> usize {
        self.head_dim.next_multiple_of(LANES)
    }
}

/// A part of the pages that one key head sees.
#[derive(Clone, Copy, Debug)]
struct Job<'a> {
    layer: usize,
    sections: &'a [Section<'a>],
    queries: Queries<'a>,
    head: usize,
    /// Counted over all sections.
    from: usize,
    to: usize,
    /// `None` for all.
    chosen: Option<&'a [bool]>,
}

/// Pages of one section.
struct Piece<'a> {
    section: &'a Section<'a>,
    /// The queries as rotated for it.
    rotated: &'a [f32],
    pages: Range<usize>,
    /// Those of its pages that are read; `None` for all.
    chosen: Option<&'a [bool]>,
    /// Rows of the section that the last query sees.
    total: usize,
}

impl<'a> Job<'a> {
    fn pieces(self) -> impl Iterator<Item = Piece<'a>> {
        let mut first = 0;
        self.sections.iter().zip(self.queries.rotated).map(move |(section, rotated)| {
            let total = section.visible(self.queries.rows - 1);
            let pages = section.region.pages(total);
            let within = |page: usize| page.saturating_sub(first).min(pages);
            let chosen = self.chosen.map(|chosen| &chosen[first..first + pages]);
            let read = within(self.from)..within(self.to);
            first += pages;
            Piece { section, rotated, pages: read, chosen, total }
        })
    }

    /// Copies the queries of this head, scaled, to `out`, `[rows * group, stride]`.
    #[inline(always)]
    fn load(self, rotated: &[f32], stride: usize, out: &mut [f32]) {
        let Queries { rows, heads, head_dim, .. } = self.queries;
        let group = self.queries.group();
        let scale = 1.0 / (head_dim as f32).sqrt();
        for (i, out) in out.chunks_exact_mut(stride).enumerate().take(rows * group) {
            let at = (i / group * heads + self.head * group + i % group) * head_dim;
            out[head_dim..].fill(0.0);
            out.iter_mut().zip(&rotated[at..at + head_dim]).for_each(|(out, x)| *out = x * scale);
        }
    }
}

/// What a task leaves.
struct Partial<'a> {
    /// Sums of values with weights relative to the maximum, `[rows * group, width]`.
    values: &'a mut [f32],
    /// The largest score and the sum of the weights of each query.
    top: &'a mut [f32],
    sum: &'a mut [f32],
}

impl<'a> Partial<'a> {
    /// Of `n` queries, from a piece of memory with whatever was in it.
    fn new(memory: &'a mut [f32], n: usize) -> Self {
        memory.fill(0.0);
        let (top, rest) = memory.split_at_mut(n);
        let (sum, values) = rest.split_at_mut(n);
        top.fill(f32::NEG_INFINITY);
        Self { values, top, sum }
    }

    /// Turns scores, of which those in `seen` count, into weights. What was summed up before is scaled to the new
    /// maximum.
    #[inline(always)]
    fn weigh<A: Arch>(&mut self, arch: A, query: usize, scores: &mut [f32], seen: Range<usize>) {
        let width = self.values.len() / self.top.len();
        scores[..seen.start].fill(0.0);
        scores[seen.end..].fill(0.0);
        let scores = &mut scores[seen];
        if scores.is_empty() {
            return;
        }
        let before = self.top[query];
        let top = math::max(scores).max(before);
        let scale = (before - top).exp();
        self.sum[query] = self.sum[query] * scale + arch.exp_sum(scores, top);
        self.top[query] = top;
        if scale != 1.0 {
            self.values[query * width..][..width].iter_mut().for_each(|x| *x *= scale);
        }
    }
}

/// Memory of a task while it runs, kept from call to call.
#[derive(Default)]
struct Scratch {
    few: few::Scratch,
    chunk: chunk::Scratch,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

/// Floats that attention takes for a chunk of `rows` tokens, with all threads of the pool.
pub(crate) fn scratch_floats(rows: usize, heads: usize, kv_heads: usize, head_dim: usize) -> usize {
    let threads = team::threads();
    let width = head_dim.next_multiple_of(LANES);
    let n = rows * heads / kv_heads;
    let tasks = (TASKS * threads).next_multiple_of(kv_heads);
    tasks * n * (width + 2) + threads * chunk::Scratch::floats(n, head_dim)
}

/// Attends from the last `rows` tokens of the last section (written, not committed) to all sections. `out` is
/// `[rows, heads, head_dim]`; `partials` is memory kept from call to call. With a `budget` few rows read only that many
/// of the packed pages of the last section.
pub(crate) fn attend(
    layer: usize,
    sections: &[Section<'_>],
    queries: Queries<'_>,
    budget: Option<usize>,
    partials: &mut Vec<f32>,
    out: &mut [f32],
) {
    let Queries { rows, kv_heads, .. } = queries;
    let few = rows <= FEW;
    let pages: usize = sections.iter().map(|s| s.region.pages(s.visible(rows - 1))).sum();
    let most = (TASKS * team::threads()).div_ceil(kv_heads);
    let parts = most.min(pages.div_ceil(if few { FEW_PAGES } else { 1 }));
    let n = rows * queries.group();
    let size = n * (queries.width() + 2);
    partials.resize(kv_heads * parts * size, 0.0);
    let chosen: Option<Vec<_>> = budget
        .filter(|budget| few && *budget < pages)
        .map(|budget| team::map(kv_heads, |head| sparse::choose(layer, sections, queries, head, budget)));
    team::pieces(partials, size, |i, memory| {
        let (head, part) = (i / parts, i % parts);
        let (from, to) = (part * pages / parts, (part + 1) * pages / parts);
        let chosen = chosen.as_ref().map(|chosen| &chosen[head][..]);
        let job = Job { layer, sections, queries, head, from, to, chosen };
        let partial = Partial::new(memory, n);
        SCRATCH.with_borrow_mut(|scratch| {
            if few {
                kv::run(few::Few { job, partial, scratch: &mut scratch.few });
            } else {
                kv::run(chunk::Chunk { job, partial, scratch: &mut scratch.chunk });
            }
        });
    });
    for (head, partials) in partials.chunks_exact_mut(parts * size).enumerate() {
        merge(partials, queries, head, out);
    }
    if sections.iter().any(|s| s.region.kv_type().rotates()) {
        out.chunks_exact_mut(queries.head_dim).for_each(rotation::rotate);
    }
}

/// Joins the parts of a head: all weights are brought to the same maximum and divided by their sum.
fn merge(partials: &mut [f32], queries: Queries<'_>, head: usize, out: &mut [f32]) {
    let Queries { rows, heads, head_dim, .. } = queries;
    let (group, width) = (queries.group(), queries.width());
    let n = rows * group;
    for i in 0..n {
        let parts = || partials.chunks_exact(n * (width + 2));
        let top = parts().map(|p| p[i]).fold(f32::NEG_INFINITY, f32::max);
        // A part in which this query sees nothing has a maximum of minus infinity and weighs nothing.
        let sum: f32 = parts().map(|p| p[n + i] * (p[i] - top).exp()).sum();
        let out = &mut out[(i / group * heads + head * group + i % group) * head_dim..][..head_dim];
        out.fill(0.0);
        for part in parts() {
            let scale = (part[i] - top).exp() / sum;
            let values = &part[2 * n + i * width..][..head_dim];
            out.iter_mut().zip(values).for_each(|(out, x)| *out += scale * x);
        }
    }
}
