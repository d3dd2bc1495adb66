//! Logistic regression on the signals of all candidates.

use gist_core::boundary::Candidate;
use gist_core::boundary::signals::{COUNT, NAMES, Signals};

use crate::examples::examples;
use crate::streams::{Kind, Stream};

struct Row {
    signals: Signals,
    label: f64,
    weight: f64,
}

/// Signals and labels of one stream's candidates.
fn rows(stream: &Stream) -> Vec<Row> {
    let weight = match stream.kind {
        Kind::Talk => 1.0,
        // Five sessions of a tenth of the boundaries; with less they count for nothing.
        Kind::Screen => 4.0,
        Kind::Lecture => 0.25,
    };
    let examples = examples(&stream.observations, &stream.truth, stream.embed.clone());
    let row = |(candidate, begins): (Candidate, bool)| Row {
        signals: candidate.signals,
        label: f64::from(u8::from(begins)),
        weight,
    };
    examples.into_iter().map(row).collect()
}

/// How well each signal alone tells true boundaries from other candidates: the area under its ROC curve, .5 for not at
/// all. With `slides` only candidates at slides, a minute into the chapter, are compared.
pub(crate) fn alone(streams: &[&Stream], slides: bool) -> Vec<f64> {
    let at = |name: &str| NAMES.iter().position(|n| *n == name).unwrap_or(0);
    let (slide, young) = (at("slide"), at("young"));
    let rows: Vec<Row> = streams
        .iter()
        .flat_map(|s| rows(s))
        .filter(|row| !slides || row.signals[slide] > 0.0 && row.signals[young] < 0.25)
        .collect();
    (0..COUNT)
        .map(|i| {
            let mut values: Vec<(f64, bool)> =
                rows.iter().map(|row| (f64::from(row.signals[i]), row.label > 0.0)).collect();
            crate::metrics::area_under_roc(&mut values)
        })
        .collect()
}

/// Signals that tell how long the chapter has lasted. Their weights are searched for: in a composed lecture the length
/// of a chapter would explain everything.
pub(crate) const LENGTH: [&str; 2] = ["age", "young"];

/// Signals that only add noise where the meaning of the text is known: measured on held-out talks.
const REDUNDANT: [&str; 1] = ["rise"];

/// Newton's method with a ridge of 5 examples.
#[allow(clippy::needless_range_loop, reason = "matrices")]
pub(crate) fn fit(streams: &[&Stream]) -> Signals {
    let mut rows: Vec<Row> = streams.iter().flat_map(|s| rows(s)).collect();
    let with_meaning = streams.iter().any(|stream| stream.embed.is_some());
    let unused = |name: &str| LENGTH.contains(&name) || with_meaning && REDUNDANT.contains(&name);
    for (i, _) in NAMES.iter().enumerate().filter(|(_, name)| unused(name)) {
        rows.iter_mut().for_each(|row| row.signals[i] = 0.0);
    }
    let mut w = [0.0f64; COUNT];
    for _ in 0..12 {
        let mut gradient = [0.0f64; COUNT];
        let mut hessian = [[0.0f64; COUNT]; COUNT];
        for row in &rows {
            let z: f64 = w.iter().zip(row.signals).map(|(w, x)| w * f64::from(x)).sum();
            let p = 1.0 / (1.0 + (-z).exp());
            for i in 0..COUNT {
                let x = f64::from(row.signals[i]) * row.weight;
                gradient[i] += (row.label - p) * x;
                for j in 0..=i {
                    hessian[i][j] += p * (1.0 - p) * x * f64::from(row.signals[j]);
                }
            }
        }
        for i in 0..COUNT {
            let ridge = if NAMES[i] == "bias" { 1e-6 } else { 5.0 };
            gradient[i] -= ridge * w[i];
            hessian[i][i] += ridge;
            for j in 0..i {
                hessian[j][i] = hessian[i][j];
            }
        }
        for (w, step) in w.iter_mut().zip(solve(hessian, gradient)) {
            *w += step;
        }
    }
    w.map(|w| w as f32)
}

/// Gaussian elimination; the matrix is positive definite, so no pivoting.
#[allow(clippy::needless_range_loop, reason = "matrices")]
fn solve(mut a: [[f64; COUNT]; COUNT], mut b: [f64; COUNT]) -> [f64; COUNT] {
    for i in 0..COUNT {
        for j in i + 1..COUNT {
            let factor = a[j][i] / a[i][i];
            for k in i..COUNT {
                a[j][k] -= factor * a[i][k];
            }
            b[j] -= factor * b[i];
        }
    }
    for i in (0..COUNT).rev() {
        let known: f64 = (i + 1..COUNT).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - known) / a[i][i];
    }
    b
}
