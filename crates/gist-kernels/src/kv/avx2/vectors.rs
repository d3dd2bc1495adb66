//! One vector after the other: quantising, powers, halves.

// Loads and stores through references are the only unsafe here.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::{Step, UNIT};

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize<const G: usize>(
    x: &[f32],
    scales: &[f32],
    zeros: &[f32],
    out: &mut [[[i16; UNIT]; G]],
) -> [Step; G] {
    let inner = scales.len();
    let (scales, zeros) = (scales.as_chunks::<8>().0, zeros.as_chunks::<8>().0);
    let mut vectors: [&[[f32; 8]]; G] = [&[]; G];
    for (vector, x) in vectors.iter_mut().zip(x.chunks_exact(inner)) {
        *vector = &x.as_chunks().0[..scales.len()];
    }
    let (mut steps, mut inverses) = ([Step::default(); G], [0.0; G]);
    for ((step, inverse), x) in steps.iter_mut().zip(&mut inverses).zip(vectors) {
        // As integers, magnitudes order like the floats, with infinity and NaN on top.
        let (mut top, magnitude) = (_mm256_setzero_si256(), _mm256_set1_epi32(0x7fff_ffff));
        let mut offset = _mm256_setzero_ps();
        for ((x, scale), zero) in x.iter().zip(scales).zip(zeros) {
            let x = load(x);
            let scaled = _mm256_castps_si256(_mm256_mul_ps(x, load(scale)));
            top = _mm256_max_epi32(top, _mm256_and_si256(scaled, magnitude));
            offset = _mm256_fmadd_ps(x, load(zero), offset);
        }
        (step.size, *inverse) = Step::of(inner, f32::from_bits(greatest(top).cast_unsigned()));
        step.offset = total(offset);
    }
    let mut sums = [_mm256_setzero_si256(); G];
    for (i, (units, scale)) in out.as_chunks_mut::<2>().0.iter_mut().zip(scales).enumerate() {
        let scale = load(scale);
        let mut codes = |g: usize| {
            let scaled = _mm256_mul_ps(load(&vectors[g][i]), scale);
            let codes = _mm256_cvtps_epi32(_mm256_mul_ps(scaled, _mm256_set1_ps(inverses[g])));
            sums[g] = _mm256_add_epi32(sums[g], codes);
            codes
        };
        for g in (0..G).step_by(2) {
            let (even, odd) = (codes(g), if g + 1 < G { codes(g + 1) } else { _mm256_setzero_si256() });
            // In each half four numbers of one vector and the same four of the next, as a unit has them.
            let words = _mm256_packs_epi32(even, odd);
            let halves = [_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words)];
            for (unit, half) in units.iter_mut().zip(halves) {
                let to = unit[g..].as_flattened_mut();
                // SAFETY: one unaligned store of 16 bytes where two vectors are left, else of 8, inside the slice.
                unsafe {
                    if to.len() >= 2 * UNIT {
                        _mm_storeu_si128(to.as_mut_ptr().cast(), half);
                    } else {
                        _mm_storel_epi64(to.as_mut_ptr().cast(), half);
                    }
                }
            }
        }
    }
    for (step, sum) in steps.iter_mut().zip(sums) {
        step.sum = sum_of(sum);
    }
    steps
}

/// The sum of 8 integers, which wraps.
#[inline]
#[target_feature(enable = "avx2")]
fn sum_of(x: __m256i) -> i32 {
    let x = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_add_epi32(x, _mm_shuffle_epi32::<0b01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_add_epi32(x, _mm_shuffle_epi32::<0b10_11_00_01>(x)))
}

/// The largest of 8 integers.
#[inline]
#[target_feature(enable = "avx2")]
fn greatest(x: __m256i) -> i32 {
    let x = _mm_max_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256::<1>(x));
    let x = _mm_max_epi32(x, _mm_shuffle_epi32::<0b01_00_11_10>(x));
    _mm_cvtsi128_si32(_mm_max_epi32(x, _mm_shuffle_epi32::<0b10_11_00_01>(x)))
}

/// As [`crate::math::exp_sum`], in vectors; a last incomplete one is filled up with numbers whose power is not counted.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn exp_sum(x: &mut [f32], top: f32) -> f32 {
    let (top, mut sum) = (_mm256_set1_ps(top), _mm256_setzero_ps());
    let (chunks, rest) = x.as_chunks_mut::<8>();
    for x in chunks {
        let power = exp(_mm256_sub_ps(load(x), top));
        sum = _mm256_add_ps(sum, power);
        store(x, power);
    }
    let mut last = [0.0; 8];
    last[..rest.len()].copy_from_slice(rest);
    let power = exp(_mm256_sub_ps(load(&last), top));
    store(&mut last, power);
    rest.copy_from_slice(&last[..rest.len()]);
    total(sum) + rest.iter().sum::<f32>()
}

/// `e^x` to 2 units in the last place, see [`crate::math`].
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
#[allow(clippy::excessive_precision, reason = "as published")]
fn exp(x: __m256) -> __m256 {
    // Of an operand that is no number these return the second one: it stays visible.
    let x = _mm256_min_ps(_mm256_set1_ps(88.0), _mm256_max_ps(_mm256_set1_ps(-87.0), x));
    let n = _mm256_cvtps_epi32(_mm256_mul_ps(x, _mm256_set1_ps(std::f32::consts::LOG2_E)));
    let whole = _mm256_cvtepi32_ps(n);
    let r = _mm256_fnmadd_ps(whole, _mm256_set1_ps(0.693_359_375), x);
    let r = _mm256_fmadd_ps(whole, _mm256_set1_ps(2.121_944_4e-4), r);
    let mut p = _mm256_set1_ps(1.987_569_15e-4);
    for c in [1.398_199_95e-3, 8.333_451_9e-3, 4.166_579_6e-2, 1.666_666_55e-1, 5.000_000_12e-1] {
        p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(c));
    }
    let p = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(p, r), r, r), _mm256_set1_ps(1.0));
    let power = _mm256_slli_epi32::<23>(_mm256_add_epi32(n, _mm256_set1_epi32(127)));
    _mm256_mul_ps(p, _mm256_castsi256_ps(power))
}

#[inline]
#[target_feature(enable = "avx2")]
fn load(x: &[f32; 8]) -> __m256 {
    // SAFETY: one unaligned load of 8 floats, inside the reference.
    unsafe { _mm256_loadu_ps(x.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx2")]
pub(super) fn store(out: &mut [f32; 8], x: __m256) {
    // SAFETY: one unaligned store of 8 floats, inside the exclusive reference.
    unsafe { _mm256_storeu_ps(out.as_mut_ptr(), x) }
}

#[inline]
#[target_feature(enable = "avx2")]
fn total(x: __m256) -> f32 {
    let x = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps::<1>(x));
    let x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)))
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn widen_halves(halves: &[[u8; 2]], out: &mut [f32]) {
    let (chunks, rest) = halves.as_chunks::<8>();
    let (out_chunks, out_rest) = out.as_chunks_mut::<8>();
    for (halves, out) in chunks.iter().zip(out_chunks) {
        // SAFETY: an unaligned load of 16 bytes, inside the reference.
        unsafe {
            let halves = _mm_loadu_si128(halves.as_ptr().cast());
            store(out, _mm256_cvtph_ps(halves));
        }
    }
    for (half, out) in rest.iter().zip(out_rest) {
        *out = half::f16::from_le_bytes(*half).to_f32();
    }
}
