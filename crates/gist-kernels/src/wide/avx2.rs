//! A register of sums for each 8 rows of weights and each row of activations, 12 of 16; two of weights, one that a pair of
//! activations is broadcast to. One `madd` multiplies 16 pairs and adds each up.

// Loads through references and calls that need CPU features are the only unsafe here.
#![allow(unsafe_code)]

use std::arch::x86_64::*;
use std::hint::black_box;

use super::{Block, LINES, Line, Sums, by_chunks};
use crate::avx2::Avx2;

impl Avx2 {
    pub(super) fn wide<const T: usize>(self, lines: &[Line], x: &[Block<T>], sums: &mut [Sums<T>]) {
        // SAFETY: `self` exists only if the CPU has the features that `tile` enables.
        by_chunks(lines, x, sums, |lines, x, sums| unsafe { tile(lines, x, sums) });
    }
}

#[target_feature(enable = "avx2,fma,f16c")]
fn tile<const T: usize>(lines: &[Line], x: &[Block<T>], sums: &mut Sums<T>) {
    // A number of iterations that the compiler does not know: it would unroll the loop further otherwise, and spill.
    let count = black_box(LINES / 2);
    for (lines, x) in lines.as_chunks::<LINES>().0.iter().zip(x) {
        let mut products = [[_mm256_setzero_si256(); 2]; T];
        let two = lines.as_chunks::<2>().0.iter().zip(x.q.as_chunks::<2>().0);
        for (lines, q) in two.take(count) {
            for (line, q) in lines.iter().zip(q) {
                let at = line.as_ptr().cast::<__m256i>();
                // SAFETY: a line is 64 bytes, so both unaligned loads stay inside the reference.
                let weights = unsafe { [_mm256_loadu_si256(at), _mm256_loadu_si256(at.add(1))] };
                for (products, [a, b]) in products.iter_mut().zip(q) {
                    // The two numbers as they lie in memory.
                    let pair = _mm256_set1_epi32((i32::from(*b) << 16) | i32::from(a.cast_unsigned()));
                    for (product, weights) in products.iter_mut().zip(weights) {
                        *product = _mm256_add_epi32(*product, _mm256_madd_epi16(weights, pair));
                    }
                }
            }
        }
        for ((sums, products), scale) in sums.iter_mut().zip(products).zip(x.scale) {
            let scale = _mm256_set1_ps(scale);
            for (sums, product) in sums.as_chunks_mut::<8>().0.iter_mut().zip(products) {
                let at = sums.as_mut_ptr();
                // SAFETY: an unaligned load and store of the 8 floats of the exclusive reference.
                unsafe {
                    let sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(product), scale, _mm256_loadu_ps(at));
                    _mm256_storeu_ps(at, sum);
                }
            }
        }
    }
}
