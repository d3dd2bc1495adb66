//! Activations in integers of 14 bits.

use super::{BLOCK, LINES, MOST, MOST_SUM};
use crate::activations::{self, FEW};
use crate::kv::{self, Arch, Task};
use crate::team;
use crate::units::LANES;

/// 64 values of each of `T` rows: `x[t, k] ≈ scale[t] * q[k / 2][t][k % 2]`.
#[derive(Clone, Copy)]
#[repr(C)]
pub(super) struct Block<const T: usize> {
    pub(super) q: [[[i16; 2]; T]; LINES],
    pub(super) scale: [f32; T],
}

impl<const T: usize> Block<T> {
    const ZERO: Self = Self { q: [[[0; 2]; T]; LINES], scale: [0.0; T] };
}

/// `[tile][block]`; the last tile is filled up with zeros.
#[derive(Clone)]
pub(super) enum Tiles {
    One(Vec<Block<1>>),
    Few(Vec<Block<FEW>>),
}

/// Rows of activations for a [`WideMatrix`](super::WideMatrix).
#[derive(Clone)]
pub struct WideRows {
    pub(super) rows: usize,
    pub(super) features: usize,
    pub(super) tiles: Tiles,
}

impl WideRows {
    /// Quantises `rows` × `features` row-major values. Where 64 of them hold one that is not a finite number all that
    /// they are multiplied into becomes NaN.
    ///
    /// # Panics
    /// When `x.len() != rows * features`.
    #[must_use]
    pub fn new(x: &[f32], rows: usize, features: usize) -> Self {
        assert_eq!(x.len(), rows * features, "activations must be rows × features");
        let tiles = if rows == 1 {
            Tiles::One(quantize_tiles(x, rows, features))
        } else {
            Tiles::Few(quantize_tiles(x, rows, features))
        };
        Self { rows, features, tiles }
    }
}

fn quantize_tiles<const T: usize>(x: &[f32], rows: usize, features: usize) -> Vec<Block<T>> {
    let blocks = features.div_ceil(BLOCK);
    let mut tiles = vec![Block::ZERO; rows.div_ceil(T) * blocks];
    if tiles.is_empty() {
        return tiles;
    }
    team::pieces(&mut tiles, blocks, |i, tile| {
        let x = &x[i * T * features..];
        kv::run(Quantize { x: &x[..x.len().min(T * features)], features, tile });
    });
    tiles
}

/// The rows of a tile.
struct Quantize<'a, const T: usize> {
    x: &'a [f32],
    features: usize,
    tile: &'a mut [Block<T>],
}

impl<const T: usize> Task for Quantize<'_, T> {
    #[inline(always)]
    fn run<A: Arch>(self, _: A) {
        for (t, row) in self.x.chunks_exact(self.features).enumerate() {
            let (whole, rest) = row.as_chunks::<BLOCK>();
            let mut last = [0.0; BLOCK];
            last[..rest.len()].copy_from_slice(rest);
            for (block, x) in self.tile.iter_mut().zip(whole.iter().chain([&last])) {
                let (scale, q) = quantize(x);
                block.scale[t] = scale;
                for (pair, q) in block.q.iter_mut().zip(q.as_chunks::<2>().0) {
                    pair[t] = q.map(|q| q as i16);
                }
            }
        }
    }
}

/// A scale and integers within what [`super`] says.
#[inline(always)]
fn quantize(x: &[f32; BLOCK]) -> (f32, [i32; BLOCK]) {
    let (scale, inverse) = activations::scale(x, MOST);
    // As many sums as lanes, so that they are vectors. Of what is no number none is larger than 1.
    let mut sums = [0.0; LANES];
    for x in x.as_chunks::<LANES>().0 {
        sums.iter_mut().zip(x).for_each(|(sum, x)| *sum += (x * inverse).abs());
    }
    let more = (sums.iter().sum::<f32>() / MOST_SUM).max(1.0);
    (scale * more, activations::integers(x, inverse / more))
}
