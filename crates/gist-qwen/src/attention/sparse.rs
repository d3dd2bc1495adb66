//! Which pages the rows of an answer read when they may not read all (after Quest, Tang et al. 2024).
//!
//! A packed page has the range of each channel of its keys: the smallest and the largest code times its scale, plus its
//! zero. So a score with any of its keys is at most `Σ q·zero + |q|·scale·(largest code)`, which costs a sixty-fourth of
//! the scores. The pages with the highest bounds are read; those of prompt and memory, and the page being filled, always
//! are.

use half::f16;
use half::slice::HalfFloatSliceExt;

use super::Queries;
use crate::kv::{KvType, Part, Section};

/// Which pages one key head reads, counted over all sections: at most `budget`, and those that are always read.
pub(super) fn choose(
    layer: usize,
    sections: &[Section<'_>],
    queries: Queries<'_>,
    head: usize,
    budget: usize,
) -> Vec<bool> {
    let n = queries.rows * queries.group();
    let mut chosen = Vec::new();
    // The pages there is a choice of, and for each of them the bound of each query.
    let (mut open, mut bounds) = (Vec::new(), Vec::new());
    for (section, rotated) in sections.iter().zip(queries.rotated) {
        let total = section.visible(queries.rows - 1);
        for index in 0..section.region.pages(total) {
            let half = section.region.page(index, total).0.half(layer, Part::Key, head);
            let codes = match half.numbers.kv_type {
                KvType::Q8 => 127.0,
                KvType::Q4 => 8.0,
                KvType::F32 | KvType::F16 => 0.0,
            };
            let choice = section.last && codes > 0.0;
            chosen.push(!choice);
            if choice {
                open.push(chosen.len() - 1);
                let [scales, zeros] = [0, 1].map(|row| floats(half.scales(row)));
                bounds
                    .extend((0..n).map(|i| bound(query(queries, rotated, head, i), &scales, &zeros, codes)));
            }
        }
    }
    // A page counts by the query that needs it most, each query compared with its own best page.
    let mut best = vec![f32::NEG_INFINITY; n];
    for bounds in bounds.chunks_exact(n) {
        best.iter_mut().zip(bounds).for_each(|(best, x)| *best = best.max(*x));
    }
    let need =
        |bounds: &[f32]| bounds.iter().zip(&best).map(|(x, best)| x - best).fold(f32::NEG_INFINITY, f32::max);
    let mut order: Vec<(f32, usize)> = bounds.chunks_exact(n).map(need).zip(open).collect();
    if order.len() > budget {
        order.select_nth_unstable_by(budget, |a, b| b.0.total_cmp(&a.0));
    }
    order.iter().take(budget).for_each(|(_, page)| chosen[*page] = true);
    chosen
}

/// Query `i` of those that share a key head.
fn query<'a>(queries: Queries<'_>, rotated: &'a [f32], head: usize, i: usize) -> &'a [f32] {
    let (group, width) = (queries.group(), queries.head_dim);
    &rotated[(i / group * queries.heads + head * group + i % group) * width..][..width]
}

fn floats(halves: &[[u8; 2]]) -> Vec<f32> {
    let halves: Vec<f16> = halves.iter().map(|half| f16::from_le_bytes(*half)).collect();
    let mut floats = vec![0.0; halves.len()];
    halves.convert_to_f32_slice(&mut floats);
    floats
}

/// The largest score that any key of a page can have, unscaled.
fn bound(query: &[f32], scales: &[f32], zeros: &[f32], codes: f32) -> f32 {
    let channels = query.iter().zip(scales).zip(zeros);
    channels.map(|((q, scale), zero)| q * zero + (q * scale).abs() * codes).sum()
}

/// Share of the softmax weight of exact attention that lies on the pages chosen, the mean over rows and heads: what
/// a budget keeps. Slow, for measuring.
pub(crate) fn recall(layer: usize, sections: &[Section<'_>], queries: Queries<'_>, budget: usize) -> f64 {
    let scale = 1.0 / (queries.head_dim as f64).sqrt();
    let mut shares = Vec::new();
    let mut key = vec![0.0; queries.head_dim];
    for head in 0..queries.kv_heads {
        let chosen = choose(layer, sections, queries, head, budget);
        for i in 0..queries.rows * queries.group() {
            let (mut scores, mut first) = (Vec::new(), 0);
            for (section, rotated) in sections.iter().zip(queries.rotated) {
                let query = query(queries, rotated, head, i);
                let (total, visible) =
                    (section.visible(queries.rows - 1), section.visible(i / queries.group()));
                let before = section.region.end(0);
                for token in 0..visible {
                    section.region.read(layer, Part::Key, head, token, &mut key);
                    let dot: f32 = query.iter().zip(&key).map(|(q, k)| q * k).sum();
                    scores.push((f64::from(dot) * scale, chosen[first + (before + token) / crate::kv::PAGE]));
                }
                first += section.region.pages(total);
            }
            let top = scores.iter().map(|(score, _)| *score).fold(f64::NEG_INFINITY, f64::max);
            let weight = |kept: bool| -> f64 {
                scores
                    .iter()
                    .filter(|(_, chosen)| *chosen || !kept)
                    .map(|(score, _)| (score - top).exp())
                    .sum()
            };
            shares.push(weight(true) / weight(false));
        }
    }
    shares.iter().sum::<f64>() / shares.len() as f64
}
