//! Where a chapter ends: causal, with a bounded look-ahead.
//!
//! Every speech line and every settled slide is a *candidate* for the start of a chapter. A candidate is judged at the
//! latest when everything up to `look-ahead` behind it is known, and on nothing that comes later: what follows it is set
//! against what came before, and no better candidate may stand in three quarters of the look-ahead. From a third of the
//! look-ahead on it is looked at whenever a line or slide begins or ends, and is a boundary at once when the evidence is
//! strong: the less of the look-ahead is known, the stronger it has to be.
//!
//! * `words`: text as bags of terms, and how alike two bags are
//! * [`embed`]: text as directions, when there is an embedder
//! * `cues`: the words with which speakers mark that they go on
//! * `history`: the last minutes of the stream
//! * [`signals`]: the evidence at a candidate, as numbers
//! * [`score`]: what each number counts for

use std::sync::Arc;

use crate::Config;
use crate::config::Granularity;
use crate::event::Reason;
use crate::model::SegmentId;
use crate::observation::Observation;
use crate::time::{SECOND, Span};

mod cues;
pub mod embed;
mod history;
pub mod score;
pub mod signals;
#[cfg(test)]
pub(crate) mod tests;
mod words;

pub use embed::Embed;
use history::History;
use score::{Weights, log_odds, probability};
use signals::{PARTS, Scale, Signals};

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

/// What happens next in the time of the stream.
enum Next {
    /// A look-ahead is complete.
    Judged(Candidate),
    /// A line or slide begins or ends.
    Edge(u64),
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
    embed: Option<Arc<dyn Embed>>,
    /// Everything was looked at as it was then.
    clock: Option<u64>,
    /// Judged candidates of this chapter and those before, for parts and the cut at `max-chapter-duration`.
    passed: Vec<(u64, SegmentId, f32)>,
}

/// Candidates remembered for parts and the cut at `max-chapter-duration`.
const MAX_PASSED: usize = 1024;

/// A part of a chapter is no shorter.
const LEAST_PART: u64 = 60 * SECOND;
/// The most parts of a chapter.
const MAX_PARTS: usize = 5;

/// The model is asked only where its answer can turn the decision: this close to the threshold, in log-odds.
const IN_DOUBT: f32 = 1.2;

impl Default for Detector {
    fn default() -> Self {
        Self::new(0)
    }
}

impl Detector {
    /// A detector for a chapter that began at `start`, which goes by words alone.
    pub fn new(start: u64) -> Self {
        Self::with_embedder(start, None)
    }

    /// A detector that also goes by what the text is about, if there is an embedder. The weights are others then.
    pub fn with_embedder(start: u64, embed: Option<Arc<dyn Embed>>) -> Self {
        let weights = if embed.is_some() { Weights::meaning() } else { Weights::lexical() };
        Self::with_weights(start, weights, embed)
    }

    /// A detector with other weights than the fitted ones.
    pub fn with_weights(start: u64, weights: Weights, embed: Option<Arc<dyn Embed>>) -> Self {
        Self {
            weights,
            embed,
            clock: None,
            chapter: start,
            history: History::default(),
            scale: Scale::default(),
            answers: Answers { mean: 0.0, count: 3.0 },
            passed: Vec::new(),
        }
    }

    /// Takes an observation, in running-time order, with the segment it became.
    pub fn observe(&mut self, segment: SegmentId, observation: &Observation) {
        self.history.push(segment, observation, self.embed.as_deref());
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

    /// The candidate that becomes a boundary if what is to come says no more than what is known: a guess ahead of the
    /// decision, which it leaves as it is. None in a stream without words, of which the model decides.
    pub fn expected(&self, config: &Config) -> Option<(SegmentId, u64)> {
        if self.history.is_wordless() {
            return None;
        }
        let limit = self.limit(config);
        let waiting = self.history.waiting(self.clock?).into_iter().filter_map(|index| {
            let entry = self.history.get(index);
            let at = entry.span.start;
            if !self.is_old_enough(at, config) || at > limit || self.cuts_a_sentence(index) {
                return None;
            }
            let signals = signals::look(&self.history, index, entry.seen.as_ref()?, self.chapter);
            Some((self.weights.log_odds(&signals), entry.segment, at))
        });
        let best = waiting.max_by(|a, b| a.0.total_cmp(&b.0))?;
        (best.0 >= self.weights.threshold(config.granularity)).then_some((best.1, best.2))
    }

    /// A chapter was begun at `at` for another reason (a seek, the user): nothing before it is judged any more.
    pub fn restart(&mut self, at: u64) {
        self.chapter = at;
        self.passed.clear();
        self.history.judged_until(at);
    }

    /// Where the later parts of a chapter that has ended begin, in order of time: at its best candidates that would have
    /// been boundaries at [`Granularity::Fine`], a minute or more apart.
    pub fn parts(&self, chapter: Span) -> Vec<SegmentId> {
        let threshold = self.weights.threshold(Granularity::Fine);
        let within = |at: u64| (chapter.start..=chapter.end).contains(&at);
        let passed = self.passed.iter().copied();
        let mut ended: Vec<_> =
            passed.filter(|&(at, _, log_odds)| within(at) && log_odds >= threshold).collect();
        ended.sort_by(|a, b| b.2.total_cmp(&a.2));
        let mut edges = vec![chapter.start, chapter.end];
        let mut parts = Vec::new();
        for (at, segment, _) in ended {
            if parts.len() + 1 < MAX_PARTS && edges.iter().all(|edge| edge.abs_diff(at) >= LEAST_PART) {
                edges.push(at);
                parts.push(segment);
            }
        }
        parts.sort_unstable();
        parts
    }

    fn run(&mut self, now: u64, end: bool, config: &Config, probe: &mut Probe<'_>) -> Option<Boundary> {
        loop {
            if let Some(cut) = self.overdue(now, end, config) {
                return Some(cut);
            }
            let limit = self.limit(config);
            let candidate = match self.next(now, end, config)? {
                Next::Judged(candidate) => candidate,
                Next::Edge(time) => match self.early(time, now, config) {
                    Some(cut) => return Some(cut),
                    None => continue,
                },
            };
            let Candidate { segment, at, signals, best, .. } = candidate;
            let mut log_odds = candidate.log_odds;
            let threshold = self.weights.threshold(config.granularity);
            let old_enough = self.is_old_enough(at, config);
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
            if let Next::Judged(candidate) = self.next(now, end, config)? {
                return Some(candidate);
            }
        }
    }

    /// What comes next until `now`: a look-ahead that is complete, or the edge of a line at which candidates are looked
    /// at. In the order of time, however late this is called, so that the same is decided.
    fn next(&mut self, now: u64, end: bool, config: &Config) -> Option<Next> {
        loop {
            let edge = self.history.edge_after(self.clock).filter(|edge| *edge <= now);
            let next = self.history.next().map(|index| {
                let horizon = self.history.get(index).span.start.saturating_add(config.look_ahead);
                (index, horizon)
            });
            // At the end the rest is judged on what there is.
            let complete = next.filter(|(_, horizon)| *horizon <= now || end);
            match (complete, edge) {
                (Some((index, horizon)), edge) if edge.is_none_or(|edge| horizon <= edge) => {
                    if let Some(candidate) = self.judge_at(index, horizon.min(now), end, config) {
                        return Some(Next::Judged(candidate));
                    }
                }
                (_, Some(edge)) => {
                    self.clock = Some(edge);
                    self.history.count_until(edge);
                    for index in self.history.waiting(edge) {
                        self.look(index, edge, config);
                    }
                    return Some(Next::Edge(edge));
                }
                _ => return None,
            }
        }
    }

    /// Judges the candidate `index` on everything up to `horizon`; `None` when it can't begin a chapter.
    fn judge_at(&mut self, index: usize, horizon: u64, end: bool, config: &Config) -> Option<Candidate> {
        let entry = self.history.get(index);
        let (at, segment) = (entry.span.start, entry.segment);
        self.history.count_until(horizon);
        if self.cuts_a_sentence(index) {
            self.history.judged(index);
            return None;
        }
        let signals = self.look(index, horizon, config).or_else(|| self.see(index, 1, config))?;
        let log_odds = self.weights.log_odds(&signals);
        let wordless = self.history.is_wordless();
        let best = wordless || !self.outdone(index, log_odds, horizon, end, config);
        self.history.judged(index);
        self.history.forget();
        Some(Candidate { segment, at, signals, log_odds, best, wordless })
    }

    /// Looks at all candidates on what is known at `time`, and cuts where the evidence is strong enough.
    fn early(&mut self, time: u64, now: u64, config: &Config) -> Option<Boundary> {
        let limit = self.limit(config);
        for index in self.history.waiting(time) {
            let entry = self.history.get(index);
            let (at, segment) = (entry.span.start, entry.segment);
            let known = time - at;
            if !self.is_old_enough(at, config)
                || at > limit
                || known < config.look_ahead / 3
                || self.cuts_a_sentence(index)
            {
                continue;
            }
            let Some(signals) = self.look(index, time, config) else { continue };
            let log_odds = self.weights.log_odds(&signals);
            let missing = 1.0 - known as f32 / config.look_ahead.max(1) as f32;
            let spare = log_odds - self.weights.threshold(config.granularity);
            if spare >= self.weights.early * missing.max(0.0)
                && !self.history.is_wordless()
                && !self.outdone(index, log_odds, time, false, config)
            {
                self.history.judged(index);
                self.history.forget();
                return Some(self.cut(segment, at, now, self.weights.reason(&signals, spare), log_odds));
            }
        }
        None
    }

    /// The signals at a candidate as far as the look-ahead is known at `horizon`; `None` when less than one part of it
    /// is.
    fn look(&mut self, index: usize, horizon: u64, config: &Config) -> Option<Signals> {
        let known = horizon.saturating_sub(self.history.get(index).span.start);
        let part = match config.look_ahead {
            0 => PARTS,
            all => (known.min(all).saturating_mul(PARTS) / all).min(PARTS),
        };
        if part == 0 { None } else { self.see(index, part, config) }
    }

    /// The same with so many parts known; each is read only once.
    fn see(&mut self, index: usize, part: u64, config: &Config) -> Option<Signals> {
        if self.history.get(index).seen.as_ref().is_none_or(|seen| seen.part < part) {
            let seen = signals::read(&self.history, &mut self.scale, index, part, config.look_ahead);
            self.history.get_mut(index).seen = Some(seen);
        }
        let seen = self.history.get(index).seen.as_ref()?;
        Some(signals::look(&self.history, index, seen, self.chapter))
    }

    /// Whether a better candidate follows within the look-ahead. Near its end only the first words of a rival are
    /// known; measured, that is still the better choice than not to look.
    fn outdone(&mut self, index: usize, log_odds: f32, horizon: u64, end: bool, config: &Config) -> bool {
        let last = self.history.get(index).span.start.saturating_add(config.look_ahead / 4 * 3);
        for i in index + 1..self.history.len() {
            let entry = self.history.get(i);
            if entry.span.start > last.min(horizon) {
                break;
            }
            if entry.judged || self.cuts_a_sentence(i) {
                continue;
            }
            let signals =
                self.look(i, horizon, config).or_else(|| if end { self.see(i, 1, config) } else { None });
            if signals.is_some_and(|signals| self.weights.log_odds(&signals) > log_odds) {
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
                .filter(|(at, ..)| *at > self.chapter && (from..=limit).contains(at))
                .max_by(|a, b| a.2.total_cmp(&b.2))
                .copied()
        };
        let (at, segment, log_odds) = best_from(half).or_else(|| best_from(earliest))?;
        Some(self.cut(segment, at, now, Reason::MaxDuration, log_odds))
    }

    /// Whether the chapter is long enough to end at `at`.
    fn is_old_enough(&self, at: u64, config: &Config) -> bool {
        at > self.chapter && at - self.chapter >= config.min_chapter_duration
    }

    fn limit(&self, config: &Config) -> u64 {
        self.chapter.saturating_add(config.max_chapter_duration.max(config.min_chapter_duration))
    }

    fn cut(&mut self, segment: SegmentId, at: u64, now: u64, reason: Reason, log_odds: f32) -> Boundary {
        self.chapter = at;
        Boundary { segment, at, decided_at: now, reason, score: probability(log_odds) }
    }
}
