//! Attention alone, in the shapes of released models, on one layer filled with noise.

use serde::Serialize;

use super::limits::{BUFFER, Limits};
use super::{median, seconds};
use crate::attention::{Queries, attend};
use crate::decoder::CHUNK;
use crate::kv::{Cache, KvType, Layout, PAGE, Part, Pool, SinkPositions, Target};

/// The heads of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AttentionShape {
    /// Whose.
    pub model: &'static str,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
}

/// Qwen3-VL-2B and Qwen2.5(-Coder)-1.5B.
pub const ATTENTION_SHAPES: [AttentionShape; 2] = [
    AttentionShape { model: "Qwen3-VL-2B", heads: 16, kv_heads: 8, head_dim: 128 },
    AttentionShape { model: "Qwen2.5-1.5B", heads: 12, kv_heads: 2, head_dim: 128 },
];

/// What attention over `depth` tokens in one layer came to; all times are medians.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct AttentionSpeed {
    /// The shape.
    pub shape: AttentionShape,
    /// Tokens that are seen.
    pub depth: usize,
    /// Bytes of keys and values of these.
    pub kv_bytes: u64,
    /// Milliseconds for one token.
    pub decode_ms: f64,
    /// Billions of bytes of keys and values a second for one token.
    pub decode_gb_per_second: f64,
    /// The same for a plain sum over a large buffer between the runs.
    pub read_gb_per_second: f64,
    /// Milliseconds for a chunk of 64 tokens.
    pub chunk_ms: f64,
    /// Billions of floating-point operations a second for a chunk, the two products alone counted.
    pub chunk_gflops: f64,
    /// The same for a large f32 product between the runs.
    pub product_gflops: f64,
}

/// Attends to `depth` tokens, from one token as often as it takes to read as many bytes as the buffer has, and once from
/// a chunk, `runs` times.
///
/// # Panics
/// When memory does not do.
pub fn attention(shape: AttentionShape, kv_type: KvType, depth: usize, runs: usize) -> AttentionSpeed {
    let AttentionShape { heads, kv_heads, head_dim, .. } = shape;
    let layout = Layout { layers: 1, kv_heads, head_dim, kv_type };
    let pool = Pool::new(layout, depth.div_ceil(PAGE));
    let mut cache = Cache::new(&pool, SinkPositions::Moving);
    let noise = noise(heads * head_dim * CHUNK + 1000);
    for (i, from) in (0..depth).step_by(CHUNK).enumerate() {
        let n = CHUNK.min(depth - from);
        write(&mut cache, n, &mut noise[i % 1000..][..n * kv_heads * head_dim].to_vec());
        cache.region_mut(Target::Window).commit((from..from + n).map(|p| p as i64), (from + n) as i64);
    }
    // Scores of a few units, as in a model: weights are neither even nor all on one token.
    let queries: Vec<f32> = noise[1000..].iter().map(|x| 2.0 * x).collect();
    let mut limits = Limits::default();
    let mut partials = Vec::new();
    let mut out = vec![0.0; queries.len()];
    let mut attend = |rows: usize, times: usize| {
        let mut fresh = vec![0.25; rows * kv_heads * head_dim];
        write(&mut cache, rows, &mut fresh);
        let rotated = &queries[..rows * heads * head_dim];
        let queries = Queries { rotated: &[rotated], rows, heads, kv_heads, head_dim };
        let out = &mut out[..rotated.len()];
        let sections = cache.sections(Target::Window);
        seconds(|| (0..times).for_each(|_| attend(0, &sections, queries, None, &mut partials, out)))
            / times as f64
    };
    let kv_bytes = (depth / PAGE) as u64 * layout.page_bytes();
    let repeats = BUFFER.div_ceil(kv_bytes as usize);
    let mut times = [const { Vec::new() }; 4];
    for _ in 0..runs {
        times[0].push(attend(1, repeats));
        times[1].push(limits.read());
        times[2].push(attend(CHUNK, 1));
        times[3].push(limits.product());
    }
    let [decode, read, chunk, product] = times.map(median);
    AttentionSpeed {
        shape,
        depth,
        kv_bytes,
        decode_ms: 1e3 * decode,
        decode_gb_per_second: kv_bytes as f64 / decode / 1e9,
        read_gb_per_second: read / 1e9,
        chunk_ms: 1e3 * chunk,
        chunk_gflops: (4 * CHUNK * heads * head_dim * depth) as f64 / chunk / 1e9,
        product_gflops: product / 1e9,
    }
}

/// Writes `n` tokens behind the window, which count only once they are committed.
fn write(cache: &mut Cache, n: usize, x: &mut [f32]) {
    let region = cache.region_mut(Target::Window);
    region.reserve(n);
    region.write(0, Part::Key, x);
    region.write(0, Part::Value, x);
}

fn noise(n: usize) -> Vec<f32> {
    let mut state = 7u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..n).map(|_| next()).collect()
}
