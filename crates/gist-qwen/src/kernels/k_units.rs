//! The packed K types: units of 256 `k`, with scales of their own for each 32 or 16.

use super::units::{
    Block, LANES, LINES, Line, Nibbles, Unit, Widen, place, set_fifth_bit, set_nibble, u16_at,
    unpack_fifth_bit, unpack_nibbles,
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
    fn unpack(&self, widen: impl Widen, bias: u8, out: &mut [Block]) {
        let (d, dmin) = (widen.halves(&self.d), widen.halves(&self.dmin));
        for ((block, scale), min) in out.iter_mut().zip(&self.scale).zip(&self.min) {
            let (scale, min) = (widen.bytes(scale), widen.bytes(min));
            for lane in 0..LANES {
                let scale = d[lane] * scale[lane];
                block.scale[0][lane] = scale;
                block.offset[lane] = scale * f32::from(bias) - dmin[lane] * min[lane];
            }
        }
    }
}

/// 4 bits, scale and minimum each 32.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
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
        for (i, &byte) in gguf[16..144].iter().enumerate() {
            let (block, k) = (i / 32 * 2, i % 32);
            set_nibble(&mut self.low[block], k, row, byte & 15);
            set_nibble(&mut self.low[block + 1], k, row, byte >> 4);
        }
    }

    #[inline(always)]
    fn unpack(&self, widen: impl Widen, out: &mut [Block]) {
        self.scales.unpack(widen, Self::BIAS, out);
        for (block, low) in out.iter_mut().zip(&self.low) {
            unpack_nibbles(low, &mut block.q);
        }
    }
}

/// 5 bits, scale and minimum each 32. Low and high bits of a block lie together, so that memory is read in order.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
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
        let high = &gguf[16..48];
        for (i, &byte) in gguf[48..176].iter().enumerate() {
            let (block, k) = (i / 32 * 2, i % 32);
            set_nibble(&mut self.bits[block].0, k, row, byte & 15);
            set_nibble(&mut self.bits[block + 1].0, k, row, byte >> 4);
            set_fifth_bit(&mut self.bits[block].1, k, row, high[k] >> block);
            set_fifth_bit(&mut self.bits[block + 1].1, k, row, high[k] >> (block + 1));
        }
    }

    #[inline(always)]
    fn unpack(&self, widen: impl Widen, out: &mut [Block]) {
        self.scales.unpack(widen, Self::BIAS, out);
        for (block, (low, high)) in out.iter_mut().zip(&self.bits) {
            unpack_nibbles(low, &mut block.q);
            unpack_fifth_bit(high, &mut block.q);
        }
    }
}

/// 6 bits, a signed scale each 16.
#[derive(Clone, Copy)]
#[repr(C, align(32))]
pub(super) struct Q6K {
    d: [u16; LANES],
    scale: [[[i8; LANES]; 2]; 8],
    /// Low and high bits of a block; of the high ones bits `2 * (j % 4)` of line `j / 4` belong to line `j`.
    bits: [(Nibbles, [Line; 2]); 8],
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
            for k in 0..32 {
                let byte = low[64 * run + 32 * (part % 2) + k];
                set_nibble(&mut self.bits[block].0, k, row, byte >> (4 * (part / 2)));
                let bits = (high[32 * run + k] >> (2 * part)) & 3;
                let (line, at) = place(k, row);
                self.bits[block].1[line / 4][at] |= bits << (2 * (line % 4));
            }
        }
    }

    #[inline(always)]
    fn unpack(&self, widen: impl Widen, out: &mut [Block]) {
        let d = widen.halves(&self.d);
        for ((block, scale), (low, high)) in out.iter_mut().zip(&self.scale).zip(&self.bits) {
            for (out, scale) in block.scale.iter_mut().zip(scale) {
                for ((out, d), scale) in out.iter_mut().zip(&d).zip(widen.signed(scale)) {
                    *out = d * scale;
                }
            }
            unpack_nibbles(low, &mut block.q);
            for (j, line) in block.q.iter_mut().enumerate() {
                for (byte, &bits) in line.iter_mut().zip(&high[j / 4]) {
                    *byte |= ((bits >> (2 * (j % 4))) & 3) << 4;
                }
            }
        }
    }
}
