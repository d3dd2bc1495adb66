//! Where a patch lies: the learned grid of positions, stretched over the picture, and the rotary tables.

use gist_kernels::math::by_rows;

/// Row and column of each patch in the order of the sequence: 2 × 2 blocks, row by row, and row by row within them.
pub(super) fn patches(grid: (usize, usize)) -> impl Iterator<Item = (usize, usize)> {
    let (h, w) = grid;
    (0..h * w).map(move |i| {
        let (block, inside) = (i / 4, i % 4);
        (block / (w / 2) * 2 + inside / 2, block % (w / 2) * 2 + inside % 2)
    })
}

/// Adds to `x`, `[patches, hidden]`, the `table` of positions, `[side * side, hidden]`, stretched so that its corners
/// are those of the picture, bilinear between its points (`fast_pos_embed_interpolate` of Hugging Face).
pub(super) fn add_learned(table: &[f32], side: usize, grid: (usize, usize), hidden: usize, x: &mut [f32]) {
    let places: Vec<_> = patches(grid).collect();
    // The lower point, the upper one and how far the place lies between them.
    let along = |place: usize, length: usize| {
        let at = place as f32 * (side - 1) as f32 / (length - 1).max(1) as f32;
        let low = (at as usize).min(side - 1);
        (low, (low + 1).min(side - 1), at - low as f32)
    };
    let point = |y: usize, x: usize| &table[(y * side + x) * hidden..][..hidden];
    by_rows(x, hidden, |first, rows| {
        for (out, (row, column)) in rows.chunks_exact_mut(hidden).zip(&places[first..]) {
            let (y0, y1, fy) = along(*row, grid.0);
            let (x0, x1, fx) = along(*column, grid.1);
            let weights = [(1.0 - fy) * (1.0 - fx), (1.0 - fy) * fx, fy * (1.0 - fx), fy * fx];
            let [a, b, c, d] = [point(y0, x0), point(y0, x1), point(y1, x0), point(y1, x1)];
            for ((((out, a), b), c), d) in out.iter_mut().zip(a).zip(b).zip(c).zip(d) {
                *out += weights[0] * a + weights[1] * b + weights[2] * c + weights[3] * d;
            }
        }
    });
}

/// Cosines and sines of all patches of a picture, `[patches, head_dim / 2]`: the first half of a row turns with the
/// patch's row, the second with its column, with `10000^(-2j / (head_dim / 2))`. Element `e` of a head is paired with
/// element `e + head_dim / 2`.
///
/// 448 patches take 0.3 ms, a thousandth of what the blocks take, so the tables are made anew for each pair.
pub(super) struct Rope {
    pub(super) cos: Vec<f32>,
    pub(super) sin: Vec<f32>,
}

/// The base of the frequencies; no file has another.
pub(super) const THETA: f64 = 10_000.0;

impl Rope {
    pub(super) fn new(grid: (usize, usize), head_dim: usize) -> Self {
        let half = head_dim / 2;
        let power = |j: usize| THETA.powf((2 * j) as f64 / half as f64) as f32;
        let frequencies: Vec<f32> = (0..half / 2).map(|j| 1.0 / power(j)).collect();
        let mut rope = Self { cos: Vec::new(), sin: Vec::new() };
        for (row, column) in patches(grid) {
            for place in [row, column] {
                // The reference rounds the angle to f32 before it takes the cosine, and so do we.
                let turns = frequencies.iter().map(|f| (place as f32 * f).sin_cos());
                for (sin, cos) in turns {
                    rope.cos.push(cos);
                    rope.sin.push(sin);
                }
            }
        }
        rope
    }

    /// Rotates the heads of patch `row`, `[heads, head_dim]`, in place and multiplies them by `scale`.
    pub(super) fn rotate(&self, row: usize, heads: &mut [f32], head_dim: usize, scale: f32) {
        let half = head_dim / 2;
        let (cos, sin) = (&self.cos[row * half..][..half], &self.sin[row * half..][..half]);
        for head in heads.chunks_exact_mut(head_dim) {
            let (low, high) = head.split_at_mut(half);
            for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                (*a, *b) = ((*a * c - *b * s) * scale, (*b * c + *a * s) * scale);
            }
        }
    }

    /// A table as the reference has it, `[patches, head_dim]`: both halves of a head have the same angles.
    pub(super) fn doubled(table: &[f32], head_dim: usize) -> Vec<f32> {
        table.chunks_exact(head_dim / 2).flat_map(|row| [row, row]).flatten().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patches_come_block_by_block() {
        let found: Vec<_> = patches((4, 4)).take(9).collect();
        assert_eq!(
            found,
            [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 0)],
            "a token is made of four patches that follow each other"
        );
    }

    #[test]
    fn a_grid_as_large_as_the_table_takes_it_as_it_is() {
        let table: Vec<f32> = (0..16).map(|i| i as f32).collect();
        let mut x = vec![0.0; 16];
        add_learned(&table, 4, (4, 4), 1, &mut x);
        let want: Vec<f32> = patches((4, 4)).map(|(y, x)| (4 * y + x) as f32).collect();
        assert_eq!(x, want);
    }

    #[test]
    fn a_larger_grid_keeps_the_corners_and_divides_the_rest_evenly() {
        let table = [0.0, 3.0, 30.0, 33.0];
        let mut x = vec![1.0; 16];
        add_learned(&table, 2, (4, 4), 1, &mut x);
        for ((y, x), found) in patches((4, 4)).zip(x) {
            let want = 1.0 + x as f32 + 10.0 * y as f32;
            assert!((found - want).abs() < 1e-5, "({y}, {x}): {found}, not {want}");
        }
    }
}
