//! AVX-512 with VNNI: 16 lanes are one register, and one `dpwssd` multiplies pairs along the inner axis and adds them up.
//! What runs along one vector is that of AVX2.

// Loads through references and calls that need CPU features are the only unsafe here.
#![allow(unsafe_code)]

use std::arch::x86_64::*;

use super::{Arch, Codes, Floats, LANES, Step, Task, UNIT};
use crate::avx512::Avx512;

impl Avx512 {
    pub(super) fn run(self, task: impl Task) {
        // SAFETY: `self` exists only if the CPU has the features that `run` enables.
        unsafe { run(self, task) }
    }
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn run(avx512: Avx512, task: impl Task) {
    task.run(avx512);
}

impl Arch for Avx512 {
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
        Arch::quantize(self.avx2, x, scales, zeros, out)
    }

    #[inline(always)]
    fn exp_sum(self, x: &mut [f32], top: f32) -> f32 {
        self.avx2.exp_sum(x, top)
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
        self.avx2.prefetch(bytes);
    }

    #[inline(always)]
    fn halves(self, halves: &[[u8; 2]], out: &mut [f32]) {
        self.avx2.halves(halves, out);
    }
}

/// Even and odd lines have sums of their own, so that twice as many products are under way.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn floats<F: Floats, const G: usize>(lines: &[F::Line], x: &[[f32; G]], ahead: usize) -> [[f32; LANES]; G] {
    let mut sums = [[_mm512_setzero_ps(); 2]; G];
    let count = lines.len().min(x.len());
    let (pairs, last) = lines[..count].as_chunks::<2>();
    let (x_pairs, x_last) = x[..count].as_chunks::<2>();
    for (lines, x) in pairs.iter().zip(x_pairs) {
        prefetch(std::ptr::from_ref(lines).cast(), ahead);
        for i in 0..2 {
            let line = load_line::<F>(&lines[i]);
            for (sums, x) in sums.iter_mut().zip(x[i]) {
                sums[i] = _mm512_fmadd_ps(_mm512_set1_ps(x), line, sums[i]);
            }
        }
    }
    for (line, x) in last.iter().zip(x_last) {
        let line = load_line::<F>(line);
        for (sums, x) in sums.iter_mut().zip(x) {
            sums[0] = _mm512_fmadd_ps(_mm512_set1_ps(*x), line, sums[0]);
        }
    }
    let mut out = [[0.0; LANES]; G];
    for (out, sums) in out.iter_mut().zip(sums) {
        *out = from_lanes(_mm512_add_ps(sums[0], sums[1]));
    }
    out
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn codes<C: Codes, const G: usize>(
    units: &[C::Unit],
    x: &[[[i16; UNIT]; G]],
    steps: &[Step; G],
    ahead: usize,
) -> [[f32; LANES]; G] {
    let mut sums = [[_mm512_setzero_si512(); 2]; G];
    for (unit, x) in units.iter().zip(x) {
        prefetch(std::ptr::from_ref(unit).cast(), ahead);
        let codes = load_codes::<C>(unit);
        for (sums, x) in sums.iter_mut().zip(x) {
            for ((sum, codes), x) in sums.iter_mut().zip(codes).zip(x.as_chunks::<2>().0) {
                // The two numbers as they lie in memory.
                let x = (i32::from(x[1]) << 16) | i32::from(x[0].cast_unsigned());
                *sum = _mm512_dpwssd_epi32(*sum, codes, _mm512_set1_epi32(x));
            }
        }
    }
    let mut out = [[0.0; LANES]; G];
    for ((out, sums), step) in out.iter_mut().zip(sums).zip(steps) {
        let bias = _mm512_set1_epi32(step.sum.wrapping_mul(C::BIAS));
        let sum = _mm512_sub_epi32(_mm512_add_epi32(sums[0], sums[1]), bias);
        *out = from_lanes(_mm512_mul_ps(_mm512_cvtepi32_ps(sum), _mm512_set1_ps(step.size)));
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
#[target_feature(enable = "avx512f")]
fn load_line<F: Floats>(line: &F::Line) -> __m512 {
    let at = std::ptr::from_ref(line);
    if size_of::<F::Line>() == 4 * LANES {
        // SAFETY: a line of this size is one unaligned load of 64 bytes, inside the reference.
        unsafe { _mm512_loadu_ps(at.cast()) }
    } else {
        const { assert!(size_of::<F::Line>() == 2 * LANES || size_of::<F::Line>() == 4 * LANES) };
        // SAFETY: a line of this size is one unaligned load of 32 bytes, inside the reference.
        _mm512_cvtph_ps(unsafe { _mm256_loadu_si256(at.cast()) })
    }
}

/// The two pairs along the inner axis of 16 lanes, in 16 bits each.
#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn load_codes<C: Codes>(unit: &C::Unit) -> [__m512i; 2] {
    let at = std::ptr::from_ref(unit).cast::<__m256i>();
    if C::BIAS == 0 {
        const { assert!(C::BIAS != 0 || size_of::<C::Unit>() == 64) };
        // SAFETY: a unit is two unaligned loads of 32 bytes, inside the reference.
        let bytes = unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] };
        [_mm512_cvtepi8_epi16(bytes[0]), _mm512_cvtepi8_epi16(bytes[1])]
    } else {
        const { assert!(C::BIAS == 0 || size_of::<C::Unit>() == 32) };
        // SAFETY: a unit is one unaligned load of 32 bytes, inside the reference.
        let words = _mm512_broadcast_i64x4(unsafe { _mm256_loadu_si256(at) });
        // The first 8 lanes lie in the low nibbles of each byte, the others in the high ones.
        let high = _mm512_inserti64x4::<1>(_mm512_setzero_si512(), _mm256_set1_epi16(4));
        let nibble = _mm512_set1_epi16(15);
        let pair = |words| _mm512_and_si512(_mm512_srlv_epi16(words, high), nibble);
        [pair(words), pair(_mm512_srli_epi16::<8>(words))]
    }
}

#[inline]
#[target_feature(enable = "avx512f,avx512bw")]
fn unpack<C: Codes>(unit: &C::Unit) -> [[f32; LANES]; UNIT] {
    let bias = _mm512_set1_epi32(C::BIAS);
    let floats = |codes| from_lanes(_mm512_cvtepi32_ps(_mm512_sub_epi32(codes, bias)));
    let mut out = [[0.0; LANES]; UNIT];
    for (out, words) in out.as_chunks_mut::<2>().0.iter_mut().zip(load_codes::<C>(unit)) {
        out[0] = floats(_mm512_srai_epi32::<16>(_mm512_slli_epi32::<16>(words)));
        out[1] = floats(_mm512_srai_epi32::<16>(words));
    }
    out
}

#[inline]
#[target_feature(enable = "avx512f")]
fn from_lanes(lanes: __m512) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    // SAFETY: one unaligned store of 16 floats, inside the array.
    unsafe { _mm512_storeu_ps(out.as_mut_ptr(), lanes) };
    out
}
