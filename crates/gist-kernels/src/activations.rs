//! Activations as the kernels read them: 8 bits with a scale each 32 values, or twice 8, in tiles of rows.
//!
//! Rows of a text have much in common: some channels are large in all of them, and all values of a block are rounded by
//! its largest. So what many rows differ by from their mean is quantised instead, and the product of the mean is added to
//! each of theirs. The mean takes the place of a row that would be padding, so multiplying it costs nothing; and since
//! rows differ from the mean as it was rounded, rounding it loses nothing.

use super::units::{BLOCK, LANES, LINES};
use super::{Cpu, team, vectorized};

/// Rows that are multiplied in little more time than a single one: that of reading the weights.
pub const DRAFT: usize = 4;
/// Rows that a weight block, once in registers, is multiplied with: as many sums as 16 registers leave room for, and as
/// 32 do.
pub(super) const FEW: usize = 6;
pub(super) const MANY: usize = 8;
/// The largest magnitude of an activation.
const MOST: f32 = 127.0;
/// Rows from which on their mean is worth computing, and says what they have in common rather than what each is.
const CENTRED_FROM: usize = 32;
/// Values below which quantising is not worth waking another thread.
const PARALLEL_FROM: usize = 1 << 15;

/// 32 values of each of `T` rows: `x[t, k] ≈ scale[t] * q[t, k]`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct TileBlock<const T: usize> {
    /// Four signed bytes in ±127 a word, lowest `k` in the lowest byte: `q[k / 4][t]`.
    pub(super) q: [[i32; T]; LINES],
    pub(super) scale: [f32; T],
    /// `scale * Σ q`: what the offset of the weights is multiplied with.
    pub(super) sum: [f32; T],
    /// Sums of the bytes 0 and 1, and of 2 and 3, over the words of each half, as two 16-bit numbers in a word: what
    /// the bias of the weights is multiplied with.
    pub(super) pairs: [[i32; T]; 2],
}

impl<const T: usize> TileBlock<T> {
    pub(super) const ZERO: Self =
        Self { q: [[0; T]; LINES], scale: [0.0; T], sum: [0.0; T], pairs: [[0; T]; 2] };

    #[inline(always)]
    fn set(&mut self, t: usize, scale: f32, q: &[i32; BLOCK]) {
        let mut sum = 0;
        for (pairs, q) in self.pairs.iter_mut().zip(q.as_chunks::<{ BLOCK / 2 }>().0) {
            let mut bytes = [0; 4];
            for word in q.as_chunks::<4>().0 {
                for (byte, q) in bytes.iter_mut().zip(word) {
                    *byte += q;
                }
            }
            let (low, high) = (bytes[0] + bytes[1], bytes[2] + bytes[3]);
            pairs[t] = (high << 16) | (low & 0xffff);
            sum += low + high;
        }
        for (words, q) in self.q.iter_mut().zip(q.as_chunks::<4>().0) {
            words[t] = i32::from_le_bytes(q.map(|q| (q as i8).cast_unsigned()));
        }
        self.scale[t] = scale;
        self.sum[t] = scale * sum as f32;
    }
}

/// What 1 of integers up to ±`most` stands for, of these values, and what they are multiplied with. All zeros and values
/// too small to have a normal scale become zero; a NaN or an infinity makes the scale NaN, so that every output it takes
/// part in is NaN and the fault stays visible.
#[inline(always)]
pub(super) fn scale(x: &[f32], most: f32) -> (f32, f32) {
    // As integers, magnitudes order like the floats, with infinity and NaN on top.
    let top = x.iter().fold(0, |top, x| top.max(x.to_bits() & 0x7fff_ffff));
    let amax = f32::from_bits(top);
    let scale = amax / most;
    if !amax.is_finite() || scale < f32::MIN_POSITIVE {
        return (if amax.is_finite() { 0.0 } else { f32::NAN }, 0.0);
    }
    (scale, 1.0 / scale)
}

/// The nearest integer (ties to even) of at most 2^22.
#[inline(always)]
pub(super) fn round(x: f32) -> i32 {
    /// Adding it rounds to an integer, which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    (x + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed()
}

/// Quantises 32 values to a scale and numbers in ±`most`, which is at most 2^22; see [`scale`].
#[inline(always)]
pub(super) fn quantize(x: &[f32; BLOCK], most: f32) -> (f32, [i32; BLOCK]) {
    let (scale, inverse) = scale(x, most);
    // At most `most` * (1 + 2^-22) before rounding, so within ±`most` after it.
    (scale, integers(x, inverse))
}

/// Values times the inverse of a [`scale`], rounded.
#[inline(always)]
pub(super) fn integers<const N: usize>(x: &[f32; N], inverse: f32) -> [i32; N] {
    let mut q = [0; N];
    if inverse != 0.0 {
        q.iter_mut().zip(x).for_each(|(q, value)| *q = round(value * inverse));
    }
    q
}

/// Blocks of all rows, tile after tile: `tiles[tile * blocks + block]`.
#[derive(Clone)]
pub(super) enum Tiles {
    /// A single row: no tile, no padding.
    One(Vec<TileBlock<1>>),
    /// One tile of two rows (or of one in twice 8 bits: what the logits of a token are computed of), of three, of
    /// [`DRAFT`]: with AVX2 each row more takes longer.
    Two(Vec<TileBlock<2>>),
    Three(Vec<TileBlock<3>>),
    Draft(Vec<TileBlock<DRAFT>>),
    /// Tiles of [`FEW`] rows, the last padded with zeros.
    Few(Vec<TileBlock<FEW>>),
    /// Tiles of [`MANY`] rows, the last padded with zeros.
    Many(Vec<TileBlock<MANY>>),
}

/// Rows of activations quantised once, to be multiplied with several matrices (q, k, v; gate, up).
#[derive(Clone)]
pub struct QuantizedRows {
    rows: usize,
    features: usize,
    /// How many rows of the tiles make up one of these: 2 where what rounding takes off a row is the next one.
    pub(super) planes: usize,
    /// Whether the first row of the tiles is what was taken off all others.
    pub(super) centred: bool,
    pub(super) tiles: Tiles,
}

impl QuantizedRows {
    /// Quantises `rows` × `features` row-major values. `features` must be a multiple of 32. Of 32 rows or more, if they do
    /// not fill all tiles, what they differ by from their mean is rounded: what becomes of a row depends on the others,
    /// then, by less than rounding it alone would be off.
    ///
    /// # Panics
    /// When `x.len() != rows * features` or `features` is not a multiple of 32.
    #[must_use]
    pub fn new(x: &[f32], rows: usize, features: usize) -> Self {
        Self::of_planes(x, rows, features, 1)
    }

    /// The same in 16 bits, as two rows of 8: the second is what rounding takes off the first. Costs what twice the rows
    /// cost, so hardly anything where one or two are multiplied.
    ///
    /// # Panics
    /// As [`Self::new`].
    #[must_use]
    pub fn fine(x: &[f32], rows: usize, features: usize) -> Self {
        let mut planes = Vec::with_capacity(2 * x.len());
        for row in x.chunks_exact(features.max(1)) {
            planes.extend_from_slice(row);
            for x in row.as_chunks::<BLOCK>().0 {
                let (scale, q) = quantize(x, MOST);
                planes.extend(x.iter().zip(q).map(|(x, q)| x - scale * q as f32));
            }
        }
        Self::of_planes(&planes, rows, features, 2)
    }

    fn of_planes(x: &[f32], rows: usize, features: usize, planes: usize) -> Self {
        assert_eq!(x.len(), rows * features * planes, "activations must be rows × features");
        assert_eq!(features % BLOCK, 0, "features must be a multiple of {BLOCK}");
        let room = !rows.is_multiple_of(Cpu::detect().tile(rows));
        let centred = planes == 1 && rows >= CENTRED_FROM && room && !x.is_empty();
        let source = Source { x, features, centre: if centred { centre(x, features) } else { Vec::new() } };
        let all = rows * planes + usize::from(centred);
        let tiles = match Cpu::detect().tile(all) {
            1 => Tiles::One(source.tiles(all)),
            2 => Tiles::Two(source.tiles(all)),
            3 => Tiles::Three(source.tiles(all)),
            DRAFT => Tiles::Draft(source.tiles(all)),
            FEW => Tiles::Few(source.tiles(all)),
            _ => Tiles::Many(source.tiles(all)),
        };
        Self { rows, features, planes, centred, tiles }
    }

    /// How many rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Values in a row.
    #[must_use]
    pub fn features(&self) -> usize {
        self.features
    }
}

/// The mean of rows, rounded to what 8 bits can say. Where it is no finite number it is zero: a fault stays in its row.
fn centre(x: &[f32], features: usize) -> Vec<f32> {
    let part = |first: usize, mean: &mut [f32]| {
        for row in x.chunks_exact(features) {
            mean.iter_mut().zip(&row[first..]).for_each(|(mean, x)| *mean += x);
        }
        let share = features as f32 / x.len() as f32;
        mean.iter_mut().for_each(|mean| *mean = if mean.is_finite() { *mean * share } else { 0.0 });
        for mean in mean.as_chunks_mut::<BLOCK>().0 {
            let (scale, q) = quantize(mean, MOST);
            *mean = q.map(|q| scale * q as f32);
        }
    };
    let mut mean = vec![0.0; features];
    let threads = if x.len() < PARALLEL_FROM { 1 } else { team::threads() };
    let width = (features / BLOCK).div_ceil(threads) * BLOCK;
    team::pieces(&mut mean, width, |i, mean| vectorized(|| part(i * width, mean)));
    mean
}

/// Rows to quantise.
pub(super) struct Source<'a> {
    pub(super) x: &'a [f32],
    pub(super) features: usize,
    /// What is taken off them, and comes before the first; or nothing.
    pub(super) centre: Vec<f32>,
}

impl Source<'_> {
    /// The row at this place in the tiles, and what is to be taken off it.
    #[inline(always)]
    fn row(&self, at: usize) -> Option<(&[f32], Option<&[f32]>)> {
        let less = (!self.centre.is_empty()).then_some(&*self.centre);
        match at.checked_sub(usize::from(less.is_some())) {
            None => less.map(|centre| (centre, None)),
            Some(at) => Some((self.x.get(at * self.features..(at + 1) * self.features)?, less)),
        }
    }

    /// All of them, `rows` with the centre.
    fn tiles<const T: usize>(&self, rows: usize) -> Vec<TileBlock<T>> {
        let blocks = self.features / BLOCK;
        let mut tiles = vec![TileBlock::ZERO; rows.div_ceil(T) * blocks];
        if tiles.is_empty() {
            return tiles;
        }
        if self.x.len() < PARALLEL_FROM {
            for (i, tile) in tiles.chunks_mut(blocks).enumerate() {
                vectorized(|| self.tile(i, tile));
            }
        } else {
            team::pieces(&mut tiles, blocks, |i, tile| vectorized(|| self.tile(i, tile)));
        }
        tiles
    }

    /// The rows of one tile.
    #[inline(always)]
    pub(super) fn tile<const T: usize>(&self, index: usize, tile: &mut [TileBlock<T>]) {
        for t in 0..T {
            let Some((row, less)) = self.row(index * T + t) else { break };
            for (i, (block, x)) in tile.iter_mut().zip(row.as_chunks::<BLOCK>().0).enumerate() {
                let mut x = *x;
                if let Some(less) = less {
                    x.iter_mut().zip(&less[i * BLOCK..]).for_each(|(x, less)| *x -= less);
                }
                let (scale, q) = quantize(&x, MOST);
                block.set(t, scale, &q);
            }
        }
    }
}

/// Sums of one tile for the rows of a panel.
pub(super) type TileSums<const T: usize> = [[f32; LANES]; T];
