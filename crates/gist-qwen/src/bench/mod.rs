//! Speed of released shapes with random numbers (weights cannot be had everywhere, and speed does not depend on them),
//! and what packed keys and values, and the kernels, cost in quality.

mod agreement;
mod attention;
mod context;
mod kv_error;
pub mod limits;
mod sparse;
mod stream;
mod surprise;

pub use agreement::{Agreement, Mean, agreement};
pub use attention::{ATTENTION_SHAPES, AttentionShape, AttentionSpeed, attention};
pub use context::{ContextSpeed, context};
pub use kv_error::{KvError, kv_error};
pub use sparse::{SparseSpeed, sparse};
pub use stream::{StreamReport, stream};
pub use surprise::surprise;

use std::time::Instant;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use serde::Serialize;

use crate::config::Config;
use crate::decoder::{CHUNK, Decoder, Scratch, Want};
use crate::error::LoadError;
use crate::kv::{Cache, KvType, Layout, PAGE, Pool, SinkPositions, Target};
use crate::picture::{PATCH_SIZE, PATCH_VALUES};
use crate::sequence::Sequence;
use crate::vision::{VisionConfig, VisionTower};
use crate::weights::{Info, Raw, Weights};

/// Runs of which the median is told.
const RUNS: usize = 5;

/// How the random matrices are held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BenchType {
    /// Floats of 32 bits.
    F32,
    /// Floats of 16 bits.
    F16,
    /// 8 bits.
    Q8,
    /// 4 bits.
    Q4,
}

impl BenchType {
    fn dtype(self, inputs: usize) -> GgmlDType {
        match self {
            Self::F32 => GgmlDType::F32,
            Self::F16 => GgmlDType::F16,
            Self::Q8 => GgmlDType::Q8_0,
            Self::Q4 if inputs.is_multiple_of(256) => GgmlDType::Q4K,
            Self::Q4 => GgmlDType::Q4_0,
        }
    }
}

/// What encoding pairs of pictures came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct VisionSpeed {
    /// Patches of a pair, height and width.
    pub grid: (usize, usize),
    /// Milliseconds a pair takes, the median.
    pub ms_per_pair: f64,
    /// Billions of floating-point operations per second.
    pub gflops: f64,
    /// The same of a large f32 product between the runs: what can be had at most from floats.
    pub product_gflops: f64,
    /// Bytes of the weights.
    pub weights: u64,
}

/// Encodes pairs of pictures of `width` × `height` pixels, multiples of 32.
///
/// # Errors
/// When memory or the size does not do.
pub fn vision(kind: BenchType, width: usize, height: usize) -> Result<VisionSpeed, LoadError> {
    let config = VisionConfig {
        hidden: 1024,
        depth: 24,
        heads: 16,
        intermediate: 4096,
        out_hidden: 2048,
        side: 48,
        deepstack: vec![5, 11, 17],
        norm_eps: 1e-6,
    };
    let grid = (height / PATCH_SIZE, width / PATCH_SIZE);
    let flops = config.flops(grid) as f64;
    let tower = VisionTower::read(&Random(kind), config, &mut |_| ())?.in_integers();
    let patches = vec![0.25; grid.0 * grid.1 * PATCH_VALUES];
    // Turn by turn with the tower.
    let mut limits = limits::Limits::default();
    let (mut pairs, mut products) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        pairs.push(seconds(|| drop(tower.encode(&patches, grid, None))));
        products.push(limits.product());
    }
    let (pair, product) = (median(pairs), median(products));
    Ok(VisionSpeed {
        grid,
        ms_per_pair: 1e3 * pair,
        gflops: flops / pair / 1e9,
        product_gflops: product / 1e9,
        weights: tower.bytes(),
    })
}

/// What encoding text came to.
#[derive(Clone, Copy, Debug)]
pub struct PrefillSpeed {
    /// Tokens encoded in each run.
    pub tokens: usize,
    /// Tokens per second, the median.
    pub tokens_per_second: f64,
    /// Tokens per second of an answer, the median.
    pub decode_tokens_per_second: f64,
    /// Bytes of the weights.
    pub weights: u64,
}

/// Encodes `tokens` tokens from an empty context, and then writes some.
///
/// # Errors
/// When memory does not do.
pub fn prefill(kind: BenchType, tokens: usize) -> Result<PrefillSpeed, LoadError> {
    let config = Config {
        layers: 28,
        hidden: 2048,
        intermediate: 6144,
        heads: 16,
        kv_heads: 8,
        head_dim: 128,
        vocab: 151_936,
        rms_eps: 1e-6,
        rope_theta: 5e6,
        max_context: 262_144,
        qkv_bias: false,
        qk_norm: true,
        mrope_section: Some([24, 20, 20]),
        yarn: None,
        deepstack_layers: 3,
        experts: None,
    };
    let pool = Pool::new(Layout::of(&config, KvType::default()), tokens.div_ceil(PAGE) + 1);
    let decoder = Decoder::read(&Random(kind), config, &mut |_| ())?;
    let ids: Vec<u32> = (0..tokens as u32).map(|i| i * 7919 % 150_000).collect();
    let (mut prefills, mut decodes) = (Vec::new(), Vec::new());
    let mut scratch = Scratch::default();
    for _ in 0..RUNS {
        let mut cache = Cache::new(&pool, SinkPositions::Moving);
        prefills.push(seconds(|| {
            for chunk in Sequence::text(&ids).chunks(CHUNK) {
                decoder.forward(&chunk, &mut cache, Target::Window, &mut scratch, Want::Encoding);
            }
        }));
        let (one, mut logits) = (Sequence::text(&ids[..1]), Vec::new());
        decodes.push(seconds(|| {
            for _ in 0..16 {
                let want = Want::Logits(&mut logits);
                decoder.forward(&one.chunk(0..1), &mut cache, Target::Window, &mut scratch, want);
            }
        }));
    }
    Ok(PrefillSpeed {
        tokens,
        tokens_per_second: tokens as f64 / median(prefills),
        decode_tokens_per_second: 16.0 / median(decodes),
        weights: decoder.bytes(),
    })
}

/// Resident memory of this process in bytes; 0 where the system does not tell.
pub fn rss() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
    kib.unwrap_or(0) << 10
}

fn seconds(f: impl FnOnce()) -> f64 {
    let start = Instant::now();
    f();
    start.elapsed().as_secs_f64()
}

fn median(mut runs: Vec<f64>) -> f64 {
    runs.sort_by(f64::total_cmp);
    runs[runs.len() / 2]
}

/// Weights that keep activations about one, made when they are asked for.
struct Random(BenchType);

fn random(shape: &[usize], dtype: GgmlDType) -> QTensor {
    let (mean, deviation) =
        if let [_, inputs] = shape { (0.0, 1.0 / (*inputs as f32).sqrt()) } else { (0.5, 0.1) };
    Tensor::randn(mean, deviation, shape, &Device::Cpu)
        .and_then(|t| QTensor::quantize(&t, dtype))
        .expect("a tensor of a shape that fits its type")
}

impl Weights for Random {
    fn path(&self) -> &std::path::Path {
        std::path::Path::new("random weights")
    }

    fn contains(&self, name: &str) -> bool {
        // The head is tied to the embedding, as in the 2B model.
        name != "output.weight"
    }

    fn read(&self, name: &str) -> Result<Raw, LoadError> {
        Err(self.invalid(format!("tensor {name} has no bytes")))
    }

    fn infos(&self) -> Vec<Info> {
        Vec::new()
    }

    fn tensor(&self, _: &str, shape: &[usize]) -> Result<QTensor, LoadError> {
        let dtype = if let [_, inputs] = shape { self.0.dtype(*inputs) } else { GgmlDType::F32 };
        Ok(random(shape, dtype))
    }

    fn floats(&self, _: &str, shape: &[usize]) -> Result<Vec<f32>, LoadError> {
        let values = random(shape, GgmlDType::F32).dequantize(&Device::Cpu);
        let values = values.and_then(|t| t.flatten_all()?.to_vec1());
        values.map_err(|e| self.invalid(e.to_string()))
    }
}
