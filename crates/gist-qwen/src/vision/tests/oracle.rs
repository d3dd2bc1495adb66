//! A block against a slow one in f64, for any even grid and both head sizes of the released models.

use candle_core::quantized::GgmlDType;
use proptest::prelude::*;

use super::stored::{Random, Stored, random};
use crate::vision::VisionConfig;
use crate::vision::block::{Block, Scratch};
use crate::vision::positions::Rope;

/// Block 0 of `weights` in f64, each formula as the paper has it.
struct Slow<'a> {
    weights: &'a Stored,
    config: &'a VisionConfig,
    grid: (usize, usize),
}

impl Slow<'_> {
    fn tensor(&self, name: &str) -> Vec<f64> {
        let tensor = &self.weights.tensors[&format!("v.blk.0.{name}")];
        tensor.flatten_all().unwrap().to_vec1::<f32>().unwrap().into_iter().map(f64::from).collect()
    }

    fn linear(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (weight, bias) = (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        let of = |x: &Vec<f64>| {
            let outputs = weight.chunks_exact(x.len()).zip(&bias);
            outputs.map(|(w, b)| b + w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>()).collect()
        };
        x.iter().map(of).collect()
    }

    fn norm(&self, name: &str, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let (weight, bias) = (self.tensor(&format!("{name}.weight")), self.tensor(&format!("{name}.bias")));
        let of = |x: &Vec<f64>| {
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            let deviation = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n
                + f64::from(self.config.norm_eps))
            .sqrt();
            x.iter().zip(&weight).zip(&bias).map(|((x, w), b)| (x - mean) / deviation * w + b).collect()
        };
        x.iter().map(of).collect()
    }

    /// Row and column of patch `i`: counted through the picture until the `i`th of the sequence is met.
    fn place(&self, i: usize) -> (usize, usize) {
        let (h, w) = self.grid;
        let mut seen = 0;
        for (block_row, block_column) in (0..h / 2).flat_map(|r| (0..w / 2).map(move |c| (r, c))) {
            for (row, column) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                if seen == i {
                    return (2 * block_row + row, 2 * block_column + column);
                }
                seen += 1;
            }
        }
        unreachable!("patch {i} of {h} x {w}")
    }

    fn rotated(&self, head: &[f64], patch: usize) -> Vec<f64> {
        let (row, column) = self.place(patch);
        let (half, quarter) = (head.len() / 2, head.len() / 4);
        let mut out = vec![0.0; head.len()];
        for e in 0..half {
            let (place, j) = if e < quarter { (row, e) } else { (column, e - quarter) };
            let angle = place as f64 * 10_000f64.powf(-2.0 * j as f64 / half as f64);
            out[e] = head[e] * angle.cos() - head[e + half] * angle.sin();
            out[e + half] = head[e + half] * angle.cos() + head[e] * angle.sin();
        }
        out
    }

    fn attention(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let VisionConfig { hidden, heads, .. } = *self.config;
        let head_dim = hidden / heads;
        let qkv = self.linear("attn_qkv", x);
        let mut out = vec![vec![0.0; hidden]; x.len()];
        for head in 0..heads {
            let part = |i: usize, patch: usize| &qkv[patch][i * hidden + head * head_dim..][..head_dim];
            let rotated = |i: usize| -> Vec<_> {
                (0..x.len()).map(|patch| self.rotated(part(i, patch), patch)).collect()
            };
            let (queries, keys) = (rotated(0), rotated(1));
            for (query, out) in queries.iter().zip(&mut out) {
                let dot = |key: &Vec<f64>| query.iter().zip(key).map(|(q, k)| q * k).sum::<f64>();
                let shares: Vec<f64> =
                    keys.iter().map(|k| (dot(k) / (head_dim as f64).sqrt()).exp()).collect();
                let sum: f64 = shares.iter().sum();
                for (patch, share) in shares.iter().enumerate() {
                    for (e, v) in part(2, patch).iter().enumerate() {
                        out[head * head_dim + e] += share / sum * v;
                    }
                }
            }
        }
        self.linear("attn_out", &out)
    }

    fn block(&self, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
        let sum = |a: &[Vec<f64>], b: &[Vec<f64>]| -> Vec<Vec<f64>> {
            a.iter().zip(b).map(|(a, b)| a.iter().zip(b).map(|(a, b)| a + b).collect()).collect()
        };
        let gelu = |x: &f64| {
            let u = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
            0.5 * x * (1.0 + u.tanh())
        };
        let x = sum(x, &self.attention(&self.norm("ln1", x)));
        let inner = self.linear("ffn_up", &self.norm("ln2", &x));
        let inner: Vec<Vec<f64>> = inner.iter().map(|row| row.iter().map(gelu).collect()).collect();
        sum(&x, &self.linear("ffn_down", &inner))
    }
}

/// The largest difference between the two in one block, and the largest value.
fn compare(grid: (usize, usize), heads: usize, head_dim: usize, loudness: f32) -> (f64, f64) {
    let config = VisionConfig {
        hidden: heads * head_dim,
        depth: 1,
        heads,
        intermediate: 100,
        out_hidden: 8,
        side: 2,
        deepstack: Vec::new(),
        norm_eps: 1e-6,
    };
    let mut weights = random(&config);
    weights.dtype = GgmlDType::F32;
    // Larger queries make the softmax sharp, where a mistake in its scale or its largest score shows.
    let name = "v.blk.0.attn_qkv.weight";
    let louder = (&weights.tensors[name] * f64::from(loudness)).unwrap();
    weights.tensors.insert(name.into(), louder);
    let patches = grid.0 * grid.1;
    let x = Random::new().values(patches * config.hidden, 0.3, 2.0);
    let wide: Vec<Vec<f64>> =
        x.chunks_exact(config.hidden).map(|row| row.iter().map(|x| f64::from(*x)).collect()).collect();
    let want = Slow { weights: &weights, config: &config, grid }.block(&wide);

    let block = Block::read(&weights, 0, &config).unwrap();
    let mut found = x;
    block.forward(&mut found, &Rope::new(grid, head_dim), &mut Scratch::new(patches, &config));
    let pairs = || found.iter().zip(want.iter().flatten());
    let off = pairs().map(|(a, b)| (f64::from(*a) - b).abs());
    (off.fold(0.0, |a, b| if b <= a { a } else { b }), pairs().fold(0.0, |a, (_, b)| a.max(b.abs())))
}

#[test]
fn a_grid_of_more_than_one_task_of_rows_agrees_with_the_slow_block() {
    for (grid, heads, head_dim) in [((18, 34), 2, 64), ((34, 18), 1, 72)] {
        let (off, largest) = compare(grid, heads, head_dim, 1.0);
        println!("{grid:?} {heads} x {head_dim}: {off:.1e} of {largest:.1}");
        assert!(off < 1e-5, "{grid:?} {heads} x {head_dim}: {off:.1e}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_even_grid_agrees_with_the_slow_block(
        h in 1usize..8,
        w in 1usize..8,
        heads in 1usize..4,
        head_dim in prop::sample::select(vec![64usize, 72]),
        loudness in 0.5f32..3.0,
    ) {
        let (off, largest) = compare((2 * h, 2 * w), heads, head_dim, loudness);
        prop_assert!(off < 5e-5 && largest.is_finite(), "{} of {}", off, largest);
    }
}
