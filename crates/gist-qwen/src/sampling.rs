//! The next token from the logits.

use toktrie::SimpleVob;

/// Tokens considered at a temperature above 0.
const TOP_K: usize = 40;
/// Share of the probability considered at a temperature above 0.
const TOP_P: f32 = 0.9;
/// How much less likely a word becomes that the answer holds already; mild, since good texts repeat their terms.
const REPETITION: f32 = 1.05;

/// Picks tokens; seeded, so that the same call gives the same answer.
#[derive(Clone, Debug)]
pub(crate) struct Sampler {
    temperature: f32,
    state: u64,
}

impl Sampler {
    pub(crate) fn new(temperature: f32, seed: u64) -> Self {
        Self { temperature, state: seed }
    }

    /// SplitMix64 as a float in 0..1.
    fn random(&mut self) -> f32 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 40) as f32 / (1u64 << 24) as f32
    }

    /// The next token among those `allowed`; `None` when there is none.
    pub(crate) fn sample(&mut self, logits: &[f32], allowed: &SimpleVob) -> Option<u32> {
        let k = if self.temperature > 0.0 { TOP_K } else { 1 };
        let mut best: Vec<(f32, u32)> = Vec::with_capacity(k + 1);
        allowed.iter_set_entries(|token| {
            // NaN compares false and is never taken.
            let Some(&logit) = logits.get(token) else { return };
            if best.len() < k && !logit.is_nan() || best.last().is_some_and(|(worst, _)| logit > *worst) {
                let at = best.partition_point(|(x, _)| *x >= logit);
                best.insert(at, (logit, token as u32));
                best.truncate(k);
            }
        });
        let (top, first) = *best.first()?;
        if self.temperature <= 0.0 {
            return Some(first);
        }
        let mut weights: Vec<f32> = best.iter().map(|(x, _)| ((x - top) / self.temperature).exp()).collect();
        let total: f32 = weights.iter().sum();
        let mut sum = 0.0;
        let nucleus = weights.iter().take_while(|w| {
            let wanted = sum < TOP_P * total;
            sum += **w;
            wanted
        });
        let n = nucleus.count();
        weights.truncate(n);
        let mut point = self.random() * weights.iter().sum::<f32>();
        for (weight, (_, token)) in weights.iter().zip(&best) {
            point -= weight;
            if point <= 0.0 {
                return Some(*token);
            }
        }
        Some(first)
    }
}

/// Whether a token says something that can be repeated. Punishing quotes and commas would bend the structure of an
/// answer, and punishing single letters the spelling of a model that writes letter by letter.
pub(crate) fn is_word(bytes: &[u8]) -> bool {
    bytes.iter().filter(|b| b.is_ascii_alphabetic() || **b >= 0x80).count() > 1
}

/// Makes the tokens of `used` a little less likely.
pub(crate) fn penalise(logits: &mut [f32], used: impl Iterator<Item = u32>) {
    for token in used {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = if *logit > 0.0 { *logit / REPETITION } else { *logit * REPETITION };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(tokens: &[u32]) -> SimpleVob {
        let mut set = SimpleVob::alloc(8);
        tokens.iter().for_each(|t| set.allow_token(*t));
        set
    }

    #[test]
    fn greedy_takes_the_best_of_the_allowed() {
        let logits = [9.0, 1.0, f32::NAN, 3.0, 2.0, -1.0, 0.0, 0.0];
        assert_eq!(Sampler::new(0.0, 0).sample(&logits, &allowed(&[1, 2, 3, 4])), Some(3));
        assert_eq!(Sampler::new(0.0, 0).sample(&logits, &allowed(&[2])), None);
    }

    #[test]
    fn only_words_are_punished() {
        let words: Vec<_> = ["the", " of", "\"title", "学"].map(|w| is_word(w.as_bytes())).into();
        assert_eq!(words, [true; 4]);
        let others: Vec<_> = ["a", " T", "\":\"", "42", ", "].map(|w| is_word(w.as_bytes())).into();
        assert_eq!(others, [false; 5]);
    }

    #[test]
    fn sampling_follows_the_weights_and_the_seed() {
        let logits = [0.0, 1.0, 1.0, -9.0, -9.0, -9.0, -9.0, -9.0];
        let all = allowed(&[0, 1, 2, 3, 4, 5, 6, 7]);
        let draw = |seed| {
            let mut sampler = Sampler::new(1.0, seed);
            (0..2000).filter_map(|_| sampler.sample(&logits, &all)).collect::<Vec<_>>()
        };
        let tokens = draw(7);
        assert_eq!(tokens, draw(7));
        assert_ne!(tokens, draw(8));
        let share = |t: u32| tokens.iter().filter(|x| **x == t).count() as f64 / 2000.0;
        assert!(
            (share(1) - 0.42).abs() < 0.06 && (share(0) - 0.155).abs() < 0.04,
            "{} {}",
            share(1),
            share(0)
        );
        // The tail is outside the nucleus.
        assert_eq!(share(3), 0.0);
    }
}
