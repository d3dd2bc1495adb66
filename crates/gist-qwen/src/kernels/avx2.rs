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
use super::panel::Scratch;
use super::units::{Block, LANES, LINES, Line, Unit, Widen};
use std::arch::x86_64::*;

/// Proof that the CPU has AVX2, FMA and F16C: exists only when detected.
#[derive(Clone, Copy, Debug)]
pub(in crate::kernels) struct Avx2(());

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

impl Widen for Avx2 {
    #[inline(always)]
    fn halves(self, halves: &[u16; LANES]) -> [f32; LANES] {
        // SAFETY: `self` exists only if the CPU has the features; of the 32 bytes of the reference each unaligned load
        // takes one half.
        unsafe {
            let at = halves.as_ptr().cast::<__m128i>();
            lanes([_mm256_cvtph_ps(_mm_loadu_si128(at)), _mm256_cvtph_ps(_mm_loadu_si128(at.add(1)))])
        }
    }

    #[inline(always)]
    fn bytes(self, bytes: &[u8; LANES]) -> [f32; LANES] {
        // SAFETY: `self` exists only if the CPU has the features; the unaligned load takes the reference's 16 bytes.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            lanes([bytes, _mm_srli_si128::<8>(bytes)].map(|x| _mm256_cvtepi32_ps(_mm256_cvtepu8_epi32(x))))
        }
    }

    #[inline(always)]
    fn signed(self, bytes: &[i8; LANES]) -> [f32; LANES] {
        // SAFETY: as for `bytes`.
        unsafe {
            let bytes = _mm_loadu_si128(bytes.as_ptr().cast());
            lanes([bytes, _mm_srli_si128::<8>(bytes)].map(|x| _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(x))))
        }
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn lanes(value: [__m256; 2]) -> [f32; LANES] {
    let mut out = [0.0; LANES];
    store_lanes(&mut out, value);
    out
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
    scratch: &mut Scratch,
) {
    super::panel::multiply(units, x, sums, scratch, avx2, prefetch, |w, x, sums| tile::<U, T>(w, x, sums));
}

#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn tile<U: Unit, const T: usize>(w: &[Block], x: &[TileBlock<T>], sums: &mut TileSums<T>) {
    let rolled = Rolled::new();
    for (w, x) in w.iter().zip(x) {
        for half in 0..U::HALVES {
            let lines = half * LINES / U::HALVES..(half + 1) * LINES / U::HALVES;
            let (w_lines, x_lines) = (&w.q[lines.clone()], &x.q[lines]);
            let products = if U::SIGNED {
                signed_sums(w_lines, x_lines, rolled)
            } else {
                unsigned_sums::<U, T>(w_lines, x_lines, &x.pairs[half..half + 2 / U::HALVES], rolled)
            };
            let scale = load_lanes(&w.scale[half]);
            let offset = load_lanes(&w.offset);
            for (t, sums) in sums.iter_mut().enumerate() {
                let mut total = load_lanes(sums);
                let (x_scale, x_sum) = (_mm256_set1_ps(x.scale[t]), _mm256_set1_ps(x.sum[t]));
                for v in 0..2 {
                    let product = _mm256_mul_ps(_mm256_cvtepi32_ps(products[t][v]), scale[v]);
                    total[v] = _mm256_fmadd_ps(product, x_scale, total[v]);
                    if U::OFFSET && half == 0 {
                        total[v] = _mm256_fmadd_ps(offset[v], x_sum, total[v]);
                    }
                }
                store_lanes(sums, total);
            }
        }
    }
}

/// `Σ (q - BIAS) * x` over some lines for `T` rows of activations, 32 bits for each of 16 weight rows.
///
/// The sums start at `-BIAS * Σ x` and grow in 16 bits. They may wrap on the way, but the result fits, and addition
/// modulo 2^16 does not mind.
#[inline]
#[target_feature(enable = "avx2,fma,f16c")]
fn unsigned_sums<U: Unit, const T: usize>(
    w: &[Line],
    x: &[[i32; T]],
    pairs: &[[i32; T]],
    rolled: Rolled,
) -> [[__m256i; 2]; T] {
    let mut sums = [[_mm256_setzero_si256(); 2]; T];
    if U::BIAS != 0 {
        let bias = _mm256_set1_epi16(-i16::from(U::BIAS));
        for t in 0..T {
            let mut sum = _mm256_set1_epi32(pairs[0][t]);
            if let Some(second) = pairs.get(1) {
                sum = _mm256_add_epi16(sum, _mm256_set1_epi32(second[t]));
            }
            sums[t] = [_mm256_mullo_epi16(sum, bias); 2];
        }
    }
    for (w, x) in w.iter().zip(x).take(rolled.0) {
        let w = load_line(w);
        for t in 0..T {
            let x = _mm256_set1_epi32(x[t]);
            for v in 0..2 {
                sums[t][v] = _mm256_add_epi16(sums[t][v], _mm256_maddubs_epi16(w[v], x));
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
fn signed_sums<const T: usize>(w: &[Line], x: &[[i32; T]], rolled: Rolled) -> [[__m256i; 2]; T] {
    let ones = _mm256_set1_epi16(1);
    let mut sums = [[_mm256_setzero_si256(); 2]; T];
    for first in (0..T).step_by(3) {
        let group = first..T.min(first + 3);
        let mut wide = [[_mm256_setzero_si256(); 2]; 3];
        for (w, x) in w.iter().zip(x).take(rolled.0) {
            let w = load_line(w);
            let magnitude = [_mm256_abs_epi8(w[0]), _mm256_abs_epi8(w[1])];
            for t in group.clone() {
                let x = _mm256_set1_epi32(x[t]);
                for v in 0..2 {
                    let products = _mm256_maddubs_epi16(magnitude[v], _mm256_sign_epi8(x, w[v]));
                    let wide = &mut wide[t - first][v];
                    *wide = _mm256_add_epi32(*wide, _mm256_madd_epi16(products, ones));
                }
            }
        }
        for t in group {
            sums[t] = wide[t - first];
        }
    }
    sums
}

/// A number of iterations that the compiler does not know. It would unroll the loops over lines otherwise, then order
/// the products by row of activations and spill all weights to the stack: a third slower.
#[derive(Clone, Copy)]
struct Rolled(usize);

impl Rolled {
    fn new() -> Self {
        Self(std::hint::black_box(LINES))
    }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_line(line: &Line) -> [__m256i; 2] {
    let at = line.as_ptr().cast::<__m256i>();
    // SAFETY: a line is 64 bytes, so both unaligned 32-byte loads stay inside the reference.
    unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn load_lanes(lanes: &[f32; LANES]) -> [__m256; 2] {
    let at = lanes.as_ptr();
    // SAFETY: 16 floats are two unaligned loads of 8, inside the reference.
    unsafe { [_mm256_loadu_ps(at), _mm256_loadu_ps(at.add(8))] }
}

#[inline]
#[target_feature(enable = "avx2")]
fn store_lanes(lanes: &mut [f32; LANES], value: [__m256; 2]) {
    let at = lanes.as_mut_ptr();
    // SAFETY: 16 floats are two unaligned stores of 8, inside the exclusive reference.
    unsafe {
        _mm256_storeu_ps(at, value[0]);
        _mm256_storeu_ps(at.add(8), value[1]);
    }
}

#[inline(always)]
fn prefetch(line: *const u8) {
    // SAFETY: a prefetch is a hint that never faults, whatever the address.
    unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
}
