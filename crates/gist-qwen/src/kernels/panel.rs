//! A panel (16 output rows over the whole depth) times all rows of activations: the loop that both kernels share.

use super::activations::{TileBlock, TileSums};
use super::units::{Block, Unit, Widen};

/// Blocks of 32 unpacked at a time: 4 KB of weights and, with [`TILES`] tiles, 16 KB of activations live in L1.
const CHUNK: usize = 8;
/// Tiles of activation rows whose sums are kept while a panel is walked.
pub(super) const TILES: usize = 11;

/// How far ahead of use a lone row fetches weights, in bytes. Unpacking reads memory in bursts; without this the
/// multiplication between them would leave the memory idle (measured: half the speed).
const AHEAD: usize = 8192;

/// Where weights are unpacked to.
pub(super) struct Scratch([Block; CHUNK]);

impl Scratch {
    pub(super) fn new() -> Self {
        Self([Block::ZERO; CHUNK])
    }
}

/// `sums[tile][t][lane] = Σ_k w[lane, k] * x[tile * T + t, k]` for the panel `units`, with `x` laid out as
/// `[tile][block]` and as many tiles as `sums`. `tile` adds the products of some blocks to the sums of one tile;
/// `prefetch` hints that a cache line will be read (it may lie behind the end of the weights).
#[inline(always)]
pub(super) fn multiply<U: Unit, const T: usize>(
    units: &[U],
    x: &[TileBlock<T>],
    sums: &mut [TileSums<T>],
    scratch: &mut Scratch,
    widen: impl Widen,
    prefetch: impl Fn(*const u8),
    tile: impl Fn(&[Block], &[TileBlock<T>], &mut TileSums<T>),
) {
    let blocks = units.len() * U::BLOCKS;
    assert_eq!(x.len(), sums.len() * blocks);
    sums.fill([[0.0; super::units::LANES]; T]);
    for (chunk, units) in units.chunks(CHUNK / U::BLOCKS).enumerate() {
        for (unit, out) in units.iter().zip(scratch.0.chunks_exact_mut(U::BLOCKS)) {
            unit.unpack(widen, out);
        }
        if T == 1 {
            let next = units.as_ptr().cast::<u8>().wrapping_add(AHEAD);
            (0..size_of_val(units)).step_by(64).for_each(|line| prefetch(next.wrapping_add(line)));
        }
        let (start, count) = (chunk * CHUNK, units.len() * U::BLOCKS);
        for (i, sums) in sums.iter_mut().enumerate() {
            let x = &x[i * blocks + start..][..count];
            tile(&scratch.0[..count], x, sums);
        }
    }
}
