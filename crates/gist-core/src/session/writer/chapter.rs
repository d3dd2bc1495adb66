//! A chapter and the text it was given.

use serde::Deserialize;

use crate::event::{ChapterEvent, Point, Subchapter};
use crate::model::SegmentId;
use crate::prompt;
use crate::session::chapter::Chapter;

/// The answer of the model, as the schema of [`ChapterPrompt::schema`] has it; a model that only names titles leaves
/// the rest out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::session) struct Text {
    pub(super) title: String,
    pub(super) summary: String,
    pub(super) points: Vec<TextPoint>,
    pub(super) keywords: Vec<String>,
    pub(super) conclusion: String,
    /// Titles of its parts, in order; without one a part belongs to that before it.
    pub(super) parts: Vec<String>,
    /// Points the model wrote for it, in one attempt or two.
    #[serde(skip)]
    pub(super) written: usize,
}

#[derive(Debug, Deserialize)]
pub(in crate::session) struct TextPoint {
    pub(super) lines: Vec<SegmentId>,
    pub(super) text: String,
}

/// A chapter with its text, or with the reason why it has none.
pub(in crate::session) struct Written {
    pub(in crate::session) chapter: Box<Chapter>,
    pub(in crate::session) text: Text,
    pub(in crate::session) language: String,
    pub(in crate::session) tokens: usize,
    pub(in crate::session) error: Option<String>,
}

impl Written {
    pub(in crate::session) fn fill(self, event: &mut ChapterEvent, position: u64) {
        self.chapter.fill(event, position);
        let timeline = self.chapter.open.timeline;
        event.title = prompt::flat(&self.text.title);
        event.summary = prompt::flat(&self.text.summary);
        event.conclusion = prompt::flat(&self.text.conclusion);
        event.keywords = self.text.keywords.iter().map(|word| prompt::flat(word)).collect();
        event.points = (self.text.points.iter())
            .map(|point| {
                let span = self.chapter.span_of(&point.lines);
                Point {
                    text: prompt::flat(&point.text),
                    start: timeline.seconds(span.start),
                    end: timeline.seconds(span.end),
                }
            })
            .collect();
        event.subchapters = self.subchapters();
        event.points_dropped = self.text.written.saturating_sub(self.text.points.len()) as u64;
        event.points.sort_by(|a, b| a.start.total_cmp(&b.start));
        event.language = self.language;
        event.tokens = self.tokens as u64;
        event.partial = self.error.is_some();
        event.error = self.error;
    }

    /// The parts that have a title; none when that is but one.
    fn subchapters(&self) -> Vec<Subchapter> {
        let timeline = self.chapter.open.timeline;
        let titled = self.chapter.parts().into_iter().zip(&self.text.parts);
        let mut found: Vec<Subchapter> = Vec::new();
        for (part, title) in titled.filter(|(_, title)| !title.is_empty()) {
            // What comes before the first title belongs to it.
            let first = found.is_empty().then_some(self.chapter.span.start);
            let start = timeline.seconds(first.unwrap_or_else(|| self.chapter.start_of(part.start)));
            if let Some(before) = found.last_mut() {
                if start <= before.start {
                    continue; // Its lines are not known any more.
                }
                before.end = start;
            }
            let end = timeline.seconds(self.chapter.span.end);
            found.push(Subchapter { title: prompt::flat(title), start, end });
        }
        if found.len() < 2 { Vec::new() } else { found }
    }
}
