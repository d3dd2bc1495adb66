//! The evidence for a topic change at a candidate, as numbers.

use super::history::{Entry, History};
use super::words::Bag;
use crate::model::SegmentId;
use crate::time::{SECOND, seconds};

/// A slide counts for a sentence that starts this close to it.
const NEAR_SLIDE: u64 = 6 * SECOND;

/// How many signals there are.
pub const COUNT: usize = 19;

/// What each signal is called, in the order of [`Signals`]. The first four are set against the stream so far.
pub const NAMES: [&str; COUNT] = [
    "drift-short",
    "drift-long",
    "rise",
    "pause",
    "bias",
    "turn",
    "shift",
    "opener",
    "continues",
    "question",
    "answered",
    "closing",
    "age",
    "young",
    "slide",
    "slide-apart",
    "slide-recent",
    "slide-chapter",
    "off-slide",
];
const DRIFTS: usize = 4;

/// The numbers of one candidate, in the order of [`NAMES`]; each about -3 to 3.
pub type Signals = [f32; COUNT];

/// What a raw signal was like so far in this stream. Starts from what it is like in talks, so that the first minutes
/// are neither deaf nor nervous.
#[derive(Clone, Debug)]
struct Running {
    mean: f32,
    variance: f32,
    count: f32,
}

impl Running {
    /// After this many candidates the past fades.
    const MEMORY: f32 = 200.0;

    fn new(mean: f32, deviation: f32) -> Self {
        Self { mean, variance: deviation * deviation, count: 20.0 }
    }

    fn z(&self, value: f32) -> f32 {
        ((value - self.mean) / self.variance.sqrt().max(0.05)).clamp(-3.0, 3.0)
    }

    fn add(&mut self, value: f32) {
        self.count = (self.count + 1.0).min(Self::MEMORY);
        let off = value - self.mean;
        self.mean += off / self.count;
        self.variance += (off * (value - self.mean) - self.variance) / self.count;
    }
}

/// Values before they are set against the rest of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Raw {
    drift: [Option<f32>; DRIFTS],
    rest: Signals,
}

/// Turns candidates into signals.
#[derive(Clone, Debug)]
pub(super) struct Scale([Running; DRIFTS]);

impl Default for Scale {
    fn default() -> Self {
        Self([
            Running::new(0.85, 0.08),
            Running::new(0.82, 0.08),
            Running::new(0.0, 0.08),
            Running::new(0.2, 0.4),
        ])
    }
}

impl Scale {
    /// The signals, with the drifts as deviations from what is usual in this stream.
    pub(super) fn signals(&self, raw: &Raw) -> Signals {
        let mut signals = raw.rest;
        for ((signal, running), value) in signals.iter_mut().zip(&self.0).zip(raw.drift) {
            *signal = value.map_or(0.0, |value| running.z(value));
        }
        signals
    }

    /// Takes a judged candidate into account.
    pub(super) fn add(&mut self, raw: &Raw) {
        for (running, value) in self.0.iter_mut().zip(raw.drift) {
            if let Some(value) = value {
                running.add(value);
            }
        }
    }
}

/// What the words before and after a candidate say, whatever chapter it is in. Computed once for each candidate.
#[derive(Clone, Debug)]
pub(super) struct Words {
    short: Option<f32>,
    long: Option<f32>,
    slide: Option<Slide>,
}

/// A slide near a candidate.
#[derive(Clone, Copy, Debug)]
struct Slide {
    segment: SegmentId,
    at: u64,
    recent: f32,
}

/// Reads the words around the candidate `index`, up to `ahead` behind it and nothing from `horizon` on.
pub(super) fn read(history: &History, index: usize, ahead: u64, horizon: u64) -> Words {
    let at = history.get(index).span.start;
    let until = at.saturating_add(ahead).min(horizon);
    let rarity = &history.rarity;
    let near = history
        .starting(at.saturating_sub(NEAR_SLIDE), at.saturating_add(NEAR_SLIDE).min(until))
        .filter(|e| e.is_slide())
        .min_by_key(|e| e.span.start.abs_diff(at));
    let same = |e: &Entry| near.is_some_and(|slide| slide.segment == e.segment);
    // A slide that came up just before the sentence belongs to what comes.
    let before = |length: u64| {
        Bag::sum(history.starting(at.saturating_sub(length), at).filter(|e| !same(e)).map(|e| &e.bag))
    };
    let after = history.starting(at, until).filter(|e| !same(e)).chain(near);
    let next = Bag::sum(after.map(|e| &e.bag));
    let (short, long) = (before(40 * SECOND), before(120 * SECOND));
    let apart = |bag: &Bag| rarity.cosine(bag, &next).map(|c| 1.0 - c);
    Words {
        short: apart(&short),
        long: apart(&long),
        slide: near.map(|slide| Slide {
            segment: slide.segment,
            at: slide.span.start,
            recent: 0.5 - rarity.cosine(&short, &slide.bag).unwrap_or(0.5),
        }),
    }
}

/// The signals at the candidate `index` of a chapter that began at `chapter`.
pub(super) fn look(history: &History, index: usize, words: &Words, chapter: u64, last: Option<f32>) -> Raw {
    let entry = history.get(index);
    let at = entry.span.start;
    let rarity = &history.rarity;
    let line = if entry.is_speech() {
        Some(entry)
    } else {
        history.starting(at, at.saturating_add(NEAR_SLIDE)).find(|e| e.is_speech())
    };
    let before = history.before(index).find(|e| e.is_speech());
    let cues = line.map(|l| l.cues).unwrap_or_default();
    let past = before.map(|l| l.cues).unwrap_or_default();
    let pause = match (line, before) {
        (Some(line), Some(before)) => seconds(line.span.start.saturating_sub(before.span.end)),
        _ => 0.0,
    };
    let rise = last.zip(words.short).map(|(last, now)| now - last);
    let pause = (line.is_some() && before.is_some()).then(|| (1.0 + pause.min(20.0)).ln() as f32);
    let drift = [words.short, words.long, rise, pause];
    let age = seconds(at.saturating_sub(chapter)).max(1.0);
    let mut rest = [0.0; COUNT];
    let long_age = (age / 205.0).ln().clamp(-2.5, 1.5) as f32;
    let head = [
        1.0,
        line.map_or(0.0, |l| f32::from(u8::from(l.turn))),
        cues.shift,
        cues.opener,
        cues.continues,
        cues.question,
        past.question,
        past.closing,
        long_age,
        (1.0 - age / 60.0).max(0.0) as f32,
    ];
    rest[DRIFTS..DRIFTS + head.len()].copy_from_slice(&head);
    let tail = if let Some(slide) = words.slide {
        let earlier =
            history.starting(chapter, slide.at).filter(|e| e.is_slide() && e.segment != slide.segment);
        let earlier = Bag::sum(earlier.map(|e| &e.bag));
        let this = history.starting(slide.at, slide.at + 1).find(|e| e.segment == slide.segment);
        let alike = this.and_then(|this| rarity.cosine(&earlier, &this.bag)).unwrap_or(0.2);
        let apart = (seconds(slide.at.abs_diff(at)) / 3.0) as f32;
        [1.0, apart, slide.recent, 0.5 - alike, 0.0]
    } else {
        // A stream that shows slides seldom changes the topic without one.
        let shown = history.before(index).any(|e| e.is_slide());
        [0.0, 0.0, 0.0, 0.0, f32::from(u8::from(shown))]
    };
    rest[COUNT - tail.len()..].copy_from_slice(&tail);
    Raw { drift, rest }
}

impl Raw {
    /// How far the words after the candidate are from those just before it.
    pub(super) fn drift(&self) -> Option<f32> {
        self.drift[0]
    }
}
