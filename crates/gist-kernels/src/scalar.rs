//! The portable kernel: safe Rust that a compiler can vectorise for any CPU. The integer sums equal those of the other
//! kernels; the float sums differ by the roundings that a fused multiply-add saves.

use super::activations::{TileBlock, TileSums};
use super::panel::{Tile, Weights};
use super::simd::{Plain, Simd};
use super::units::{LANES, LINES, Line, Unit};

impl Tile for Plain {
    #[inline(always)]
    fn tile<U: Unit, const T: usize>(
        self,
        weights: &(impl Weights + ?Sized),
        x: &[TileBlock<T>],
        sums: &mut TileSums<T>,
    ) {
        for (block, x) in x.iter().enumerate() {
            for half in 0..U::HALVES {
                let scale = weights.scale(self, block, half);
                let mut products = [[0; LANES]; T];
                let count = LINES / 2 / U::HALVES;
                for pair in half * count..(half + 1) * count {
                    for (line, x) in weights.lines(self, block, pair).iter().zip(&x.q[2 * pair..]) {
                        products.iter_mut().zip(x).for_each(|(products, x)| add::<U>(line, *x, products));
                    }
                }
                for ((sums, products), x_scale) in sums.iter_mut().zip(products).zip(x.scale) {
                    for ((sum, product), scale) in sums.iter_mut().zip(products).zip(scale) {
                        *sum += product as f32 * scale * x_scale;
                    }
                }
            }
            if U::OFFSET {
                let offset = weights.offset(self, block);
                for (sums, x_sum) in sums.iter_mut().zip(x.sum) {
                    *sums = self.sub_mul(*sums, offset, self.splat(-x_sum));
                }
            }
        }
    }
}

/// Adds the products of a line with four activations.
#[inline(always)]
fn add<U: Unit>(line: &Line, x: i32, sums: &mut [i32; LANES]) {
    let [x0, x1, x2, x3] = x.to_le_bytes().map(|byte| i32::from(byte.cast_signed()));
    for (sum, q) in sums.iter_mut().zip(line.as_chunks::<4>().0) {
        let [q0, q1, q2, q3] =
            q.map(|q| if U::SIGNED { i32::from(q.cast_signed()) } else { i32::from(q) - i32::from(U::BIAS) });
        *sum += q0 * x0 + q1 * x1 + q2 * x2 + q3 * x3;
    }
}
