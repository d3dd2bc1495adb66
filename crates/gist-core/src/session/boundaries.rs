//! Where chapters begin and end: by the detector, at a cut of the stream, on demand, at its end.

use super::Session;
use super::chapter::{Chapter, Line, Open};
use super::sight;
use super::writer::{Digest, Of};
use crate::boundary::Boundary;
use crate::event::{Kind, Reason};
use crate::model::{Dialect, SegmentId, View};
use crate::observation::Source;
use crate::prompt;
use crate::time::Span;

/// Lines after a possible boundary that the model sees when it is asked about it.
const PROBE_AHEAD: u64 = 6;

impl Session {
    /// The stream begins, or goes on after a cut: opens a chapter at `time` unless one is open.
    pub fn begin(&mut self, time: u64) {
        self.wake(time);
        self.periods.something(time);
        if self.open.is_some() {
            return;
        }
        self.detector.restart(time);
        self.watermark = self.watermark.max(time);
        self.open_chapter(time, self.next_segment);
    }

    /// Everything up to `time` has been observed: decides the boundaries this makes ripe.
    pub fn advance(&mut self, time: u64) {
        self.watermark = self.watermark.max(time);
        while let Some(boundary) = self.decide(false) {
            self.split(boundary);
        }
        while let Some(period) = self.periods.due(self.watermark, &self.config) {
            self.digest(period);
        }
    }

    /// Nothing came between two running-times (nanoseconds), for too short a while to end the chapter: it is counted and
    /// told of.
    pub fn missed(&mut self, from: u64, until: u64) {
        self.periods.something(from);
        self.count_gap(until);
    }

    /// Ends the open chapter at `time`, whatever the detector thinks; the next observation opens a new one.
    pub fn cut(&mut self, time: u64, reason: Reason, title: Option<String>) {
        let time = time.max(self.open.as_ref().map_or(0, |open| open.start));
        if matches!(reason, Reason::Gap | Reason::Segment | Reason::Caps) {
            self.count_gap(time);
        }
        self.close(time, self.next_segment, self.watermark.max(time), reason, title);
        self.detector.restart(time);
    }

    /// Ends the open chapter at `time` and goes on with a new one there (the user's `split-now`). Where none is open
    /// there is nothing to end.
    pub fn split_now(&mut self, time: u64, title: Option<String>) {
        if self.open.is_some() {
            self.cut(time, Reason::Manual, title);
            self.begin(time);
        }
    }

    /// The stream has ended at `time`: decides what is still ripe, ends the last chapter, asks for the final digest.
    pub fn finish(&mut self, time: u64) {
        self.advance(time);
        while let Some(boundary) = self.decide(true) {
            self.split(boundary);
        }
        self.end(time);
    }

    /// The stream has ended at `time` and there is no time to decide anything: ends the last chapter, asks for the
    /// final digest.
    pub fn end(&mut self, time: u64) {
        self.watermark = self.watermark.max(time);
        self.cut(time, Reason::Eos, None);
        if let Some(period) = self.periods.last(self.watermark, &self.config) {
            self.digest(period);
        }
        if self.model.dialect() == Dialect::Instruct {
            let period = Span::new(0, self.watermark);
            self.writer.digest(Digest { period, of: Of::Whole });
        }
    }

    /// The next boundary among the candidates that are ripe; at the `end` of the stream every one is.
    fn decide(&mut self, end: bool) -> Option<Boundary> {
        let first = self.open.as_ref()?.first_segment;
        let (context, next) = (&mut self.context, self.next_segment);
        let (lines, titles) = (&self.lines, self.model.dialect() == Dialect::Titles);
        let mut probe = |segment: SegmentId| {
            if titles {
                return sight::other_title(&mut **context, lines, first, segment);
            }
            let of_picture = lines.iter().any(|l| l.segment == segment && l.source == Source::Picture);
            let question = if of_picture { prompt::probe_picture(segment) } else { prompt::probe(segment) };
            let view = View { segments: first..next.min(segment + PROBE_AHEAD), memory: false };
            match context.yes_probability(&view, &question) {
                Ok(probability) => {
                    tracing::debug!(segment, probability, "the model was asked about a boundary");
                    Some(probability)
                }
                Err(error) => {
                    tracing::warn!(%error, segment, "the model could not be asked about a boundary");
                    None
                }
            }
        };
        let (detector, now) = (&mut self.detector, self.watermark);
        if end {
            detector.finish(now, &self.config, &mut probe)
        } else {
            detector.decide(now, &self.config, &mut probe)
        }
    }

    fn split(&mut self, boundary: Boundary) {
        self.close(boundary.at, boundary.segment, boundary.decided_at, boundary.reason, None);
        self.open_chapter(boundary.at, boundary.segment);
    }

    fn open_chapter(&mut self, start: u64, first_segment: SegmentId) {
        let open = Open::new(self.next_index, start, first_segment, self.timeline());
        self.next_index += 1;
        let event = self.event(Kind::Opened, &open.id(&self.identity), open.index, open.start, open.timeline);
        self.open = Some(open);
        self.events.push_back(event);
    }

    /// Counts what is missing up to `until`.
    fn count_gap(&mut self, until: u64) {
        let gap = self.periods.gap(until);
        if let Some(open) = &mut self.open {
            open.coverage.gap_ns += gap;
        }
    }

    pub(super) fn close(
        &mut self,
        end: u64,
        before: SegmentId,
        decided_at: u64,
        reason: Reason,
        title: Option<String>,
    ) {
        let Some(mut open) = self.open.take() else { return };
        let mut lines = Vec::new();
        while self.lines.front().is_some_and(|line| line.segment < before) {
            lines.extend(self.lines.pop_front().filter(|line| line.segment >= open.first_segment));
        }
        open.coverage.text_lines += lines.iter().filter(|line| line.source == Source::Speech).count() as u64;
        let chapter = self.chapter(open, lines, end, before);
        self.writer.push(Chapter { decided_at: Some(decided_at), reason: Some(reason), title, ..chapter });
    }

    /// The chapter that was begun as `open` when it ends at `end`, before the segment `before`.
    fn chapter(&self, open: Open, lines: Vec<Line>, end: u64, before: SegmentId) -> Chapter {
        let dialect = self.model.dialect();
        let span = Span::new(open.start, end);
        Chapter {
            id: open.id(&self.identity),
            span,
            segments: open.first_segment..before,
            parts: if dialect == Dialect::Titles { Vec::new() } else { self.detector.parts(span) },
            lines,
            decided_at: None,
            reason: None,
            title: None,
            dialect,
            open,
        }
    }

    /// Begins the text of the chapter that is likely to end next before that is decided, and throws it away if another
    /// ends: for a stream that plays, whose viewers wait, and when there is time to spare. Nothing else comes of it: the
    /// chapter is told of when it has ended, with the text it would have had.
    pub fn write_ahead(&mut self) {
        let Some(open) = self.open.as_ref().filter(|_| self.writer.pending() == 0 && self.config.write)
        else {
            return;
        };
        let Some((before, end)) = self.detector.expected(&self.config) else { return };
        if self.writer.has_tried(open.first_segment..before) {
            return;
        }
        let of_it = |line: &&Line| (open.first_segment..before).contains(&line.segment);
        let lines = self.lines.iter().filter(of_it).cloned().collect();
        let chapter = self.chapter(open.clone(), lines, end, before);
        tracing::debug!(end = crate::time::clock(end), "a text is begun before its chapter has ended");
        self.writer.expect(chapter);
    }
}
