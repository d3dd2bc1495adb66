//! Streams run through the detector, and what comes of them.

use std::fmt;
use std::sync::Arc;

use gist_core::boundary::score::Weights;
use gist_core::boundary::{Detector, Embed};
use gist_core::time::{nanoseconds, seconds};
use gist_core::{Config, Observation};

use crate::data::{Item, known_until};
use crate::metrics;

/// Where a stream comes from.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A talk, podcast or panel: words only.
    Talk,
    /// A screen-share session: words only, short utterances with pauses.
    Screen,
    /// A composed lecture with slides.
    Lecture,
}

/// One stream.
pub(crate) struct Stream {
    pub(crate) kind: Kind,
    pub(crate) fold: usize,
    pub(crate) observations: Vec<Observation>,
    pub(crate) truth: Vec<f64>,
    pub(crate) duration: f64,
    pub(crate) embed: Option<Arc<dyn Embed>>,
}

impl Stream {
    pub(crate) fn new(item: &Item, kind: Kind, fold: usize, embed: Option<Arc<dyn Embed>>) -> Self {
        let (observations, truth) = (item.observations(), item.boundaries());
        Self { kind, fold, observations, truth, duration: item.duration, embed }
    }

    /// Boundaries and how long after them they were decided, in seconds.
    pub(crate) fn detect(&self, weights: &Weights) -> Vec<(f64, f64)> {
        let config = Config::default();
        let mut detector = Detector::with_weights(0, weights.clone(), self.embed.clone());
        let mut found = Vec::new();
        for (i, (observation, now)) in
            self.observations.iter().zip(known_until(&self.observations)).enumerate()
        {
            detector.observe(i as u64, observation);
            while let Some(b) = detector.decide(now, &config, &mut |_| None) {
                found.push((seconds(b.at), seconds(b.decided_at - b.at)));
            }
        }
        let end = nanoseconds(self.duration);
        while let Some(b) = detector.finish(end, &config, &mut |_| None) {
            found.push((seconds(b.at), seconds(b.decided_at.saturating_sub(b.at))));
        }
        found
    }
}

/// Figures over several streams.
#[derive(Default)]
pub(crate) struct Tally {
    kinds: [Sums; 3],
}

#[derive(Default)]
struct Sums {
    streams: f64,
    hours: f64,
    found: f64,
    f1: f64,
    f1_50: f64,
    near_5: f64,
    near_30: f64,
    strays: f64,
    matched_5: f64,
    truth: f64,
    good: f64,
    delays: Vec<f64>,
    /// F1 and boundary F1 within 30 s of each stream.
    each: Vec<[f64; 2]>,
}

impl Tally {
    pub(crate) fn add(&mut self, streams: &[&Stream], weights: &Weights) {
        for stream in streams {
            let found = stream.detect(weights);
            let sums = &mut self.kinds[stream.kind as usize];
            sums.delays.extend(found.iter().map(|f| f.1));
            let found: Vec<f64> = found.into_iter().map(|f| f.0).collect();
            let (truth, duration) = (&stream.truth, stream.duration);
            sums.streams += 1.0;
            sums.hours += duration / 3600.0;
            sums.found += found.len() as f64;
            let f1 = metrics::segment_f1_mean(&found, truth, duration);
            sums.f1 += f1;
            sums.f1_50 += metrics::segment_f1(&found, truth, duration, 0.5);
            sums.near_5 += metrics::boundary_f1(&found, truth, 5.0);
            let near_30 = metrics::boundary_f1(&found, truth, 30.0);
            sums.near_30 += near_30;
            sums.each.push([f1, near_30]);
            sums.strays += metrics::strays(&found, truth, 30.0) as f64;
            let matched = metrics::matches(&found, truth, 5.0);
            sums.matched_5 += matched as f64;
            sums.truth += truth.len() as f64;
            let wrong = found.len() - matched;
            if matched * 5 >= truth.len() * 4 && wrong as f64 <= duration / 300.0 {
                sums.good += 1.0;
            }
        }
    }

    /// Where the means would lie with other streams of the same kind: 95 of 100 samples drawn with replacement.
    pub(crate) fn intervals(&self, seed: u64) -> String {
        let mut random = crate::lectures::Random::new(seed);
        let mut out = String::from("95 % of bootstrap samples:");
        for (name, sums) in ["talks", "screen"].iter().zip(&self.kinds) {
            let n = sums.each.len().max(1);
            let mut means: Vec<[f64; 2]> = (0..2000)
                .map(|_| {
                    let mut mean = [0.0; 2];
                    for _ in 0..n {
                        let drawn =
                            sums.each.get((random.next() * n as f64) as usize).copied().unwrap_or_default();
                        mean.iter_mut().zip(drawn).for_each(|(mean, x)| *mean += 100.0 * x / n as f64);
                    }
                    mean
                })
                .collect();
            for (i, figure) in ["F1", "b30"].iter().enumerate() {
                means.sort_by(|a, b| a[i].total_cmp(&b[i]));
                out.push_str(&format!(" {name} {figure} {:.1} to {:.1},", means[50][i], means[1949][i]));
            }
        }
        out
    }

    /// The figure the search makes as large as it can.
    pub(crate) fn value(&self) -> f64 {
        let mean = |kind: Kind, of: fn(&Sums) -> f64| {
            let sums = &self.kinds[kind as usize];
            if sums.streams > 0.0 { 100.0 * of(sums) / sums.streams } else { 0.0 }
        };
        mean(Kind::Talk, |s| s.f1 + 0.5 * s.near_30)
            + 0.25 * mean(Kind::Screen, |s| s.f1 + 0.5 * s.near_30)
            + 0.25 * mean(Kind::Lecture, |s| s.near_5 + 0.5 * s.good)
    }
}

/// The figures of some weights on some streams.
pub(crate) fn report(streams: &[&Stream], weights: &Weights) -> Tally {
    let mut tally = Tally::default();
    tally.add(streams, weights);
    tally
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, sums) in ["talks", "screen", "lecture"].iter().zip(&self.kinds) {
            let n = sums.streams.max(1.0);
            let mut delays = sums.delays.clone();
            write!(
                f,
                "{name}[{n}] F1 {:.1} F1.5 {:.1} b5 {:.1} b30 {:.1} {:.1}/h stray/h {:.1} delay {:.1}",
                100.0 * sums.f1 / n,
                100.0 * sums.f1_50 / n,
                100.0 * sums.near_5 / n,
                100.0 * sums.near_30 / n,
                sums.found / sums.hours.max(1e-9),
                sums.strays / sums.hours.max(1e-9),
                metrics::median(&mut delays).unwrap_or(0.0),
            )?;
            if *name == "lecture" {
                let wrong = (sums.found - sums.matched_5) / sums.hours.max(1e-9) / 12.0;
                write!(
                    f,
                    " matched {:.0}/{:.0} wrong/5min {wrong:.2} good {:.0}",
                    sums.matched_5, sums.truth, sums.good
                )?;
            }
            write!(f, " | ")?;
        }
        write!(f, "value {:.2}", self.value())
    }
}
