//! The vector code that packed weights are unpacked with: on the way to the product for one row of activations, ahead of
//! it for several.

use super::units::{LANES, Line};

/// 64 bytes and 16 floats at a time. What is not `Plain` needs a CPU feature, and its value is the proof of that.
pub(super) trait Simd: Copy {
    /// A line in registers.
    type Line: Copy;
    /// A float for each of the 16 output rows.
    type Lanes: Copy;

    fn load(self, line: &Line) -> Self::Line;
    fn store(self, line: Self::Line, to: &mut Line);
    /// The low and the high nibbles of each byte.
    fn nibbles(self, line: Self::Line) -> [Self::Line; 2];
    /// `low` with the bits of `mask` from bit `at` of `high` on as its bits 4 and 5.
    fn plane(self, low: Self::Line, high: Self::Line, at: usize, mask: u8) -> Self::Line;

    fn load_lanes(self, lanes: &[f32; LANES]) -> Self::Lanes;
    fn store_lanes(self, lanes: Self::Lanes, to: &mut [f32; LANES]);
    fn halves(self, halves: &[u16; LANES]) -> Self::Lanes;
    fn bytes(self, bytes: &[u8; LANES]) -> Self::Lanes;
    fn signed(self, bytes: &[i8; LANES]) -> Self::Lanes;
    fn splat(self, value: f32) -> Self::Lanes;
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes;
    /// `a - b * c`, with one rounding or two.
    fn sub_mul(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes;

    /// Hints that the cache line at this address will be read; any address is allowed.
    fn prefetch(self, line: *const u8);
}

/// For any CPU.
#[derive(Clone, Copy)]
pub(super) struct Plain;

impl Simd for Plain {
    type Line = Line;
    type Lanes = [f32; LANES];

    #[inline(always)]
    fn load(self, line: &Line) -> Line {
        *line
    }

    #[inline(always)]
    fn store(self, line: Line, to: &mut Line) {
        *to = line;
    }

    #[inline(always)]
    fn nibbles(self, line: Line) -> [Line; 2] {
        [line.map(|byte| byte & 15), line.map(|byte| byte >> 4)]
    }

    #[inline(always)]
    fn plane(self, mut low: Line, high: Line, at: usize, mask: u8) -> Line {
        for (low, high) in low.iter_mut().zip(high) {
            *low |= ((high >> at) & mask) << 4;
        }
        low
    }

    #[inline(always)]
    fn load_lanes(self, lanes: &[f32; LANES]) -> [f32; LANES] {
        *lanes
    }

    #[inline(always)]
    fn store_lanes(self, lanes: [f32; LANES], to: &mut [f32; LANES]) {
        *to = lanes;
    }

    #[inline(always)]
    fn halves(self, halves: &[u16; LANES]) -> [f32; LANES] {
        halves.map(half_to_f32)
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; LANES]) -> [f32; LANES] {
        bytes.map(f32::from)
    }

    #[inline(always)]
    fn signed(self, bytes: &[i8; LANES]) -> [f32; LANES] {
        bytes.map(f32::from)
    }

    #[inline(always)]
    fn splat(self, value: f32) -> [f32; LANES] {
        [value; LANES]
    }

    #[inline(always)]
    fn mul(self, mut a: [f32; LANES], b: [f32; LANES]) -> [f32; LANES] {
        a.iter_mut().zip(b).for_each(|(a, b)| *a *= b);
        a
    }

    #[inline(always)]
    fn sub_mul(self, mut a: [f32; LANES], b: [f32; LANES], c: [f32; LANES]) -> [f32; LANES] {
        a.iter_mut().zip(b).zip(c).for_each(|((a, b), c)| *a -= b * c);
        a
    }

    #[inline(always)]
    fn prefetch(self, _: *const u8) {}
}

/// IEEE half to single without branches or subnormal arithmetic (scales of K types are often subnormal halves, and
/// multiplying subnormals stalls some CPUs).
#[inline(always)]
pub(super) fn half_to_f32(half: u16) -> f32 {
    const REBIAS: u32 = (127 - 15) << 23;
    const SUBNORMAL: u32 = REBIAS + (1 << 23);
    let bits = u32::from(half & 0x7fff) << 13;
    let exponent = half & 0x7c00;
    let special = if exponent == 0x7c00 { REBIAS } else { 0 };
    let normal = bits + REBIAS + special;
    let subnormal = (f32::from_bits(bits + SUBNORMAL) - f32::from_bits(SUBNORMAL)).to_bits();
    let magnitude = if exponent == 0 { subnormal } else { normal };
    f32::from_bits(magnitude | (u32::from(half & 0x8000) << 16))
}
