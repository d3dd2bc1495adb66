//! Pictures in RGB, and how the layouts of decoders are brought there.
//!
//! Lengths and strides come with the data and are checked, not believed.

use std::borrow::Cow;

use super::{CHANNELS, PictureError, check_size};

/// A picture: `[height, width, 3]`, red, green and blue of 8 bits, without gaps. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    width: usize,
    height: usize,
    pixels: Cow<'a, [u8]>,
}

/// Rows of samples as a decoder gives them.
#[derive(Clone, Copy, Debug)]
pub struct Plane<'a> {
    /// The samples. After the last row there need not be a gap.
    pub data: &'a [u8],
    /// Bytes from the start of a row to the start of the next.
    pub stride: usize,
}

/// The samples of a packed pixel, in the order of their bytes. Named as in GStreamer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Red, green, blue.
    Rgb,
    /// Red, green, blue and a byte without meaning. Alpha is not looked at.
    Rgbx,
    /// Blue, green, red and a byte without meaning.
    Bgrx,
    /// Light only.
    Gray8,
}

impl<'a> Frame<'a> {
    /// A picture over `pixels`, `[height, width, 3]`, borrowed or owned.
    ///
    /// # Errors
    ///
    /// [`PictureError::ShortPlane`] unless there are exactly `width * height * 3` bytes; [`PictureError::Empty`],
    /// [`PictureError::TooLarge`].
    pub fn new(width: usize, height: usize, pixels: impl Into<Cow<'a, [u8]>>) -> Result<Self, PictureError> {
        check_size(width, height)?;
        let pixels = pixels.into();
        let needed = width * height * CHANNELS;
        if pixels.len() != needed {
            return Err(PictureError::ShortPlane { plane: "RGB", found: pixels.len(), needed });
        }
        Ok(Self { width, height, pixels })
    }

    /// The same picture, borrowed from this one.
    pub fn borrowed(&self) -> Frame<'_> {
        Frame { width: self.width, height: self.height, pixels: Cow::Borrowed(&self.pixels) }
    }

    /// The same picture, with pixels of its own.
    pub fn into_owned(self) -> Frame<'static> {
        Frame { width: self.width, height: self.height, pixels: Cow::Owned(self.pixels.into_owned()) }
    }

    /// Width in pixels.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> usize {
        self.height
    }

    /// Width and height in pixels.
    pub fn size(&self) -> (usize, usize) {
        (self.width, self.height)
    }

    /// All pixels, `[height, width, 3]`.
    pub fn pixels(&self) -> &[u8] {
        &self.pixels
    }

    /// The pixels of row `y`, `[width, 3]`.
    ///
    /// # Panics
    ///
    /// If there is no such row.
    pub fn row(&self, y: usize) -> &[u8] {
        let row = self.width * CHANNELS;
        &self.pixels[y * row..(y + 1) * row]
    }
}

impl Frame<'static> {
    /// A picture from packed pixels.
    ///
    /// # Errors
    ///
    /// Those of the size and of the plane: [`PictureError::Empty`], [`PictureError::TooLarge`],
    /// [`PictureError::ShortPlane`], [`PictureError::Stride`].
    pub fn from_packed(
        width: usize,
        height: usize,
        packing: Packing,
        plane: Plane<'_>,
    ) -> Result<Self, PictureError> {
        check_size(width, height)?;
        let bytes = match packing {
            Packing::Rgb => 3,
            Packing::Rgbx | Packing::Bgrx => 4,
            Packing::Gray8 => 1,
        };
        let rows = plane.rows("packed", width * bytes, height)?;
        let mut pixels = vec![0; width * height * CHANNELS];
        for (out, row) in pixels.chunks_exact_mut(width * CHANNELS).zip(rows) {
            let out = out.as_chunks_mut::<CHANNELS>().0.iter_mut();
            match packing {
                Packing::Rgb => out.zip(row.as_chunks().0).for_each(|(out, &rgb)| *out = rgb),
                Packing::Rgbx => out.zip(row.as_chunks().0).for_each(|(out, &[r, g, b, _])| *out = [r, g, b]),
                Packing::Bgrx => out.zip(row.as_chunks().0).for_each(|(out, &[b, g, r, _])| *out = [r, g, b]),
                Packing::Gray8 => out.zip(row).for_each(|(out, &y)| *out = [y; CHANNELS]),
            }
        }
        Ok(Self::trusted(width, height, pixels))
    }

    /// A picture over `pixels` whose length and size are known to be right.
    pub(super) fn trusted(width: usize, height: usize, pixels: Vec<u8>) -> Self {
        debug_assert_eq!(pixels.len(), width * height * CHANNELS);
        Self { width, height, pixels: Cow::Owned(pixels) }
    }
}

impl<'a> Plane<'a> {
    /// `count` rows of `row` bytes each, neither of which is 0. `plane` is its name in messages.
    pub(super) fn rows(
        self,
        plane: &'static str,
        row: usize,
        count: usize,
    ) -> Result<impl Iterator<Item = &'a [u8]> + Clone, PictureError> {
        if self.stride < row {
            return Err(PictureError::Stride { plane, stride: self.stride, row });
        }
        // Saturated, it is more than any slice has.
        let needed = self.stride.saturating_mul(count - 1).saturating_add(row);
        if self.data.len() < needed {
            return Err(PictureError::ShortPlane { plane, found: self.data.len(), needed });
        }
        Ok(self.data.chunks(self.stride).take(count).map(move |chunk| &chunk[..row]))
    }
}
