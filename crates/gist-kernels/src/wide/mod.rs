//! Products in integers of 14 bits, for matrices of f16 and bf16: nearly as exact as in floats, and faster.
//!
//! AVX2 multiplies and adds 16 pairs of 16-bit integers where it multiplies 8 floats. So weights are rounded to ±8191 with
//! a scale a row, activations to ±8191 with a scale each 64 values, and the products of these 64 sum up in 32 bits: the
//! magnitudes of 64 activations come to 262,000 at most, and 8191 × (262,000 + 64 / 2) < 2^31. That rounds a weight by
//! up to 1 in 16,382 of the largest of its row, an activation by as much of the largest of 64 or, where most are
//! large, by up to 1 in 8,187 of their mean; f16 rounds each by up to 1 in 2,048 of itself.
//!
//! `w[row, k] = scale[row] * q[row, k]` lies in panels of 16 rows: a line is two neighbours along `k` of each of them.

#[cfg(target_arch = "x86_64")]
mod avx2;
mod rows;
#[cfg(test)]
mod tests;

use crate::huge::Huge;
use crate::output::Columns;
use crate::units::LANES;
use crate::{Cpu, PARALLEL_FROM, PARTS, activations, team, vectorized};
use rows::{Block, Tiles};

pub use rows::WideRows;

/// The largest magnitude of an integer.
const MOST: f32 = 8191.0;
/// The largest sum of the magnitudes of a block of activations, before they are rounded.
const MOST_SUM: f32 = 262_000.0;
/// Activations that share a scale.
const BLOCK: usize = 64;
/// Lines of a block of 64 `k`.
const LINES: usize = BLOCK / 2;
/// Blocks of weights that all tiles are multiplied with before the next: 8 KB, which stay in L1.
const CHUNK: usize = 4;
/// Bytes of activations that a panel is multiplied with before the next: they stay in L2.
const BATCH: usize = 192 << 10;

/// Two neighbours along `k` of each of 16 rows.
type Line = [i16; 2 * LANES];
/// Sums of a tile of rows of activations.
type Sums<const T: usize> = [[f32; LANES]; T];

/// A matrix `[out_features, in_features]`.
pub struct WideMatrix {
    /// Panel after panel; the last one and each row are filled up with zeros.
    lines: Huge<Line>,
    scales: Vec<[f32; LANES]>,
    out_features: usize,
    in_features: usize,
    cpu: Cpu,
}

impl WideMatrix {
    /// `read` copies row after row. `None` on a CPU for which there is no kernel: floats are as fast there.
    #[must_use]
    pub fn new(
        out_features: usize,
        in_features: usize,
        read: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Option<Self> {
        let cpu = Cpu::detect();
        (!matches!(cpu, Cpu::Portable)).then(|| Self::of_rows(out_features, in_features, cpu, read))
    }

    fn of_rows(
        out_features: usize,
        in_features: usize,
        cpu: Cpu,
        read: impl Fn(usize, &mut [f32]) + Sync,
    ) -> Self {
        let panels = out_features.div_ceil(LANES);
        let depth = in_features.div_ceil(BLOCK) * LINES;
        let mut lines = Huge::filled([0; 2 * LANES], panels * depth);
        let mut scales = vec![[0.0; LANES]; panels];
        let rows = |panel: usize| (panel * LANES..out_features.min((panel + 1) * LANES)).enumerate();
        let mut all: Vec<_> = lines.chunks_exact_mut(depth.max(1)).zip(&mut scales).collect();
        team::pieces(&mut all, 1, |panel, all| {
            let mut x = vec![0.0; in_features];
            for (lines, scales) in all {
                for (lane, row) in rows(panel) {
                    read(row, &mut x);
                    let inverse;
                    (scales[lane], inverse) = vectorized(|| activations::scale(&x, MOST));
                    for (line, x) in lines.iter_mut().zip(x.chunks(2)) {
                        for (k, x) in x.iter().enumerate() {
                            line[2 * lane + k] = activations::round(x * inverse) as i16;
                        }
                    }
                }
            }
        });
        Self { lines, scales, out_features, in_features, cpu }
    }

    /// Size in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.lines) + size_of_val(&self.scales[..])
    }

    /// `out[r, o] = Σ_k x[r, k] * w[o, k]`, row-major. Runs on all threads of the model.
    ///
    /// # Panics
    /// When `x` has not `in_features` values a row or `out` is not `rows * out_features`.
    pub fn forward(&self, x: &WideRows, out: &mut [f32]) {
        assert_eq!(x.features, self.in_features, "activations must have in_features values a row");
        assert_eq!(out.len(), x.rows * self.out_features, "output must be rows × out_features");
        match &x.tiles {
            Tiles::One(tiles) => self.multiply(tiles, x.rows, out),
            Tiles::Few(tiles) => self.multiply(tiles, x.rows, out),
        }
    }

    #[allow(unsafe_code)]
    fn multiply<const T: usize>(&self, x: &[Block<T>], rows: usize, out: &mut [f32]) {
        let blocks = self.in_features.div_ceil(BLOCK);
        if out.is_empty() || blocks == 0 {
            out.fill(0.0);
            return;
        }
        let batch = (BATCH / (blocks * size_of::<Block<T>>())).clamp(1, rows.div_ceil(T));
        let out = Columns::new(out, self.out_features);
        let panels = self.scales.len();
        let work = panels * LANES * self.in_features * rows;
        let most = if work < PARALLEL_FROM { 1 } else { PARTS * team::threads() };
        let parts = most.min(panels);
        team::each(parts, |part| {
            let panels = part * panels / parts..(part + 1) * panels / parts;
            let mut sums = Vec::new();
            for (i, x) in x.chunks(batch * blocks).enumerate() {
                let tiles = x.len() / blocks;
                sums.clear();
                sums.resize(tiles * panels.len(), [[0.0; LANES]; T]);
                for (panel, sums) in panels.clone().zip(sums.chunks_exact_mut(tiles)) {
                    self.cpu.wide(&self.lines[panel * blocks * LINES..][..blocks * LINES], x, sums);
                }
                // Row after row, as the lines of a column may all fall into the same few places of a cache.
                let (first, sums) = (i * batch * T, sums.as_flattened());
                for row in first..rows.min(first + tiles * T) {
                    for (panel, sums) in panels.clone().zip(sums.chunks_exact(tiles * T)) {
                        let (column, mut values) = (panel * LANES, sums[row - first]);
                        values.iter_mut().zip(&self.scales[panel]).for_each(|(sum, scale)| *sum *= scale);
                        let width = LANES.min(self.out_features - column);
                        // SAFETY: a panel is worked on by one thread, and its columns belong to no other panel.
                        unsafe { out.write(row, column, &values[..width]) }
                    }
                }
            }
        });
    }

    /// One row as floats.
    ///
    /// # Panics
    /// When `index` is not below `out_features` or `out` is not `in_features` long.
    pub fn row(&self, index: usize, out: &mut [f32]) {
        assert!(index < self.out_features, "row {index} of {}", self.out_features);
        assert_eq!(out.len(), self.in_features, "a row has in_features values");
        let depth = self.in_features.div_ceil(BLOCK) * LINES;
        let (panel, lane) = (&self.lines[index / LANES * depth..][..depth], index % LANES);
        for (k, out) in out.iter_mut().enumerate() {
            *out = f32::from(panel[k / 2][lane * 2 + k % 2]) * self.scales[index / LANES][lane];
        }
    }
}

impl Cpu {
    /// Adds the products of a panel and all tiles, `[tile][block]`, to their sums.
    fn wide<const T: usize>(self, lines: &[Line], x: &[Block<T>], sums: &mut [Sums<T>]) {
        match self {
            Self::Portable => by_chunks(lines, x, sums, portable),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2(avx2) => avx2.wide(lines, x, sums),
            // Nobody has run a kernel of 512 bits yet.
            #[cfg(target_arch = "x86_64")]
            Self::Avx512(avx512) => avx512.avx2.wide(lines, x, sums),
        }
    }
}

/// Some blocks of weights with those of all tiles, then the next ones.
#[inline(always)]
fn by_chunks<const T: usize>(
    lines: &[Line],
    x: &[Block<T>],
    sums: &mut [Sums<T>],
    tile: impl Fn(&[Line], &[Block<T>], &mut Sums<T>),
) {
    let blocks = lines.len() / LINES;
    for (i, lines) in lines.chunks(CHUNK * LINES).enumerate() {
        for (x, sums) in x.chunks_exact(blocks).zip(sums.iter_mut()) {
            tile(lines, &x[i * CHUNK..][..lines.len() / LINES], sums);
        }
    }
}

/// For any CPU, and what the vector kernels are compared with.
fn portable<const T: usize>(lines: &[Line], x: &[Block<T>], sums: &mut Sums<T>) {
    for (lines, x) in lines.as_chunks::<LINES>().0.iter().zip(x) {
        for (t, sums) in sums.iter_mut().enumerate() {
            for (row, sum) in sums.iter_mut().enumerate() {
                let product = |(line, q): (&Line, &[[i16; 2]; T])| {
                    let [a, b] = q[t].map(i32::from);
                    a * i32::from(line[2 * row]) + b * i32::from(line[2 * row + 1])
                };
                let products: i32 = lines.iter().zip(&x.q).map(product).sum();
                *sum += products as f32 * x.scale[t];
            }
        }
    }
}
