//! Rotary positions, NEOX style: element `j` is paired with element `j + head_dim / 2`; with interleaved M-RoPE the
//! frequencies take turns in following time, height and width.
//!
//! Angles are formed in f32 as transformers forms them (`modeling_qwen3_vl`, `Qwen3VLTextRotaryEmbedding`) as long as
//! positions are such as the models are used at; beyond, where that would be off by more than 0.03 rad, in f64.

use crate::config::Config;
use gist_kernels::math::by_rows;

/// Beyond this position angles are formed in f64: the longest context of the family, stretched by YaRN.
const FAR: i64 = 1 << 20;

/// The rotary frequencies of a model.
#[derive(Clone, Debug)]
pub struct Rope {
    frequencies: Vec<f32>,
    /// Which axis each frequency follows: time, height or width.
    axes: Vec<usize>,
    /// YaRN's attention scaling, a factor of all cosines and sines.
    scaling: f32,
}

/// Cosines and sines of some rows, `[rows, head_dim / 2]` each.
#[derive(Clone, Debug, Default)]
pub struct Rotation {
    cos: Vec<f32>,
    sin: Vec<f32>,
}

impl Rope {
    /// Frequencies `theta^(-2j / head_dim)` on one axis.
    pub fn new(theta: f64, head_dim: usize) -> Self {
        let frequency = |j: usize| 1.0 / (theta as f32).powf((2 * j) as f32 / head_dim as f32);
        let half = head_dim / 2;
        Self { frequencies: (0..half).map(frequency).collect(), axes: vec![0; half], scaling: 1.0 }
    }

    /// The frequencies of a model.
    pub(crate) fn of(config: &Config) -> Self {
        let mut rope = Self::new(config.rope_theta, config.head_dim);
        if let Some(section) = config.mrope_section {
            for (i, axis) in rope.axes.iter_mut().enumerate() {
                *axis = match i % 3 {
                    1 if i < 3 * section[1] => 1,
                    2 if i < 3 * section[2] => 2,
                    _ => 0,
                };
            }
        }
        if let Some(yarn) = config.yarn {
            // `_compute_yarn_parameters` of transformers, with beta_fast 32 and beta_slow 1.
            let dim = config.head_dim as f64;
            let at = |rotations: f64| {
                let context = yarn.original_context as f64;
                dim * (context / (rotations * std::f64::consts::TAU)).ln() / (2.0 * config.rope_theta.ln())
            };
            let (low, high) = (at(32.0).floor().max(0.0), at(1.0).ceil().min(dim - 1.0));
            let high = if high == low { high + 0.001 } else { high };
            for (i, frequency) in rope.frequencies.iter_mut().enumerate() {
                let stretched = ((i as f64 - low) / (high - low)).clamp(0.0, 1.0) as f32;
                *frequency = *frequency / yarn.factor as f32 * stretched + *frequency * (1.0 - stretched);
            }
            rope.scaling = if yarn.factor > 1.0 { (0.1 * yarn.factor.ln() + 1.0) as f32 } else { 1.0 };
        }
        rope
    }

    /// The rotation of rows at positions `[time, height, width]`.
    pub fn at(&self, positions: impl IntoIterator<Item = [i64; 3]>) -> Rotation {
        let mut rotation = Rotation::default();
        for position in positions {
            for (frequency, axis) in self.frequencies.iter().zip(&self.axes) {
                let position = position[*axis];
                let angle = if position.abs() <= FAR {
                    f64::from(position as f32 * frequency)
                } else {
                    position as f64 * f64::from(*frequency)
                };
                let (sin, cos) = angle.sin_cos();
                rotation.cos.push(cos as f32 * self.scaling);
                rotation.sin.push(sin as f32 * self.scaling);
            }
        }
        rotation
    }

    /// `rotation` turned on by `shift` positions on all axes.
    pub(crate) fn shifted(&self, rotation: &Rotation, shift: i64) -> Rotation {
        let turns: Vec<(f64, f64)> =
            self.frequencies.iter().map(|f| (shift as f64 * f64::from(*f)).sin_cos()).collect();
        let (cos, sin) = rotation
            .cos
            .iter()
            .zip(&rotation.sin)
            .zip(turns.iter().cycle())
            .map(|((cos, sin), (s, c))| {
                let (cos, sin) = (f64::from(*cos), f64::from(*sin));
                ((cos * c - sin * s) as f32, (sin * c + cos * s) as f32)
            })
            .unzip();
        Rotation { cos, sin }
    }
}

impl Rotation {
    /// Rotates `x`, `[rows, heads, head_dim]`, in place.
    pub fn apply(&self, x: &mut [f32], heads: usize, head_dim: usize) {
        let (half, width) = (head_dim / 2, heads * head_dim);
        by_rows(x, width, |first, rows| {
            let (cos, sin) = (&self.cos[first * half..], &self.sin[first * half..]);
            for ((row, cos), sin) in
                rows.chunks_exact_mut(width).zip(cos.chunks_exact(half)).zip(sin.chunks_exact(half))
            {
                for head in row.chunks_exact_mut(head_dim) {
                    let (low, high) = head.split_at_mut(half);
                    for (((a, b), c), s) in low.iter_mut().zip(high).zip(cos).zip(sin) {
                        (*a, *b) = (*a * c - *b * s, *b * c + *a * s);
                    }
                }
            }
        });
    }

    /// Cosines and sines, `[rows, head_dim / 2]` each.
    pub(crate) fn tables(&self) -> (&[f32], &[f32]) {
        (&self.cos, &self.sin)
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
            rope.at([[query; 3]]).apply(&mut q, 1, 64);
            rope.at([[key; 3]]).apply(&mut k, 1, 64);
            q.iter().zip(&k).map(|(a, b)| a * b).sum::<f32>()
        };
        let near = score(17, 3);
        assert!((near - score(14, 0)).abs() < 1e-4);
        assert!((near - score(-100, -114)).abs() < 1e-4);
        assert!((near - score(80_000_014, 80_000_000)).abs() < 1e-4);
        assert!((near - score(18, 3)).abs() > 1e-3);
    }

    #[test]
    fn a_shift_is_the_rotation_at_the_other_place() {
        let rope = Rope::new(5e6, 64);
        let shifted = rope.shifted(&rope.at([[70; 3], [71; 3]]), -1000);
        let there = rope.at([[-930; 3], [-929; 3]]);
        for (a, b) in shifted.cos.iter().chain(&shifted.sin).zip(there.cos.iter().chain(&there.sin)) {
            assert!((a - b).abs() < 1e-4);
        }
    }

    #[test]
    fn yarn_of_the_released_models_stretches_from_frequency_29_to_45() {
        let config = Config {
            layers: 1,
            hidden: 128,
            intermediate: 1,
            heads: 1,
            kv_heads: 1,
            head_dim: 128,
            vocab: 1,
            rms_eps: 1e-6,
            rope_theta: 5e6,
            max_context: 1_000_000,
            qkv_bias: false,
            qk_norm: true,
            mrope_section: Some([24, 20, 20]),
            yarn: Some(crate::config::Yarn { factor: 3.0, original_context: 262_144 }),
            deepstack_layers: 3,
            experts: None,
        };
        let (rope, plain) = (Rope::of(&config), Rope::new(5e6, 128));
        assert!((rope.scaling - 1.109_86).abs() < 1e-5);
        let ratio = |i: usize| plain.frequencies[i] / rope.frequencies[i];
        assert!((ratio(29) - 1.0).abs() < 1e-6 && ratio(30) > 1.01);
        assert!(ratio(44) < 2.99 && (ratio(45) - 3.0).abs() < 1e-5);
        assert_eq!(rope.axes[..6], [0, 1, 2, 0, 1, 2]);
        assert_eq!(rope.axes[58..], [1, 2, 0, 0, 0, 0]);
    }
}
