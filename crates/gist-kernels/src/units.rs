//! The packed layouts: what one *unit* of a weight matrix looks like in memory.
//!
//! A unit holds [`LANES`] output rows by one GGUF block of input values (32, or 256 for the K types), with the rows
//! interleaved so that a vector lane is a row: a 64-byte *line* is 16 rows × 4 consecutive `k`, byte `row * 4 + k % 4`.
//! One line is two AVX2 registers, one AVX-512 register or four NEON registers, so the layout serves them all.
//! Eight lines make a block of 32 `k`. Four-bit lines are stored two to a line (even line in the low nibble, odd in the
//! high one); fifth and sixth bits lie in planes of their own. The stored size is that of the GGUF file, but for the K
//! types with minimums, whose 6-bit scales are widened to bytes (4.625 instead of 4.5 bits a weight).
//!
//! The types in blocks of 32 are here, the K types in `k_units`. Formulas: `dequantize_row_*` in `ggml-quants.c` of
//! llama.cpp, as in candle's `k_quants.rs`.

use super::simd::Simd;

/// Output rows interleaved in a unit.
pub(super) const LANES: usize = 16;
/// Input values that share a scale in the kernels.
pub(super) const BLOCK: usize = 32;
/// Lines (of 4 input values each) in a block.
pub(super) const LINES: usize = BLOCK / 4;

/// 16 rows × 4 `k`, one byte each.
pub(super) type Line = [u8; LANES * 4];

/// One block of 32 `k` × 16 rows unpacked to bytes: what the kernels multiply.
///
/// `w[row, k] = scale[half][row] * (q[k / 4][row * 4 + k % 4] - BIAS) + offset[row]`, where `half` is `k / 16` for
/// types with two scales a block and 0 for the others.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Block {
    pub(super) q: [Line; LINES],
    pub(super) scale: [[f32; LANES]; 2],
    /// Zero (and not read) for types without minimums.
    pub(super) offset: [f32; LANES],
}

impl Block {
    pub(super) const ZERO: Self =
        Self { q: [[0; LANES * 4]; LINES], scale: [[0.0; LANES]; 2], offset: [0.0; LANES] };
}

/// A packed unit of one quantised type.
pub(super) trait Unit: Copy + Send + Sync {
    /// Bytes of the GGUF block of one row that goes into a unit.
    const GGUF_BYTES: usize;
    /// Blocks of 32 `k` in a unit.
    const BLOCKS: usize;
    /// Whether the unpacked quants are `i8`. All others are unsigned and have at most 6 bits.
    const SIGNED: bool = false;
    /// What the kernels subtract from unsigned quants. `|q - BIAS| * 127 * 32 / HALVES / 2` must stay below 2^15.
    const BIAS: u8;
    /// Whether the type has minimums, so that `offset` is not zero.
    const OFFSET: bool = false;
    /// Scales in a block: 1, or 2 for one each 16 `k`.
    const HALVES: usize = 1;
    /// All weights zero: what pads the last panel.
    const ZERO: Self;

    /// Writes the GGUF block of one row (`GGUF_BYTES` long) into lane `row`. The lane must be zero before.
    fn set_row(&mut self, row: usize, gguf: &[u8]);

    /// Lines `2 * pair` and `2 * pair + 1` of a block, unpacked.
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2];

    /// The scales of a half of a block.
    fn scale<S: Simd>(&self, simd: S, block: usize, half: usize) -> S::Lanes;

    /// What is added to the weights of a block: only of types with minimums.
    fn offset<S: Simd>(&self, simd: S, _block: usize) -> S::Lanes {
        simd.splat(0.0)
    }

    /// Unpacks into `out[..BLOCKS]`.
    #[inline(always)]
    fn unpack<S: Simd>(&self, simd: S, out: &mut [Block]) {
        for (block, out) in out.iter_mut().enumerate().take(Self::BLOCKS) {
            for (pair, out) in out.q.as_chunks_mut::<2>().0.iter_mut().enumerate() {
                let lines = self.lines(simd, block, pair);
                out.iter_mut().zip(lines).for_each(|(out, line)| simd.store(line, out));
            }
            for (half, out) in out.scale.iter_mut().enumerate().take(Self::HALVES) {
                simd.store_lanes(self.scale(simd, block, half), out);
            }
            if Self::OFFSET {
                simd.store_lanes(self.offset(simd, block), &mut out.offset);
            }
        }
    }
}

pub(super) type Nibbles = [Line; LINES / 2];

/// Two lines of five bits: bit `j` of `high` belongs to line `j`.
#[inline(always)]
pub(super) fn fifth_bits<S: Simd>(simd: S, low: &Nibbles, high: &Line, pair: usize) -> [S::Line; 2] {
    let ([even, odd], high) = (simd.nibbles(simd.load(&low[pair])), simd.load(high));
    [simd.plane(even, high, 2 * pair, 1), simd.plane(odd, high, 2 * pair + 1, 1)]
}

/// Runs of four bytes, the first in the low bits: what a row has of a line, and how matrices are packed, as that takes a
/// quarter of the steps.
pub(super) fn fours(bytes: &[u8]) -> impl Iterator<Item = u32> {
    bytes.as_chunks::<4>().0.iter().map(|four| u32::from_le_bytes(*four))
}

/// `value`, of one byte, in each of four.
pub(super) const fn each(value: u8) -> u32 {
    u32::from_le_bytes([value; 4])
}

/// Sets bits of what `row` has of a line.
pub(super) fn set(line: &mut Line, row: usize, four: u32) {
    let place = &mut line.as_chunks_mut::<4>().0[row];
    *place = (u32::from_le_bytes(*place) | four).to_le_bytes();
}

/// The low four bits of each byte become what `row` has of line `line`.
pub(super) fn set_nibbles(low: &mut Nibbles, line: usize, row: usize, four: u32) {
    set(&mut low[line / 2], row, (four & each(15)) << (4 * (line % 2)));
}

/// The lowest bit of each byte becomes the fifth one of what `row` has of line `line`.
pub(super) fn set_fifth_bits(high: &mut Line, line: usize, row: usize, four: u32) {
    set(high, row, (four & each(1)) << line);
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes([bytes[at], bytes[at + 1]])
}

/// 4 bits around 8, a scale each 32.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Q40 {
    d: [u16; LANES],
    low: Nibbles,
}

impl Unit for Q40 {
    const GGUF_BYTES: usize = 18;
    const BLOCKS: usize = 1;
    const BIAS: u8 = 8;
    const ZERO: Self = Self { d: [0; LANES], low: [[0; LANES * 4]; LINES / 2] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.d[row] = u16_at(gguf, 0);
        for (line, four) in fours(&gguf[2..18]).enumerate() {
            set_nibbles(&mut self.low, line, row, four);
            set_nibbles(&mut self.low, line + 4, row, four >> 4);
        }
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, _: usize, pair: usize) -> [S::Line; 2] {
        simd.nibbles(simd.load(&self.low[pair]))
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, _: usize, _: usize) -> S::Lanes {
        simd.halves(&self.d)
    }
}

/// 5 bits around 16, a scale each 32.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Q50 {
    d: [u16; LANES],
    low: Nibbles,
    high: Line,
}

impl Unit for Q50 {
    const GGUF_BYTES: usize = 22;
    const BLOCKS: usize = 1;
    const BIAS: u8 = 16;
    const ZERO: Self = Self { d: [0; LANES], low: [[0; LANES * 4]; LINES / 2], high: [0; LANES * 4] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.d[row] = u16_at(gguf, 0);
        for (line, four) in fours(&gguf[6..22]).enumerate() {
            set_nibbles(&mut self.low, line, row, four);
            set_nibbles(&mut self.low, line + 4, row, four >> 4);
        }
        for line in 0..LINES {
            let bits = gguf[2 + line / 2] >> (4 * (line % 2));
            let four = [bits, bits >> 1, bits >> 2, bits >> 3];
            set_fifth_bits(&mut self.high, line, row, u32::from_le_bytes(four));
        }
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, _: usize, pair: usize) -> [S::Line; 2] {
        fifth_bits(simd, &self.low, &self.high, pair)
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, _: usize, _: usize) -> S::Lanes {
        simd.halves(&self.d)
    }
}

/// 8 signed bits, a scale each 32.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Q80 {
    d: [u16; LANES],
    q: [Line; LINES],
}

impl Unit for Q80 {
    const GGUF_BYTES: usize = 34;
    const BLOCKS: usize = 1;
    const SIGNED: bool = true;
    const BIAS: u8 = 0;
    const ZERO: Self = Self { d: [0; LANES], q: [[0; LANES * 4]; LINES] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.d[row] = u16_at(gguf, 0);
        self.q.iter_mut().zip(fours(&gguf[2..34])).for_each(|(line, four)| set(line, row, four));
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, _: usize, pair: usize) -> [S::Line; 2] {
        [simd.load(&self.q[2 * pair]), simd.load(&self.q[2 * pair + 1])]
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, _: usize, _: usize) -> S::Lanes {
        simd.halves(&self.d)
    }
}
