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
use super::panel::{Scratch, Tile, Weights};
use super::simd::Simd;
use super::units::{LANES, LINES, Line, Unit};
use std::arch::x86_64::*;

/// Proof that the CPU has what this file enables: exists only when detected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx512 {
    pub(crate) avx2: Avx2,
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
        scratch: &mut Option<Scratch>,
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

impl Simd for Avx512 {
    type Line = __m512i;
    type Lanes = __m512;

    #[inline(always)]
    fn load(self, line: &Line) -> __m512i {
        // SAFETY: `self` exists only if the CPU has the features, here and below; a line is 64 bytes, one unaligned load
        // inside the reference.
        unsafe { _mm512_loadu_si512(line.as_ptr().cast()) }
    }

    #[inline(always)]
    fn store(self, line: __m512i, to: &mut Line) {
        // SAFETY: 64 bytes are one unaligned store inside the exclusive reference.
        unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), line) }
    }

    #[inline(always)]
    fn nibbles(self, line: __m512i) -> [__m512i; 2] {
        // SAFETY: registers only.
        unsafe {
            let mask = _mm512_set1_epi8(15);
            [_mm512_and_si512(line, mask), _mm512_and_si512(_mm512_srli_epi16::<4>(line), mask)]
        }
    }

    #[inline(always)]
    fn plane(self, low: __m512i, high: __m512i, at: usize, mask: u8) -> __m512i {
        // SAFETY: registers only.
        unsafe {
            // What a shift carries over from the other byte of a word is masked off.
            let high = if at < 4 {
                _mm512_sll_epi16(high, _mm_cvtsi32_si128(4 - at as i32))
            } else {
                _mm512_srl_epi16(high, _mm_cvtsi32_si128(at as i32 - 4))
            };
            let mask = _mm512_set1_epi8((mask << 4).cast_signed());
            _mm512_or_si512(low, _mm512_and_si512(high, mask))
        }
    }

    #[inline(always)]
    fn load_lanes(self, lanes: &[f32; LANES]) -> __m512 {
        // SAFETY: 16 floats are one unaligned load inside the reference.
        unsafe { _mm512_loadu_ps(lanes.as_ptr()) }
    }

    #[inline(always)]
    fn store_lanes(self, lanes: __m512, to: &mut [f32; LANES]) {
        // SAFETY: 16 floats are one unaligned store inside the exclusive reference.
        unsafe { _mm512_storeu_ps(to.as_mut_ptr(), lanes) }
    }

    #[inline(always)]
    fn halves(self, halves: &[u16; LANES]) -> __m512 {
        // SAFETY: the unaligned load takes the reference's 32 bytes.
        unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(halves.as_ptr().cast())) }
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; LANES]) -> __m512 {
        // SAFETY: the unaligned load takes the reference's 16 bytes.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn signed(self, bytes: &[i8; LANES]) -> __m512 {
        // SAFETY: as for `bytes`.
        unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(bytes.as_ptr().cast()))) }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_set1_ps(value) }
    }

    #[inline(always)]
    fn mul(self, a: __m512, b: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_mul_ps(a, b) }
    }

    #[inline(always)]
    fn sub_mul(self, a: __m512, b: __m512, c: __m512) -> __m512 {
        // SAFETY: registers only.
        unsafe { _mm512_fnmadd_ps(b, c, a) }
    }

    #[inline(always)]
    fn prefetch(self, line: *const u8) {
        self.avx2.prefetch(line);
    }
}

impl Tile for Avx512 {
    #[inline(always)]
    fn tile<U: Unit, const T: usize>(
        self,
        weights: &(impl Weights + ?Sized),
        x: &[TileBlock<T>],
        sums: &mut TileSums<T>,
    ) {
        // SAFETY: `self` exists only if the CPU has the features that `tile` enables.
        unsafe { tile::<U, T>(self, weights, x, sums) }
    }
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
    scratch: &mut Option<Scratch>,
) {
    super::panel::multiply(avx512, units, x, sums, scratch);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn tile<U: Unit, const T: usize>(
    avx512: Avx512,
    weights: &(impl Weights + ?Sized),
    x: &[TileBlock<T>],
    sums: &mut TileSums<T>,
) {
    let mut totals: [__m512; T] = std::array::from_fn(|t| avx512.load_lanes(&sums[t]));
    for (block, x) in x.iter().enumerate() {
        for half in 0..U::HALVES {
            let scale = weights.scale(avx512, block, half);
            let products = sums_of::<U, T>(avx512, weights, x, block, half);
            for ((total, products), x_scale) in totals.iter_mut().zip(products).zip(x.scale) {
                let product = _mm512_mul_ps(_mm512_cvtepi32_ps(products), scale);
                *total = _mm512_fmadd_ps(product, _mm512_set1_ps(x_scale), *total);
            }
        }
        if U::OFFSET {
            let offset = weights.offset(avx512, block);
            for (total, x_sum) in totals.iter_mut().zip(x.sum) {
                *total = _mm512_fmadd_ps(offset, _mm512_set1_ps(x_sum), *total);
            }
        }
    }
    for (sums, total) in sums.iter_mut().zip(totals) {
        avx512.store_lanes(total, sums);
    }
}

/// `Σ (q - BIAS) * x` over a half of a block for `T` rows of activations, for each of 16 weight rows. Even and odd lines
/// have sums of their own, so that twice as many products are under way.
#[inline]
#[target_feature(enable = "avx2,fma,f16c,avx512f,avx512bw,avx512dq,avx512vl,avx512vnni")]
fn sums_of<U: Unit, const T: usize>(
    avx512: Avx512,
    weights: &(impl Weights + ?Sized),
    x: &TileBlock<T>,
    block: usize,
    half: usize,
) -> [__m512i; T] {
    let bias = if U::SIGNED { 128 } else { i32::from(U::BIAS) };
    let mut even = [_mm512_setzero_si512(); T];
    let mut odd = even;
    if bias != 0 {
        let pairs = &x.pairs[half..half + 2 / U::HALVES];
        for (t, even) in even.iter_mut().enumerate() {
            let sum: i32 = pairs.iter().map(|pairs| (pairs[t] >> 16) + i32::from(pairs[t] as i16)).sum();
            *even = _mm512_set1_epi32(-bias * sum);
        }
    }
    let count = LINES / 2 / U::HALVES;
    for pair in half * count..(half + 1) * count {
        let mut w = weights.lines(avx512, block, pair);
        if U::SIGNED {
            w = w.map(|line| _mm512_xor_si512(line, _mm512_set1_epi8(i8::MIN)));
        }
        let x = [&x.q[2 * pair], &x.q[2 * pair + 1]];
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
