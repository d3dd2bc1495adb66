//! Rotary positions, NEOX style: element `j` is paired with element `j + head_dim / 2`.
//!
//! Positions are explicit, signed and grow for ever, so angles are computed in f64: an f32 angle is off by 0.02 rad at
//! position one million.

/// The rotary frequencies of a model.
#[derive(Clone, Debug)]
pub struct Rope {
    frequencies: Vec<f64>,
}

/// Cosines and sines of some rows, `[rows, head_dim / 2]` each.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// Frequencies `theta^(-2j / head_dim)`.
    pub fn new(theta: f64, head_dim: usize) -> Self {
        let frequency = |j: usize| theta.powf(-2.0 * j as f64 / head_dim as f64);
        Self { frequencies: (0..head_dim / 2).map(frequency).collect() }
    }

    /// The rotation of rows at `positions`.
    pub fn at(&self, positions: impl IntoIterator<Item = i64>) -> Rotation {
        let mut rotation = Rotation::default();
        for position in positions {
            for frequency in &self.frequencies {
                let (sin, cos) = (position as f64 * frequency).sin_cos();
                rotation.cos.push(cos as f32);
                rotation.sin.push(sin as f32);
            }
        }
        rotation
    }
}

impl Rotation {
    /// Rotates `x`, `[rows, heads, head_dim]`, in place.
    pub fn apply(&self, x: &mut [f32], heads: usize, head_dim: usize) {
        let half = head_dim / 2;
        for ((row, cos), sin) in x
            .chunks_exact_mut(heads * head_dim)
            .zip(self.cos.chunks_exact(half))
            .zip(self.sin.chunks_exact(half))
        {
            for head in row.chunks_exact_mut(head_dim) {
                let (low, high) = head.split_at_mut(half);
                for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                    (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_distance_counts_even_at_far_and_negative_positions() {
        let rope = Rope::new(1e6, 64);
        let score = |query: i64, key: i64| {
            let mut q: Vec<f32> = (0..64).map(|i| (i as f32 * 0.37).sin()).collect();
            let mut k: Vec<f32> = (0..64).map(|i| (i as f32 * 0.71).cos()).collect();
            rope.at([query]).apply(&mut q, 1, 64);
            rope.at([key]).apply(&mut k, 1, 64);
            q.iter().zip(&k).map(|(a, b)| a * b).sum::<f32>()
        };
        let near = score(17, 3);
        assert!((near - score(14, 0)).abs() < 1e-4);
        assert!((near - score(-100, -114)).abs() < 1e-4);
        assert!((near - score(80_000_014, 80_000_000)).abs() < 1e-4);
        assert!((near - score(18, 3)).abs() > 1e-3);
    }
}
