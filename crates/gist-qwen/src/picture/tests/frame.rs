use proptest::prelude::*;

use super::super::*;
use super::{cases, noise};

const STYLES: [(YuvMatrix, YuvRange); 4] = [
    (YuvMatrix::Bt601, YuvRange::Limited),
    (YuvMatrix::Bt601, YuvRange::Full),
    (YuvMatrix::Bt709, YuvRange::Limited),
    (YuvMatrix::Bt709, YuvRange::Full),
];

/// One pixel, by the equations of the standards in f64.
fn oracle([y, u, v]: [u8; 3], matrix: YuvMatrix, range: YuvRange) -> [f64; 3] {
    let (kr, kb) = if matrix == YuvMatrix::Bt601 { (0.299, 0.114) } else { (0.2126, 0.0722) };
    let [y, u, v] = [f64::from(y), f64::from(u) - 128.0, f64::from(v) - 128.0];
    let (y, pb, pr) = match range {
        YuvRange::Limited => ((y - 16.0) / 219.0, u / 224.0, v / 224.0),
        YuvRange::Full => (y / 255.0, u / 255.0, v / 255.0),
    };
    let (r, b) = (y + 2.0 * (1.0 - kr) * pr, y + 2.0 * (1.0 - kb) * pb);
    [r, (y - kr * r - kb * b) / (1.0 - kr - kb), b].map(|x| (x * 255.0).clamp(0.0, 255.0))
}

fn plane(data: &[u8], stride: usize) -> Plane<'_> {
    Plane { data, stride }
}

#[test]
fn black_white_and_primary_colours_come_out() {
    let one = |y: u8, u: u8, v: u8, matrix, range| {
        let frame = Frame::from_i420(1, 1, [plane(&[y], 1), plane(&[u], 1), plane(&[v], 1)], matrix, range);
        frame.unwrap().pixels().to_vec()
    };
    for matrix in [YuvMatrix::Bt601, YuvMatrix::Bt709] {
        assert_eq!(one(16, 128, 128, matrix, YuvRange::Limited), [0, 0, 0]);
        assert_eq!(one(235, 128, 128, matrix, YuvRange::Limited), [255, 255, 255]);
        assert_eq!(one(0, 128, 128, matrix, YuvRange::Limited), [0, 0, 0]);
        assert_eq!(one(255, 128, 128, matrix, YuvRange::Full), [255, 255, 255]);
        assert_eq!(one(77, 128, 128, matrix, YuvRange::Full), [77, 77, 77]);
    }
    // The red of the colour bars.
    assert_eq!(one(81, 90, 240, YuvMatrix::Bt601, YuvRange::Limited), [254, 0, 0]);
    assert_eq!(one(63, 102, 240, YuvMatrix::Bt709, YuvRange::Limited), [255, 1, 0]);
}

#[test]
fn packed_pixels_come_in_any_order_of_bytes() {
    let frame = |packing, data: &[u8], stride| Frame::from_packed(2, 2, packing, plane(data, stride));
    let rgb = frame(Packing::Rgb, &[1, 2, 3, 4, 5, 6, 99, 7, 8, 9, 10, 11, 12], 7).unwrap();
    assert_eq!(rgb.pixels(), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]);
    let rgbx = [1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 10, 11, 12, 0];
    assert_eq!(frame(Packing::Rgbx, &rgbx, 8).unwrap(), rgb);
    let bgrx = [3, 2, 1, 0, 6, 5, 4, 0, 9, 8, 7, 0, 12, 11, 10, 0];
    assert_eq!(frame(Packing::Bgrx, &bgrx, 8).unwrap(), rgb);
    let grey = frame(Packing::Gray8, &[1, 2, 99, 99, 3, 4], 4).unwrap();
    assert_eq!(grey.pixels(), [1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4, 4]);
}

#[test]
fn short_planes_and_overlapping_rows_are_refused() {
    let full = [0; 1000];
    let i420 = |y: usize, u: usize, v: usize, strides: [usize; 3]| {
        let planes =
            [plane(&full[..y], strides[0]), plane(&full[..u], strides[1]), plane(&full[..v], strides[2])];
        Frame::from_i420(5, 3, planes, YuvMatrix::Bt601, YuvRange::Limited)
    };
    assert!(i420(21, 7, 7, [8, 4, 4]).is_ok());
    let error = i420(20, 7, 7, [8, 4, 4]).unwrap_err();
    assert_eq!(error.to_string(), "the picture is cut off: its Y plane has 20 bytes, 21 are needed");
    assert_eq!(i420(21, 6, 7, [8, 4, 4]), Err(PictureError::ShortPlane { plane: "U", found: 6, needed: 7 }));
    assert_eq!(i420(21, 7, 0, [8, 4, 4]), Err(PictureError::ShortPlane { plane: "V", found: 0, needed: 7 }));
    assert_eq!(i420(21, 7, 7, [8, 4, 2]), Err(PictureError::Stride { plane: "V", stride: 2, row: 3 }));
    assert!(matches!(i420(21, 7, 7, [8, usize::MAX, 4]), Err(PictureError::ShortPlane { plane: "U", .. })));
    let nv12 = |y: usize, uv: usize, stride| {
        let planes = [plane(&full[..y], stride), plane(&full[..uv], stride)];
        Frame::from_nv12(5, 3, planes, YuvMatrix::Bt601, YuvRange::Limited)
    };
    assert!(nv12(17, 12, 6).is_ok());
    assert!(nv12(17, 11, 6).is_err());
    assert!(nv12(13, 12, 5).is_err(), "five columns have six chroma bytes");
    assert!(Frame::new(2, 2, &full[..11]).is_err());
    assert!(Frame::new(2, 2, &full[..13]).is_err());
    assert!(Frame::from_packed(usize::MAX, 2, Packing::Rgb, plane(&full, 6)).is_err());
    assert!(Frame::from_packed(0, 2, Packing::Rgb, plane(&full, 0)).is_err());
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn planes_are_within_a_level_of_the_standards(
        width in 1usize..20, height in 1usize..20, gap in 0usize..5, style in 0usize..4, seed: u64,
    ) {
        let (matrix, range) = STYLES[style];
        let (half_width, half_height) = (width.div_ceil(2), height.div_ceil(2));
        let data = noise(40, 40, seed);
        let (y_stride, c_stride) = (width + gap, half_width + gap);
        let y = &data.pixels()[..y_stride * height - gap];
        let u = &data.pixels()[1000..][..c_stride * half_height - gap];
        let v = &data.pixels()[2000..][..c_stride * half_height - gap];
        let planes = [plane(y, y_stride), plane(u, c_stride), plane(v, c_stride)];
        let frame = Frame::from_i420(width, height, planes, matrix, range).unwrap();
        for row in 0..height {
            for column in 0..width {
                let chroma = row / 2 * c_stride + column / 2;
                let exact = oracle([y[row * y_stride + column], u[chroma], v[chroma]], matrix, range);
                for (found, exact) in frame.row(row)[column * 3..][..3].iter().zip(exact) {
                    prop_assert!((f64::from(*found) - exact).abs() <= 0.51);
                }
            }
        }
        // The same samples with their chroma interleaved.
        let mut uv = vec![0; 2 * c_stride * half_height];
        for ((uv, u), v) in uv.chunks_exact_mut(2).zip(u).zip(v) {
            uv.copy_from_slice(&[*u, *v]);
        }
        let planes = [plane(y, y_stride), plane(&uv, 2 * c_stride)];
        prop_assert_eq!(Frame::from_nv12(width, height, planes, matrix, range).unwrap(), frame);
    }

    #[test]
    fn no_size_stride_or_length_panics(
        width in 0usize..40, height in 0usize..40, stride in 0usize..200, length in 0usize..3000, packing in 0usize..4,
    ) {
        let data = vec![7; length];
        let plane = plane(&data, stride);
        let packing = [Packing::Rgb, Packing::Rgbx, Packing::Bgrx, Packing::Gray8][packing];
        let _ = Frame::from_packed(width, height, packing, plane);
        let _ = Frame::from_i420(width, height, [plane; 3], YuvMatrix::Bt709, YuvRange::Full);
        let _ = Frame::from_nv12(width, height, [plane; 2], YuvMatrix::Bt709, YuvRange::Full);
    }
}
