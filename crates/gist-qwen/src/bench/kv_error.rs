//! What storing keys and values in fewer bits costs: log-probabilities of real text, token by token.

use serde::Serialize;

use crate::QwenModel;
use crate::decoder::{CHUNK, Want};
use crate::kv::{Cache, KvType, Layout, PAGE, Pool, SinkPositions, Target};
use crate::sequence::Sequence;
use gist_kernels::math;

/// A way of storing keys and values, compared with f16 token by token.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct KvError {
    /// Bits of a number, scales included.
    pub bits: f64,
    /// Tokens that were predicted.
    pub tokens: usize,
    /// Perplexity of all of them.
    pub perplexity: f64,
    /// By how many percent that is more than in f16.
    pub change: f64,
    /// The standard error of this, in percent.
    pub standard_error: f64,
    /// The standard deviation of the difference of a token's log-probability.
    pub deviation: f64,
}

/// Reads the first `window` tokens of each text with each of `kv_types` and compares with f16. `told` is given the
/// comparison over the texts read so far after each of them, and how many those are. Texts of fewer tokens are left
/// out; without any text nothing is told.
pub fn kv_error(
    model: &QwenModel,
    texts: &[String],
    window: usize,
    kv_types: &[KvType],
    told: &mut dyn FnMut(usize, &[KvError]),
) {
    let texts = texts.iter().map(|text| model.tokenizer().encode(text)).filter(|ids| ids.len() >= window);
    let mut exact = Vec::new();
    let mut packed = vec![Vec::new(); kv_types.len()];
    for (index, ids) in texts.enumerate() {
        let f16 = log_probabilities(model, &ids[..window], KvType::F16);
        for (kv_type, own) in kv_types.iter().zip(&mut packed) {
            match kv_type {
                KvType::F16 => own.extend_from_slice(&f16),
                _ => own.extend(log_probabilities(model, &ids[..window], *kv_type)),
            }
        }
        exact.extend(f16);
        let compare = |(kv_type, own): (&KvType, &Vec<f64>)| {
            KvError::of(&exact, own, Layout::of(model.config(), *kv_type))
        };
        let errors: Vec<KvError> = kv_types.iter().zip(&packed).map(compare).collect();
        told(index + 1, &errors);
    }
}

impl KvError {
    /// Of log-probabilities of the same tokens, `exact` in f16 and `own` in pages of `layout`.
    fn of(exact: &[f64], own: &[f64], layout: Layout) -> Self {
        let n = own.len() as f64;
        let lost: Vec<f64> = exact.iter().zip(own).map(|(exact, own)| exact - own).collect();
        let mean = lost.iter().sum::<f64>() / n;
        let deviation = (lost.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let numbers = 2 * layout.layers * layout.kv_heads * layout.head_dim * PAGE;
        Self {
            bits: 8.0 * layout.page_bytes() as f64 / numbers as f64,
            tokens: own.len(),
            perplexity: (-own.iter().sum::<f64>() / n).exp(),
            change: 100.0 * mean.exp_m1(),
            standard_error: 100.0 * deviation / n.sqrt(),
            deviation,
        }
    }
}

/// Of each token but the first, given those before it.
pub(super) fn log_probabilities(model: &QwenModel, ids: &[u32], kv_type: KvType) -> Vec<f64> {
    let config = model.config();
    let pool = Pool::new(Layout::of(config, kv_type), ids.len().div_ceil(PAGE));
    let mut cache = Cache::new(&pool, SinkPositions::Moving);
    let mut all = Vec::new();
    let mut row = Vec::new();
    for chunk in Sequence::text(ids).chunks(CHUNK) {
        let mut tap = |name: &str, values: &[f32]| {
            if name != "text.logits" {
                return;
            }
            for (logits, next) in values.chunks_exact(config.vocab).zip(&ids[all.len() + 1..]) {
                let top = math::max(logits);
                row.clear();
                row.extend_from_slice(logits);
                let sum = f64::from(math::exp_sum(&mut row, top));
                all.push(f64::from(logits[*next as usize] - top) - sum.ln());
            }
        };
        model.engine.chunk(&chunk, &mut cache, Target::Window, Want::Everything(&mut tap));
    }
    all
}
