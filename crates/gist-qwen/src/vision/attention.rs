//! Attention among the patches of one pair: all see all.

use gemm::{Parallelism, gemm};
use rayon::prelude::*;

use super::layers::by_rows;
use crate::math;

/// Scores that a task holds at once: 1 MB.
const SCORES: usize = 1 << 18;

/// Query rows that a task takes. A task multiplies all keys, which it has to pack first, so its rows are as many as
/// the scores allow, but the tasks of all heads suffice to keep all threads busy.
fn step(patches: usize, heads: usize) -> usize {
    let most = (SCORES / patches).clamp(1, patches);
    let tasks = (4 * rayon::current_num_threads()).div_ceil(heads).max(patches.div_ceil(most));
    patches.div_ceil(tasks).max(most.min(16))
}

/// Bytes that all threads together take for scores.
pub(super) fn scratch_bytes(patches: usize, heads: usize) -> u64 {
    4 * (rayon::current_num_threads() * step(patches, heads) * patches) as u64
}

/// `softmax(q · kᵀ) · v`. `qkv` is `[patches, 3, heads, head_dim]`, its queries and keys are rotated and the queries
/// scaled; `by_head`, `[heads, patches, head_dim]`, is overwritten; `out` is `[patches, heads, head_dim]`.
pub(super) fn attend(qkv: &[f32], heads: usize, head_dim: usize, by_head: &mut [f32], out: &mut [f32]) {
    let width = heads * head_dim;
    let patches = out.len() / width;
    let step = step(patches, heads);
    // Heads lie apart in `by_head`, so that each task writes to a piece of its own.
    by_head.par_chunks_exact_mut(patches * head_dim).enumerate().for_each(|(head, out)| {
        let part = |i: usize| Strided { values: &qkv[i * width + head * head_dim..], stride: 3 * width };
        let (queries, keys, values) = (part(0), part(1), part(2));
        out.par_chunks_mut(step * head_dim).enumerate().for_each(|(i, out)| {
            let rows = out.len() / head_dim;
            let mut scores = vec![0.0; rows * patches];
            let queries = queries.from(i * step);
            product((rows, patches, head_dim), queries, keys.transposed(), &mut scores);
            let sums: Vec<f32> = scores
                .chunks_exact_mut(patches)
                .map(|row| {
                    let top = math::max(row);
                    math::exp_sum(row, top)
                })
                .collect();
            let scores = Strided { values: &scores, stride: patches };
            product((rows, head_dim, patches), scores, values.plain(), out);
            for (row, sum) in out.chunks_exact_mut(head_dim).zip(sums) {
                let scale = 1.0 / sum;
                row.iter_mut().for_each(|x| *x *= scale);
            }
        });
    });
    by_rows(out, width, |first, rows| {
        for (i, row) in rows.chunks_exact_mut(width).enumerate() {
            for (to, from) in row.chunks_exact_mut(head_dim).zip(by_head.chunks_exact(patches * head_dim)) {
                to.copy_from_slice(&from[(first + i) * head_dim..][..head_dim]);
            }
        }
    });
}

/// Rows that lie `stride` values apart.
#[derive(Clone, Copy)]
struct Strided<'a> {
    values: &'a [f32],
    stride: usize,
}

impl<'a> Strided<'a> {
    fn from(self, row: usize) -> Self {
        Self { values: &self.values[row * self.stride..], ..self }
    }

    /// As the right side of a product, `[k, n]`: the values with the strides per `k` and per `n`.
    fn plain(self) -> (&'a [f32], usize, usize) {
        (self.values, self.stride, 1)
    }

    /// The same with rows and columns swapped.
    fn transposed(self) -> (&'a [f32], usize, usize) {
        (self.values, 1, self.stride)
    }
}

/// `out[m, n] = a[m, k] · b[k, n]`
fn product(
    (m, n, k): (usize, usize, usize),
    a: Strided<'_>,
    (b, b_k, b_n): (&[f32], usize, usize),
    out: &mut [f32],
) {
    assert!(m > 0 && n > 0 && k > 0 && out.len() == m * n, "an output of another shape");
    assert!(a.values.len() >= (m - 1) * a.stride + k, "operand too small");
    assert!(b.len() > (k - 1) * b_k + (n - 1) * b_n, "operand too small");
    // SAFETY: the three operands are live slices that cover the sizes and strides given, as asserted, and `out`
    // overlaps neither input since it is borrowed mutably.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            n as isize,
            false,
            a.values.as_ptr(),
            1,
            a.stride as isize,
            b.as_ptr(),
            b_n as isize,
            b_k as isize,
            0.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
