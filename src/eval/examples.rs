//! The candidates of a session whose true chapters are known: which begin one, and which do not.

use std::sync::Arc;

use gist_core::boundary::{Candidate, Detector, Embed};
use gist_core::time::{nanoseconds, seconds};
use gist_core::{Config, Observation};

use super::data::known_until;

/// A candidate this close to a true boundary may be the one that belongs to it, in seconds.
const CLOSE: f64 = 12.0;

/// The candidates, every chapter beginning where it truly begins (`truth`, seconds), each with whether it begins one. Of
/// those near a true boundary the nearest does; its neighbours are left out.
pub(crate) fn examples(
    observations: &[Observation],
    truth: &[f64],
    embed: Option<Arc<dyn Embed>>,
) -> Vec<(Candidate, bool)> {
    let config = Config::default();
    let mut detector = Detector::with_embedder(0, embed);
    let mut judged: Vec<Candidate> = Vec::new();
    let mut marks = truth.iter().copied().peekable();
    for (i, (observation, now)) in observations.iter().zip(known_until(observations)).enumerate() {
        detector.observe(i as u64, observation);
        while let Some(candidate) = detector.judge(now, false, &config) {
            judged.push(candidate);
            // The first candidate at or behind the boundary still belongs to the old chapter: it is the example.
            while let Some(mark) = marks.next_if(|&mark| mark < seconds(candidate.at) - 0.5) {
                detector.restart(nanoseconds(mark));
            }
        }
    }
    let off = |candidate: &Candidate, mark: f64| (seconds(candidate.at) - mark).abs();
    let nearest = |mark: f64| {
        let offs = judged.iter().map(|candidate| off(candidate, mark)).enumerate();
        offs.min_by(|a, b| a.1.total_cmp(&b.1)).filter(|&(_, off)| off <= CLOSE).map(|(i, _)| i)
    };
    let hits: Vec<usize> = truth.iter().filter_map(|&mark| nearest(mark)).collect();
    let labelled = judged.iter().enumerate().map(|(i, candidate)| (*candidate, hits.contains(&i)));
    labelled
        .filter(|(candidate, begins)| *begins || truth.iter().all(|&mark| off(candidate, mark) > CLOSE))
        .collect()
}
