//! How the signals add up: a logistic model whose weights were fitted by `tools/fit-boundary`.

use super::signals::{COUNT, NAMES, Signals};
use crate::config::Granularity;
use crate::event::Reason;

/// What each signal counts for.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    /// One for each of [`NAMES`], on the log-odds scale.
    pub signals: Signals,
    /// Log-odds a candidate needs at [`Granularity::Normal`].
    pub threshold: f32,
    /// How much more a candidate needs when nothing of its look-ahead is known; in between in proportion.
    pub early: f32,
    /// How much lower it is at [`Granularity::Fine`] (30 chapters an hour on the talks) and higher at
    /// [`Granularity::Coarse`] (6).
    pub step: [f32; 2],
    /// What the model's own judgement counts for, per unit of log-odds above its usual answer. Set by hand.
    pub probe: f32,
}

impl Weights {
    /// For words alone, without an embedder.
    #[rustfmt::skip]
    pub fn lexical() -> Self {
        let signals = [
            0.31,  // drift-short
            0.39,  // drift-long
            0.14,  // rise
            0.32,  // pause
            0.0,   // meaning-short
            0.0,   // meaning-mid
            0.0,   // meaning-long
            -3.72, // bias
            0.30,  // turn
            0.92,  // shift
            0.10,  // opener
            -0.52, // continues
            0.59,  // question
            0.38,  // answered
            0.55,  // closing
            0.60,  // age
            -2.60, // young: by hand, a tenth of human chapters are under 56 s; the fit said -1.6, the talks score the same
            0.61,  // slide
            -0.96, // slide-apart
            0.51,  // slide-recent
            1.02,  // slide-chapter
            -0.18, // off-slide
        ];
        Self { signals, threshold: -2.2, early: 3.0, step: [0.9, 1.5], probe: 0.5 }
    }

    /// For words and what they are about.
    #[rustfmt::skip]
    pub fn meaning() -> Self {
        let signals = [
            0.15,  // drift-short
            0.37,  // drift-long
            0.0,   // rise: it only adds noise here
            0.25,  // pause
            0.43,  // meaning-short
            -0.03, // meaning-mid
            0.14,  // meaning-long
            -3.86, // bias
            0.30,  // turn: no data set marks turns; the same as a long pause
            0.95,  // shift
            0.11,  // opener
            -0.47, // continues
            0.64,  // question
            0.41,  // answered
            0.40,  // closing
            0.40,  // age
            -2.60, // young: by hand, as above
            0.63,  // slide
            -0.98, // slide-apart
            0.51,  // slide-recent
            0.98,  // slide-chapter
            -0.22, // off-slide
        ];
        Self { signals, threshold: -2.25, ..Self::lexical() }
    }
}

impl Weights {
    /// The log-odds of a topic change.
    pub fn log_odds(&self, signals: &Signals) -> f32 {
        self.signals.iter().zip(signals).map(|(weight, signal)| weight * signal).sum()
    }

    /// The log-odds a candidate needs.
    pub fn threshold(&self, granularity: Granularity) -> f32 {
        match granularity {
            Granularity::Coarse => self.threshold + self.step[1],
            Granularity::Normal => self.threshold,
            Granularity::Fine => self.threshold - self.step[0],
        }
    }

    /// Which kind of evidence decided: the one that weighs most, or without which the threshold was not reached.
    /// `spare` is how far above it the log-odds are.
    pub fn reason(&self, signals: &Signals, spare: f32) -> Reason {
        let part = |pick: fn(&str) -> bool| -> f32 {
            (0..COUNT).filter(|&i| pick(NAMES[i])).map(|i| self.signals[i] * signals[i]).sum()
        };
        let slide = part(|name| name.starts_with("slide"));
        let caption = part(|name| matches!(name, "turn" | "pause"));
        let words = part(|name| {
            !name.starts_with("slide")
                && !matches!(name, "bias" | "age" | "young" | "off-slide" | "turn" | "pause")
        });
        let decides = |this: f32, other: f32| this > 0.0 && this >= other && this >= words.min(spare);
        if decides(slide, caption) {
            Reason::Slide
        } else if decides(caption, slide) {
            Reason::Caption
        } else {
            Reason::Model
        }
    }
}

/// Log-odds as a probability.
pub fn probability(log_odds: f32) -> f32 {
    1.0 / (1.0 + (-log_odds).exp())
}

/// A probability as log-odds, held within what can be believed.
pub fn log_odds(probability: f32) -> f32 {
    let p = if probability.is_nan() { 0.5 } else { probability.clamp(0.02, 0.98) };
    (p / (1.0 - p)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(values: &[(&str, f32)]) -> Signals {
        let value =
            |name: &str| values.iter().find(|(other, _)| *other == name).map_or(0.0, |&(_, value)| value);
        NAMES.map(value)
    }

    #[test]
    fn the_reason_is_the_evidence_that_weighs_most_or_tips_the_scale() {
        let weights = Weights::lexical();
        let slide = with(&[("slide", 1.0), ("slide-recent", 0.5), ("slide-chapter", 0.5), ("shift", 1.0)]);
        assert_eq!(weights.reason(&slide, 1.0), Reason::Slide);
        assert_eq!(weights.reason(&with(&[("pause", 3.0), ("turn", 1.0)]), 0.5), Reason::Caption);
        assert_eq!(weights.reason(&with(&[("drift-short", 2.0), ("shift", 1.0)]), 0.5), Reason::Model);
    }

    #[test]
    fn a_nonsense_probability_says_nothing() {
        assert_eq!(log_odds(f32::NAN), 0.0);
        assert!(log_odds(2.0) < 4.0 && log_odds(-1.0) > -4.0);
        assert!((probability(log_odds(0.7)) - 0.7).abs() < 1e-5);
    }
}
