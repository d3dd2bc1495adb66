//! Has the chapter texts written, one after the other, each on a fork of the context.

mod ahead;
mod answer;
mod chapter;
mod digest;
mod memory;
mod mend;
mod own;
mod queue;
mod translation;

use std::collections::VecDeque;

use ahead::Ahead;
pub(super) use answer::Question;
pub use answer::{Answer, Statement};
pub(super) use chapter::Written;
use chapter::{Attempt, Text};
use digest::DigestText;
pub(super) use digest::{Digest, Of, Period, WrittenDigest};
use memory::Merge;
pub(super) use memory::{Held, Memory};
use queue::Job;
pub use queue::Task;
use translation::Translation;

use super::chapter::longest_shown;
use super::sight;
use crate::Config;
use crate::check::Checker;
use crate::event::ChapterEvent;
use crate::model::{Context, Dialect, Generation, ModelError, Step};
use crate::prompt;
use crate::time::Span;

struct Current {
    job: Job,
    language: String,
    /// What a chapter is translated into when it is written.
    into: Option<String>,
    generation: Box<dyn Generation>,
    retried: bool,
    /// A first attempt at a chapter.
    first: Option<Attempt>,
}

/// The texts that wait and the one being written.
#[derive(Default)]
pub(super) struct Writer {
    jobs: VecDeque<Job>,
    current: Option<Current>,
    ahead: Ahead,
    checker: Checker,
    /// That of the last chapter with a text.
    language: Option<String>,
    /// That of the lines of the last chapter of which it could be told.
    spoken: Option<String>,
    memory: Memory,
    /// Chapters that no digest of a period has told of yet.
    ended: VecDeque<ChapterEvent>,
    abandoned: Option<String>,
}

/// What a step came to.
pub(super) enum Progress {
    Idle,
    Running,
    Closed(Box<Written>),
    Digest(Box<WrittenDigest>),
    Answered(Answer),
}

impl Writer {
    /// That of the last chapter with a text.
    pub(super) fn language(&self) -> Option<&str> {
        self.language.as_deref()
    }

    /// Brings back the texts that a merge has on their way, all at once.
    pub(super) fn settle(&mut self, context: &mut dyn Context) {
        while self.memory.go_on(context) {}
    }

    /// Takes up what a saved context remembers.
    pub(super) fn take_up(&mut self, memory: Vec<Held>, ended: Vec<ChapterEvent>, language: Option<String>) {
        self.memory = Memory::of(memory);
        self.ended = ended.into();
        self.language = language;
    }

    /// Has the text of a chapter of an earlier run remembered.
    pub(super) fn remember(
        &mut self,
        context: &mut dyn Context,
        chapter: &ChapterEvent,
        span: Span,
    ) -> Result<(), ModelError> {
        if chapter.title.is_empty() {
            return Ok(());
        }
        let number = chapter.index.saturating_add(1);
        self.memory.add(context, Held::chapter(number, span, &chapter.title, &chapter.summary))
    }

    /// Takes up a chapter of an earlier run: its title is taken; what is `new` goes into the next digest.
    pub(super) fn recall(&mut self, chapter: &ChapterEvent, new: bool) {
        self.checker.remember(&chapter.title, &chapter.summary);
        if !chapter.language.is_empty() {
            self.language = Some(chapter.language.clone());
        }
        if new {
            self.note(chapter.clone());
        }
    }

    pub(super) fn memory(&self) -> &Memory {
        &self.memory
    }

    pub(super) fn abandon(&mut self, why: &str) {
        self.expect_nothing();
        self.abandoned = Some(why.to_owned());
    }

    pub(super) fn step(&mut self, context: &mut dyn Context, config: &Config) -> Progress {
        if let Some(why) = self.abandoned.clone() {
            if let Some(current) = self.current.take() {
                return self.give_up(current.job, String::new(), why, context);
            }
            if let Some((written, into)) = self.take_written() {
                return self.conclude(written, into, context, config);
            }
            let Some(job) = self.jobs.pop_front() else {
                self.abandoned = None;
                return Progress::Idle;
            };
            return self.give_up(job, String::new(), why, context);
        }
        if self.memory.go_on(context) {
            return Progress::Running;
        }
        let Some(mut current) = self.current.take() else {
            if let Some((written, into)) = self.take_written() {
                return self.conclude(written, into, context, config);
            }
            // Before the next text, which needs the room.
            let merge = self.memory.crowded(context).map(Job::Merge);
            let Some(job) = merge.or_else(|| self.jobs.pop_front()) else { return Progress::Idle };
            return self.start(job, context, config);
        };
        match current.generation.step() {
            Ok(Step::Running) => {
                self.current = Some(current);
                Progress::Running
            }
            Ok(Step::Done { text, tokens }) => self.finish(current, &text, tokens, context, config),
            Err(error) => self.retry(current, &error.to_string(), context, config),
        }
    }

    fn start(&mut self, mut job: Job, context: &mut dyn Context, config: &Config) -> Progress {
        if let Job::Digest(Digest { period, of: Of::Period(of) }) = &mut job {
            let end = period.end;
            while self.ended.front().is_some_and(|chapter| chapter.end_running_time <= Some(end)) {
                of.chapters.extend(self.ended.pop_front());
            }
            // One that has ended since the period did.
            if let Some(chapter) = self.ended.front().filter(|chapter| chapter.running_time < end) {
                let start = chapter.stream_time.unwrap_or(chapter.running_time);
                of.open.get_or_insert((Span::new(start, of.span.end), 0..0));
            }
        }
        if !config.write && matches!(job, Job::Chapter(_) | Job::Digest(_)) {
            return self.give_up(job, String::new(), String::new(), context);
        }
        let words = config.words_of_the_user();
        let mut into = None;
        let language = match &job {
            Job::Question(question) => {
                prompt::language(&config.language, words, std::iter::once(question.text.as_str()))
            }
            Job::Merge(_) | Job::Translation(_) => String::new(),
            Job::Chapter(chapter) if chapter.says_nothing() => {
                return self.give_up(job, String::new(), "nothing was said or shown".into(), context);
            }
            Job::Chapter(chapter) => {
                let lines = || chapter.lines.iter().map(|line| line.text.as_str());
                // What a line or two are in is hard to tell: in what those before were.
                self.spoken = prompt::spoken_for_sure(lines()).or(self.spoken.take());
                let wanted = prompt::language_asked_for(&config.language, words);
                let wanted = wanted.or(self.spoken.clone()).unwrap_or_else(|| "English".into());
                // Instructions in another script are followed in that one.
                let followed = chapter.dialect == Dialect::Instruct && prompt::in_script_of(words, lines());
                match self.spoken.clone().filter(|spoken| followed && !prompt::same_language(spoken, &wanted))
                {
                    Some(spoken) => {
                        into = Some(wanted);
                        spoken
                    }
                    None => wanted,
                }
            }
            Job::Digest(digest) => {
                // One summary is too short to tell a language by; the lines of a chapter are not.
                let asked_for = prompt::language_asked_for(&config.language, words);
                let last = match &digest.of {
                    Of::Whole => self.language.clone(),
                    Of::Period(period) => self.language.clone().or(period.language.clone()),
                };
                let language = asked_for.or(last);
                match &digest.of {
                    Of::Whole if self.language.is_none() => {
                        let why = "no chapter has a text to sum up".into();
                        return self.give_up(job, String::new(), why, context);
                    }
                    Of::Period(period) if !period.has_text() => {
                        return self.give_up(job, language.unwrap_or_default(), String::new(), context);
                    }
                    _ => language.unwrap_or_else(|| "English".into()),
                }
            }
        };
        match ask(context, config, &self.memory, &job, &language, None) {
            Ok(generation) => {
                self.current = Some(Current { job, language, into, generation, retried: false, first: None });
                Progress::Running
            }
            Err(why) => self.give_up(job, into.unwrap_or(language), why, context),
        }
    }

    fn finish(
        &mut self,
        current: Current,
        answer: &str,
        tokens: usize,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        match &current.job {
            Job::Chapter(_) => self.finish_chapter(current, answer, tokens, context, config),
            Job::Translation(_) => self.finish_translation(current, answer, tokens, context, config),
            Job::Digest(_) => match serde_json::from_str(answer) {
                Ok(text) => {
                    let Current { job: Job::Digest(digest), language, .. } = current else {
                        return Progress::Running;
                    };
                    let written = WrittenDigest { digest, text, language, tokens, error: None };
                    Progress::Digest(Box::new(written))
                }
                Err(error) => {
                    self.retry(current, &format!("the answer is not valid: {error}"), context, config)
                }
            },
            Job::Question(question) => match question.answered(answer, self.memory.held()) {
                Ok(answer) => Progress::Answered(answer),
                Err(why) => self.retry(current, &why, context, config),
            },
            Job::Merge(merge) => {
                self.memory.merged(context, merge, answer);
                Progress::Running
            }
        }
    }

    /// Tries once more, warmer and told what was wrong; then the chapter goes out with what there is.
    fn retry(
        &mut self,
        mut current: Current,
        why: &str,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        if !current.retried {
            tracing::info!(why, "a text is written again");
            let fault = Some((why, current.first.as_ref()));
            if let Ok(generation) = ask(context, config, &self.memory, &current.job, &current.language, fault)
            {
                current.generation = generation;
                current.retried = true;
                self.current = Some(current);
                return Progress::Running;
            }
        }
        match current.first.take() {
            Some(first) => {
                let error = first.error();
                self.written(current, first.text, first.tokens, error, context, config)
            }
            None => {
                let language = current.into.unwrap_or(current.language);
                self.give_up(current.job, language, why.to_owned(), context)
            }
        }
    }

    fn give_up(&mut self, job: Job, language: String, why: String, context: &mut dyn Context) -> Progress {
        let error = (!why.is_empty()).then_some(why);
        match job {
            Job::Chapter(chapter) if chapter.is_expected() => Progress::Running,
            Job::Chapter(chapter) => {
                let text = Text { title: chapter.title.clone().unwrap_or_default(), ..Text::default() };
                Progress::Closed(Box::new(Written { chapter, text, language, tokens: 0, error }))
            }
            Job::Translation(translation) => self.translated(*translation, language, error, context),
            Job::Digest(digest) => {
                let text = DigestText::default();
                Progress::Digest(Box::new(WrittenDigest { digest, text, language, tokens: 0, error }))
            }
            Job::Question(question) => Progress::Answered(question.failed(error.unwrap_or_default())),
            Job::Merge(merge) => {
                tracing::warn!(?error, "the model chose nothing of old chapters: their first sentences stay");
                self.memory.merged(context, &merge, "");
                Progress::Running
            }
        }
    }
}

fn ask(
    context: &mut dyn Context,
    config: &Config,
    memory: &Memory,
    job: &Job,
    language: &str,
    fault: Option<(&str, Option<&Attempt>)>,
) -> Result<Box<dyn Generation>, String> {
    let instructions = config.instructions();
    let instructions = instructions.as_deref();
    let (temperature, seed) = if fault.is_some() { (0.7, 1) } else { (0.0, 0) };
    let request = match job {
        Job::Chapter(chapter) if chapter.dialect == Dialect::Titles => {
            let picture = longest_shown(chapter.lines.iter());
            sight::title_request(picture.ok_or("there is no picture in the chapter")?)
        }
        Job::Chapter(chapter) => {
            chapter::request(chapter, language, instructions, fault, (temperature, seed))
        }
        Job::Translation(translation) => translation.request(language, (temperature, seed)),
        Job::Digest(digest) => digest.request(language, instructions, (temperature, seed)),
        Job::Question(question) => question.request(memory.held(), language, (temperature, seed))?,
        Job::Merge(merge) => merge.request(temperature, seed),
    };
    context.generate(request).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
