//! Whether a picture can have text on it at all.

use crate::Picture;

/// A step between two pixels that counts as an edge.
const EDGE: i16 = 40;
/// Cells across and down.
const COLUMNS: usize = 40;
const ROWS: usize = 45;

/// Whether there are at least two neighbouring cells (1/40 of the width, 1/45 of the height) in which a fair part of
/// the rows goes sharply up *and* down, as strokes of letters do. Smooth pictures (faces, sky, walls) have none.
pub(crate) fn has_text_like_edges(picture: &Picture) -> bool {
    let (wide, high) = ((picture.width / COLUMNS).max(8), (picture.height / ROWS).max(8));
    for top in (0..picture.height).step_by(high) {
        let bottom = (top + high).min(picture.height);
        let mut run = 0;
        for left in (0..picture.width).step_by(wide) {
            let right = (left + wide).min(picture.width);
            let strokes = (top..bottom).filter(|&y| crosses_a_stroke(&picture.row(y)[left..right])).count();
            run = if strokes * 4 >= bottom - top { run + 1 } else { 0 };
            if run == 2 {
                return true;
            }
        }
    }
    false
}

fn crosses_a_stroke(pixels: &[u8]) -> bool {
    let (mut up, mut down) = (false, false);
    for pair in pixels.windows(3) {
        let step = i16::from(pair[2]) - i16::from(pair[0]);
        up |= step > EDGE;
        down |= step < -EDGE;
    }
    up && down
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gradient_has_no_text() {
        let pixels = (0..640 * 360).map(|i| ((i % 640) / 3) as u8).collect();
        assert!(!has_text_like_edges(&Picture { width: 640, height: 360, pixels }));
    }

    #[test]
    fn strokes_look_like_text() {
        let mut pixels = vec![255; 640 * 360];
        for y in 100..112 {
            for x in (100..200).filter(|x| x % 6 < 2) {
                pixels[y * 640 + x] = 0;
            }
        }
        assert!(has_text_like_edges(&Picture { width: 640, height: 360, pixels }));
    }
}
