//! Video planes to RGB.

use super::{CHANNELS, Frame, PictureError, Plane, check_size};

/// How luma was made of red, green and blue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YuvMatrix {
    /// ITU-R BT.601: standard definition, and JPEG.
    Bt601,
    /// ITU-R BT.709: high definition.
    Bt709,
}

/// Which of the 256 values are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum YuvRange {
    /// Luma 16 to 235 and chroma 16 to 240: nearly all video.
    Limited,
    /// All of them, as in JPEG.
    Full,
}

/// Bits after the point of the fixed-point factors: their error is far below half a level.
const BITS: u32 = 16;

/// The factors of one matrix and range, times 2^16.
#[derive(Clone, Copy)]
struct Factors {
    black: i32,
    luma: i32,
    red: i32,
    green_u: i32,
    green_v: i32,
    blue: i32,
}

impl Factors {
    /// From the weights of red and blue in luma, as ITU-R BT.601 and BT.709 define the three equations.
    fn new(matrix: YuvMatrix, range: YuvRange) -> Self {
        let (kr, kb) = match matrix {
            YuvMatrix::Bt601 => (0.299, 0.114),
            YuvMatrix::Bt709 => (0.2126, 0.0722),
        };
        let (black, luma, chroma) = match range {
            YuvRange::Limited => (16, 255.0 / 219.0, 255.0 / 224.0),
            YuvRange::Full => (0, 1.0, 1.0),
        };
        let kg = 1.0 - kr - kb;
        let fixed = |factor: f64| (factor * f64::from(1 << BITS)).round() as i32;
        Self {
            black,
            luma: fixed(luma),
            red: fixed(chroma * 2.0 * (1.0 - kr)),
            green_u: fixed(chroma * 2.0 * (1.0 - kb) * kb / kg),
            green_v: fixed(chroma * 2.0 * (1.0 - kr) * kr / kg),
            blue: fixed(chroma * 2.0 * (1.0 - kb)),
        }
    }

    /// What the chroma adds to red, green and blue, with the half for rounding.
    #[inline]
    fn chroma(&self, u: u8, v: u8) -> [i32; CHANNELS] {
        let (u, v) = (i32::from(u) - 128, i32::from(v) - 128);
        let half = 1 << (BITS - 1);
        [half + self.red * v, half - self.green_u * u - self.green_v * v, half + self.blue * u]
    }

    /// A pixel.
    #[inline]
    fn pixel(&self, y: u8, chroma: [i32; CHANNELS]) -> [u8; CHANNELS] {
        let light = (i32::from(y) - self.black) * self.luma;
        chroma.map(|colour| ((light + colour) >> BITS).clamp(0, 255) as u8)
    }

    /// A row of pixels, `[width, 3]`; each chroma sample is good for two.
    fn row(&self, y: &[u8], mut chroma: impl Iterator<Item = (u8, u8)>, out: &mut [u8]) {
        let (pairs, last) = out.as_chunks_mut::<{ 2 * CHANNELS }>();
        let (luma, last_luma) = y.as_chunks::<2>();
        for ((out, &[left, right]), (u, v)) in pairs.iter_mut().zip(luma).zip(&mut chroma) {
            let chroma = self.chroma(u, v);
            let ([r, g, b], [r1, g1, b1]) = (self.pixel(left, chroma), self.pixel(right, chroma));
            *out = [r, g, b, r1, g1, b1];
        }
        if let (&[y], Some((u, v))) = (last_luma, chroma.next()) {
            last.copy_from_slice(&self.pixel(y, self.chroma(u, v)));
        }
    }
}

impl Frame<'static> {
    /// A picture from I420: a plane of luma, and two of chroma with half its width and half its height, both rounded up.
    /// A chroma sample colours its 2x2 pixels; the place of the sample among them is not taken into account.
    ///
    /// # Errors
    ///
    /// Those of the size and of the planes: [`PictureError::Empty`], [`PictureError::TooLarge`],
    /// [`PictureError::ShortPlane`], [`PictureError::Stride`].
    pub fn from_i420(
        width: usize,
        height: usize,
        [y, u, v]: [Plane<'_>; 3],
        matrix: YuvMatrix,
        range: YuvRange,
    ) -> Result<Self, PictureError> {
        check_size(width, height)?;
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let luma = y.rows("Y", width, height)?;
        let chroma = u.rows("U", half_width, half_height)?.zip(v.rows("V", half_width, half_height)?);
        let factors = Factors::new(matrix, range);
        let mut pixels = vec![0; width * height * CHANNELS];
        let out = pixels.chunks_exact_mut(width * CHANNELS);
        for ((out, y), (u, v)) in out.zip(luma).zip(chroma.flat_map(|rows| [rows; 2])) {
            factors.row(y, u.iter().copied().zip(v.iter().copied()), out);
        }
        Ok(Self::trusted(width, height, pixels))
    }

    /// A picture from NV12: as I420, but with both chroma samples in one plane, U first.
    ///
    /// # Errors
    ///
    /// Those of [`Frame::from_i420`].
    pub fn from_nv12(
        width: usize,
        height: usize,
        [y, uv]: [Plane<'_>; 2],
        matrix: YuvMatrix,
        range: YuvRange,
    ) -> Result<Self, PictureError> {
        check_size(width, height)?;
        let luma = y.rows("Y", width, height)?;
        let chroma = uv.rows("UV", width.div_ceil(2) * 2, height.div_ceil(2))?;
        let factors = Factors::new(matrix, range);
        let mut pixels = vec![0; width * height * CHANNELS];
        let out = pixels.chunks_exact_mut(width * CHANNELS);
        for ((out, y), uv) in out.zip(luma).zip(chroma.flat_map(|row| [row; 2])) {
            factors.row(y, uv.as_chunks::<2>().0.iter().map(|&[u, v]| (u, v)), out);
        }
        Ok(Self::trusted(width, height, pixels))
    }
}
