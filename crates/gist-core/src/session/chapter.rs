//! A chapter on its way from open to closed.

use std::ops::Range;

use super::Identity;
use crate::check;
use crate::event::{ChapterEvent, Coverage, Reason};
use crate::model::{Dialect, SegmentId};
use crate::observation::Source;
use crate::time::{Span, seconds};

/// One observation as the context holds it.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its segment.
    pub segment: SegmentId,
    /// Where it comes from.
    pub source: Source,
    /// When, running-time.
    pub span: Span,
    /// What; nothing for a picture.
    pub text: String,
    /// What the stamp of a picture says, in seconds.
    pub stamp: Option<f64>,
}

impl Line {
    /// Whether it was heard and tells of nothing.
    pub(super) fn is_noise(&self) -> bool {
        self.source == Source::Speech && check::is_noise(&self.text)
    }
}

/// Offsets that turn running-time into the other axes, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timeline {
    /// stream-time minus running-time.
    pub stream_time: i64,
    /// buffer timestamp minus running-time.
    pub timestamp: i64,
}

fn shift(time: u64, offset: i64) -> u64 {
    time.saturating_add_signed(offset)
}

impl Timeline {
    /// Seconds of stream-time.
    pub fn seconds(self, running_time: u64) -> f64 {
        seconds(shift(running_time, self.stream_time))
    }

    /// A stretch of running-time in stream-time.
    pub(super) fn span(self, running: Span) -> Span {
        Span::new(shift(running.start, self.stream_time), shift(running.end, self.stream_time))
    }

    /// Sets the start on every axis.
    pub(super) fn stamp(self, event: &mut ChapterEvent, start: u64) {
        event.running_time = start;
        event.stream_time = Some(shift(start, self.stream_time));
        event.timestamp = Some(shift(start, self.timestamp));
        event.start = self.seconds(start);
    }
}

/// The chapter that is open.
#[derive(Clone, Debug)]
pub(super) struct Open {
    pub(super) index: u64,
    pub(super) start: u64,
    pub(super) first_segment: SegmentId,
    pub(super) timeline: Timeline,
    pub(super) coverage: Coverage,
}

impl Open {
    pub(super) fn new(index: u64, start: u64, first_segment: SegmentId, timeline: Timeline) -> Self {
        Self { index, start, first_segment, timeline, coverage: Coverage::default() }
    }

    pub(super) fn id(&self, identity: &Identity) -> String {
        let Identity { stream, session, .. } = identity;
        if stream.is_empty() {
            format!("{session}-{}", self.index)
        } else {
            format!("{stream}-{session}-{}", self.index)
        }
    }
}

/// A chapter that has ended, or is expected to end there, and waits for its text.
#[derive(Debug)]
pub(super) struct Chapter {
    pub(super) id: String,
    pub(super) open: Open,
    pub(super) span: Span,
    pub(super) segments: Range<SegmentId>,
    /// The first segments of its parts but the first; none when it has no parts.
    pub(super) parts: Vec<SegmentId>,
    pub(super) lines: Vec<Line>,
    /// `None` while it is expected.
    pub(super) decided_at: Option<u64>,
    pub(super) reason: Option<Reason>,
    /// The user's own title, kept as it is.
    pub(super) title: Option<String>,
    /// What the model can be asked.
    pub(super) dialect: Dialect,
}

/// The picture among some lines that was shown longest, and what its stamp says.
pub(super) fn longest_shown<'a>(lines: impl Iterator<Item = &'a Line>) -> Option<(SegmentId, f64)> {
    let pictures = lines.filter_map(|line| Some((line.span.duration(), line.segment, line.stamp?)));
    let longest = pictures.max_by_key(|(duration, segment, _)| (*duration, std::cmp::Reverse(*segment)));
    longest.map(|(_, segment, stamp)| (segment, stamp))
}

impl Chapter {
    /// Sets what is known without a text.
    pub(super) fn fill(&self, event: &mut ChapterEvent, position: u64) {
        event.duration = Some(self.span.duration());
        event.end_running_time = Some(self.span.end);
        event.end = Some(self.open.timeline.seconds(self.span.end));
        event.decided_at = self.decided_at;
        event.emitted_at = position;
        event.lag = Some(position.saturating_sub(self.span.end));
        event.reason = self.reason;
        event.coverage = self.open.coverage;
    }

    /// The span of some of its lines; the whole chapter when none is known.
    pub(super) fn span_of(&self, segments: &[SegmentId]) -> Span {
        let mut spans =
            self.lines.iter().filter(|line| segments.contains(&line.segment)).map(|line| line.span);
        let Some(first) = spans.next() else { return self.span };
        let span = spans.fold(first, |a, b| Span::new(a.start.min(b.start), a.end.max(b.end)));
        Span::new(span.start.max(self.span.start), span.end.min(self.span.end))
    }

    /// Its parts, each up to the next; none when it is all one.
    pub(super) fn parts(&self) -> Vec<Range<SegmentId>> {
        if self.parts.is_empty() {
            return Vec::new();
        }
        let starts = std::iter::once(self.segments.start).chain(self.parts.iter().copied());
        let ends = self.parts.iter().copied().chain([self.segments.end]);
        starts.zip(ends).map(|(start, end)| start..end).collect()
    }

    /// When a part begins.
    pub(super) fn start_of(&self, segment: SegmentId) -> u64 {
        if segment <= self.segments.start { self.span.start } else { self.span_of(&[segment]).start }
    }

    /// Whether it is not decided yet that it ends there.
    pub(super) fn is_expected(&self) -> bool {
        self.decided_at.is_none()
    }

    /// Whether its text is also that of `other`, which was made of the same lines.
    pub(super) fn has_text_of(&self, other: &Self) -> bool {
        let what = |chapter: &Self| (chapter.segments.clone(), chapter.parts.clone(), chapter.span);
        what(self) == what(other) && self.title == other.title
    }

    /// Whether there is nothing to write about.
    pub(super) fn says_nothing(&self) -> bool {
        self.lines.iter().all(Line::is_noise)
    }

    /// The headings of the slides shown: the first line of each screen text.
    pub(super) fn headings(&self) -> impl Iterator<Item = &str> {
        let screens = self.lines.iter().filter(|line| line.source == Source::Screen);
        screens.filter_map(|line| line.text.lines().next())
    }
}
