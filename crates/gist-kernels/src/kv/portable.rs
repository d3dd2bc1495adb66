//! For any CPU, and what the vector kernels are compared with.

use half::f16;

use super::{Arch, Codes, F16, F32, Floats, LANES, Q4, Q8, Step, UNIT};
use crate::math;

#[derive(Clone, Copy)]
pub(super) struct Portable;

impl Arch for Portable {
    fn floats<F: Floats, const G: usize>(
        self,
        lines: &[F::Line],
        x: &[[f32; G]],
        _: usize,
    ) -> [[f32; LANES]; G] {
        let mut sums = [[0.0; LANES]; G];
        for (line, x) in lines.iter().zip(x) {
            let line = F::unpack(line);
            for (sums, x) in sums.iter_mut().zip(x) {
                sums.iter_mut().zip(&line).for_each(|(sum, y)| *sum += x * y);
            }
        }
        sums
    }

    fn codes<C: Codes, const G: usize>(
        self,
        units: &[C::Unit],
        x: &[[[i16; UNIT]; G]],
        steps: &[Step; G],
        _: usize,
    ) -> [[f32; LANES]; G] {
        let mut sums = [[0i32; LANES]; G];
        for (unit, x) in units.iter().zip(x) {
            let unit = C::unpack(unit);
            for (sums, x) in sums.iter_mut().zip(x) {
                for (line, x) in unit.iter().zip(x) {
                    let products = line.iter().map(|y| i32::from(*x) * i32::from(*y));
                    sums.iter_mut().zip(products).for_each(|(sum, product)| *sum = sum.wrapping_add(product));
                }
            }
        }
        let mut out = [[0.0; LANES]; G];
        for ((out, sums), step) in out.iter_mut().zip(sums).zip(steps) {
            let bias = step.sum.wrapping_mul(C::BIAS);
            *out = sums.map(|sum| sum.wrapping_sub(bias) as f32 * step.size);
        }
        out
    }

    fn quantize<const G: usize>(
        self,
        x: &[f32],
        scales: &[f32],
        zeros: &[f32],
        out: &mut [[[i16; UNIT]; G]],
    ) -> [Step; G] {
        let inner = scales.len();
        let mut steps = [Step::default(); G];
        for (g, (x, step)) in x.chunks_exact(inner).zip(&mut steps).enumerate() {
            let scaled = || x.iter().zip(scales).map(|(x, scale)| x * scale);
            // As integers, magnitudes order like the floats, with infinity and NaN on top.
            let top = scaled().fold(0, |top, x| top.max(x.to_bits() & 0x7fff_ffff));
            let (size, inverse) = Step::of(inner, f32::from_bits(top));
            let mut sum = 0i32;
            for (i, x) in scaled().enumerate() {
                let code = (x * inverse).round_ties_even() as i16;
                out[i / UNIT][g][i % UNIT] = code;
                sum = sum.wrapping_add(code.into());
            }
            let offset = x.iter().zip(zeros).map(|(x, zero)| x * zero).sum();
            *step = Step { size, sum, offset };
        }
        steps
    }

    fn exp_sum(self, x: &mut [f32], top: f32) -> f32 {
        math::exp_sum(x, top)
    }

    fn widen<F: Floats>(self, line: &F::Line) -> [f32; LANES] {
        F::unpack(line)
    }

    fn unpack<C: Codes>(self, unit: &C::Unit) -> [[f32; LANES]; UNIT] {
        C::unpack(unit).map(|line| line.map(|x| (i32::from(x) - C::BIAS) as f32))
    }

    fn prefetch(self, _: &[u8]) {}

    fn halves(self, halves: &[[u8; 2]], out: &mut [f32]) {
        out.iter_mut().zip(halves).for_each(|(out, half)| *out = f16::from_le_bytes(*half).to_f32());
    }
}

impl Floats for F32 {
    type Line = [u8; 4 * LANES];

    fn lines(bytes: &[u8]) -> &[Self::Line] {
        bytes.as_chunks().0
    }

    fn unpack(line: &Self::Line) -> [f32; LANES] {
        std::array::from_fn(|i| f32::from_le_bytes(line.as_chunks().0[i]))
    }
}

impl Floats for F16 {
    type Line = [u8; 2 * LANES];

    fn lines(bytes: &[u8]) -> &[Self::Line] {
        bytes.as_chunks().0
    }

    fn unpack(line: &Self::Line) -> [f32; LANES] {
        std::array::from_fn(|i| f16::from_le_bytes(line.as_chunks().0[i]).to_f32())
    }
}

impl Codes for Q8 {
    type Unit = [u8; 64];
    const BIAS: i32 = 0;

    fn units(bytes: &[u8]) -> &[Self::Unit] {
        bytes.as_chunks().0
    }

    fn unpack(unit: &Self::Unit) -> [[i16; LANES]; UNIT] {
        let code = |inner: usize, lane: usize| unit[(inner / 2 * LANES + lane) * 2 + inner % 2];
        std::array::from_fn(|inner| std::array::from_fn(|lane| i16::from(code(inner, lane).cast_signed())))
    }
}

impl Codes for Q4 {
    type Unit = [u8; 32];
    const BIAS: i32 = 8;

    fn units(bytes: &[u8]) -> &[Self::Unit] {
        bytes.as_chunks().0
    }

    fn unpack(unit: &Self::Unit) -> [[i16; LANES]; UNIT] {
        let byte = |inner: usize, lane: usize| unit[(lane % 8 * 2 + inner % 2) * 2 + inner / 2];
        std::array::from_fn(|inner| {
            std::array::from_fn(|lane| i16::from(byte(inner, lane) >> (4 * (lane / 8)) & 15))
        })
    }
}
