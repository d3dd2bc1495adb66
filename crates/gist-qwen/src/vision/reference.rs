//! The tower in plain candle operations, on any device: the formulas of Hugging Face's `modeling_qwen3_vl` one after
//! the other. It is what the fast tower is compared with, and what runs on a GPU.

use candle_core::{D, DType, Device, Result, Tensor};

use super::config::VisionConfig;
use super::merger::MERGED;
use super::positions::THETA;
use super::tower::{Tap, check};
use super::{Encoded, layers::Gelu};
use crate::error::LoadError;
use crate::picture::{MERGE_SIZE, PATCH_VALUES};
use crate::weights::Weights;

/// A weight and a bias: of a norm or of a matrix.
struct Pair {
    weight: Tensor,
    bias: Tensor,
}

struct Block {
    attention_norm: Pair,
    qkv: Pair,
    output: Pair,
    feed_norm: Pair,
    up: Pair,
    down: Pair,
}

struct Merger {
    norm: Pair,
    first: Pair,
    second: Pair,
}

/// The weights of a vision tower as f32 tensors on a device.
pub(crate) struct ReferenceTower {
    pub(crate) config: VisionConfig,
    device: Device,
    patch_embed: Pair,
    /// `[side * side, hidden]`
    positions: Tensor,
    blocks: Vec<Block>,
    merger: Merger,
    deepstack: Vec<Merger>,
}

/// What is read, and where it goes.
struct Reader<'a> {
    weights: &'a dyn Weights,
    device: &'a Device,
}

impl Reader<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> std::result::Result<Tensor, LoadError> {
        let values = self.weights.floats(name, shape)?;
        Tensor::from_vec(values, shape, self.device)
            .map_err(|e| self.weights.invalid(format!("tensor {name}: {e}")))
    }

    /// `shape` is that of the weight; the bias is as long as its first axis.
    fn pair(&self, name: &str, shape: &[usize]) -> std::result::Result<Pair, LoadError> {
        let weight = self.tensor(&format!("{name}.weight"), shape)?;
        Ok(Pair { weight, bias: self.tensor(&format!("{name}.bias"), &shape[..1])? })
    }

    fn merger(
        &self,
        config: &VisionConfig,
        (norm, width): (&str, usize),
        first: &str,
        second: &str,
    ) -> std::result::Result<Merger, LoadError> {
        let merged = MERGED * config.hidden;
        Ok(Merger {
            norm: self.pair(norm, &[width])?,
            first: self.pair(first, &[merged, merged])?,
            second: self.pair(second, &[config.out_hidden, merged])?,
        })
    }
}

impl Pair {
    /// `x · Wᵀ + b`
    fn linear(&self, x: &Tensor) -> Result<Tensor> {
        x.matmul(&self.weight.t()?)?.broadcast_add(&self.bias)
    }

    /// `(x - mean) / sqrt(var + eps) * w + b` over the last axis.
    fn norm(&self, x: &Tensor, eps: f32) -> Result<Tensor> {
        let centred = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centred.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centred.broadcast_div(&(variance + f64::from(eps))?.sqrt()?)?;
        normed.broadcast_mul(&self.weight)?.broadcast_add(&self.bias)
    }
}

impl Block {
    fn forward(&self, x: &Tensor, (cos, sin): (&Tensor, &Tensor), config: &VisionConfig) -> Result<Tensor> {
        let normed = self.attention_norm.norm(x, config.norm_eps)?;
        let x = (x + self.output.linear(&self.attention(&normed, (cos, sin), config.heads)?)?)?;
        let normed = self.feed_norm.norm(&x, config.norm_eps)?;
        let inner = gelu(&self.up.linear(&normed)?, Gelu::Tanh)?;
        &x + self.down.linear(&inner)?
    }

    fn attention(&self, x: &Tensor, (cos, sin): (&Tensor, &Tensor), heads: usize) -> Result<Tensor> {
        let (patches, hidden) = x.dims2()?;
        let head_dim = hidden / heads;
        // [3, heads, patches, head_dim]
        let qkv = self.qkv.linear(x)?.reshape((patches, 3, heads, head_dim))?.permute((1, 2, 0, 3))?;
        let q = rotate(&qkv.get(0)?.contiguous()?, cos, sin)?;
        let k = rotate(&qkv.get(1)?.contiguous()?, cos, sin)?;
        let v = qkv.get(2)?.contiguous()?;
        let scores = (q.matmul(&k.t()?.contiguous()?)? / (head_dim as f64).sqrt())?;
        let scores = scores.broadcast_sub(&scores.max_keepdim(D::Minus1)?)?.exp()?;
        let shares = scores.broadcast_div(&scores.sum_keepdim(D::Minus1)?)?;
        shares.matmul(&v)?.transpose(0, 1)?.reshape((patches, hidden))
    }
}

impl Merger {
    fn forward(&self, x: &Tensor, eps: f32) -> Result<Tensor> {
        let (patches, hidden) = x.dims2()?;
        // The width of the norm tells whether it comes before the patches of a token are put side by side or after.
        let x = x.reshape((patches * hidden / self.norm.bias.elem_count(), self.norm.bias.elem_count()))?;
        let x = self.norm.norm(&x, eps)?.reshape((patches / MERGED, MERGED * hidden))?;
        self.second.linear(&gelu(&self.first.linear(&x)?, Gelu::Erf)?)
    }
}

fn gelu(x: &Tensor, kind: Gelu) -> Result<Tensor> {
    match kind {
        // candle's `gelu` is the one by tanh.
        Gelu::Tanh => x.gelu(),
        Gelu::Erf => x.gelu_erf(),
    }
}

/// `x · cos + rot(x) · sin` with `rot([a, b]) = [-b, a]`; `x` is `[heads, patches, head_dim]`, the tables
/// `[patches, head_dim]`.
fn rotate(x: &Tensor, cos: &Tensor, sin: &Tensor) -> Result<Tensor> {
    let half = x.dim(D::Minus1)? / 2;
    let (a, b) = (x.narrow(D::Minus1, 0, half)?, x.narrow(D::Minus1, half, half)?);
    let turned = Tensor::cat(&[&b.neg()?, &a], D::Minus1)?;
    x.broadcast_mul(cos)? + turned.broadcast_mul(sin)?
}

/// From the order of the picture, `[h, w, n]`, to that of the sequence, `[h * w, n]`, 2 × 2 blocks one after the other.
fn merge_order(x: &Tensor) -> Result<Tensor> {
    let (h, w, n) = x.dims3()?;
    x.reshape(vec![h / MERGE_SIZE, MERGE_SIZE, w / MERGE_SIZE, MERGE_SIZE, n])?
        .permute(vec![0, 2, 1, 3, 4])?
        .reshape((h * w, n))
}

impl ReferenceTower {
    /// Reads the weights.
    ///
    /// # Errors
    /// When a tensor is missing, of another shape or damaged, or does not fit the device.
    pub(crate) fn read(
        weights: &dyn Weights,
        config: VisionConfig,
        device: &Device,
    ) -> std::result::Result<Self, LoadError> {
        check(weights, &config)?;
        let reader = Reader { weights, device };
        let VisionConfig { hidden, intermediate, side, .. } = config;
        let blocks = (0..config.depth)
            .map(|i| {
                let pair = |part: &str, shape: &[usize]| reader.pair(&format!("v.blk.{i}.{part}"), shape);
                Ok(Block {
                    attention_norm: pair("ln1", &[hidden])?,
                    qkv: pair("attn_qkv", &[3 * hidden, hidden])?,
                    output: pair("attn_out", &[hidden, hidden])?,
                    feed_norm: pair("ln2", &[hidden])?,
                    up: pair("ffn_up", &[intermediate, hidden])?,
                    down: pair("ffn_down", &[hidden, intermediate])?,
                })
            })
            .collect::<std::result::Result<_, LoadError>>()?;
        let deepstack = config
            .deepstack
            .iter()
            .map(|layer| {
                let name = |part: &str| format!("v.deepstack.{layer}.{part}");
                reader.merger(&config, (&name("norm"), MERGED * hidden), &name("fc1"), &name("fc2"))
            })
            .collect::<std::result::Result<_, LoadError>>()?;
        Ok(Self {
            patch_embed: reader.pair("v.patch_embd", &[hidden, PATCH_VALUES])?,
            positions: reader.tensor("v.position_embd.weight", &[side * side, hidden])?,
            blocks,
            merger: reader.merger(&config, ("v.post_ln", hidden), "mm.0", "mm.2")?,
            deepstack,
            device: device.clone(),
            config,
        })
    }

    /// Bytes of the weights as held on the device.
    pub(crate) fn bytes(&self) -> u64 {
        let blocks = self.blocks.iter().flat_map(|b| [&b.qkv, &b.output, &b.up, &b.down]);
        let mergers = self.deepstack.iter().chain([&self.merger]).flat_map(|m| [&m.first, &m.second]);
        let pairs = blocks.chain(mergers).chain([&self.patch_embed]).map(|pair| &pair.weight);
        pairs.chain([&self.positions]).map(|matrix| 4 * matrix.elem_count() as u64).sum()
    }

    /// As [`super::VisionTower::encode`], with the same stages for `tap`.
    ///
    /// # Errors
    /// When the device fails, or `patches` and `grid` do not fit each other.
    pub(crate) fn encode(
        &self,
        patches: &[f32],
        grid: (usize, usize),
        mut tap: Option<Tap<'_>>,
    ) -> Result<Encoded> {
        let mut see = |name: &str, x: &Tensor| -> Result<()> {
            if let Some(tap) = &mut tap {
                tap(name, &values(x)?);
            }
            Ok(())
        };
        let patches = Tensor::from_slice(patches, (grid.0 * grid.1, PATCH_VALUES), &self.device)?;
        let x = self.patch_embed.linear(&patches)?;
        see("patch_embed", &x)?;
        let mut x = (x + self.learned_positions(grid)?)?;
        see("with_pos_embed", &x)?;
        let angles = self.angles(grid)?;
        let (cos, sin) = (angles.cos()?, angles.sin()?);
        see("rope_cos", &cos)?;
        see("rope_sin", &sin)?;

        let mut deepstack = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            x = block.forward(&x, (&cos, &sin), &self.config)?;
            see(&format!("block{i}"), &x)?;
            if let Some(j) = self.config.deepstack.iter().position(|layer| *layer == i) {
                let features = self.deepstack[j].forward(&x, self.config.norm_eps)?;
                see(&format!("deepstack{j}"), &features)?;
                deepstack.push(values(&features)?);
            }
        }
        let merged = self.merger.forward(&x, self.config.norm_eps)?;
        see("merger", &merged)?;
        let grid = (grid.0 / MERGE_SIZE, grid.1 / MERGE_SIZE);
        Ok(Encoded { grid, rows: values(&merged)?, deepstack })
    }

    /// The learned grid, bilinear, its corners on those of the picture: `[patches, hidden]`.
    fn learned_positions(&self, (h, w): (usize, usize)) -> Result<Tensor> {
        let VisionConfig { hidden, side, .. } = self.config;
        let axis = |length: usize| -> Vec<f32> {
            let last = (length.max(2) - 1) as f32;
            (0..length).map(|i| i as f32 * (side - 1) as f32 / last).collect()
        };
        let (mut points, mut shares) = (vec![Vec::new(); 4], vec![Vec::new(); 4]);
        for y in axis(h) {
            for x in axis(w) {
                let (y0, x0) = (y.floor(), x.floor());
                let (fy, fx) = (y - y0, x - x0);
                let (y0, x0) = (y0 as usize, x0 as usize);
                let (y1, x1) = ((y0 + 1).min(side - 1), (x0 + 1).min(side - 1));
                let corners = [
                    (y0, x0, (1.0 - fy) * (1.0 - fx)),
                    (y0, x1, (1.0 - fy) * fx),
                    (y1, x0, fy * (1.0 - fx)),
                    (y1, x1, fy * fx),
                ];
                for (i, (y, x, share)) in corners.into_iter().enumerate() {
                    points[i].push((y * side + x) as u32);
                    shares[i].push(share);
                }
            }
        }
        let mut sum = Tensor::zeros((h * w, hidden), DType::F32, &self.device)?;
        for (points, shares) in points.into_iter().zip(shares) {
            let rows = self.positions.index_select(&Tensor::new(points, &self.device)?, 0)?;
            sum = (sum + rows.broadcast_mul(&Tensor::new(shares, &self.device)?.unsqueeze(1)?)?)?;
        }
        merge_order(&sum.reshape((h, w, hidden))?)
    }

    /// `[r·inv, c·inv, r·inv, c·inv]` with `inv[j] = 10000^(-2j / (head_dim / 2))`: `[patches, head_dim]`.
    fn angles(&self, (h, w): (usize, usize)) -> Result<Tensor> {
        let half = self.config.hidden / self.config.heads / 2;
        let inverse: Vec<f32> =
            (0..half).step_by(2).map(|i| 1.0 / THETA.powf(i as f64 / half as f64) as f32).collect();
        let inverse = Tensor::new(inverse, &self.device)?.reshape((1, half / 2))?;
        let axis = |n: usize| {
            Tensor::arange(0u32, n as u32, &self.device)?
                .to_dtype(DType::F32)?
                .reshape((n, 1))?
                .broadcast_mul(&inverse)
        };
        let rows = axis(h)?.reshape((h, 1, half / 2))?.broadcast_as((h, w, half / 2))?;
        let columns = axis(w)?.reshape((1, w, half / 2))?.broadcast_as((h, w, half / 2))?;
        merge_order(&Tensor::cat(&[&rows, &columns, &rows, &columns], D::Minus1)?)
    }
}

fn values(x: &Tensor) -> Result<Vec<f32>> {
    x.flatten_all()?.to_vec1()
}
