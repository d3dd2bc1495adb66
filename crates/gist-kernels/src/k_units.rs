//! The packed K types: units of 256 `k`, with scales of their own for each 32 or 16.

use super::simd::Simd;
use super::units::{
    LANES, LINES, Line, Nibbles, Unit, each, fifth_bits, fours, set, set_fifth_bits, set_nibbles, u16_at,
};

/// Scale and minimum `j` of the 12 packed bytes of Q4_K and Q5_K, 6 bits each.
fn k_scale_min(j: usize, packed: &[u8]) -> (u8, u8) {
    if j < 4 {
        (packed[j] & 63, packed[j + 4] & 63)
    } else {
        ((packed[j + 4] & 15) | ((packed[j - 4] >> 6) << 4), (packed[j + 4] >> 4) | ((packed[j] >> 6) << 4))
    }
}

/// The scales of Q4_K and Q5_K: `w = d * scale * q - dmin * min`.
#[derive(Clone, Copy)]
#[repr(C)]
struct KScales {
    d: [u16; LANES],
    dmin: [u16; LANES],
    scale: [[u8; LANES]; 8],
    min: [[u8; LANES]; 8],
}

impl KScales {
    const ZERO: Self = Self { d: [0; LANES], dmin: [0; LANES], scale: [[0; LANES]; 8], min: [[0; LANES]; 8] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.d[row] = u16_at(gguf, 0);
        self.dmin[row] = u16_at(gguf, 2);
        for j in 0..8 {
            (self.scale[j][row], self.min[j][row]) = k_scale_min(j, &gguf[4..16]);
        }
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize) -> S::Lanes {
        simd.mul(simd.halves(&self.d), simd.bytes(&self.scale[block]))
    }

    #[inline(always)]
    fn offset<S: Simd>(&self, simd: S, block: usize, bias: u8) -> S::Lanes {
        let taken_off = match bias {
            0 => simd.splat(0.0),
            bias => simd.mul(self.scale(simd, block), simd.splat(f32::from(bias))),
        };
        simd.sub_mul(taken_off, simd.halves(&self.dmin), simd.bytes(&self.min[block]))
    }
}

/// 4 bits, scale and minimum each 32.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Q4K {
    scales: KScales,
    low: [Nibbles; 8],
}

impl Unit for Q4K {
    const GGUF_BYTES: usize = 144;
    const BLOCKS: usize = 8;
    const BIAS: u8 = 0;
    const OFFSET: bool = true;
    const ZERO: Self = Self { scales: KScales::ZERO, low: [[[0; LANES * 4]; LINES / 2]; 8] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.scales.set_row(row, gguf);
        for (i, four) in fours(&gguf[16..144]).enumerate() {
            let (block, line) = (i / LINES * 2, i % LINES);
            set_nibbles(&mut self.low[block], line, row, four);
            set_nibbles(&mut self.low[block + 1], line, row, four >> 4);
        }
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2] {
        simd.nibbles(simd.load(&self.low[block][pair]))
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize, _: usize) -> S::Lanes {
        self.scales.scale(simd, block)
    }

    #[inline(always)]
    fn offset<S: Simd>(&self, simd: S, block: usize) -> S::Lanes {
        self.scales.offset(simd, block, Self::BIAS)
    }
}

/// 5 bits, scale and minimum each 32. Low and high bits of a block lie together, so that memory is read in order.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Q5K {
    scales: KScales,
    bits: [(Nibbles, Line); 8],
}

impl Unit for Q5K {
    const GGUF_BYTES: usize = 176;
    const BLOCKS: usize = 8;
    // Not that of the type, but without it the sums would not fit.
    const BIAS: u8 = 16;
    const OFFSET: bool = true;
    const ZERO: Self =
        Self { scales: KScales::ZERO, bits: [([[0; LANES * 4]; LINES / 2], [0; LANES * 4]); 8] };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        self.scales.set_row(row, gguf);
        for (pair, quants) in gguf[48..176].chunks_exact(32).enumerate() {
            for (line, (four, high)) in fours(quants).zip(fours(&gguf[16..48])).enumerate() {
                for (block, four) in [(2 * pair, four), (2 * pair + 1, four >> 4)] {
                    set_nibbles(&mut self.bits[block].0, line, row, four);
                    set_fifth_bits(&mut self.bits[block].1, line, row, high >> block);
                }
            }
        }
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2] {
        let (low, high) = &self.bits[block];
        fifth_bits(simd, low, high, pair)
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize, _: usize) -> S::Lanes {
        self.scales.scale(simd, block)
    }

    #[inline(always)]
    fn offset<S: Simd>(&self, simd: S, block: usize) -> S::Lanes {
        self.scales.offset(simd, block, Self::BIAS)
    }
}

/// 6 bits, a signed scale each 16.
#[derive(Clone, Copy)]
#[repr(C, align(64))]
pub(super) struct Q6K {
    /// Low and high bits of a block; of the high ones bits `2 * (j % 4)` of line `j / 4` belong to line `j`.
    bits: [(Nibbles, [Line; 2]); 8],
    scale: [[[i8; LANES]; 2]; 8],
    d: [u16; LANES],
}

impl Unit for Q6K {
    const GGUF_BYTES: usize = 210;
    const BLOCKS: usize = 8;
    const BIAS: u8 = 32;
    const HALVES: usize = 2;
    const ZERO: Self = Self {
        d: [0; LANES],
        scale: [[[0; LANES]; 2]; 8],
        bits: [([[0; LANES * 4]; LINES / 2], [[0; LANES * 4]; 2]); 8],
    };

    fn set_row(&mut self, row: usize, gguf: &[u8]) {
        let (low, high, scales) = (&gguf[..128], &gguf[128..192], &gguf[192..208]);
        self.d[row] = u16_at(gguf, 208);
        for (i, &scale) in scales.iter().enumerate() {
            self.scale[i / 2][i % 2][row] = scale.cast_signed();
        }
        // Each run of 128 values takes 64 low and 32 high bytes; its four blocks of 32 share the high bytes.
        for block in 0..8 {
            let (run, part) = (block / 4, block % 4);
            let (low, high) = (&low[64 * run + 32 * (part % 2)..][..32], &high[32 * run..][..32]);
            for (line, (low, high)) in fours(low).zip(fours(high)).enumerate() {
                set_nibbles(&mut self.bits[block].0, line, row, low >> (4 * (part / 2)));
                let bits = (high >> (2 * part)) & each(3);
                set(&mut self.bits[block].1[line / 4], row, bits << (2 * (line % 4)));
            }
        }
    }

    #[inline(always)]
    fn lines<S: Simd>(&self, simd: S, block: usize, pair: usize) -> [S::Line; 2] {
        let (low, high) = &self.bits[block];
        let ([even, odd], high) = (simd.nibbles(simd.load(&low[pair])), simd.load(&high[pair / 2]));
        let at = pair % 2 * 4;
        [simd.plane(even, high, at, 3), simd.plane(odd, high, at + 2, 3)]
    }

    #[inline(always)]
    fn scale<S: Simd>(&self, simd: S, block: usize, half: usize) -> S::Lanes {
        simd.mul(simd.halves(&self.d), simd.signed(&self.scale[block][half]))
    }
}
