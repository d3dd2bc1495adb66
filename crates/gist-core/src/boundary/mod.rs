//! Where a chapter ends: causal, with a bounded look-ahead.
//!
//! Every speech line and every settled slide is a *candidate* for the start of a chapter. A candidate is judged once,
//! as soon as everything up to `look-ahead` behind it is known, and on nothing that comes later: the words of two thirds
//! of the look-ahead are set against those before, and no better candidate may stand in three quarters of it.
//!
//! * `words`: text as bags of terms, and how alike two bags are
//! * `cues`: the words with which speakers mark that they go on
//! * `history`: the last minutes of the stream
//! * [`signals`]: the evidence at a candidate, as numbers
//! * [`score`]: what each number counts for

use crate::Config;
use crate::event::Reason;
use crate::model::SegmentId;
use crate::observation::Observation;
use crate::time::SECOND;

mod cues;
mod history;
pub mod score;
pub mod signals;
#[cfg(test)]
mod tests;
mod words;

use history::History;
use score::{Weights, log_odds, probability};
use signals::{Raw, Scale, Signals};

/// A decided boundary.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Boundary {
    /// First segment of the new chapter.
    pub segment: SegmentId,
    /// Running-time at which the new chapter begins, nanoseconds.
    pub at: u64,
    /// Running-time up to which everything was known when it was decided.
    pub decided_at: u64,
    /// Which signal decided.
    pub reason: Reason,
    /// Probability, 0 to 1.
    pub score: f32,
}

/// Asks the model whether a new topic begins at a segment: the probability of yes, `None` when it can't be asked.
pub type Probe<'a> = dyn FnMut(SegmentId) -> Option<f32> + 'a;

/// A judged candidate, as [`Detector::judge`] hands it to whoever fits the weights.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Candidate {
    /// The segment that starts there.
    pub segment: SegmentId,
    /// Its start in running-time nanoseconds.
    pub at: u64,
    /// The evidence.
    pub signals: Signals,
    /// Log-odds, all evidence but the model's own judgement.
    pub log_odds: f32,
    /// Whether no better candidate follows within the look-ahead.
    pub best: bool,
    /// Whether there are no words at all to judge by, only that the picture changed.
    pub wordless: bool,
}

/// The model's answers so far: what counts is how far one is above the others.
#[derive(Debug)]
struct Answers {
    mean: f32,
    count: f32,
}

impl Answers {
    fn above_usual(&mut self, answer: f32) -> f32 {
        let off = log_odds(answer) - self.mean;
        self.count = (self.count + 1.0).min(50.0);
        self.mean += off / self.count;
        off
    }
}

/// Judges candidates.
#[derive(Debug)]
pub struct Detector {
    weights: Weights,
    chapter: u64,
    history: History,
    scale: Scale,
    answers: Answers,
    /// Mean drift of the last few candidates.
    last: Option<f32>,
    /// Judged candidates of this chapter, for the cut at `max-chapter-duration`.
    passed: Vec<(u64, SegmentId, f32)>,
}

/// Candidates remembered for the cut at `max-chapter-duration`.
const MAX_PASSED: usize = 1024;

/// The model is asked only where its answer can turn the decision: this close to the threshold, in log-odds.
const IN_DOUBT: f32 = 1.2;

impl Default for Detector {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Detector {
    /// A detector for a chapter that began at `start`.
    pub fn new(start: u64) -> Self {
        Self::with_weights(start, Weights::default())
    }

    /// A detector with other weights than the fitted ones.
    pub fn with_weights(start: u64, weights: Weights) -> Self {
        Self {
            weights,
            chapter: start,
            history: History::default(),
            scale: Scale::default(),
            answers: Answers { mean: 0.0, count: 3.0 },
            last: None,
            passed: Vec::new(),
        }
    }

    /// Takes an observation, in running-time order, with the segment it became.
    pub fn observe(&mut self, segment: SegmentId, observation: &Observation) {
        self.history.push(segment, observation);
    }

    /// Judges the candidates whose look-ahead is complete at `now` (everything up to it was observed). Returns the
    /// first boundary found; call again until `None`.
    pub fn decide(&mut self, now: u64, config: &Config, probe: &mut Probe<'_>) -> Option<Boundary> {
        self.run(now, false, config, probe)
    }

    /// At the end of the stream: judges the rest on what there is. Returns the first boundary found; call again until
    /// `None`.
    pub fn finish(&mut self, end: u64, config: &Config, probe: &mut Probe<'_>) -> Option<Boundary> {
        self.run(end, true, config, probe)
    }

    /// A chapter was begun at `at` for another reason (a seek, the user): nothing before it is judged any more.
    pub fn restart(&mut self, at: u64) {
        self.chapter = at;
        self.passed.clear();
        self.history.judged_until(at);
    }

    fn run(&mut self, now: u64, end: bool, config: &Config, probe: &mut Probe<'_>) -> Option<Boundary> {
        loop {
            if let Some(cut) = self.overdue(now, end, config) {
                return Some(cut);
            }
            let limit = self.limit(config);
            let candidate = self.judge(now, end, config)?;
            let Candidate { segment, at, signals, best, .. } = candidate;
            let mut log_odds = candidate.log_odds;
            let threshold = self.weights.threshold(config.granularity);
            let old_enough = at > self.chapter && at - self.chapter >= config.min_chapter_duration;
            if candidate.wordless {
                // The weights know nothing of streams without words: what the model says of the picture decides.
                let answer = if old_enough { probe(segment) } else { None };
                log_odds = threshold + answer.map_or(-IN_DOUBT, score::log_odds);
            } else if old_enough
                && best
                && (log_odds - threshold).abs() < IN_DOUBT
                && let Some(answer) = probe(segment)
            {
                log_odds +=
                    (self.weights.probe * self.answers.above_usual(answer)).clamp(-IN_DOUBT, IN_DOUBT);
            }
            tracing::debug!(
                at = crate::time::clock(at),
                segment,
                log_odds,
                threshold,
                best,
                "a candidate is judged"
            );
            if old_enough && best && log_odds >= threshold {
                return Some(self.cut(
                    segment,
                    at,
                    now,
                    self.weights.reason(&signals, log_odds - threshold),
                    log_odds,
                ));
            }
            if at > limit {
                // Nothing to cut at before: this is the first that is said or shown since.
                return Some(self.cut(segment, at, now, Reason::MaxDuration, log_odds));
            }
            if at > self.chapter {
                self.passed.push((at, segment, log_odds));
                if self.passed.len() > MAX_PASSED {
                    self.passed.remove(0);
                }
            }
        }
    }

    /// Judges the next candidate whose look-ahead is complete at `now` (at the `end` of the stream: any), without
    /// cutting. This is what `decide` is made of; the weights are fitted on it.
    pub fn judge(&mut self, now: u64, end: bool, config: &Config) -> Option<Candidate> {
        loop {
            let index = self.history.next()?;
            let entry = self.history.get(index);
            let (at, segment) = (entry.span.start, entry.segment);
            let horizon = at.saturating_add(config.look_ahead);
            if horizon > now && !end {
                return None;
            }
            self.history.count_until(horizon);
            if self.cuts_a_sentence(index) {
                self.history.judged(index);
                continue;
            }
            let raw = self.look(index, config, horizon);
            let signals = self.scale.signals(&raw);
            let log_odds = self.weights.log_odds(&signals);
            let wordless = self.history.is_wordless();
            let best = wordless || !self.outdone(index, log_odds, config, horizon);
            self.scale.add(&raw);
            if let Some(drift) = raw.drift() {
                let last = self.last.get_or_insert(drift);
                *last += (drift - *last) * 0.3;
            }
            self.history.judged(index);
            self.history.forget();
            return Some(Candidate { segment, at, signals, log_odds, best, wordless });
        }
    }

    /// Looks at a candidate as far as `horizon`; words that are all known are read only once.
    fn look(&mut self, index: usize, config: &Config, horizon: u64) -> Raw {
        let ahead = config.look_ahead / 3 * 2;
        let whole = self.history.get(index).span.start.saturating_add(ahead) <= horizon;
        let known = self.history.get_mut(index).words.take();
        let words = known.unwrap_or_else(|| Box::new(signals::read(&self.history, index, ahead, horizon)));
        let raw = signals::look(&self.history, index, &words, self.chapter, self.last);
        if whole {
            self.history.get_mut(index).words = Some(words);
        }
        raw
    }

    /// Whether a better candidate follows within the look-ahead. Near its end only the first words of a rival are
    /// known; measured, that is still the better choice than not to look.
    fn outdone(&mut self, index: usize, log_odds: f32, config: &Config, horizon: u64) -> bool {
        let last = self.history.get(index).span.start.saturating_add(config.look_ahead / 4 * 3);
        for i in index + 1..self.history.len() {
            let entry = self.history.get(i);
            if entry.span.start > last {
                break;
            }
            if entry.judged || self.cuts_a_sentence(i) {
                continue;
            }
            let raw = self.look(i, config, horizon);
            if self.weights.log_odds(&self.scale.signals(&raw)) > log_odds {
                return true;
            }
        }
        false
    }

    /// A slide that comes up in the middle of a sentence: the chapter begins with a sentence near it.
    fn cuts_a_sentence(&self, index: usize) -> bool {
        let entry = self.history.get(index);
        let slack = SECOND / 2;
        entry.is_slide()
            && self.history.before(index).take(16).any(|e| {
                e.is_speech()
                    && e.span.start + slack < entry.span.start
                    && entry.span.start + slack < e.span.end
            })
    }

    /// The cut of a chapter that would grow beyond `max-chapter-duration`: at the best candidate of its later half.
    fn overdue(&mut self, now: u64, end: bool, config: &Config) -> Option<Boundary> {
        let limit = self.limit(config);
        let passed_limit = match self.history.next() {
            Some(next) => self.history.get(next).span.start > limit,
            None => now > limit.saturating_add(if end { 0 } else { config.look_ahead }),
        };
        if !passed_limit {
            return None;
        }
        let earliest = self.chapter.saturating_add(config.min_chapter_duration);
        let half = self.chapter.saturating_add(config.max_chapter_duration / 2).max(earliest);
        let best_from = |from: u64| {
            self.passed
                .iter()
                .filter(|(at, ..)| (from..=limit).contains(at))
                .max_by(|a, b| a.2.total_cmp(&b.2))
                .copied()
        };
        let (at, segment, log_odds) = best_from(half).or_else(|| best_from(earliest))?;
        Some(self.cut(segment, at, now, Reason::MaxDuration, log_odds))
    }

    fn limit(&self, config: &Config) -> u64 {
        self.chapter.saturating_add(config.max_chapter_duration.max(config.min_chapter_duration))
    }

    fn cut(&mut self, segment: SegmentId, at: u64, now: u64, reason: Reason, log_odds: f32) -> Boundary {
        self.chapter = at;
        self.passed.retain(|&(passed, ..)| passed > at);
        Boundary { segment, at, decided_at: now, reason, score: probability(log_odds) }
    }
}
