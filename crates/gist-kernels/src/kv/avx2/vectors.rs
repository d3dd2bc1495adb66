//! One vector after the other: quantising, scaling, powers, halves.

// Loads and stores through references are the only unsafe here.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::super::{Step, UNIT};

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn quantize<const G: usize>(x: &[f32], out: &mut [[[i16; UNIT]; G]]) -> [Step; G] {
    let inner = x.len() / G;
    let mut steps = [Step::default(); G];
    for (g, (x, step)) in x.chunks_exact(inner).zip(&mut steps).enumerate() {
        let x = x.as_chunks::<8>().0;
        // As integers, magnitudes order like the floats, with infinity and NaN on top.
        let (mut top, magnitude) = (_mm256_setzero_si256(), _mm256_set1_epi32(0x7fff_ffff));
        for x in x {
            top = _mm256_max_epi32(top, _mm256_and_si256(_mm256_castps_si256(load(x)), magnitude));
        }
        let top = to_array(top).into_iter().fold(0, i32::max);
        let (size, inverse) = Step::of(inner, f32::from_bits(top.cast_unsigned()));
        let (inverse, mut sum) = (_mm256_set1_ps(inverse), _mm256_setzero_si256());
        for (x, out) in x.iter().zip(out.as_chunks_mut::<2>().0) {
            let q = _mm256_cvtps_epi32(_mm256_mul_ps(load(x), inverse));
            sum = _mm256_add_epi32(sum, q);
            let words = _mm256_packs_epi32(q, q);
            let (low, high) = (_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            let [a, b] = out;
            // SAFETY: each is one unaligned store of 8 bytes, the size of the array it goes to.
            unsafe {
                _mm_storel_epi64(a[g].as_mut_ptr().cast(), low);
                _mm_storel_epi64(b[g].as_mut_ptr().cast(), high);
            }
        }
        *step = Step { size, sum: to_array(sum).into_iter().fold(0, i32::wrapping_add) };
    }
    steps
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
pub(super) fn fold(x: &[f32], y: &[f32], z: &[f32], out: &mut [f32]) -> f32 {
    let (x, y, z) = (x.as_chunks::<8>().0, y.as_chunks::<8>().0, z.as_chunks::<8>().0);
    let mut sum = _mm256_setzero_ps();
    for (((x, y), z), out) in x.iter().zip(y).zip(z).zip(out.as_chunks_mut::<8>().0) {
        let x = load(x);
        sum = _mm256_fmadd_ps(x, load(z), sum);
        store(out, _mm256_mul_ps(x, load(y)));
    }
    total(sum)
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
    let mut lanes = [0.0; 8];
    store(&mut lanes, x);
    lanes.iter().sum()
}

#[inline]
#[target_feature(enable = "avx2")]
fn to_array(x: __m256i) -> [i32; 8] {
    let mut lanes = [0; 8];
    // SAFETY: one unaligned store of 8 integers, inside the array.
    unsafe { _mm256_storeu_si256(lanes.as_mut_ptr().cast(), x) }
    lanes
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
