//! Brings a picture to the size that is read best.

use crate::Picture;

/// Longest side of the picture that is read, in pixels. Letters of 20 pixels are read well; larger only costs time.
const LONGEST: usize = 1600;
/// Pictures whose longest side is at most this are read at twice their size: their letters are small.
const SMALL: usize = 800;
/// A mean luma below this is a dark slide.
const DARK: u64 = 110;

/// Scales `picture` for OCR and turns light text on a dark ground into dark text on a light ground, which Tesseract
/// is trained on.
pub(crate) fn for_reading(picture: &Picture) -> Picture {
    let longest = picture.width.max(picture.height);
    let mut scaled = if longest > LONGEST {
        let size = |side: usize| (side * LONGEST / longest).max(1);
        shrink(picture, size(picture.width), size(picture.height))
    } else if longest <= SMALL {
        double(picture)
    } else {
        picture.clone()
    };
    let sum: u64 = scaled.pixels.iter().map(|&p| u64::from(p)).sum();
    if sum < DARK * scaled.pixels.len() as u64 {
        scaled.pixels.iter_mut().for_each(|p| *p = 255 - *p);
    }
    scaled
}

/// Area means. `width` and `height` are at least 1 and at most the picture's own.
fn shrink(picture: &Picture, width: usize, height: usize) -> Picture {
    let mut pixels = Vec::with_capacity(width * height);
    let mut sums = vec![0u32; picture.width];
    for y in 0..height {
        let rows = y * picture.height / height..((y + 1) * picture.height / height);
        sums.fill(0);
        for row in rows.clone() {
            for (sum, &p) in sums.iter_mut().zip(picture.row(row)) {
                *sum += u32::from(p);
            }
        }
        for x in 0..width {
            let columns = x * picture.width / width..((x + 1) * picture.width / width);
            let count = (columns.len() * rows.len()) as u64;
            let sum: u64 = sums[columns].iter().map(|&s| u64::from(s)).sum();
            pixels.push((sum / count) as u8);
        }
    }
    Picture { width, height, pixels }
}

/// Twice the size, bilinear.
fn double(picture: &Picture) -> Picture {
    let (width, height) = (picture.width * 2, picture.height * 2);
    let mut pixels = Vec::with_capacity(width * height);
    for y in 0..height {
        // Of the two nearest source rows and columns, the nearer one counts 3/4.
        let near = picture.row(y / 2);
        let far = picture.row(if y % 2 == 0 {
            (y / 2).saturating_sub(1)
        } else {
            (y / 2 + 1).min(picture.height - 1)
        });
        let mixed = |x: usize| 3 * u32::from(near[x]) + u32::from(far[x]);
        for x in 0..picture.width {
            let (left, right) = (x.saturating_sub(1), (x + 1).min(picture.width - 1));
            pixels.push(((3 * mixed(x) + mixed(left)) / 16) as u8);
            pixels.push(((3 * mixed(x) + mixed(right)) / 16) as u8);
        }
    }
    Picture { width, height, pixels }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grey(width: usize, height: usize, value: u8) -> Picture {
        Picture { width, height, pixels: vec![value; width * height] }
    }

    #[test]
    fn any_shape_comes_to_a_bounded_size_with_its_brightness_kept() {
        for (width, height) in
            [(1, 1), (1, 5000), (5000, 1), (640, 360), (1280, 720), (3840, 2160), (1601, 3)]
        {
            let scaled = for_reading(&grey(width, height, 200));
            assert!(scaled.width.max(scaled.height) <= LONGEST, "{width}x{height}");
            assert_eq!(scaled.pixels.len(), scaled.width * scaled.height);
            assert!(scaled.pixels.iter().all(|&p| p == 200), "{width}x{height}");
        }
    }

    #[test]
    fn a_dark_slide_is_inverted() {
        assert_eq!(for_reading(&grey(1000, 10, 20)).pixels[0], 235);
    }
}
