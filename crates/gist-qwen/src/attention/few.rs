//! Attention of a few rows: packed keys and values are multiplied as they are, page by page, each read once for all
//! queries of a key head.

use super::{Job, Partial};
use crate::kv::{Half, KvType, PAGE, Part};
use gist_kernels::kv::{Arch, Codes, F16, F32, Floats, GROUP, INNER, LANES, Q4, Q8, Step, Task, UNIT};

/// Memory of a task, kept from call to call.
#[derive(Default)]
pub(super) struct Scratch {
    /// Queries, `[rows * group, head_dim]`, head_dim in multiples of 8.
    queries: Vec<f32>,
    /// The same for floats: for each lot of up to 6 queries `[head_dim, lot]`.
    turned: Vec<f32>,
    /// Scale and zero of each channel.
    scales: Vec<f32>,
    zeros: Vec<f32>,
    quantized: Vec<i16>,
    /// Of a lot of queries and a page.
    scores: Vec<[f32; PAGE]>,
}

/// A part of the pages for a few rows.
pub(super) struct Few<'a> {
    pub(super) job: Job<'a>,
    pub(super) partial: Partial<'a>,
    pub(super) scratch: &'a mut Scratch,
}

/// What of a page a lot of queries sees.
struct View<'a> {
    keys: Half<'a>,
    values: Half<'a>,
    /// Rows that are held and seen by the last query.
    start: usize,
    end: usize,
    /// How far the keys and the values of the page that comes next lie behind these in memory.
    ahead: [usize; 2],
}

impl Task for Few<'_> {
    #[inline(always)]
    fn run<A: Arch>(self, arch: A) {
        let Self { job, mut partial, scratch } = self;
        let (head_dim, group) = (job.queries.head_dim, job.queries.group());
        let n = partial.top.len();
        let stride = head_dim.next_multiple_of(INNER);
        // As even lots as can be.
        let lots = n.div_ceil(GROUP);
        let lot = |i: usize| i * n / lots..(i + 1) * n / lots;
        for piece in job.pieces() {
            if piece.pages.is_empty() {
                continue;
            }
            scratch.queries.resize(n * stride, 0.0);
            job.load(piece.rotated, stride, &mut scratch.queries);
            scratch.turned.resize(n * head_dim, 0.0);
            for lot in (0..lots).map(lot) {
                let turned = &mut scratch.turned[lot.start * head_dim..lot.end * head_dim];
                for (i, x) in
                    scratch.queries[lot.start * stride..].chunks_exact(stride).take(lot.len()).enumerate()
                {
                    turned[i..].iter_mut().step_by(lot.len()).zip(x).for_each(|(to, x)| *to = *x);
                }
            }
            for index in piece.pages.clone() {
                if piece.chosen.is_some_and(|chosen| !chosen[index]) {
                    continue;
                }
                let (page, rows) = piece.section.region.page(index, piece.total);
                let [keys, values] =
                    [Part::Key, Part::Value].map(|part| page.half(job.layer, part, job.head));
                let mut ahead = [0; 2];
                if index + 1 < piece.pages.end {
                    let (next, _) = piece.section.region.page(index + 1, piece.total);
                    for (ahead, (part, half)) in
                        ahead.iter_mut().zip([(Part::Key, keys), (Part::Value, values)])
                    {
                        let next = next.half(job.layer, part, job.head);
                        *ahead = next.bytes.as_ptr().addr().wrapping_sub(half.bytes.as_ptr().addr());
                        arch.prefetch(&next.bytes[next.data().len()..]);
                    }
                }
                let view = View { keys, values, start: rows.start, end: rows.end, ahead };
                let ends = |query: usize| {
                    let end = piece.section.region.end(piece.section.visible(query / group));
                    end.saturating_sub(index * PAGE).clamp(view.start, view.end)
                };
                for lot in (0..lots).map(lot) {
                    let from = lot.start;
                    macro_rules! step {
                        ($($n:literal)*) => {
                            match lot.len() {
                                $($n => {
                                    let ends: [usize; $n] = std::array::from_fn(|i| ends(from + i));
                                    step::<A, $n>(arch, &view, ends, from, head_dim, scratch, &mut partial);
                                })*
                                _ => unreachable!("lots are of at most 6"),
                            }
                        };
                    }
                    step!(1 2 3 4 5 6);
                }
            }
        }
    }
}

/// One page and a lot of queries.
#[inline(always)]
fn step<A: Arch, const G: usize>(
    arch: A,
    view: &View<'_>,
    ends: [usize; G],
    from: usize,
    head_dim: usize,
    scratch: &mut Scratch,
    partial: &mut Partial<'_>,
) {
    scratch.scores.resize(GROUP, [0.0; PAGE]);
    match view.keys.numbers.kv_type {
        KvType::F32 => float_scores::<A, F32, G>(arch, view, from, scratch),
        KvType::F16 => float_scores::<A, F16, G>(arch, view, from, scratch),
        KvType::Q8 => code_scores::<A, Q8, G>(arch, view, from, scratch),
        KvType::Q4 => code_scores::<A, Q4, G>(arch, view, from, scratch),
    }
    for (i, scores) in scratch.scores[..G].iter_mut().enumerate() {
        partial.weigh(arch, from + i, scores, view.start..ends[i]);
    }
    let width = head_dim.next_multiple_of(LANES);
    let out = &mut partial.values[from * width..][..G * width];
    match view.values.numbers.kv_type {
        KvType::F32 => float_values::<A, F32, G>(arch, view, scratch, out),
        KvType::F16 => float_values::<A, F16, G>(arch, view, scratch, out),
        KvType::Q8 => code_values::<A, Q8, G>(arch, view, scratch, out),
        KvType::Q4 => code_values::<A, Q4, G>(arch, view, scratch, out),
    }
}

#[inline(always)]
fn float_scores<A: Arch, F: Floats, const G: usize>(
    arch: A,
    view: &View<'_>,
    from: usize,
    scratch: &mut Scratch,
) {
    let head_dim = view.keys.numbers.inner;
    let x = &scratch.turned[from * head_dim..].as_chunks::<G>().0[..head_dim];
    for (i, lines) in F::lines(view.keys.data()).chunks_exact(head_dim).enumerate() {
        let sums = arch.floats::<F, G>(lines, x, view.ahead[0]);
        put(&sums, i, &mut scratch.scores);
    }
}

#[inline(always)]
fn code_scores<A: Arch, C: Codes, const G: usize>(
    arch: A,
    view: &View<'_>,
    from: usize,
    scratch: &mut Scratch,
) {
    let inner = view.keys.numbers.inner;
    let Scratch { queries, scales, zeros, quantized, scores, .. } = scratch;
    scales.resize(inner, 0.0);
    zeros.resize(inner, 0.0);
    quantized.resize(GROUP * inner.max(PAGE), 0);
    arch.halves(view.keys.scales(0), scales);
    arch.halves(view.keys.scales(1), zeros);
    let x = &mut quantized.as_chunks_mut::<UNIT>().0.as_chunks_mut::<G>().0[..inner / UNIT];
    let steps = arch.quantize(&queries[from * inner..][..G * inner], scales, zeros, x);
    for (i, units) in C::units(view.keys.data()).chunks_exact(inner / UNIT).enumerate() {
        let mut sums = arch.codes::<C, G>(units, x, &steps, view.ahead[0]);
        for (sums, step) in sums.iter_mut().zip(&steps) {
            sums.iter_mut().for_each(|sum| *sum += step.offset);
        }
        put(&sums, i, scores);
    }
}

/// Scores of the `i`th 16 rows of a page.
#[inline(always)]
fn put(sums: &[[f32; LANES]], i: usize, scores: &mut [[f32; PAGE]]) {
    scores.iter_mut().zip(sums).for_each(|(scores, sums)| scores.as_chunks_mut().0[i] = *sums);
}

#[inline(always)]
fn float_values<A: Arch, F: Floats, const G: usize>(
    arch: A,
    view: &View<'_>,
    scratch: &Scratch,
    out: &mut [f32],
) {
    // Behind the last row is whatever was there: it may not even be numbers.
    let rows = view.start..view.end;
    let x: [[f32; G]; PAGE] = std::array::from_fn(|row| std::array::from_fn(|g| scratch.scores[g][row]));
    for (i, lines) in F::lines(view.values.data()).chunks_exact(PAGE).enumerate() {
        let sums = arch.floats::<F, G>(&lines[rows.clone()], &x[rows.clone()], view.ahead[1]);
        add(&sums, i, out);
    }
}

#[inline(always)]
fn code_values<A: Arch, C: Codes, const G: usize>(
    arch: A,
    view: &View<'_>,
    scratch: &mut Scratch,
    out: &mut [f32],
) {
    let x = &mut scratch.quantized.as_chunks_mut::<UNIT>().0.as_chunks_mut::<G>().0[..PAGE / UNIT];
    let weights = scratch.scores[..G].as_flattened();
    let (mut scales, mut steps) = ([0.0; PAGE], [Step::default(); G]);
    for (i, units) in C::units(view.values.data()).chunks_exact(PAGE / UNIT).enumerate() {
        // Two groups of lanes share their scales.
        if i % 2 == 0 {
            arch.halves(view.values.scales(i / 2), &mut scales);
            steps = arch.quantize(weights, &scales, &[0.0; PAGE], x);
        }
        let sums = arch.codes::<C, G>(units, x, &steps, view.ahead[1]);
        add(&sums, i, out);
    }
}

/// Adds sums of the `i`th 16 channels to `out`, `[G][width]`.
#[inline(always)]
fn add<const G: usize>(sums: &[[f32; LANES]; G], i: usize, out: &mut [f32]) {
    let width = out.len() / G;
    for (out, sums) in out.chunks_exact_mut(width).zip(sums) {
        let out = &mut out.as_chunks_mut::<LANES>().0[i];
        out.iter_mut().zip(sums).for_each(|(out, x)| *out += x);
    }
}
