//! The evidence for a topic change at a candidate, as numbers.

use super::embed::Sum;
use super::history::{Entry, History};
use super::words::Bag;
use crate::model::SegmentId;
use crate::time::{SECOND, seconds};

/// A slide counts for a sentence that starts this close to it.
const NEAR_SLIDE: u64 = 6 * SECOND;

/// How many signals there are.
pub const COUNT: usize = 22;

/// What each signal is called, in the order of [`Signals`]. The first seven are set against the stream so far.
pub const NAMES: [&str; COUNT] = [
    "drift-short",
    "drift-long",
    "rise",
    "pause",
    "meaning-short",
    "meaning-mid",
    "meaning-long",
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
const DRIFTS: usize = 7;
/// How far back the three of meaning reach.
const REACH: [u64; 3] = [40 * SECOND, 120 * SECOND, 240 * SECOND];

/// The look-ahead in this many parts: after each of them a candidate may be looked at. What follows it is read up to
/// there and no further, so that what was seen at a candidate can be set against others of the same part.
pub(super) const PARTS: u64 = 6;

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
type Raw = [Option<f32>; DRIFTS];

/// Sets what is read at a candidate against the rest of the stream, each part of the look-ahead by itself.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    parts: [[Running; DRIFTS]; PARTS as usize],
    /// Mean drift of the last few candidates whose look-ahead was complete.
    last: Option<f32>,
}

impl Default for Scale {
    fn default() -> Self {
        let usual = [
            Running::new(0.85, 0.08),
            Running::new(0.82, 0.08),
            Running::new(0.0, 0.08),
            Running::new(0.2, 0.4),
            Running::new(0.80, 0.19),
            Running::new(0.83, 0.20),
            Running::new(0.88, 0.20),
        ];
        Self { parts: std::array::from_fn(|_| usual.clone()), last: None }
    }
}

impl Scale {
    /// The drifts as deviations from what was usual so far; they count for those to come.
    fn take(&mut self, part: u64, mut raw: Raw) -> [f32; DRIFTS] {
        raw[2] = self.last.zip(raw[0]).map(|(last, now)| now - last);
        if part == PARTS
            && let Some(drift) = raw[0]
        {
            let last = self.last.get_or_insert(drift);
            *last += (drift - *last) * 0.3;
        }
        let mut drifts = [0.0; DRIFTS];
        let part = part.clamp(1, PARTS) as usize - 1;
        for ((drift, running), value) in drifts.iter_mut().zip(&mut self.parts[part]).zip(raw) {
            if let Some(value) = value {
                *drift = running.z(value);
                running.add(value);
            }
        }
        drifts
    }
}

/// What the text before and after a candidate says, whatever chapter it is in.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    /// How many parts of the look-ahead were known.
    pub(super) part: u64,
    /// Up to when that is.
    until: u64,
    drifts: [f32; DRIFTS],
    slide: Option<Slide>,
}

/// A slide near a candidate.
#[derive(Clone, Copy, Debug)]
struct Slide {
    segment: SegmentId,
    at: u64,
    recent: f32,
}

/// Reads the text around the candidate `index` up to `part` parts of `look_ahead` behind it.
pub(super) fn read(history: &History, scale: &mut Scale, index: usize, part: u64, look_ahead: u64) -> Seen {
    let entry = history.get(index);
    let at = entry.span.start;
    let until = at.saturating_add(look_ahead / PARTS * part);
    // Words of two thirds of the look-ahead: of more, those of the topic after the next come in.
    let words_until = until.min(at.saturating_add(look_ahead / 3 * 2));
    let rarity = &history.rarity;
    let near = history
        .starting(at.saturating_sub(NEAR_SLIDE), at.saturating_add(NEAR_SLIDE).min(until))
        .filter(|e| e.is_slide())
        .min_by_key(|e| e.span.start.abs_diff(at));
    let same = |e: &Entry| near.is_some_and(|slide| slide.segment == e.segment);
    // A slide that came up just before the sentence belongs to what comes.
    let before = |length: u64| history.starting(at.saturating_sub(length), at).filter(move |e| !same(e));
    let after = |until: u64| history.starting(at, until).filter(move |e| !same(e)).chain(near);
    let next = Bag::sum(after(words_until).map(|e| &e.bag));
    let short = Bag::sum(before(40 * SECOND).map(|e| &e.bag));
    let long = Bag::sum(before(120 * SECOND).map(|e| &e.bag));
    let apart = |bag: &Bag| rarity.cosine(bag, &next).map(|c| 1.0 - c);
    let meant = Sum::of(after(until));
    let meaning = REACH.map(|length| Sum::of(before(length)).apart(&meant, &history.usual));
    let pause = lines(history, index, until).map(|(line, before)| {
        let pause = seconds(line.span.start.saturating_sub(before.span.end));
        (1.0 + pause.min(20.0)).ln() as f32
    });
    let raw = [apart(&short), apart(&long), None, pause, meaning[0], meaning[1], meaning[2]];
    Seen {
        part,
        until,
        drifts: scale.take(part, raw),
        slide: near.map(|slide| Slide {
            segment: slide.segment,
            at: slide.span.start,
            recent: 0.5 - rarity.cosine(&short, &slide.bag).unwrap_or(0.5),
        }),
    }
}

/// The sentence that begins at the candidate `index`, as far as is known `until` then.
fn line(history: &History, index: usize, until: u64) -> Option<&Entry> {
    let entry = history.get(index);
    let at = entry.span.start;
    if entry.is_speech() {
        Some(entry)
    } else {
        history.starting(at, at.saturating_add(NEAR_SLIDE).min(until)).find(|e| e.is_speech())
    }
}

/// It and the one before the candidate.
fn lines(history: &History, index: usize, until: u64) -> Option<(&Entry, &Entry)> {
    line(history, index, until).zip(history.before(index).find(|e| e.is_speech()))
}

/// The signals at the candidate `index` of a chapter that began at `chapter`.
pub(super) fn look(history: &History, index: usize, seen: &Seen, chapter: u64) -> Signals {
    let at = history.get(index).span.start;
    let rarity = &history.rarity;
    let line = line(history, index, seen.until);
    let cues = line.map(|l| l.cues).unwrap_or_default();
    let past = history.before(index).find(|e| e.is_speech()).map(|l| l.cues).unwrap_or_default();
    let age = seconds(at.saturating_sub(chapter)).max(1.0);
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
    let tail = if let Some(slide) = seen.slide {
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
    let mut signals = [0.0; COUNT];
    signals[..DRIFTS].copy_from_slice(&seen.drifts);
    signals[DRIFTS..DRIFTS + head.len()].copy_from_slice(&head);
    signals[COUNT - tail.len()..].copy_from_slice(&tail);
    signals
}
