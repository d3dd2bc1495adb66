//! The chapters of a session as they stand.

use std::collections::BTreeMap;

use crate::event::{ChapterEvent, Kind};
use crate::time::{SECOND, Span, nanoseconds, seconds};

/// Folds events, in whatever order they come, into the latest state of each chapter and digest.
///
/// Events are kept by id. A revision replaces what it revises, an end is never taken back by a late `opened` or
/// `updated`, and an event that comes twice changes nothing.
#[derive(Clone, Debug, Default)]
pub struct Outline {
    chapters: BTreeMap<String, ChapterEvent>,
    digests: BTreeMap<String, ChapterEvent>,
    origin: Option<u64>,
}

/// A chapter with its place in the file.
#[derive(Clone, Debug)]
pub struct Chapter<'a> {
    /// The latest event.
    pub event: &'a ChapterEvent,
    /// Title on one line, never empty: a chapter without one is called by its number.
    pub title: String,
    /// Nanoseconds from the start of the file.
    pub start: u64,
    /// Nanoseconds from the start of the file; `None` while open.
    pub end: Option<u64>,
}

impl Outline {
    /// An empty outline with times as positions in the source (stream-time).
    pub fn new() -> Self {
        Self::default()
    }

    /// An empty outline with times as positions in a recording that began at running-time `origin`, in nanoseconds.
    /// Chapters that ended before it are left out.
    pub fn with_origin(origin: u64) -> Self {
        Self { origin: Some(origin), ..Self::default() }
    }

    /// Takes an event. Returns whether anything changed.
    pub fn apply(&mut self, event: ChapterEvent) -> bool {
        let map = if event.kind == Kind::Digest { &mut self.digests } else { &mut self.chapters };
        match map.get(&event.id) {
            Some(held) if rank(held) >= rank(&event) => false,
            _ => {
                map.insert(event.id.clone(), event);
                true
            }
        }
    }

    /// The stream's name, empty when it has none.
    pub fn stream(&self) -> &str {
        let names = self.chapters.values().chain(self.digests.values()).map(|event| event.stream.as_str());
        names.filter(|name| !name.is_empty()).max().unwrap_or("")
    }

    /// All chapters in time order, the open one included. Spans are as they were reported and may overlap.
    pub fn chapters(&self) -> Vec<Chapter<'_>> {
        let mut chapters: Vec<_> = self.chapters.values().filter_map(|event| self.place(event)).collect();
        chapters.sort_by_key(|chapter| (chapter.start, chapter.event.index));
        chapters
    }

    /// The closed chapters in time order for formats that allow no overlap: times are rounded to `resolution`
    /// nanoseconds, an end behind the next start is cut, and what is then empty is left out.
    pub fn closed(&self, resolution: u64) -> Vec<(Chapter<'_>, Span)> {
        let round = |ns: u64| ns.saturating_add(resolution / 2) / resolution * resolution;
        let mut placed: Vec<(Chapter<'_>, Span)> = Vec::new();
        for chapter in self.chapters() {
            let Some(end) = chapter.end else { continue };
            let span = Span::new(round(chapter.start), round(end));
            if span.duration() == 0 {
                continue;
            }
            if let Some((_, last)) = placed.last_mut() {
                last.end = last.end.min(span.start);
                if last.duration() == 0 {
                    placed.pop();
                }
            }
            placed.push((chapter, span));
        }
        placed
    }

    /// All digests by the end of their period, oldest first.
    pub fn digests(&self) -> Vec<&ChapterEvent> {
        let mut digests: Vec<_> = self.digests.values().collect();
        digests.sort_by_key(|digest| (digest.is_final, digest.period_end, digest.sequence));
        digests
    }

    /// Every closed chapter and every digest in the order of their events.
    pub fn events(&self) -> Vec<&ChapterEvent> {
        let closed = self.chapters.values().filter(|event| is_closed(event));
        let mut events: Vec<_> = closed.chain(self.digests.values()).collect();
        events.sort_by_key(|event| event.sequence);
        events
    }

    /// Where the chapter lies in the file, `None` when it ended before the file began.
    fn place<'a>(&self, event: &'a ChapterEvent) -> Option<Chapter<'a>> {
        let in_source = event.stream_time.unwrap_or_else(|| nanoseconds(event.start));
        let start = if self.origin.is_some() { event.running_time } else { in_source };
        let length =
            event.duration.or_else(|| Some(event.end_running_time?.saturating_sub(event.running_time)));
        let length =
            length.or_else(|| Some(nanoseconds(event.end?).saturating_sub(nanoseconds(event.start))));
        let end = is_closed(event).then(|| start.saturating_add(length.unwrap_or(0)));
        let origin = self.origin.unwrap_or(0);
        if end.is_some_and(|end| end <= origin && origin > 0) {
            return None;
        }
        let title = crate::export::text::one_line(&event.title);
        let title =
            if title.is_empty() { format!("Chapter {}", event.index.saturating_add(1)) } else { title };
        Some(Chapter {
            event,
            title,
            start: start.saturating_sub(origin),
            end: end.map(|end| end.saturating_sub(origin)),
        })
    }
}

impl Extend<ChapterEvent> for Outline {
    fn extend<T: IntoIterator<Item = ChapterEvent>>(&mut self, events: T) {
        for event in events {
            self.apply(event);
        }
    }
}

impl FromIterator<ChapterEvent> for Outline {
    fn from_iter<T: IntoIterator<Item = ChapterEvent>>(events: T) -> Self {
        let mut outline = Self::new();
        outline.extend(events);
        outline
    }
}

impl Chapter<'_> {
    /// A time inside the chapter, given in seconds of stream-time, as nanoseconds from the start of the file.
    pub fn within(&self, at: f64) -> u64 {
        let into = nanoseconds(at).saturating_sub(nanoseconds(self.event.start));
        self.start.saturating_add(into).min(self.end.unwrap_or(u64::MAX))
    }
}

/// `HH:MM:SS` with a fraction of `digits` digits (3 or 9), as WebVTT and Matroska want it.
pub(super) fn timecode(ns: u64, digits: usize) -> String {
    let whole = ns / SECOND;
    let fraction = format!("{:09}", ns % SECOND);
    format!("{:02}:{:02}:{:02}.{}", whole / 3600, whole / 60 % 60, whole % 60, &fraction[..digits])
}

/// Float seconds rounded to milliseconds.
pub(super) fn millis(ns: u64) -> f64 {
    (seconds(ns) * 1000.0).round() / 1000.0
}

fn is_closed(event: &ChapterEvent) -> bool {
    matches!(event.kind, Kind::Closed | Kind::Revised)
}

/// What is known later ranks higher.
fn rank(event: &ChapterEvent) -> (bool, u32, u64) {
    (is_closed(event), event.revision, event.sequence)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::export::tests::event;

    #[test]
    fn a_late_update_does_not_reopen_a_chapter_and_a_revision_replaces_it() {
        let closed = event(0, 0, 60, "First");
        let late = ChapterEvent { kind: Kind::Updated, sequence: 99, title: "late".into(), ..closed.clone() };
        let revised = ChapterEvent {
            kind: Kind::Revised,
            revision: 1,
            sequence: 5,
            title: "Better".into(),
            ..closed.clone()
        };
        let outline: Outline = [revised, late, closed].into_iter().collect();
        let chapters = outline.chapters();
        assert_eq!(chapters.len(), 1);
        assert_eq!(chapters[0].title, "Better");
        assert_eq!(chapters[0].end, Some(60 * SECOND));
    }

    #[test]
    fn the_same_event_twice_changes_nothing() {
        let mut outline = Outline::new();
        assert!(outline.apply(event(0, 0, 60, "First")));
        assert!(!outline.apply(event(0, 0, 60, "First")));
    }

    #[test]
    fn chapters_come_in_time_order_without_overlap_or_empty_ones() {
        let outline: Outline =
            [event(2, 50, 90, "C"), event(0, 0, 60, "A"), event(1, 50, 50, "empty")].into_iter().collect();
        let closed: Vec<_> = outline.closed(1).into_iter().map(|(c, span)| (c.title, span)).collect();
        assert_eq!(
            closed,
            [("A".into(), Span::new(0, 50 * SECOND)), ("C".into(), Span::new(50 * SECOND, 90 * SECOND))]
        );
    }

    #[test]
    fn a_recording_counts_from_its_own_start() {
        let mut outline = Outline::with_origin(30 * SECOND);
        outline.extend([event(0, 0, 20, "before"), event(1, 20, 50, "across"), event(2, 50, 80, "inside")]);
        let spans: Vec<_> = outline.chapters().iter().map(|c| (c.start / SECOND, c.end)).collect();
        assert_eq!(spans, [(0, Some(20 * SECOND)), (20, Some(50 * SECOND))]);
    }

    #[test]
    fn a_chapter_without_a_title_is_called_by_its_number() {
        let outline: Outline = [event(4, 0, 9, " \u{202e}\n")].into_iter().collect();
        assert_eq!(outline.chapters()[0].title, "Chapter 5");
    }
}
