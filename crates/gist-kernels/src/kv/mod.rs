//! Attention's inner loops over pages of keys and values, see `gist_qwen::kv` for how these lie in memory.
//!
//! Keys and values have one product in common, a few vectors times a matrix that lies in groups of 16 lanes:
//! `out[g][lane] = Σ_inner x[inner][g] * matrix[inner][lane]`. A number of the matrix is `code * scale + zero` with scale
//! and zero along the inner axis, so the other factor is multiplied with the scales and quantised to 16 bits,
//! [`Arch::quantize`]; an error of 1 in 65,534 of its largest element, far below that of the codes. Codes are of at most 8 bits and the inner axis of at most 1,024, so
//! that sums fit 32 bits up to an inner length of 512, beyond which magnitudes are halved, see `most`.
//!
//! What runs over pages is written once, for any [`Arch`], as a [`Task`].

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;
#[cfg(test)]
mod tests;

use super::Cpu;
use portable::Portable;

/// Numbers side by side in memory.
pub const LANES: usize = 16;
/// Codes along the inner axis that lie together.
pub const UNIT: usize = 4;
/// What the inner axis of codes is a multiple of: two units, as many as are quantised at once.
pub const INNER: usize = 8;
/// The most vectors that are multiplied with a matrix while it is in registers.
pub const GROUP: usize = 6;

/// Floats as they are stored.
pub trait Floats: Copy {
    /// 16 of them.
    type Line: Copy;
    /// What lies in these bytes; what is left at their end is left out.
    fn lines(bytes: &[u8]) -> &[Self::Line];
    /// As f32.
    fn unpack(line: &Self::Line) -> [f32; LANES];
}

/// Codes as they are stored.
pub trait Codes: Copy {
    /// 4 × 16 of them.
    type Unit: Copy;
    /// What is stored is the code plus this.
    const BIAS: i32;
    /// What lies in these bytes; what is left at their end is left out.
    fn units(bytes: &[u8]) -> &[Self::Unit];
    /// `[inner][lane]`, with the bias.
    fn unpack(unit: &Self::Unit) -> [[i16; LANES]; UNIT];
}

/// f32.
#[derive(Clone, Copy)]
pub struct F32;
/// f16.
#[derive(Clone, Copy)]
pub struct F16;
/// Codes of 8 bits.
#[derive(Clone, Copy)]
pub struct Q8;
/// Codes of 4 bits.
#[derive(Clone, Copy)]
pub struct Q4;

/// Instructions to compute with.
pub trait Arch: Copy + Send + Sync {
    /// `[g][lane]` of one group of lanes; `x` is `[inner][G]`. What lies `ahead` bytes behind each line is brought
    /// nearer: pages lie anywhere, and hardware that fetches ahead by itself does not know where the next one is.
    fn floats<F: Floats, const G: usize>(
        self,
        lines: &[F::Line],
        x: &[[f32; G]],
        ahead: usize,
    ) -> [[f32; LANES]; G];

    /// `[g][lane]` of one group of lanes without the offset; `x` and `steps` are what [`Self::quantize`] made of the
    /// vectors, `ahead` as in [`Self::floats`].
    fn codes<C: Codes, const G: usize>(
        self,
        units: &[C::Unit],
        x: &[[[i16; UNIT]; G]],
        steps: &[Step; G],
        ahead: usize,
    ) -> [[f32; LANES]; G];

    /// Quantises `G` vectors times the scales along the inner axis, `x` being `[G][inner]` and the inner axis a multiple
    /// of 8, to `out`, `[inner / 4][G][4]`. Where a product is not a finite number the step is NaN.
    fn quantize<const G: usize>(
        self,
        x: &[f32],
        scales: &[f32],
        zeros: &[f32],
        out: &mut [[[i16; UNIT]; G]],
    ) -> [Step; G];

    /// `x = exp(x - top)` in place; returns the sum.
    fn exp_sum(self, x: &mut [f32], top: f32) -> f32;

    /// Floats as f32.
    fn widen<F: Floats>(self, line: &F::Line) -> [f32; LANES];

    /// Codes as f32, without the bias, `[inner][lane]`.
    fn unpack<C: Codes>(self, unit: &C::Unit) -> [[f32; LANES]; UNIT];

    /// Brings memory nearer that will be read next.
    fn prefetch(self, bytes: &[u8]);

    /// Halves as f32.
    fn halves(self, halves: &[[u8; 2]], out: &mut [f32]);
}

/// Something to run with the best instructions there are.
pub trait Task {
    /// Does it.
    fn run<A: Arch>(self, arch: A);
}

/// Runs `task`; all that it inlines is compiled for these instructions.
pub fn run(task: impl Task) {
    run_on(Cpu::detect(), task);
}

fn run_on(cpu: Cpu, task: impl Task) {
    match cpu {
        Cpu::Portable => task.run(Portable),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx2(avx2) => avx2.run(task),
        #[cfg(target_arch = "x86_64")]
        Cpu::Avx512(avx512) => avx512.run(task),
    }
}

/// The largest magnitude a factor of `inner` codes is quantised to: products of it and bytes must sum up in 32 bits.
const fn most(inner: usize) -> f32 {
    if inner <= 512 { 32_767.0 } else { 16_383.0 }
}

/// What goes with a quantised vector.
#[derive(Clone, Copy, Debug, Default)]
pub struct Step {
    /// What 1 of it stands for.
    pub size: f32,
    /// The sum of its integers.
    pub sum: i32,
    /// What the zeros add: the sum of the vector times them.
    pub offset: f32,
}

impl Step {
    /// Of a vector of `inner` numbers with `top` the largest magnitude; and what they are multiplied with.
    #[inline(always)]
    fn of(inner: usize, top: f32) -> (f32, f32) {
        let size = if top.is_finite() { top / most(inner) } else { f32::NAN };
        (size, if size >= f32::MIN_POSITIVE { 1.0 / size } else { 0.0 })
    }
}
