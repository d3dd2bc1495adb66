//! The AVX2 + FMA kernel.
//!
//! A line of weights (16 rows × 4 `k`) is two registers; the 4 activations of a row are broadcast to all lanes. One
//! `maddubs` multiplies unsigned weights by signed activations and adds pairs into 16 bits (at most 2·63·127 =
//! 16,002, so it never saturates). Sums stay in 16 bits over as many lines as share a scale: with the bias of the
//! type taken off, 16 products of 4-bit (0..15) or 5-bit (±16) weights or 8 of 6-bit (±32) weights come to at most
//! 32,512. Only then are they widened and scaled. Signed 8-bit weights go through `maddubs(|w|, sign(x, w))` and are
//! widened line by line (2·128·127 = 32,512).
//!
//! Another instruction set (AVX-VNNI, NEON dot product) would be a sibling of this file and of `avx512.rs` with the same
//! entry points, chosen in `Cpu::known`; the packed layout needs no change.

// Loads through references and calls that need CPU features are the only unsafe here.
#![allow(unsafe_code)]

use super::activations::{TileBlock, TileSums};
use super::panel::{Scratch, Tile, Weights};
use super::simd::Simd;
use super::units::{LANES, LINES, Line, Unit};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2, FMA and F16C: exists only when detected.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Avx2(());

impl Avx2 {
    pub(super) fn detect() -> Option<Self> {
        let fma = is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c");
        (is_x86_feature_detected!("avx2") && fma).then_some(Self(()))
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

impl Simd for Avx2 {
    type Line = [__m256i; 2];
    type Lanes = [__m256; 2];

    #[inline(always)]
    fn load(self, line: &Line) -> Self::Line {
        let at = line.as_ptr().cast::<__m256i>();
        // SAFETY: `self` exists only if the CPU has the features, here and below; a line is 64 bytes, so both unaligned
        // 32-byte loads stay inside the reference.
        unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] }
    }

    #[inline(always)]
    fn store(self, line: Self::Line, to: &mut Line) {
        let at = to.as_mut_ptr().cast::<__m256i>();
        // SAFETY: as for `load`, and the reference is exclusive.
        unsafe {
            _mm256_storeu_si256(at, line[0]);
            _mm256_storeu_si256(at.add(1), line[1]);
        }
    }

    #[inline(always)]
    fn nibbles(self, line: Self::Line) -> [Self::Line; 2] {
        // SAFETY: registers only.
        unsafe {
            let mask = _mm256_set1_epi8(15);
            [
                [_mm256_and_si256(line[0], mask), _mm256_and_si256(line[1], mask)],
                [
                    _mm256_and_si256(_mm256_srli_epi16::<4>(line[0]), mask),
                    _mm256_and_si256(_mm256_srli_epi16::<4>(line[1]), mask),
                ],
            ]
        }
    }

    #[inline(always)]
    fn plane(self, low: Self::Line, high: Self::Line, at: usize, mask: u8) -> Self::Line {
        // SAFETY: registers only.
        let part = |low: __m256i, high: __m256i| unsafe {
            // What a shift carries over from the other byte of a word is masked off.
            let high = if at < 4 {
                _mm256_sll_epi16(high, _mm_cvtsi32_si128(4 - at as i32))
            } else {
                _mm256_srl_epi16(high, _mm_cvtsi32_si128(at as i32 - 4))
            };
            _mm256_or_si256(low, _mm256_and_si256(high, _mm256_set1_epi8((mask << 4).cast_signed())))
        };
        [part(low[0], high[0]), part(low[1], high[1])]
    }

    #[inline(always)]
    fn load_lanes(self, lanes: &[f32; LANES]) -> Self::Lanes {
        let at = lanes.as_ptr();
        // SAFETY: 16 floats are two unaligned loads of 8, inside the reference.
        unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] }
    }

    #[inline(always)]
    fn store_lanes(self, lanes: Self::Lanes, to: &mut [f32; LANES]) {
        let at = to.as_mut_ptr();
        // SAFETY: 16 floats are two unaligned stores of 8, inside the exclusive reference.
        unsafe {
            _mm256_storeu_ps(at, lanes[0]);
            _mm256_storeu_ps(at.add(8), lanes[1]);
        }
    }

    #[inline(always)]
    fn halves(self, halves: &[u16; LANES]) -> Self::Lanes {
        // SAFETY: of the 32 bytes of the reference each unaligned load takes one half.
        unsafe {
            let at = halves.as_ptr().cast::<__m128i>();
            [_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1)))]
        }
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; LANES]) -> Self::Lanes {
        // SAFETY: the unaligned load takes the reference's 16 bytes.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        }
    }

    #[inline(always)]
    fn signed(self, bytes: &[i8; LANES]) -> Self::Lanes {
        // SAFETY: as for `bytes`.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            [
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(bytes)),
                _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_srli_si128::<8>(bytes))),
            ]
        }
    }

    #[inline(always)]
    fn splat(self, value: f32) -> Self::Lanes {
        // SAFETY: registers only.
        unsafe { [_mm256_set1_ps(value); 2] }
    }

    #[inline(always)]
    fn mul(self, a: Self::Lanes, b: Self::Lanes) -> Self::Lanes {
        // SAFETY: registers only.
        unsafe { [_mm256_mul_ps(a[0], b[0]), _mm256_mul_ps(a[1], b[1])] }
    }

    #[inline(always)]
    fn sub_mul(self, a: Self::Lanes, b: Self::Lanes, c: Self::Lanes) -> Self::Lanes {
        // SAFETY: registers only.
        unsafe { [_mm256_fnmadd_ps(b[0], c[0], a[0]), _mm256_fnmadd_ps(b[1], c[1], a[1])] }
    }

    #[inline(always)]
    fn prefetch(self, line: *const u8) {
        // SAFETY: a prefetch is a hint that never faults, whatever the address.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }
}

impl Tile for Avx2 {
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

#[target_feature(enable = "avx2,fma,f16c")]
fn run<R>(f: impl FnOnce() -> R) -> R {
    f()
}

#[target_feature(enable = "avx2,fma,f16c")]
fn panel<U: Unit, const T: usize>(
    avx2: Avx2,
    units: &[U],
    x: &[TileBlock<T>],
    sums: &mut [TileSums<T>],
    scratch: &mut Option<Scratch>,
) {
    super::panel::multiply(avx2, units, x, sums, scratch);
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<U: Unit, const T: usize>(
    avx2: Avx2,
    weights: &(impl Weights + ?Sized),
    x: &[TileBlock<T>],
    sums: &mut TileSums<T>,
) {
    let rolled = Rolled::new::<T>();
    for (block, x) in x.iter().enumerate() {
        for half in 0..U::HALVES {
            let scale = weights.scale(avx2, block, half);
            let count = LINES / 2 / U::HALVES;
            let pairs = (half * count..(half + 1) * count).take(rolled.0);
            let lines = pairs.map(|pair| (pair, weights.lines(avx2, block, pair)));
            let products =
                if U::SIGNED { signed_sums(lines, x) } else { unsigned_sums::<U, T>(lines, x, half) };
            let offset = if U::OFFSET && half == 0 { Some(weights.offset(avx2, block)) } else { None };
            for (t, sums) in sums.iter_mut().enumerate() {
                let mut total = avx2.load_lanes(sums);
                let (x_scale, x_sum) = (_mm256_set1_ps(x.scale[t]), _mm256_set1_ps(x.sum[t]));
                for v in 0..2 {
                    let product = _mm256_mul_ps(_mm256_cvtepi32_ps(products[t][v]), scale[v]);
                    total[v] = _mm256_fmadd_ps(product, x_scale, total[v]);
                    if let Some(offset) = offset {
                        total[v] = _mm256_fmadd_ps(offset[v], x_sum, total[v]);
                    }
                }
                avx2.store_lanes(total, sums);
            }
        }
    }
}

/// `Σ (q - BIAS) * x` over some pairs of lines for `T` rows of activations, 32 bits for each of 16 weight rows.
///
/// The sums start at `-BIAS * Σ x` and grow in 16 bits. They may wrap on the way, but the result fits, and addition
/// modulo 2^16 does not mind.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn unsigned_sums<U: Unit, const T: usize>(
    lines: impl Iterator<Item = (usize, [[__m256i; 2]; 2])>,
    x: &TileBlock<T>,
    half: usize,
) -> [[__m256i; 2]; T] {
    let mut sums = [[_mm256_setzero_si256(); 2]; T];
    if U::BIAS != 0 {
        let bias = _mm256_set1_epi16(-i16::from(U::BIAS));
        let pairs = &x.pairs[half..half + 2 / U::HALVES];
        for t in 0..T {
            let mut sum = _mm256_set1_epi32(pairs[0][t]);
            if let Some(second) = pairs.get(1) {
                sum = _mm256_add_epi16(sum, _mm256_set1_epi32(second[t]));
            }
            sums[t] = [_mm256_mullo_epi16(sum, bias); 2];
        }
    }
    for (pair, lines) in lines {
        for (line, w) in lines.into_iter().enumerate() {
            for (sums, x) in sums.iter_mut().zip(x.q[2 * pair + line]) {
                let x = _mm256_set1_epi32(x);
                for (sum, w) in sums.iter_mut().zip(w) {
                    *sum = _mm256_add_epi16(*sum, _mm256_maddubs_epi16(w, x));
                }
            }
        }
    }
    let ones = _mm256_set1_epi16(1);
    for sum in sums.as_flattened_mut() {
        *sum = _mm256_madd_epi16(*sum, ones);
    }
    sums
}

/// `Σ q * x` with signed quants. Rows of activations go in groups of three, or the registers would not suffice.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn signed_sums<const T: usize>(
    lines: impl Iterator<Item = (usize, [[__m256i; 2]; 2])> + Clone,
    x: &TileBlock<T>,
) -> [[__m256i; 2]; T] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; T];
    for first in (0..T).step_by(3) {
        let group = first..T.min(first + 3);
        let mut wide = [[_mm256_setzero_si256(); 2]; 3];
        for (pair, lines) in lines.clone() {
            for (line, w) in lines.into_iter().enumerate() {
                let magnitude = [_mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1])];
                for t in group.clone() {
                    let x = _mm256_set1_epi32(x.q[2 * pair + line][t]);
                    for v in 0..2 {
                        let products = _mm256_maddubs_epi16(magnitude[v], _mm256_sign_epi8(x, w[v]));
                        let wide = &mut wide[t - first][v];
                        *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(products, ones));
                    }
                }
            }
        }
        for t in group {
            sums[t] = wide[t - first];
        }
    }
    sums
}

/// A number of iterations that the compiler does not know, for several rows of activations. It would unroll the loops over
/// lines otherwise, then order the products by row of activations and spill all weights to the stack: a third slower.
#[derive(Clone, Copy)]
struct Rolled(usize);

impl Rolled {
    fn new<const T: usize>() -> Self {
        Self(if T == 1 { LINES } else { std::hint::black_box(LINES) })
    }
}
