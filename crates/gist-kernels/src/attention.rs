//! Attention among rows that all see all: the patches of a pair of pictures, the positions of a window of sound.

use std::cell::Cell;

use crate::kv::{self, Arch, Task};
use crate::math::{self, by_rows};
use crate::product::{Strided, product};
use crate::team;

/// Scores that a task holds at once: 1 MB.
const SCORES: usize = 1 << 18;

thread_local! {
    /// Scores of a task, kept from call to call.
    static SCRATCH: Cell<Vec<f32>> = const { Cell::new(Vec::new()) };
}

/// Query rows that a task takes. A task multiplies all keys, which it has to pack first, so its rows are as many as
/// the scores allow, but the tasks of all heads suffice to keep all threads busy.
fn step(positions: usize, heads: usize) -> usize {
    let most = (SCORES / positions).clamp(1, positions);
    let tasks = (4 * team::threads()).div_ceil(heads).max(positions.div_ceil(most));
    positions.div_ceil(tasks).max(most.min(16))
}

/// Bytes that all threads together take for scores.
pub fn scratch_bytes(positions: usize, heads: usize) -> u64 {
    4 * (team::threads() * step(positions, heads) * positions) as u64
}

/// Turns scores, as many rows as sums, into weights, and sums up each row.
struct Weigh<'a> {
    scores: &'a mut [f32],
    sums: &'a mut [f32],
}

impl Task for Weigh<'_> {
    #[inline(always)]
    fn run<A: Arch>(self, arch: A) {
        let positions = self.scores.len() / self.sums.len();
        for (row, sum) in self.scores.chunks_exact_mut(positions).zip(self.sums) {
            let top = math::max(row);
            *sum = arch.exp_sum(row, top);
        }
    }
}

/// `softmax(q · kᵀ) · v`. `qkv` is `[positions, 3, heads, head_dim]`, its queries scaled and, where
/// they have positions, they and the keys rotated; `by_head`, `[heads, positions, head_dim]`, is overwritten; `out` is `[positions, heads, head_dim]`.
pub fn attend(qkv: &[f32], heads: usize, head_dim: usize, by_head: &mut [f32], out: &mut [f32]) {
    let width = heads * head_dim;
    let positions = out.len() / width;
    let step = step(positions, heads);
    // Heads lie apart in `by_head`, so that each task writes to a piece of its own.
    let parts = positions.div_ceil(step);
    team::pieces_of_rows(by_head, positions * head_dim, step * head_dim, |i, out| {
        let (head, i) = (i / parts, i % parts);
        let part = |i: usize| Strided::rows(&qkv[i * width + head * head_dim..], 3 * width);
        let (queries, keys, values) = (part(0), part(1), part(2));
        let rows = out.len() / head_dim;
        let mut scores = SCRATCH.take();
        scores.resize(rows * positions, 0.0);
        let queries = queries.from(i * step);
        product((rows, positions, head_dim), queries, keys.transposed(), &mut scores, positions, false);
        let mut sums = vec![0.0; rows];
        kv::run(Weigh { scores: &mut scores, sums: &mut sums });
        let weights = Strided::rows(&scores, positions);
        product((rows, head_dim, positions), weights, values, out, head_dim, false);
        SCRATCH.set(scores);
        for (row, sum) in out.chunks_exact_mut(head_dim).zip(sums) {
            let scale = 1.0 / sum;
            row.iter_mut().for_each(|x| *x *= scale);
        }
    });
    by_rows(out, width, |first, rows| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            for (to, from) in row.chunks_exact_mut(head_dim).zip(by_head.chunks_exact(positions * head_dim)) {
                to.copy_from_slice(&from[(first + i) * head_dim..][..head_dim]);
            }
        }
    });
}
