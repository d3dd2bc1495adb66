//! Bicubic reduction and enlargement with antialiasing, 8 bits in and out, equal to PyTorch's in every bit.
//!
//! transformers resizes with torchvision on the CPU, which is `UpSampleKernel.cpp` of PyTorch: horizontally first, the
//! result rounded to 8 bits, then vertically, both with weights of 16 bits in fixed point. An axis that keeps its size
//! is left alone. Pillow's weights have more bits, and its result differs by a level in about one value of a hundred.

use std::borrow::Cow;

use super::{CHANNELS, Frame, PictureError, check_size};

/// The coefficient of the cubic convolution (Keys, 1981), as in Pillow and PyTorch's antialiased kernel.
const A: f64 = -0.5;
/// How far the cubic reaches, in pixels of the coarser of the two pictures.
const REACH: f64 = 2.0;
/// The most bits after the point that PyTorch gives the weights.
const MAX_PRECISION: u32 = 22;
/// Bytes of a row that the vertical pass works on at once.
const STRIP: usize = 64;

/// Brings frames to one size. What is computed from the sizes alone is kept from frame to frame.
#[derive(Debug)]
pub struct Resizer {
    width: usize,
    height: usize,
    horizontal: Axis,
    vertical: Axis,
    /// A source row, each pixel with a fourth byte that makes it as wide as a register's lane: [width of the source].
    wide: Vec<[u8; 4]>,
    /// The horizontal result: `[height of the source, width, 3]`.
    middle: Vec<u8>,
}

/// The weights along one axis.
#[derive(Debug, Default)]
struct Axis {
    /// Pixels before and after.
    sizes: (usize, usize),
    /// Bits after the point of the weights.
    precision: u32,
    /// For each pixel after: the first pixel before that counts, and where its weights end in `weights`.
    spans: Vec<(usize, usize)>,
    weights: Vec<i16>,
}

impl Resizer {
    /// A resizer to `width` x `height` pixels.
    ///
    /// # Errors
    ///
    /// [`PictureError::Empty`], [`PictureError::TooLarge`].
    pub fn new(width: usize, height: usize) -> Result<Self, PictureError> {
        check_size(width, height)?;
        let (horizontal, vertical) = (Axis::default(), Axis::default());
        Ok(Self { width, height, horizontal, vertical, wide: Vec::new(), middle: Vec::new() })
    }

    /// Width and height of the results, in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// `frame` at the new size, stretched to it. A frame that has it already comes back borrowed.
    pub fn resize<'a>(&mut self, frame: &'a Frame<'_>) -> Frame<'a> {
        if frame.size() == self.size() {
            return frame.borrowed();
        }
        self.horizontal.prepare(frame.width(), self.width);
        self.vertical.prepare(frame.height(), self.height);
        let source = if frame.width() == self.width {
            Cow::Borrowed(frame.pixels())
        } else {
            let mut middle = std::mem::take(&mut self.middle);
            middle.resize(frame.height() * self.width * CHANNELS, 0);
            for (y, out) in middle.chunks_exact_mut(self.width * CHANNELS).enumerate() {
                self.wide.clear();
                self.wide.extend(frame.row(y).as_chunks().0.iter().map(|&[r, g, b]| [r, g, b, 0]));
                self.horizontal.along(&self.wide, out);
            }
            Cow::Owned(middle)
        };
        if frame.height() == self.height {
            return Frame::trusted(self.width, self.height, source.into_owned());
        }
        let row = self.width * CHANNELS;
        let mut pixels = vec![0; self.height * row];
        for (y, out) in pixels.chunks_exact_mut(row).enumerate() {
            self.vertical.across(y, &source, out);
        }
        if let Cow::Owned(middle) = source {
            self.middle = middle;
        }
        Frame::trusted(self.width, self.height, pixels)
    }
}

impl Axis {
    /// Computes the weights, unless they are there. The order of operations is PyTorch's
    /// (`_compute_indices_min_size_weights_aa`, `_compute_index_ranges_int16_weights`).
    fn prepare(&mut self, from: usize, to: usize) {
        if self.sizes == (from, to) {
            return;
        }
        let scale = from as f64 / to as f64;
        let inverse = if scale >= 1.0 { 1.0 / scale } else { 1.0 };
        let support = REACH * scale.max(1.0);
        let most = support.ceil() as usize * 2 + 1;
        let mut exact = Vec::new();
        let mut largest = 0.0f64;
        self.spans.clear();
        for i in 0..to {
            let center = scale * (i as f64 + 0.5);
            // Conversions truncate, and negative numbers become 0.
            let first = (center - support + 0.5) as usize;
            let end = ((center + support + 0.5) as usize).min(from).min(first + most);
            let start = exact.len();
            exact.extend((first..end).map(|j| cubic((j as f64 - center + 0.5) * inverse)));
            let total: f64 = exact[start..].iter().sum();
            for weight in &mut exact[start..] {
                *weight /= total;
                largest = largest.max(*weight);
            }
            self.spans.push((first, exact.len()));
        }
        let full = |&bits: &u32| (0.5 + largest * f64::from(1 << (bits + 1))) as i32 >= 1 << 15;
        self.precision = (0..MAX_PRECISION).find(full).unwrap_or(MAX_PRECISION);
        let one = f64::from(1 << self.precision);
        self.weights.clear();
        self.weights.extend(exact.iter().map(|weight| (weight * one + 0.5f64.copysign(*weight)) as i16));
        self.sizes = (from, to);
    }

    /// The first pixel before that counts for pixel `i` after, and the weights from it on.
    fn span(&self, i: usize) -> (usize, &[i16]) {
        let start = if i == 0 { 0 } else { self.spans[i - 1].1 };
        let (first, end) = self.spans[i];
        (first, &self.weights[start..end])
    }

    /// Half a level, for rounding.
    fn half(&self) -> i32 {
        if self.precision == 0 { 0 } else { 1 << (self.precision - 1) }
    }

    /// A sum of weighted pixels as a pixel.
    fn level(&self, sum: i32) -> u8 {
        (sum >> self.precision).clamp(0, 255) as u8
    }

    /// Resizes one row; `out` is `[pixels after, 3]`.
    fn along(&self, row: &[[u8; 4]], out: &mut [u8]) {
        for (i, out) in out.as_chunks_mut::<CHANNELS>().0.iter_mut().enumerate() {
            let (first, weights) = self.span(i);
            let mut sums = [self.half(); 4];
            for (pixel, &weight) in row[first..].iter().zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
            let [r, g, b, _] = sums;
            *out = [self.level(r), self.level(g), self.level(b)];
        }
    }

    /// Row `i` after, from the rows before, all as long as `out`.
    fn across(&self, i: usize, rows: &[u8], out: &mut [u8]) {
        let (first, weights) = self.span(i);
        let (row, rows) = (out.len(), &rows[first * out.len()..]);
        for (strip, out) in out.chunks_mut(STRIP).enumerate() {
            let mut sums = [self.half(); STRIP];
            for (row, &weight) in rows.chunks_exact(row).zip(weights) {
                for (sum, &value) in sums.iter_mut().zip(&row[strip * STRIP..][..out.len()]) {
                    *sum += i32::from(value) * i32::from(weight);
                }
            }
            for (out, &sum) in out.iter_mut().zip(&sums) {
                *out = self.level(sum);
            }
        }
    }
}

/// The weight of a pixel at distance `x`.
fn cubic(x: f64) -> f64 {
    let x = x.abs();
    if x < 1.0 {
        ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0
    } else if x < 2.0 {
        (((x - 5.0) * x + 8.0) * x - 4.0) * A
    } else {
        0.0
    }
}
