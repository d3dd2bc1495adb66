//! Attention of many rows: a block of keys and values is unpacked and multiplied as matrices of floats.

use super::{Job, Partial};
use crate::kv::{Half, KvType, PAGE, Part, VALUE_BLOCK};
use gist_kernels::kv::{Arch, Codes, F16, F32, Floats, INNER, LANES, Q4, Q8, Task, UNIT};
use gist_kernels::product::{Strided, product};

/// Pages that are unpacked and multiplied at once.
const BLOCK: usize = 4;
const KEYS: usize = BLOCK * PAGE;

/// Memory of a task, kept from call to call.
#[derive(Default)]
pub(super) struct Scratch {
    /// `[rows * group, head_dim]`
    queries: Vec<f32>,
    /// `[head_dim, 256]`
    keys: Vec<f32>,
    /// `[256, width]`
    values: Vec<f32>,
    /// `[rows * group, up to 256]`
    scores: Vec<f32>,
    /// Scale and zero of each channel.
    scales: Vec<f32>,
    zeros: Vec<f32>,
}

impl Scratch {
    /// Floats that `n` queries take.
    pub(super) fn floats(n: usize, head_dim: usize) -> usize {
        let width = head_dim.next_multiple_of(LANES);
        n * (head_dim + KEYS) + KEYS * (head_dim + width) + 2 * head_dim
    }
}

/// A part of the pages for many rows.
pub(super) struct Chunk<'a> {
    pub(super) job: Job<'a>,
    pub(super) partial: Partial<'a>,
    pub(super) scratch: &'a mut Scratch,
}

impl Task for Chunk<'_> {
    #[inline(always)]
    fn run<A: Arch>(self, arch: A) {
        let Self { job, mut partial, scratch } = self;
        let (head_dim, group, width) = (job.queries.head_dim, job.queries.group(), job.queries.width());
        let n = partial.top.len();
        scratch.queries.resize(n * head_dim, 0.0);
        scratch.keys.resize(head_dim.next_multiple_of(INNER) * KEYS, 0.0);
        scratch.values.resize(KEYS * width, 0.0);
        scratch.scores.resize(n * KEYS, 0.0);
        for piece in job.pieces() {
            job.load(piece.rotated, head_dim, &mut scratch.queries);
            for first in piece.pages.clone().step_by(BLOCK) {
                let pages = first..piece.pages.end.min(first + BLOCK);
                // Of all rows in the block those that are seen by the last query.
                let (mut start, mut end) = (0, 0);
                for (i, index) in pages.clone().enumerate() {
                    let (page, rows) = piece.section.region.page(index, piece.total);
                    let half = |part| page.half(job.layer, part, job.head);
                    unpack_keys(arch, half(Part::Key), i * PAGE, scratch);
                    unpack_values(arch, half(Part::Value), i * PAGE, scratch);
                    let values = &mut scratch.values[i * PAGE * width..][..PAGE * width];
                    // What is not held or not yet written may not even be numbers, and 0 times that is none either.
                    values[..rows.start * width].fill(0.0);
                    values[rows.end * width..].fill(0.0);
                    if i == 0 {
                        start = rows.start;
                    }
                    end = i * PAGE + rows.end;
                }
                let columns = pages.len() * PAGE;
                let (queries, keys) =
                    (Strided::rows(&scratch.queries, head_dim), Strided::rows(&scratch.keys, KEYS));
                product((n, columns, head_dim), queries, keys, &mut scratch.scores, columns, false);
                for (i, scores) in scratch.scores.chunks_exact_mut(columns).enumerate().take(n) {
                    let seen = piece.section.region.end(piece.section.visible(i / group));
                    let seen = seen.saturating_sub(first * PAGE).clamp(start, end);
                    partial.weigh(arch, i, scores, start..seen);
                }
                let (weights, values) =
                    (Strided::rows(&scratch.scores, columns), Strided::rows(&scratch.values, width));
                product((n, width, columns), weights, values, partial.values, width, true);
            }
        }
    }
}

/// Keys of a page to columns `at..` of `[head_dim, 256]`.
#[inline(always)]
fn unpack_keys<A: Arch>(arch: A, half: Half<'_>, at: usize, scratch: &mut Scratch) {
    let Scratch { keys, scales, zeros, .. } = scratch;
    let mut put = |lanes: usize, channel: usize, x: [f32; LANES]| {
        keys[channel * KEYS + at + lanes..][..LANES].copy_from_slice(&x);
    };
    match half.numbers.kv_type {
        KvType::F32 => unpack_floats::<A, F32>(arch, half, put),
        KvType::F16 => unpack_floats::<A, F16>(arch, half, put),
        kv_type => {
            scales.resize(half.numbers.inner, 0.0);
            zeros.resize(half.numbers.inner, 0.0);
            arch.halves(half.scales(0), scales);
            arch.halves(half.scales(1), zeros);
            let put = |lanes: usize, channel: usize, x: [f32; LANES]| {
                put(lanes, channel, x.map(|x| x * scales[channel] + zeros[channel]));
            };
            match kv_type {
                KvType::Q4 => unpack_codes::<A, Q4>(arch, half, put),
                _ => unpack_codes::<A, Q8>(arch, half, put),
            }
        }
    }
}

/// Values of a page to rows `at..` of `[256, width]`.
#[inline(always)]
fn unpack_values<A: Arch>(arch: A, half: Half<'_>, at: usize, scratch: &mut Scratch) {
    let Scratch { values, .. } = scratch;
    let width = half.numbers.lanes;
    let mut put = |lanes: usize, row: usize, x: [f32; LANES]| {
        values[(at + row) * width + lanes..][..LANES].copy_from_slice(&x);
    };
    match half.numbers.kv_type {
        KvType::F32 => unpack_floats::<A, F32>(arch, half, put),
        KvType::F16 => unpack_floats::<A, F16>(arch, half, put),
        kv_type => {
            let (mut scales, mut block) = ([0.0; PAGE], usize::MAX);
            let put = |lanes: usize, row: usize, x: [f32; LANES]| {
                if block != lanes / VALUE_BLOCK {
                    block = lanes / VALUE_BLOCK;
                    arch.halves(half.scales(block), &mut scales);
                }
                put(lanes, row, x.map(|x| x * scales[row]));
            };
            match kv_type {
                KvType::Q4 => unpack_codes::<A, Q4>(arch, half, put),
                _ => unpack_codes::<A, Q8>(arch, half, put),
            }
        }
    }
}

/// Calls `put` with the first lane, the place on the inner axis and 16 numbers.
#[inline(always)]
fn unpack_floats<A: Arch, F: Floats>(
    arch: A,
    half: Half<'_>,
    mut put: impl FnMut(usize, usize, [f32; LANES]),
) {
    for (group, lines) in F::lines(half.data()).chunks_exact(half.numbers.inner).enumerate() {
        lines.iter().enumerate().for_each(|(inner, line)| put(group * LANES, inner, arch.widen::<F>(line)));
    }
}

/// Calls `put` with the first lane, the place on the inner axis and 16 codes.
#[inline(always)]
fn unpack_codes<A: Arch, C: Codes>(arch: A, half: Half<'_>, mut put: impl FnMut(usize, usize, [f32; LANES])) {
    for (group, units) in C::units(half.data()).chunks_exact(half.numbers.inner / UNIT).enumerate() {
        for (i, unit) in units.iter().enumerate() {
            for (j, codes) in arch.unpack::<C>(unit).into_iter().enumerate() {
                put(group * LANES, i * UNIT + j, codes);
            }
        }
    }
}
