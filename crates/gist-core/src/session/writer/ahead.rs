//! The text of a chapter that is expected to end: written before that is decided, and held back until it is. A chapter
//! that ends elsewhere, or anything else that is to be written, has it thrown away.

use std::ops::Range;

use super::{Job, Writer, Written};
use crate::model::SegmentId;
use crate::session::chapter::Chapter;

#[derive(Default)]
pub(super) struct Ahead {
    /// What it was tried for last, so that a text that fails is not begun again and again.
    tried: Option<Range<SegmentId>>,
    /// The whole text, and the language it is to be translated into.
    pub(super) written: Option<(Written, Option<String>)>,
}

impl Job {
    pub(super) fn is_expected(&self) -> bool {
        matches!(self, Self::Chapter(chapter) if chapter.is_expected())
    }
}

impl Writer {
    /// Writes the text of a chapter before it is decided that it ends there.
    pub(in crate::session) fn expect(&mut self, chapter: Chapter) {
        self.expect_nothing();
        self.ahead.tried = Some(chapter.segments.clone());
        self.jobs.push_back(Job::Chapter(Box::new(chapter)));
    }

    /// Whether a chapter of these segments was expected last, whatever became of its text.
    pub(in crate::session) fn has_tried(&self, segments: Range<SegmentId>) -> bool {
        self.ahead.tried == Some(segments)
    }

    /// Whether there is work on a text whose chapter has not ended.
    pub(in crate::session) fn is_ahead(&self) -> bool {
        self.jobs().any(Job::is_expected)
    }

    /// Throws away what was written ahead.
    pub(in crate::session) fn expect_nothing(&mut self) {
        self.jobs.retain(|job| !job.is_expected());
        self.current.take_if(|current| current.job.is_expected());
        self.ahead.written.take_if(|(written, _)| written.chapter.is_expected());
        self.ahead.tried = None;
    }

    /// A chapter has ended. Returns it when it was not expected.
    pub(super) fn as_expected(&mut self, chapter: Chapter) -> Option<Chapter> {
        let jobs = self.jobs.iter_mut().chain(self.current.iter_mut().map(|current| &mut current.job));
        let chapters = jobs.filter_map(|job| match job {
            Job::Chapter(chapter) => Some(chapter),
            _ => None,
        });
        let written = self.ahead.written.iter_mut().map(|(written, _)| &mut written.chapter);
        let expected = chapters.chain(written).find(|expected| expected.is_expected());
        match expected.filter(|expected| expected.has_text_of(&chapter)) {
            Some(expected) => {
                **expected = chapter;
                None
            }
            None => Some(chapter),
        }
    }

    /// Whether the text of a chapter that has ended was written before.
    pub(super) fn is_written(&self) -> bool {
        self.ahead.written.as_ref().is_some_and(|(written, _)| !written.chapter.is_expected())
    }

    pub(super) fn take_written(&mut self) -> Option<(Written, Option<String>)> {
        self.ahead.written.take_if(|(written, _)| !written.chapter.is_expected())
    }
}
