//! What a machine can do at most, to be measured between the runs of what is compared with it.

use candle_core::quantized::GgmlDType;

use super::{random, seconds};
use crate::linear::{Matrix, Rows, linear};
use gist_kernels::team;

/// Bytes of the buffer that is summed up: far more than caches hold.
pub const BUFFER: usize = 1 << 29;
/// Numbers that a thread sums up at once.
const PART: usize = 1 << 17;
/// Rows of the product.
const ROWS: usize = 512;
/// Inputs and outputs of the product.
const SIZE: usize = 2048;

/// Operands of the two measurements.
pub struct Limits {
    buffer: Vec<u64>,
    matrix: Matrix,
    x: Vec<f32>,
    out: Vec<f32>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            buffer: vec![1; BUFFER / 8],
            matrix: linear(random(&[SIZE, SIZE], GgmlDType::F32)).expect("a matrix of floats"),
            x: vec![0.5; ROWS * SIZE],
            out: vec![0.0; ROWS * SIZE],
        }
    }
}

impl Limits {
    /// Bytes a second that a plain sum over memory reads on all threads.
    pub fn read(&self) -> f64 {
        let took = seconds(|| {
            let part = |i: usize| self.buffer[i * PART..][..PART].iter().sum::<u64>();
            let sum: u64 = team::map(BUFFER / 8 / PART, part).iter().sum();
            assert_eq!(std::hint::black_box(sum), (BUFFER / 8) as u64);
        });
        BUFFER as f64 / took
    }

    /// Floating-point operations a second of a large f32 product on all threads.
    pub fn product(&mut self) -> f64 {
        let took = seconds(|| self.matrix.forward(&Rows::new(&self.x, ROWS), &mut self.out));
        (2 * ROWS * SIZE * SIZE) as f64 / took
    }
}
