//! A session that goes on from what an earlier run left behind.

use std::collections::BTreeMap;

use super::Session;
use super::chapter::{Open, Timeline};
use crate::event::{ChapterEvent, Kind, Reason};
use crate::model::ModelError;
use crate::record::Record;
use crate::time::Span;

impl Session {
    /// Goes on where a session has come to: its numbers, its chapters in the memory, its digests; chapters that were
    /// open or without a text go on with what was observed in them. After [`Session::restore`] only what came later
    /// than the saved context is taken up.
    ///
    /// # Errors
    /// When the model fails.
    pub fn resume(&mut self, record: &Record) -> Result<(), ModelError> {
        let events = &record.events;
        let Some(last) = events.last() else { return Ok(()) };
        if self.identity.session.is_empty() {
            self.identity.session.clone_from(&last.session);
        }
        let known = self.sequence;
        let mut chapters: BTreeMap<u64, &ChapterEvent> = BTreeMap::new();
        for event in events {
            self.sequence = self.sequence.max(event.sequence.saturating_add(1));
            if event.kind == Kind::Digest {
                self.next_index = self.next_index.max(event.index);
            } else {
                self.next_index = self.next_index.max(event.index.saturating_add(1));
                chapters.insert(event.index, event);
            }
        }
        let mut periods = std::mem::take(&mut self.periods);
        events.iter().filter(|event| event.sequence >= known).for_each(|event| periods.take_up(event));
        record.observations.iter().for_each(|observed| periods.something(observed.span.end));
        let (closed, open): (Vec<_>, Vec<_>) =
            chapters.into_values().partition(|event| event.end_running_time.is_some());
        let closed: Vec<_> = closed.into_iter().filter(|chapter| chapter.sequence >= known).collect();
        let forgotten = self.too_many(&closed);
        for (i, chapter) in closed.into_iter().enumerate() {
            let start = chapter.stream_time.unwrap_or(chapter.running_time);
            let span = Span::new(start, start.saturating_add(chapter.duration.unwrap_or(0)));
            if i >= forgotten {
                self.writer.remember(&mut *self.context, chapter, span)?;
            }
            self.writer.recall(chapter, !periods.told(chapter));
        }
        let last_closed =
            events.iter().filter(|event| event.end_running_time.is_some()).map(|e| e.index).max();
        let given_up = |event: &&ChapterEvent| last_closed.is_some_and(|last| event.index < last);
        for event in open.into_iter().filter(|event| !given_up(event)) {
            self.reopen(event, record)?;
        }
        self.periods = periods.resume();
        Ok(())
    }

    /// How many of the oldest chapters are not remembered, as there is no room for so many texts: encoding them only to
    /// let them go would take minutes.
    fn too_many(&self, chapters: &[&ChapterEvent]) -> usize {
        let usage = self.context.usage();
        let mut room = usage.memory_capacity.saturating_sub(usage.memory_tokens);
        let fits = chapters.iter().rev().take_while(|chapter| {
            // A token is some four letters, or one where letters are words.
            let words = chapter.title.chars().chain(chapter.summary.chars());
            let tokens = words.map(|c| if c.is_ascii() { 1 } else { 4 }).sum::<usize>() / 4 + 16;
            let fits = tokens <= room;
            room = room.saturating_sub(tokens);
            fits
        });
        let forgotten = chapters.len() - fits.count();
        if forgotten > 0 {
            tracing::info!(forgotten, "the oldest chapters are not remembered: memory-length is too small");
        }
        forgotten
    }

    /// Opens a chapter that was open, without an event, and observes again what was observed in it.
    fn reopen(&mut self, event: &ChapterEvent, record: &Record) -> Result<(), ModelError> {
        let start = event.running_time;
        let offset = |time: Option<u64>| time.map_or(0, |time| time.wrapping_sub(start).cast_signed());
        let timeline =
            Timeline { stream_time: offset(event.stream_time), timestamp: offset(event.timestamp) };
        if self.open.is_some() {
            // The one before had ended; its text was not written.
            self.close(start, self.next_segment, start, Reason::Model, None);
        }
        self.timeline = Some(timeline);
        self.open = Some(Open::new(event.index, start, self.next_segment, timeline));
        self.detector.restart(start);
        let later = |other: &&ChapterEvent| other.kind == Kind::Opened && other.index > event.index;
        let end = record.events.iter().find(later).map_or(u64::MAX, |next| next.running_time);
        let observed = record.observations.iter();
        for observation in observed.filter(|observed| (start..end).contains(&observed.span.start)) {
            self.observe(observation.clone())?;
        }
        Ok(())
    }

    /// The first thing after a break: the chapter that was open goes on, unless the break was long, or times begin anew.
    pub(super) fn wake(&mut self, time: u64) {
        let Some(last_seen) = self.periods.wake(time) else { return };
        let anew = time < last_seen;
        let gap = time.saturating_sub(last_seen);
        if let Some(open) = &mut self.open {
            open.coverage.gap_ns += gap;
        }
        if self.open.is_some() && (anew || gap > self.config.look_ahead) {
            self.close(last_seen, self.next_segment, last_seen, Reason::Gap, None);
        }
        if anew {
            (self.watermark, self.timeline) = (time, None);
        }
    }
}
