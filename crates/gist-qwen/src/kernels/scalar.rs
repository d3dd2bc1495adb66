//! The portable kernel: safe Rust that a compiler can vectorise for any CPU. The integer sums equal those of the AVX2
//! kernel; the float sums differ by the roundings that a fused multiply-add saves.

use super::activations::{TileBlock, TileSums};
use super::units::{Block, LANES, LINES, Unit};
use std::ops::Range;

/// Adds the products of the weights `w` with the activations `x` (as many blocks of 32 `k`) to `sums`.
#[inline(always)]
pub(super) fn tile<U: Unit, const T: usize>(w: &[Block], x: &[TileBlock<T>], sums: &mut TileSums<T>) {
    for (w, x) in w.iter().zip(x) {
        for (t, sums) in sums.iter_mut().enumerate() {
            for half in 0..U::HALVES {
                let lines = half * LINES / U::HALVES..(half + 1) * LINES / U::HALVES;
                let products = integer_sums::<U, T>(w, x, t, lines);
                for ((sum, product), scale) in sums.iter_mut().zip(products).zip(&w.scale[half]) {
                    *sum += product as f32 * scale * x.scale[t];
                }
            }
            if U::OFFSET {
                for (sum, offset) in sums.iter_mut().zip(&w.offset) {
                    *sum += offset * x.sum[t];
                }
            }
        }
    }
}

#[inline(always)]
fn integer_sums<U: Unit, const T: usize>(
    w: &Block,
    x: &TileBlock<T>,
    t: usize,
    lines: Range<usize>,
) -> [i32; LANES] {
    let mut sums = [0; LANES];
    for (line, words) in w.q[lines.clone()].iter().zip(&x.q[lines]) {
        let [x0, x1, x2, x3] = words[t].to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
        for (sum, q) in sums.iter_mut().zip(line.as_chunks::<4>().0) {
            let [q0, q1, q2, q3] =
                q.map(
                    |q| {
                        if U::SIGNED { i32::from(q.cast_signed()) } else { i32::from(q) - i32::from(U::BIAS) }
                    },
                );
            *sum += q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3;
        }
    }
    sums
}
