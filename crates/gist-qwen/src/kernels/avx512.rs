//! The AVX-512 VNNI kernel.
//!
//! A line of weights (16 rows × 4 `k`) is one register; one `dpbusd` multiplies it by the 4 activations of a row,
//! broadcast to all lanes, and adds the products to 32-bit sums, which cannot overflow: 32 · 255 · 127 < 2^21. The bias
//! of the type is taken off by starting at `-BIAS * Σ x`; signed weights become unsigned with a bias of 128 when their
//! top bit is turned.

// Loads through references and calls that need CPU features are the only unsafe here.
#![allow(unsafe_code)]

use super::activations::{TileBlock, TileSums};
use super::avx2::Avx2;
use super::panel::Scratch;
use super::units::{Block, LANES, LINES, Line, Unit, Widen};
use std::arch::x86_64::*;

/// Proof that the CPU has what this file enables: exists only when detected.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Avx512 {
    pub(in crate::kernels) avx2: Avx2,
}

impl Avx512 {
    pub(super) fn detect() -> Option<Self> {
        let wide = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512dq")
            && is_x86_feature_detected!("avx512vl")
            && is_x86_feature_detected!("avx512vnni");
        Avx2::detect().filter(|_| wide).map(|avx2| Self { avx2 })
    }

    /// [`super::panel::multiply`] with this kernel.
    pub(super) fn panel<U: Unit, const T: usize>(
        self,
        units: &[U],
        x: &[TileBlock<T>],
        sums: &mut [TileSums<T>],
        scratch: &mut Scratch,
    ) {
        // SAFETY: `self` exists only if the CPU has the features that `panel` enables.
        unsafe { panel(self, units, x, sums, scratch) }
    }

    /// Runs `f`, and what is inlined into it, as code for this CPU.
    pub(super) fn vectorized<R>(self, f: impl FnOnce() -> R) -> R {
        // SAFETY: `self` exists only if the CPU has the features that `run` enables.
        unsafe { run(f) }
    }
}

impl Widen for Avx512 {
    #[inline(always)]
    fn halves(self, halves: &[u16; LANES]) -> [f32; LANES] {
        // SAFETY: `self` exists only if the CPU has the features; the unaligned load takes the reference's 32 bytes.
        unsafe { lanes(_mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; LANES]) -> [f32; LANES] {
        // SAFETY: `self` exists only if the CPU has the features; the unaligned load takes the reference's 16 bytes.
        unsafe { lanes(_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())))) }
    }

    #[inline(always)]
    fn signed(self, bytes: &[i8; LANES]) -> [f32; LANES] {
        // SAFETY: as for `bytes`.
        unsafe { lanes(_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.as_ptr().cast())))) }
    }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn lanes(value: __m512) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    store_lanes(&mut out, value);
    out
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl")]
fn run<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn panel<U: Unit, const T: usize>(
    avx512: Avx512,
    units: &[U],
    x: &[TileBlock<T>],
    sums: &mut [TileSums<T>],
    scratch: &mut Scratch,
) {
    super::panel::multiply(units, x, sums, scratch, avx512, prefetch, |w, x, sums| tile::<U, T>(w, x, sums));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tile<U: Unit, const T: usize>(w: &[Block], x: &[TileBlock<T>], sums: &mut TileSums<T>) {
    let mut totals: [__m512; T] = std::array::from_fn(|t| load_lanes(&sums[t]));
    for (w, x) in w.iter().zip(x) {
        for half in 0..U::HALVES {
            let lines = half * LINES / U::HALVES..(half + 1) * LINES / U::HALVES;
            let products =
                sums_of::<U, T>(&w.q[lines.clone()], &x.q[lines], &x.pairs[half..half + 2 / U::HALVES]);
            let scale = load_lanes(&w.scale[half]);
            for ((total, products), x_scale) in totals.iter_mut().zip(products).zip(x.scale) {
                let product = _mm512_mul_ps(_mm512_cvtepi32_ps(products), scale);
                *total = _mm512_fmadd_ps(product, _mm512_set1_ps(x_scale), *total);
            }
        }
        if U::OFFSET {
            let offset = load_lanes(&w.offset);
            for (total, x_sum) in totals.iter_mut().zip(x.sum) {
                *total = _mm512_fmadd_ps(offset, _mm512_set1_ps(x_sum), *total);
            }
        }
    }
    for (sums, total) in sums.iter_mut().zip(totals) {
        store_lanes(sums, total);
    }
}

/// `Σ (q - BIAS) * x` over some lines for `T` rows of activations, for each of 16 weight rows. Even and odd lines have
/// sums of their own, so that twice as many products are under way.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums_of<U: Unit, const T: usize>(w: &[Line], x: &[[i32; T]], pairs: &[[i32; T]]) -> [__m512i; T] {
    let bias = if U::SIGNED { 128 } else { i32::from(U::BIAS) };
    let mut even = [_mm512_setzero_si512(); T];
    let mut odd = even;
    if bias != 0 {
        for (t, even) in even.iter_mut().enumerate() {
            let sum: i32 = pairs.iter().map(|pairs| (pairs[t] >> 16) + i32::from(pairs[t] as i16)).sum();
            *even = _mm512_set1_epi32(-bias * sum);
        }
    }
    for (w, x) in w.as_chunks::<2>().0.iter().zip(x.as_chunks::<2>().0) {
        let w = [load_line::<U>(&w[0]), load_line::<U>(&w[1])];
        for t in 0..T {
            even[t] = _mm512_dpbusd_epi32(even[t], w[0], _mm512_set1_epi32(x[0][t]));
            odd[t] = _mm512_dpbusd_epi32(odd[t], w[1], _mm512_set1_epi32(x[1][t]));
        }
    }
    for (even, odd) in even.iter_mut().zip(odd) {
        *even = _mm512_add_epi32(*even, odd);
    }
    even
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_line<U: Unit>(line: &Line) -> __m512i {
    // SAFETY: a line is 64 bytes, one unaligned load inside the reference.
    let line = unsafe { _mm512_loadu_si512(line.as_ptr().cast()) };
    if U::SIGNED { _mm512_xor_si512(line, _mm512_set1_epi8(i8::MIN)) } else { line }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn load_lanes(lanes: &[f32; LANES]) -> __m512 {
    // SAFETY: 16 floats are one unaligned load inside the reference.
    unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
}

#[inline]
#[target_feature(enable = "avx512f")]
fn store_lanes(lanes: &mut [f32; LANES], value: __m512) {
    // SAFETY: 16 floats are one unaligned store inside the exclusive reference.
    unsafe { _mm512_storeu_ps(lanes.as_mut_ptr(), value) }
}

#[inline(always)]
fn prefetch(line: *const u8) {
    // SAFETY: a prefetch is a hint that never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}
