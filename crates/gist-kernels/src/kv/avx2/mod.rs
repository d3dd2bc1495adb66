//! AVX2, FMA and F16C.
//!
//! 16 lanes are two registers of sums for each of at most 6 vectors, with two registers of the matrix and one that a
//! number of the other factor is broadcast to: 15 of 16. Codes are widened to 16 bits in pairs along the inner axis,
//! which one `madd` multiplies and adds up in 32 bits.

// Loads through references and calls that need CPU features are the only unsafe here.
#![allow(unsafe_code)]

mod vectors;

use std::arch::x86_64::*;

use vectors::{exp_sum, quantize, store, widen_halves};

use super::{Arch, Codes, Floats, LANES, Step, Task, UNIT};
use crate::avx2::Avx2;

impl Avx2 {
    pub(super) fn run(self, task: impl Task) {
        // SAFETY: `self` exists only if the CPU has the features that `run` enables.
        unsafe { run(self, task) }
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn run(avx2: Avx2, task: impl Task) {
    task.run(avx2);
}

impl Arch for Avx2 {
    #[inline(always)]
    fn floats<F: Floats, const G: usize>(
        self,
        lines: &[F::Line],
        x: &[[f32; G]],
        ahead: usize,
    ) -> [[f32; LANES]; G] {
        // SAFETY: `self` exists only if the CPU has the features that `floats` enables.
        unsafe { floats::<F, G>(lines, x, ahead) }
    }

    #[inline(always)]
    fn codes<C: Codes, const G: usize>(
        self,
        units: &[C::Unit],
        x: &[[[i16; UNIT]; G]],
        steps: &[Step; G],
        ahead: usize,
    ) -> [[f32; LANES]; G] {
        // SAFETY: `self` exists only if the CPU has the features that `codes` enables.
        unsafe { codes::<C, G>(units, x, steps, ahead) }
    }

    #[inline(always)]
    fn quantize<const G: usize>(
        self,
        x: &[f32],
        scales: &[f32],
        zeros: &[f32],
        out: &mut [[[i16; UNIT]; G]],
    ) -> [Step; G] {
        // SAFETY: `self` exists only if the CPU has the features that `quantize` enables.
        unsafe { quantize(x, scales, zeros, out) }
    }

    #[inline(always)]
    fn exp_sum(self, x: &mut [f32], top: f32) -> f32 {
        // SAFETY: `self` exists only if the CPU has the features that `exp_sum` enables.
        unsafe { exp_sum(x, top) }
    }

    #[inline(always)]
    fn widen<F: Floats>(self, line: &F::Line) -> [f32; LANES] {
        // SAFETY: `self` exists only if the CPU has the features that the two functions enable.
        unsafe { from_lanes(load_line::<F>(line)) }
    }

    #[inline(always)]
    fn unpack<C: Codes>(self, unit: &C::Unit) -> [[f32; LANES]; UNIT] {
        // SAFETY: `self` exists only if the CPU has the features that `unpack` enables.
        unsafe { unpack::<C>(unit) }
    }

    #[inline(always)]
    fn prefetch(self, bytes: &[u8]) {
        bytes.chunks(64).for_each(|line| prefetch(line.as_ptr(), 0));
    }

    #[inline(always)]
    fn halves(self, halves: &[[u8; 2]], out: &mut [f32]) {
        // SAFETY: `self` exists only if the CPU has the features that `widen_halves` enables.
        unsafe { widen_halves(halves, out) }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn floats<F: Floats, const G: usize>(lines: &[F::Line], x: &[[f32; G]], ahead: usize) -> [[f32; LANES]; G] {
    let mut sums = [[_mm256_setzero_ps(); 2]; G];
    for (line, x) in lines.iter().zip(x) {
        prefetch(std::ptr::from_ref(line).cast(), ahead);
        let line = load_line::<F>(line);
        for (sums, x) in sums.iter_mut().zip(x) {
            let x = _mm256_set1_ps(*x);
            for (sum, y) in sums.iter_mut().zip(line) {
                *sum = _mm256_fmadd_ps(x, y, *sum);
            }
        }
    }
    let mut out = [[0.0; LANES]; G];
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = from_lanes(sums);
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn codes<C: Codes, const G: usize>(
    units: &[C::Unit],
    x: &[[[i16; UNIT]; G]],
    steps: &[Step; G],
    ahead: usize,
) -> [[f32; LANES]; G] {
    let mut sums = [[_mm256_setzero_si256(); 2]; G];
    for (unit, x) in units.iter().zip(x) {
        prefetch(std::ptr::from_ref(unit).cast(), ahead);
        for pair in 0..2 {
            let codes = load_codes::<C>(unit, pair);
            for (sums, x) in sums.iter_mut().zip(x) {
                // The two numbers as they lie in memory.
                let x = (i32::from(x[2 * pair + 1]) << 16) | i32::from(x[2 * pair].cast_unsigned());
                let x = _mm256_set1_epi32(x);
                for (sum, y) in sums.iter_mut().zip(codes) {
                    *sum = _mm256_add_epi32(*sum, _mm256_madd_epi16(x, y));
                }
            }
        }
    }
    let mut out = [[0.0; LANES]; G];
    for ((out, sums), step) in out.iter_mut().zip(sums).zip(steps) {
        let bias = _mm256_set1_epi32(step.sum.wrapping_mul(C::BIAS));
        let size = _mm256_set1_ps(step.size);
        *out =
            from_lanes(sums.map(|sum| _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(sum, bias)), size)));
    }
    out
}

/// Brings the line `ahead` bytes behind an address nearer.
#[inline(always)]
fn prefetch(at: *const u8, ahead: usize) {
    // SAFETY: a prefetch is a hint that never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(at.wrapping_add(ahead).cast()) }
}

/// 16 floats.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_line<F: Floats>(line: &F::Line) -> [__m256; 2] {
    let at = std::ptr::from_ref(line);
    if size_of::<F::Line>() == 4 * LANES {
        // SAFETY: a line of this size is two unaligned loads of 32 bytes, inside the reference.
        unsafe { [_mm256_loadu_ps(at.cast()), _mm256_loadu_ps(at.cast::<f32>().add(8))] }
    } else {
        const { assert!(size_of::<F::Line>() == 2 * LANES || size_of::<F::Line>() == 4 * LANES) };
        let at = at.cast::<__m128i>();
        // SAFETY: a line of this size is two unaligned loads of 16 bytes, inside the reference.
        let halves = unsafe { [_mm_loadu_si128(at), _mm_loadu_si128(at.add(1))] };
        [_mm256_cvtph_ps(halves[0]), _mm256_cvtph_ps(halves[1])]
    }
}

/// A pair along the inner axis of 16 lanes, in 16 bits each.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn load_codes<C: Codes>(unit: &C::Unit, pair: usize) -> [__m256i; 2] {
    let at = std::ptr::from_ref(unit).cast::<__m128i>();
    if C::BIAS == 0 {
        const { assert!(C::BIAS != 0 || size_of::<C::Unit>() == 64) };
        // SAFETY: of the 64 bytes of a unit these two unaligned loads take the first half (pair 0) or the second (1).
        let bytes =
            unsafe { [_mm_loadu_si128(at.add(2 * (pair & 1))), _mm_loadu_si128(at.add(2 * (pair & 1) + 1))] };
        [_mm256_cvtepi8_epi16(bytes[0]), _mm256_cvtepi8_epi16(bytes[1])]
    } else {
        const { assert!(C::BIAS == 0 || size_of::<C::Unit>() == 32) };
        // SAFETY: a unit is one unaligned load of 32 bytes, inside the reference.
        let words = unsafe { _mm256_loadu_si256(at.cast()) };
        let nibble = _mm256_set1_epi16(15);
        if pair == 0 {
            [_mm256_and_si256(words, nibble), _mm256_and_si256(_mm256_srli_epi16::<4>(words), nibble)]
        } else {
            [_mm256_and_si256(_mm256_srli_epi16::<8>(words), nibble), _mm256_srli_epi16::<12>(words)]
        }
    }
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn unpack<C: Codes>(unit: &C::Unit) -> [[f32; LANES]; UNIT] {
    let mut out = [[0.0; LANES]; UNIT];
    let bias = _mm256_set1_epi32(C::BIAS);
    for pair in 0..2 {
        let words = load_codes::<C>(unit, pair);
        let low = words.map(|words| _mm256_srai_epi32::<16>(_mm256_slli_epi32::<16>(words)));
        let high = words.map(|words| _mm256_srai_epi32::<16>(words));
        for (i, words) in [low, high].into_iter().enumerate() {
            out[2 * pair + i] =
                from_lanes(words.map(|words| _mm256_cvtepi32_ps(_mm256_sub_epi32(words, bias))));
        }
    }
    out
}

#[inline]
#[target_feature(enable = "avx2")]
fn from_lanes(lanes: [__m256; 2]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    out.as_chunks_mut::<8>().0.iter_mut().zip(lanes).for_each(|(out, x)| store(out, x));
    out
}
