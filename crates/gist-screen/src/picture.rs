//! Grey pictures and how to take one from a video frame.

use crate::Error;

/// A grey picture, 8 bit, row-major, stride == width.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` luma values.
    pub pixels: Vec<u8>,
}

/// How the luma lies in a frame's first plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// One byte a pixel: GRAY8, and the first plane of I420, YV12, NV12, NV21, Y41B, Y42B, Y444.
    Gray8,
    /// Two bytes a pixel, little endian, 10 bits used: the first plane of I420_10LE, I422_10LE, Y444_10LE.
    Gray10Le,
    /// Two bytes a pixel, little endian, high bits used: GRAY16_LE, the first plane of P010_10LE.
    Gray16Le,
    /// Y0 U Y1 V.
    Yuy2,
    /// U Y0 V Y1.
    Uyvy,
    /// Three bytes.
    Rgb,
    /// Three bytes.
    Bgr,
    /// Four bytes; also RGBA.
    Rgbx,
    /// Four bytes; also BGRA.
    Bgrx,
    /// Four bytes; also ARGB.
    Xrgb,
    /// Four bytes; also ABGR.
    Xbgr,
}

impl Format {
    /// Bytes a pixel takes.
    fn bytes(self) -> usize {
        match self {
            Self::Gray8 => 1,
            Self::Gray10Le | Self::Gray16Le | Self::Yuy2 | Self::Uyvy => 2,
            Self::Rgb | Self::Bgr => 3,
            Self::Rgbx | Self::Bgrx | Self::Xrgb | Self::Xbgr => 4,
        }
    }
}

impl Picture {
    /// Copies the luma out of the first plane of a frame, `stride` bytes from row to row. A size of zero gives an
    /// empty picture.
    ///
    /// # Errors
    /// [`Error::Length`] when `data` is too short, or `stride` shorter than a row.
    pub fn from_plane(
        format: Format,
        width: usize,
        height: usize,
        stride: usize,
        data: &[u8],
    ) -> Result<Self, Error> {
        if width == 0 || height == 0 {
            return Ok(Self { width, height, pixels: Vec::new() });
        }
        let row = width.checked_mul(format.bytes());
        // The last row need not be padded up to the stride.
        let needed = row
            .filter(|&row| row <= stride)
            .and_then(|row| stride.checked_mul(height - 1)?.checked_add(row))
            .unwrap_or(usize::MAX);
        if needed > data.len() {
            return Err(Error::Length { width, height, stride, needed, actual: data.len() });
        }
        let mut pixels = Vec::with_capacity(width * height);
        for row in data.chunks(stride).take(height) {
            copy_luma(format, &row[..width * format.bytes()], &mut pixels);
        }
        Ok(Self { width, height, pixels })
    }

    /// Whether it has no pixels.
    pub fn is_empty(&self) -> bool {
        self.width == 0 || self.height == 0
    }

    /// Row `y`.
    pub(crate) fn row(&self, y: usize) -> &[u8] {
        &self.pixels[y * self.width..][..self.width]
    }

    /// Refuses a picture put together by hand that is not what it says.
    pub(crate) fn check(&self) -> Result<(), Error> {
        let needed = self.width.saturating_mul(self.height);
        if self.pixels.len() == needed {
            return Ok(());
        }
        let (width, height, actual) = (self.width, self.height, self.pixels.len());
        Err(Error::Length { width, height, stride: width, needed, actual })
    }
}

fn copy_luma(format: Format, row: &[u8], pixels: &mut Vec<u8>) {
    // BT.601 weights in 1/256; exact colorimetry does not matter for finding dark letters on a light ground.
    let luma =
        |r: u8, g: u8, b: u8| ((77 * u32::from(r) + 150 * u32::from(g) + 29 * u32::from(b)) >> 8) as u8;
    match format {
        Format::Gray8 => pixels.extend_from_slice(row),
        Format::Gray10Le => {
            pixels
                .extend(row.chunks_exact(2).map(|p| (u16::from_le_bytes([p[0], p[1]]) >> 2).min(255) as u8));
        }
        Format::Gray16Le | Format::Uyvy => pixels.extend(row.chunks_exact(2).map(|p| p[1])),
        Format::Yuy2 => pixels.extend(row.chunks_exact(2).map(|p| p[0])),
        Format::Rgb => pixels.extend(row.chunks_exact(3).map(|p| luma(p[0], p[1], p[2]))),
        Format::Bgr => pixels.extend(row.chunks_exact(3).map(|p| luma(p[2], p[1], p[0]))),
        Format::Rgbx => pixels.extend(row.chunks_exact(4).map(|p| luma(p[0], p[1], p[2]))),
        Format::Bgrx => pixels.extend(row.chunks_exact(4).map(|p| luma(p[2], p[1], p[0]))),
        Format::Xrgb => pixels.extend(row.chunks_exact(4).map(|p| luma(p[1], p[2], p[3]))),
        Format::Xbgr => pixels.extend(row.chunks_exact(4).map(|p| luma(p[3], p[2], p[1]))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stride_is_honoured_and_the_last_row_need_not_be_padded() {
        let data = [1, 2, 99, 99, 3, 4];
        let picture = Picture::from_plane(Format::Gray8, 2, 2, 4, &data).unwrap();
        assert_eq!(picture.pixels, [1, 2, 3, 4]);
    }

    #[test]
    fn white_is_white_and_green_is_green_in_every_order() {
        for (format, green) in [
            (Format::Rgb, vec![0, 255, 0]),
            (Format::Bgr, vec![0, 255, 0]),
            (Format::Rgbx, vec![0, 255, 0, 7]),
            (Format::Bgrx, vec![0, 255, 0, 7]),
            (Format::Xrgb, vec![7, 0, 255, 0]),
            (Format::Xbgr, vec![7, 0, 255, 0]),
            (Format::Yuy2, vec![149, 0]),
            (Format::Uyvy, vec![0, 149]),
            (Format::Gray10Le, vec![0x54, 0x02]),
            (Format::Gray16Le, vec![0, 149]),
        ] {
            let picture = Picture::from_plane(format, 1, 1, green.len(), &green).unwrap();
            assert_eq!(picture.pixels, [149], "{format:?}");
        }
        assert_eq!(Picture::from_plane(Format::Rgb, 1, 1, 3, &[255; 3]).unwrap().pixels, [255]);
        assert_eq!(Picture::from_plane(Format::Rgb, 1, 1, 3, &[255, 0, 0]).unwrap().pixels, [76]);
        assert_eq!(Picture::from_plane(Format::Bgr, 1, 1, 3, &[255, 0, 0]).unwrap().pixels, [28]);
    }

    #[test]
    fn lying_sizes_are_refused() {
        let data = [0; 12];
        for (width, height, stride) in
            [(4, 4, 4), (4, 2, 3), (usize::MAX, 2, usize::MAX), (1, usize::MAX, 2), (usize::MAX, 1, 1)]
        {
            let result = Picture::from_plane(Format::Rgb, width, height, stride, &data);
            assert!(matches!(result, Err(Error::Length { .. })), "{width}x{height}/{stride}");
        }
        assert!(Picture::from_plane(Format::Rgb, 0, 5, 0, &[]).unwrap().is_empty());
    }
}
