//! What waits for its text.

use super::{Digest, Merge, Question, Translation, Writer};
use crate::event::ChapterEvent;
use crate::model::Context;
use crate::session::chapter::Chapter;

/// Chapters kept for the digest of a period; of more the oldest are not told of.
const MAX_ENDED: usize = 1_000;

pub(super) enum Job {
    Chapter(Box<Chapter>),
    Translation(Box<Translation>),
    Digest(Digest),
    Question(Question),
    Merge(Merge),
}

/// What the model writes for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Task {
    /// The text of a chapter.
    Chapter,
    /// A digest.
    Digest,
    /// The answer to a question.
    Question,
    /// Texts of old chapters become one, and those after them go back into the memory.
    Memory,
}

impl Job {
    fn task(&self) -> Task {
        match self {
            Self::Chapter(_) | Self::Translation(_) => Task::Chapter,
            Self::Digest(_) => Task::Digest,
            Self::Question(_) => Task::Question,
            Self::Merge(_) => Task::Memory,
        }
    }
}

impl Writer {
    pub(in crate::session) fn push(&mut self, chapter: Chapter) {
        if let Some(chapter) = self.as_expected(chapter) {
            self.expect_nothing();
            self.jobs.push_back(Job::Chapter(Box::new(chapter)));
        }
    }

    /// A digest comes after the texts of the chapters that wait: it sums them up.
    pub(in crate::session) fn digest(&mut self, digest: Digest) {
        self.expect_nothing();
        self.jobs.push_back(Job::Digest(digest));
    }

    /// Keeps a closed chapter for the digest of its period.
    pub(in crate::session) fn note(&mut self, chapter: ChapterEvent) {
        self.ended.push_back(chapter);
        if self.ended.len() > MAX_ENDED {
            self.ended.pop_front();
        }
    }

    /// Chapters that no digest of a period has told of yet.
    pub(in crate::session) fn ended(&self) -> impl Iterator<Item = &ChapterEvent> {
        self.ended.iter()
    }

    /// A question goes before everything that is not begun: somebody waits for the answer.
    pub(in crate::session) fn ask(&mut self, question: Question) {
        self.expect_nothing();
        let first = self.jobs.iter().take_while(|job| matches!(job, Job::Question(_))).count();
        self.jobs.insert(first, Job::Question(question));
    }

    /// Questions that wait or are being answered: when all is forgotten they get no answer.
    pub(in crate::session) fn questions(self) -> impl Iterator<Item = Question> {
        let current = self.current.map(|current| current.job);
        current.into_iter().chain(self.jobs).filter_map(|job| match job {
            Job::Question(question) => Some(question),
            _ => None,
        })
    }

    /// What waits or is being written, the one that is being written first.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &Job> {
        self.current.iter().map(|current| &current.job).chain(&self.jobs)
    }

    /// What is to come out; a text whose chapter has not ended is not.
    pub(in crate::session) fn pending(&self) -> usize {
        let begun = usize::from(self.is_written() || self.memory.is_returning());
        begun + self.jobs().filter(|job| !job.is_expected()).count()
    }

    /// What the next step is for.
    pub(in crate::session) fn task(&self, context: &dyn Context) -> Option<Task> {
        if self.memory.is_returning() {
            return Some(Task::Memory);
        }
        match &self.current {
            Some(current) => Some(current.job.task()),
            None if self.is_written() => Some(Task::Chapter),
            None if self.memory.crowded(context).is_some() => Some(Task::Memory),
            None => self.jobs.front().map(Job::task),
        }
    }
}
