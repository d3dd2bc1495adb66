//! Search for the weights with the best figure over whole streams.

use gist_core::boundary::score::Weights;
use gist_core::boundary::signals::{COUNT, NAMES};

use crate::streams::{Stream, report};

/// Mean over a stricter and a laxer threshold: what is good only at one is luck.
fn value(streams: &[&Stream], weights: &Weights) -> f64 {
    [-0.25, 0.25]
        .map(|off| {
            report(streams, &Weights { threshold: weights.threshold + off, ..weights.clone() }).value()
        })
        .iter()
        .sum::<f64>()
        / 2.0
}

/// Finds the threshold, the weights being fixed.
pub(crate) fn threshold(streams: &[&Stream], weights: &mut Weights) {
    let tried = (0..15).map(|i| -4.0 + 0.25 * i as f32).map(|threshold| {
        let value = value(streams, &Weights { threshold, ..weights.clone() });
        (value, threshold)
    });
    if let Some((_, best)) = tried.max_by(|a, b| a.0.total_cmp(&b.0)) {
        weights.threshold = best;
    }
}

/// What is searched for. The rest stays as the regression has it: few numbers, or noise is fitted.
const SEARCHED: [&str; 4] = ["age", "young", "slide", "off-slide"];

/// Moves one weight at a time while that helps, with the threshold free to follow.
pub(crate) fn coordinates(streams: &[&Stream], weights: &mut Weights, rounds: usize, loud: bool) {
    let mut best = value(streams, weights);
    let mut size = 0.6;
    for _ in 0..rounds {
        for i in (0..COUNT).filter(|&i| SEARCHED.contains(&NAMES[i])) {
            for (step, shift) in [(1.0, 0.0), (1.0, 0.5), (1.0, -0.5), (-1.0, 0.0), (-1.0, -0.5), (-1.0, 0.5)]
            {
                loop {
                    let mut other = weights.clone();
                    other.signals[i] += step * size;
                    other.threshold += shift * size;
                    let reached = value(streams, &other);
                    if reached < best + 0.1 {
                        break;
                    }
                    best = reached;
                    *weights = other;
                    if loud {
                        crate::eprintln(&format!(
                            "{} {:+.2} {:+.2}: {best:.2}",
                            NAMES[i],
                            step * size,
                            shift * size
                        ));
                    }
                }
            }
        }
        size *= 0.5;
    }
}
