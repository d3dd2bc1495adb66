//! When the digest of a period is due, and what it is made of.

use serde::{Deserialize, Serialize};

use super::Session;
use super::writer::{Digest, Of, Period};
use crate::event::{ChapterEvent, Kind};
use crate::model::Dialect;
use crate::time::{SECOND, Span};
use crate::{Config, prompt};

/// The shortest break that is told of.
const MIN_GAP: u64 = 2 * SECOND;
/// Breaks that are told of in one digest; more are an unsteady line, of which the first ones tell enough.
const MAX_GAPS: usize = 100;

/// Up to when digests have been made, and when nothing came in since. All times are running-time.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub(super) struct Periods {
    /// Where the next period begins; `None` before the stream has.
    start: Option<u64>,
    /// When something was said or shown last.
    last_seen: u64,
    gaps: Vec<Span>,
    /// Whether there was a digest of a period.
    any: bool,
    /// Taken up, and nothing came in yet.
    #[serde(skip)]
    resumed: bool,
}

impl Periods {
    /// Something was said or shown until `time`.
    pub(super) fn something(&mut self, time: u64) {
        self.start.get_or_insert(time);
        self.last_seen = self.last_seen.max(time);
    }

    /// Goes on after a break.
    pub(super) fn resume(self) -> Self {
        Self { resumed: self.start.is_some(), ..self }
    }

    /// The break is over: until when something had come in. `None` when there was no break. By another clock than before
    /// periods begin anew.
    pub(super) fn wake(&mut self, time: u64) -> Option<u64> {
        let last_seen = std::mem::take(&mut self.resumed).then_some(self.last_seen)?;
        if time < last_seen {
            *self = Self::default();
        } else {
            self.gap(time);
        }
        Some(last_seen)
    }

    /// What an event of an earlier run tells.
    pub(super) fn take_up(&mut self, event: &ChapterEvent) {
        self.something(event.end_running_time.unwrap_or(event.running_time));
        match (event.kind, event.is_final) {
            (Kind::Digest, false) => {
                (self.start, self.any) = (self.start.max(event.period_end), true);
            }
            // The stream had ended, and was told of as a whole.
            (Kind::Digest, true) => self.start = self.start.max(event.period_end),
            _ => {}
        }
    }

    /// Whether a digest of a period has told of a chapter.
    pub(super) fn told(&self, chapter: &ChapterEvent) -> bool {
        chapter.end_running_time <= self.start && self.any
    }

    /// Nothing was until `time`; returns how long. What is shorter than a gap between two samples is none.
    pub(super) fn gap(&mut self, time: u64) -> u64 {
        if self.start.is_none() {
            return 0;
        }
        let gap = Span::new(self.last_seen, time);
        self.last_seen = gap.end;
        if gap.duration() < MIN_GAP {
            return 0;
        }
        if self.gaps.len() < MAX_GAPS {
            self.gaps.push(gap);
        }
        gap.duration()
    }

    /// The next period that is over and whose last chapter is decided. Several at once in which nothing was, after a
    /// long break, are one.
    pub(super) fn due(&mut self, watermark: u64, config: &Config) -> Option<Span> {
        let (start, interval) = (self.start?, config.digest_interval);
        let known = watermark.checked_sub(config.look_ahead)?;
        let whole = known.checked_sub(start)?.checked_div(interval)?;
        if whole == 0 {
            return None;
        }
        let periods = if self.last_seen > start { 1 } else { whole };
        self.any = true;
        self.take(start.saturating_add(periods.saturating_mul(interval)))
    }

    /// What is left at the end, when there were digests before it.
    pub(super) fn last(&mut self, end: u64, config: &Config) -> Option<Span> {
        let rest = config.digest_interval > 0 && self.any && self.start.is_some_and(|start| start < end);
        if rest { self.take(end) } else { None }
    }

    fn take(&mut self, end: u64) -> Option<Span> {
        let start = self.start.replace(end)?;
        Some(Span::new(start, end))
    }

    /// The breaks that began before `end`, and no others, are told of.
    fn gaps(&mut self, end: u64) -> Vec<Span> {
        let told = self.gaps.partition_point(|gap| gap.start < end);
        self.gaps.drain(..told).collect()
    }
}

impl Session {
    /// Has the digest of a period written.
    pub(super) fn digest(&mut self, period: Span) {
        let timeline = self.timeline();
        let open = self.open.as_ref().filter(|open| open.start < period.end).map(|open| {
            let of_period = |at: u64| period.start <= at && at < period.end;
            let mut lines = self.lines.iter().filter(|line| {
                line.segment >= open.first_segment
                    && of_period(line.span.start)
                    && self.model.dialect() == Dialect::Instruct
            });
            let first = lines.next().map(|line| line.segment);
            let last = lines.next_back().map(|line| line.segment).or(first);
            let lines = first.zip(last).map_or(0..0, |(first, last)| first..last + 1);
            (timeline.span(Span::new(open.start, period.end)), lines)
        });
        let texts = self.lines.iter().map(|line| line.text.as_str());
        let language = open.as_ref().map(|_| prompt::language(&self.config.language, None, texts));
        let of = Period {
            span: timeline.span(period),
            style: self.config.digest_style,
            chapters: Vec::new(),
            open,
            language,
            gaps: self.periods.gaps(period.end).into_iter().map(|gap| timeline.span(gap)).collect(),
        };
        self.writer.digest(Digest { period, of: Of::Period(Box::new(of)) });
    }
}
