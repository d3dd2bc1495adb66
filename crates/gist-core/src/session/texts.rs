//! Texts of chapters, digests and answers: written step by step while the stream goes on.

use super::Session;
use super::writer::{Answer, Progress, Question, Task};
use crate::event::Kind;
use crate::model::Dialect;
use crate::time::Span;

impl Session {
    /// What the next step of [`Session::work`] is for: who calls it may want to know what time was spent on.
    pub fn task(&self) -> Option<Task> {
        self.writer.task(&*self.context)
    }

    /// Computes one step of the text that is being written, if any. `position` is the running-time the stream has
    /// reached. Returns whether there was something to do.
    pub fn work(&mut self, position: u64) -> bool {
        match self.writer.step(&mut *self.context, &self.config) {
            Progress::Idle => false,
            Progress::Running => true,
            Progress::Closed(written) => {
                self.note_fault(written.error.as_deref());
                let chapter = &written.chapter;
                let mut event = self.event(
                    Kind::Closed,
                    &chapter.id,
                    chapter.open.index,
                    chapter.open.start,
                    chapter.open.timeline,
                );
                written.fill(&mut event, position.max(self.watermark));
                if self.config.digest_interval > 0 {
                    self.writer.note(event.clone());
                }
                self.events.push_back(event);
                true
            }
            Progress::Answered(answer) => {
                self.answers.push_back(answer);
                true
            }
            Progress::Digest(digest) => {
                self.note_fault(digest.error.as_deref());
                let id = format!("{}-digest-{}", self.identity.session, self.sequence);
                let mut event = self.event(
                    Kind::Digest,
                    &id,
                    self.next_index,
                    digest.digest.period.start,
                    self.timeline(),
                );
                digest.fill(&mut event, position.max(self.watermark));
                self.events.push_back(event);
                true
            }
        }
    }

    /// Asks about the stream so far, or about a part of it in stream-time; the answer comes out of
    /// [`Session::answers`]. It is written on a fork: the stream goes on as if nobody had asked.
    pub fn ask(&mut self, question: &str, part: Option<Span>) {
        let failed =
            |why: &str| Answer { question: question.into(), error: Some(why.into()), ..Answer::default() };
        if self.model.dialect() != Dialect::Instruct {
            return self.answers.push_back(failed("this model was not trained to answer questions"));
        }
        if question.trim().is_empty() {
            return self.answers.push_back(failed("there is no question"));
        }
        self.trim_spans();
        let counts = |at: &Span| part.is_none_or(|part| part.overlaps(*at));
        let lines = self.spans.iter().filter(|(_, at)| counts(at)).copied().collect();
        self.writer.ask(Question { text: question.into(), span: part, lines });
    }

    /// Answers in the order of their questions; what is not taken stays for the next call.
    pub fn answers(&mut self) -> impl Iterator<Item = Answer> + '_ {
        std::iter::from_fn(|| self.answers.pop_front())
    }

    fn note_fault(&mut self, error: Option<&str>) {
        if let Some(error) = error {
            self.errors += 1;
            self.last_error = Some(error.to_owned());
        }
    }

    /// Gives up on texts that are not written yet: their chapters go out `partial`, saying `why`.
    pub fn abandon(&mut self, why: &str, position: u64) {
        self.writer.abandon(why);
        while self.work(position) {}
    }

    /// Whether [`Session::work`] has something to do.
    pub fn has_work(&self) -> bool {
        self.pending() > 0 || self.writer.is_ahead()
    }

    /// Texts that wait or are being written, but for one whose chapter has not ended yet.
    pub fn pending(&self) -> usize {
        self.writer.pending()
    }
}
