//! Attention's inner loops over pages of keys and values, see [`crate::kv`] for how these lie in memory.
//!
//! Keys and values have one product in common, a few vectors times a matrix that lies in groups of 16 lanes:
//! `out[g][lane] = Σ_inner x[inner][g] * matrix[inner][lane]`. With codes the other factor is quantised to 16 bits,
//! [`quantize`], after the scales that lie along the inner axis were multiplied into it; an error of 1 in 65,534 of its
//! largest element, far below that of the codes. Codes are of at most 8 bits and the inner axis of at most 1,024, so
//! that sums fit 32 bits up to an inner length of 512, beyond which magnitudes are halved, see [`most`].
//!
//! What runs over pages is written once, for any [`Arch`], as a [`Task`].

#[cfg(target_arch = "x86_64")]
mod avx2;
mod portable;
#[cfg(test)]
mod tests;

use super::Cpu;
use portable::Portable;

/// Numbers side by side in memory.
pub(crate) const LANES: usize = 16;
/// Codes along the inner axis that lie together.
pub(crate) const UNIT: usize = 4;
/// The most vectors that are multiplied with a matrix while it is in registers.
pub(crate) const GROUP: usize = 6;

/// Floats as they are stored.
pub(crate) trait Floats: Copy {
    /// 16 of them.
    type Line: Copy;
    fn lines(bytes: &[u8]) -> &[Self::Line];
    fn unpack(line: &Self::Line) -> [f32; LANES];
}

/// Codes as they are stored.
pub(crate) trait Codes: Copy {
    /// 4 × 16 of them.
    type Unit: Copy;
    /// What is stored is the code plus this.
    const BIAS: i32;
    fn units(bytes: &[u8]) -> &[Self::Unit];
    /// `[inner][lane]`, with the bias.
    fn unpack(unit: &Self::Unit) -> [[i16; LANES]; UNIT];
}

/// [`KvType::F32`](crate::KvType::F32).
#[derive(Clone, Copy)]
pub(crate) struct F32;
/// [`KvType::F16`](crate::KvType::F16).
#[derive(Clone, Copy)]
pub(crate) struct F16;
/// [`KvType::Q8`](crate::KvType::Q8).
#[derive(Clone, Copy)]
pub(crate) struct Q8;
/// [`KvType::Q4`](crate::KvType::Q4).
#[derive(Clone, Copy)]
pub(crate) struct Q4;

/// Instructions to compute with.
pub(crate) trait Arch: Copy + Send + Sync {
    /// `[g][lane]` of one group of lanes; `x` is `[inner][G]`.
    fn floats<F: Floats, const G: usize>(self, lines: &[F::Line], x: &[[f32; G]]) -> [[f32; LANES]; G];

    /// `[g][lane]` of one group of lanes, with the bias; `x` is `[inner / 4][G][4]`.
    fn codes<C: Codes, const G: usize>(self, units: &[C::Unit], x: &[[[i16; UNIT]; G]]) -> [[i32; LANES]; G];

    /// Floats as f32.
    fn widen<F: Floats>(self, line: &F::Line) -> [f32; LANES];

    /// Codes as f32, without the bias, `[inner][lane]`.
    fn unpack<C: Codes>(self, unit: &C::Unit) -> [[f32; LANES]; UNIT];

    /// Halves as f32.
    fn halves(self, halves: &[[u8; 2]], out: &mut [f32]);
}

/// Something to run with the best instructions there are.
pub(crate) trait Task {
    fn run<A: Arch>(self, arch: A);
}

/// Runs `task`; all that it inlines is compiled for these instructions.
pub(crate) fn run(task: impl Task) {
    match Cpu::detect() {
        Cpu::Portable => task.run(Portable),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(avx2) => avx2.run(task),
    }
}

/// The largest magnitude a factor of `inner` codes is quantised to: products of it and bytes must sum up in 32 bits.
const fn most(inner: usize) -> f32 {
    if inner <= 512 { 32_767.0 } else { 16_383.0 }
}

/// Quantises the vectors `x`, each `inner` long, to `out`, `[inner / 4][G][4]`. Returns for each its step and
/// the sum of its integers. Of a vector with something in it that is not a finite number the step is NaN.
#[inline(always)]
pub(crate) fn quantize<const G: usize>(x: [&[f32]; G], out: &mut [[[i16; UNIT]; G]]) -> [(f32, i32); G] {
    /// Adding it rounds to the nearest integer (ties to even), which then stands in the low bits.
    const ROUND: f32 = 12_582_912.0; // 1.5 * 2^23
    let mut result = [(0.0, 0); G];
    for (g, (x, result)) in x.iter().zip(&mut result).enumerate() {
        // As integers, magnitudes order like the floats, with infinity and NaN on top.
        let top = x.iter().fold(0, |top, x| top.max(x.to_bits() & 0x7fff_ffff));
        let top = f32::from_bits(top);
        let most = most(x.len());
        let step = if top.is_finite() { top / most } else { f32::NAN };
        let inverse = if step >= f32::MIN_POSITIVE { 1.0 / step } else { 0.0 };
        let mut sum = [0; UNIT];
        for (x, out) in x.as_chunks::<UNIT>().0.iter().zip(out.iter_mut()) {
            for i in 0..UNIT {
                let q = (x[i] * inverse + ROUND).to_bits().cast_signed() - ROUND.to_bits().cast_signed();
                sum[i] += q;
                out[g][i] = q as i16;
            }
        }
        *result = (step, sum.iter().sum());
    }
    result
}
