//! A panel (16 output rows over the whole depth) times all rows of activations: the loop that all kernels share.

use super::activations::{TileBlock, TileSums};
use super::simd::Simd;
use super::units::{Block, LANES, Unit};

/// Blocks of 32 unpacked at a time: 4 KB of weights and, with [`TILES`] tiles, 16 KB of activations live in L1.
const CHUNK: usize = 8;
/// Tiles of activation rows whose sums are kept while a panel is walked.
pub(super) const TILES: usize = 11;

/// How far ahead of use a lone row fetches weights, in bytes.
const AHEAD: usize = 4096;

/// Where weights are unpacked to, for several tiles.
pub(super) struct Scratch([Block; CHUNK]);

impl Default for Scratch {
    fn default() -> Self {
        Self([Block::ZERO; CHUNK])
    }
}

/// The weights of some blocks of 32 `k`, as a kernel takes them.
pub(super) trait Weights {
    /// Lines `2 * pair` and `2 * pair + 1` of a block.
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2];
    fn scale<S: Simd>(&self, simd: S, block: usize, half: usize) -> S::Lanes;
    fn offset<S: Simd>(&self, simd: S, block: usize) -> S::Lanes;
}

/// Unpacked before, since several tiles of activations are multiplied with them.
impl Weights for [Block] {
    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2] {
        let q = &self[block].q;
        [simd.load(&q[2 * pair]), simd.load(&q[2 * pair + 1])]
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize, half: usize) -> S::Lanes {
        simd.load_lanes(&self[block].scale[half])
    }

    #[inline(always)]
    fn offset<S: Simd>(&self, simd: S, block: usize) -> S::Lanes {
        simd.load_lanes(&self[block].offset)
    }
}

/// Unpacked on the way, since they are used once: through memory and back takes longer than the product. Fetches what
/// lies ahead as it goes, so that memory is read without a pause.
struct Once<'a, U>(&'a U);

impl<U: Unit> Weights for Once<'_, U> {
    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2] {
        self.0.lines(simd, block, pair)
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize, half: usize) -> S::Lanes {
        if half == 0 {
            let size = size_of::<U>() / U::BLOCKS;
            let ahead = std::ptr::from_ref(self.0).cast::<u8>().wrapping_add(AHEAD + block * size);
            (0..size).step_by(64).for_each(|line| simd.prefetch(ahead.wrapping_add(line)));
        }
        self.0.scale(simd, block, half)
    }

    #[inline(always)]
    fn offset<S: Simd>(&self, simd: S, block: usize) -> S::Lanes {
        self.0.offset(simd, block)
    }
}

/// Adds the products of some blocks of weights with as many of a tile's activations to the sums of the tile.
pub(super) trait Tile: Simd {
    fn tile<U: Unit, const T: usize>(
        self,
        weights: &(impl Weights + ?Sized),
        x: &[TileBlock<T>],
        sums: &mut TileSums<T>,
    );
}

/// `sums[tile][t][lane] = Σ_k w[lane, k] * x[tile * T + t, k]` for the panel `units`, with `x` laid out as
/// `[tile][block]` and as many tiles as `sums`.
#[inline(always)]
pub(super) fn multiply<U: Unit, const T: usize>(
    kernel: impl Tile,
    units: &[U],
    x: &[TileBlock<T>],
    sums: &mut [TileSums<T>],
    scratch: &mut Option<Scratch>,
) {
    let blocks = units.len() * U::BLOCKS;
    assert_eq!(x.len(), sums.len() * blocks);
    sums.fill([[0.0; LANES]; T]);
    if let [sums] = &mut *sums {
        for (unit, x) in units.iter().zip(x.chunks_exact(U::BLOCKS)) {
            kernel.tile::<U, T>(&Once(unit), x, sums);
        }
        return;
    }
    let Scratch(unpacked) = scratch.get_or_insert_default();
    for (chunk, units) in units.chunks(CHUNK / U::BLOCKS).enumerate() {
        for (unit, out) in units.iter().zip(unpacked.chunks_exact_mut(U::BLOCKS)) {
            unit.unpack(kernel, out);
        }
        let (start, count) = (chunk * CHUNK, units.len() * U::BLOCKS);
        let (size, next) = (size_of_val(units), units.as_ptr_range().end.cast::<u8>());
        let share = size.div_ceil(sums.len());
        for (i, sums) in sums.iter_mut().enumerate() {
            // What is unpacked next, while these are multiplied.
            let ahead = i * share..size.min((i + 1) * share);
            ahead.step_by(64).for_each(|at| kernel.prefetch(next.wrapping_add(at)));
            let x = &x[i * blocks + start..][..count];
            kernel.tile::<U, T>(&unpacked[..count], x, sums);
        }
    }
}
