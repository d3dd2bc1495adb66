//! Attention over pages with an online softmax: memory is bounded by one block of keys, however long the context is.

use rayon::prelude::*;

use crate::kv::{PAGE, Part, Section};
use crate::math;
use crate::product::{Strided, product};

/// Keys that are converted to f32 and multiplied at once.
const BLOCK: usize = 4 * PAGE;

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

/// Attends from the last `rows` tokens of the last section (written, not committed) to all sections. `out` is
/// `[rows, heads, head_dim]`.
pub(crate) fn attend(layer: usize, sections: &[Section<'_>], queries: Queries<'_>, out: &mut [f32]) {
    let Queries { rows, heads, kv_heads, head_dim, .. } = queries;
    let group = heads / kv_heads;
    // One task per key head; with more threads than key heads the rows are split as well.
    let split = rayon::current_num_threads().div_ceil(kv_heads).min(rows.div_ceil(8));
    let step = rows.div_ceil(split);
    let tasks: Vec<(usize, usize)> =
        (0..kv_heads).flat_map(|head| (0..rows).step_by(step).map(move |row| (head, row))).collect();
    let results: Vec<Vec<f32>> = tasks
        .par_iter()
        .map(|(head, from)| attend_head(layer, sections, queries, *head, *from..rows.min(from + step)))
        .collect();
    for ((head, from), result) in tasks.iter().zip(results) {
        for (i, x) in result.chunks_exact(group * head_dim).enumerate() {
            let at = ((from + i) * heads + head * group) * head_dim;
            out[at..at + x.len()].copy_from_slice(x);
        }
    }
}

/// One key head and the query heads that share it, for some rows of the chunk: `[rows, group, head_dim]`.
fn attend_head(
    layer: usize,
    sections: &[Section<'_>],
    queries: Queries<'_>,
    head: usize,
    rows: std::ops::Range<usize>,
) -> Vec<f32> {
    let Queries { rotated, heads, kv_heads, head_dim, .. } = queries;
    let group = heads / kv_heads;
    let m = rows.len() * group;
    let scale = 1.0 / (head_dim as f32).sqrt();
    let mut query = vec![0.0; m * head_dim];
    let (mut keys, mut values) = (vec![0.0; BLOCK * head_dim], vec![0.0; BLOCK * head_dim]);
    let mut scores = vec![0.0; m * BLOCK];
    let mut out = vec![0.0; m * head_dim];
    let (mut max, mut sum) = (vec![f32::NEG_INFINITY; m], vec![0.0f32; m]);

    for (section, rotated) in sections.iter().zip(rotated) {
        for (to, row) in query.chunks_exact_mut(group * head_dim).zip(rows.clone()) {
            let at = (row * heads + head * group) * head_dim;
            for (to, from) in to.iter_mut().zip(&rotated[at..at + group * head_dim]) {
                *to = from * scale;
            }
        }
        let held = section.region.len();
        // In its own region row i of the chunk sees the tokens before the chunk and i + 1 of the chunk.
        let visible = |row: usize| if section.last { held + row + 1 } else { held };
        let total = visible(rows.end - 1);
        for start in (0..total).step_by(BLOCK) {
            let n = BLOCK.min(total - start);
            let mut at = 0;
            section.region.for_pages(start..start + n, |page, page_rows| {
                let to = at..at + page_rows.len() * head_dim;
                page.read(layer, Part::Key, head, page_rows.clone(), &mut keys[to.clone()]);
                page.read(layer, Part::Value, head, page_rows, &mut values[to.clone()]);
                at = to.end;
            });
            let (query, keys) = (Strided::rows(&query, head_dim), Strided::rows(&keys, head_dim));
            product((m, n, head_dim), query, keys.transposed(), &mut scores, n, false);
            for (i, scores) in scores[..m * n].chunks_exact_mut(n).enumerate() {
                let seen = visible(rows.start + i / group).saturating_sub(start).min(n);
                scores[seen..].fill(0.0);
                if seen == 0 {
                    continue;
                }
                let top = math::max(&scores[..seen]).max(max[i]);
                let old = (max[i] - top).exp();
                sum[i] = sum[i] * old + math::exp_sum(&mut scores[..seen], top);
                max[i] = top;
                if old != 1.0 {
                    out[i * head_dim..(i + 1) * head_dim].iter_mut().for_each(|x| *x *= old);
                }
            }
            let (scores, values) = (Strided::rows(&scores, n), Strided::rows(&values, head_dim));
            product((m, head_dim, n), scores, values, &mut out, head_dim, true);
        }
    }
    for (out, sum) in out.chunks_exact_mut(head_dim).zip(sum) {
        let scale = 1.0 / sum;
        out.iter_mut().for_each(|x| *x *= scale);
    }
    out
}
