//! How far the fast path is from the reference: both read the same text, and are asked at every token what comes next.

use serde::Serialize;

use crate::QwenModel;
use crate::decoder::{CHUNK, Want};
use crate::kv::{Cache, KvType, Layout, PAGE, Pool, SinkPositions, Target};
use crate::sequence::{Chunk, Sequence};
use gist_kernels::math;

/// A mean over texts.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Mean {
    /// Of what every text came to.
    pub mean: f64,
    /// Its standard error over texts, since what a text says at one token is not independent of the token before;
    /// `None` of a single text.
    pub standard_error: Option<f64>,
}

impl Mean {
    fn of(texts: impl Iterator<Item = f64> + Clone) -> Self {
        let n = texts.clone().count() as f64;
        let mean = texts.clone().sum::<f64>() / n;
        let squares: f64 = texts.map(|x| (x - mean).powi(2)).sum();
        Self { mean, standard_error: (n > 1.0).then(|| (squares / (n - 1.0) / n).sqrt()) }
    }
}

/// What comparing two models token by token came to.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Agreement {
    /// Texts that were read.
    pub texts: usize,
    /// Tokens of all of them; after each the two distributions of the next one are compared.
    pub tokens: usize,
    /// Share of tokens after which both find the same token the likeliest.
    pub same_top: Mean,
    /// Kullback-Leibler divergence `Σ p ln(p/q)` of the distribution `q` of the second from `p` of the reference, in
    /// nats.
    pub divergence: Mean,
    /// The largest at any token.
    pub largest: f64,
    /// Perplexity of the reference.
    pub reference_perplexity: f64,
    /// Perplexity of the other.
    pub perplexity: f64,
    /// The difference of their mean log-probabilities of a token, in nats: above zero the other is worse. The ratio of
    /// the perplexities is its exponential.
    pub lost: Mean,
}

/// What one text came to, summed over its tokens.
#[derive(Default)]
struct Sums {
    same: usize,
    divergence: f64,
    largest: f64,
    /// Log-probabilities of the tokens there are, by the reference and by the other.
    known: [f64; 2],
}

/// Has both models read the first `tokens` tokens of each text from an empty context, with keys and values in f16, and
/// compares what they expect after each. Texts of fewer tokens are left out; `None` when there is no other. `told`
/// hears of each text that was read. The logits of a chunk are all that is held of a text.
pub fn agreement(
    reference: &QwenModel,
    other: &QwenModel,
    texts: &[String],
    tokens: usize,
    told: &mut dyn FnMut(),
) -> Option<Agreement> {
    let texts = texts.iter().map(|text| reference.tokenizer().encode(text));
    let texts: Vec<_> = texts.filter(|ids| ids.len() >= tokens && tokens > 1).collect();
    let sums = texts.iter().map(|ids| {
        let sums = compare(reference, other, &ids[..tokens]);
        told();
        sums
    });
    let sums: Vec<Sums> = sums.collect();
    if sums.is_empty() {
        return None;
    }
    let n = tokens as f64;
    // The last token has nothing after it.
    let mean = |of: usize| Mean::of(sums.iter().map(|text| text.known[of] / (n - 1.0))).mean;
    Some(Agreement {
        texts: sums.len(),
        tokens: sums.len() * tokens,
        same_top: Mean::of(sums.iter().map(|text| text.same as f64 / n)),
        divergence: Mean::of(sums.iter().map(|text| text.divergence / n)),
        largest: sums.iter().fold(0.0, |most, text| text.largest.max(most)),
        reference_perplexity: (-mean(0)).exp(),
        perplexity: (-mean(1)).exp(),
        lost: Mean::of(sums.iter().map(|text| (text.known[0] - text.known[1]) / (n - 1.0))),
    })
}

fn compare(reference: &QwenModel, other: &QwenModel, ids: &[u32]) -> Sums {
    let models = [reference, other];
    let mut caches = models.map(|model| {
        let pool = Pool::new(Layout::of(model.config(), KvType::F16), ids.len().div_ceil(PAGE));
        Cache::new(&pool, SinkPositions::Moving)
    });
    let mut sums = Sums::default();
    let mut weights = Vec::new();
    let (sequence, mut at) = (Sequence::text(ids), 0);
    for chunk in sequence.chunks(CHUNK) {
        let [exact, own] = [0, 1].map(|i| logits(models[i], &chunk, &mut caches[i]));
        let vocab = reference.config().vocab;
        for (p, q) in exact.chunks_exact(vocab).zip(own.chunks_exact(vocab)) {
            at += 1;
            sums.add(p, q, ids.get(at).copied(), &mut weights);
        }
    }
    sums
}

/// `[chunk, vocab]`
fn logits(model: &QwenModel, chunk: &Chunk<'_>, cache: &mut Cache) -> Vec<f32> {
    let mut logits = Vec::new();
    let mut tap = |name: &str, values: &[f32]| {
        if name == "text.logits" {
            logits = values.to_vec();
        }
    };
    model.engine.chunk(chunk, cache, Target::Window, Want::Everything(&mut tap));
    logits
}

impl Sums {
    /// Takes in the logits of both after a token; `next` is the one that follows. `weights` is room to work in.
    fn add(&mut self, p: &[f32], q: &[f32], next: Option<u32>, weights: &mut Vec<f32>) {
        let (top_p, top_q) = (math::max(p), math::max(q));
        // ln p = logit - top - ln(sum): summed in f64, since what is left of two that are much alike is small.
        let mut log_sum = |logits: &[f32], top| {
            weights.clear();
            weights.extend_from_slice(logits);
            math::exp_sum(weights, top);
            weights.iter().map(|x| f64::from(*x)).sum::<f64>().ln()
        };
        let (sum_q, sum_p) = (log_sum(q, top_q), log_sum(p, top_p));
        let shift = (f64::from(top_p) + sum_p) - (f64::from(top_q) + sum_q);
        let all = weights.iter().zip(p.iter().zip(q));
        let weighed: f64 = all.map(|(w, (p, q))| f64::from(*w) * (f64::from(*p) - f64::from(*q))).sum();
        let divergence = weighed / sum_p.exp() - shift;
        let place = |logits: &[f32], top| logits.iter().position(|x| *x == top);
        self.same += usize::from(place(p, top_p) == place(q, top_q));
        self.divergence += divergence;
        self.largest = self.largest.max(divergence);
        if let Some(next) = next.map(|next| next as usize) {
            self.known[0] += f64::from(p[next] - top_p) - sum_p;
            self.known[1] += f64::from(q[next] - top_q) - sum_q;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(p: &[f32], q: &[f32]) -> Sums {
        let mut sums = Sums::default();
        sums.add(p, q, Some(0), &mut Vec::new());
        sums
    }

    #[test]
    fn the_divergence_is_that_of_the_formula() {
        let logits = |p: [f64; 3]| p.map(|p| (p.ln() + 3.0) as f32);
        let (p, q) = ([0.5, 0.3, 0.2], [0.25, 0.6, 0.15]);
        let exact: f64 = p.iter().zip(&q).map(|(p, q): (&f64, &f64)| p * (p / q).ln()).sum();
        let sums = add(&logits(p), &logits(q));
        assert!((sums.divergence - exact).abs() < 1e-6, "{} of {exact}", sums.divergence);
        assert_eq!((sums.same, sums.largest), (0, sums.divergence));
        assert!((sums.known[0] - 0.5f64.ln()).abs() < 1e-6 && (sums.known[1] - 0.25f64.ln()).abs() < 1e-6);
    }

    #[test]
    fn equal_distributions_do_not_diverge_whatever_is_added_to_all_logits() {
        let sums = add(&[1.0, 2.0, -4.0], &[6.0, 7.0, 1.0]);
        assert!(sums.divergence.abs() < 1e-6 && sums.same == 1, "{}", sums.divergence);
    }

    #[test]
    fn a_mean_of_one_text_has_no_error() {
        let two = Mean::of([1.0, 3.0].into_iter());
        assert_eq!((two.mean, two.standard_error), (2.0, Some(1.0)));
        assert_eq!(Mean::of([1.0].into_iter()).standard_error, None);
    }
}
