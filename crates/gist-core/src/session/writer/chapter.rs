//! The text of a chapter: asked for, looked at, written once more where something is wrong with it.

use serde::Deserialize;

use super::translation::Translation;
use super::{Current, Held, Job, Progress, Writer, ask, mend, own};
use crate::Config;
use crate::check::Fault;
use crate::check::script::is_in_script_of;
use crate::event::{ChapterEvent, Point, Subchapter};
use crate::model::{Context, Dialect, Request, SegmentId, View};
use crate::prompt::{self, ChapterPrompt};
use crate::session::chapter::Chapter;

const CHAPTER_TOKENS: usize = 900;

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
    /// Points that are sentences of the chapter itself.
    #[serde(skip)]
    pub(super) own: usize,
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
        event.points_dropped =
            (self.text.written + self.text.own).saturating_sub(self.text.points.len()) as u64;
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

/// A chapter's text, what it took, and what is wrong with it.
pub(super) struct Attempt {
    pub(super) text: Text,
    pub(super) tokens: usize,
    fault: Fault,
}

impl Attempt {
    /// What is wrong with it when it has to go out as it is.
    pub(super) fn error(&self) -> Option<String> {
        // What was not borne out is gone; what is left may stand.
        (!self.fault.is_of_the_points()).then(|| self.fault.to_string())
    }
}

/// What the model is asked for a chapter; after a first attempt with what was wrong, and only for what is missing.
pub(super) fn request(
    chapter: &Chapter,
    language: &str,
    instructions: Option<&str>,
    fault: Option<(&str, Option<&Attempt>)>,
    (temperature, seed): (f32, u64),
) -> Request {
    let avoid = fault.map(|(why, _)| format!("A first attempt was rejected because {why}. Do better."));
    let first = fault.and_then(|(_, first)| first).filter(|first| first.fault.is_of_the_points());
    let parts = chapter.parts();
    let prompt = ChapterPrompt {
        segments: chapter.segments.clone(),
        parts: &parts,
        span: chapter.span,
        language,
        instructions,
        avoid: avoid.as_deref(),
        points: first.map(|first| first.text.points.len()),
    };
    Request {
        view: View { segments: chapter.segments.clone(), memory: false },
        prompt: prompt.text(),
        schema: Some(prompt.schema()),
        max_tokens: CHAPTER_TOKENS,
        temperature,
        seed,
    }
}

impl Writer {
    /// A chapter's text is mended and looked at; with a fault it is written once more.
    pub(super) fn finish_chapter(
        &mut self,
        mut current: Current,
        answer: &str,
        tokens: usize,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        let Job::Chapter(chapter) = &current.job else { return Progress::Running };
        let mut text: Text = match serde_json::from_str(answer) {
            Ok(text) => text,
            Err(error) => {
                return self.retry(current, &format!("the answer is not valid: {error}"), context, config);
            }
        };
        // All that was wrong with the first was that points are missing: title and summary stay.
        if let Some(mut first) = current.first.take_if(|first| first.fault.is_of_the_points()) {
            mend::add_points(&mut first.text, text, chapter, &current.language);
            return self.written(current, first.text, first.tokens + tokens, None, context, config);
        }
        if let Some(title) = &chapter.title {
            text.title.clone_from(title);
        }
        if chapter.dialect == Dialect::Titles {
            // It writes no summary that could repeat itself, and the same slide may well come twice.
            return self.written(current, text, tokens, None, context, config);
        }
        let mended = mend::mend(&mut text, chapter, &current.language);
        let user_s = chapter.title.is_some();
        let checked = self.checker.check(&text.title, &text.summary, chapter.headings());
        let fault = checked.err().filter(|fault| !user_s || !fault.is_of_the_title()).or(mended.err());
        let few = fault.as_ref().is_some_and(Fault::is_of_the_points);
        let tokens = tokens + current.first.as_ref().map_or(0, |first| first.tokens);
        let mut error = None;
        match fault {
            None => {}
            Some(fault) if (few || !user_s) && !current.retried => {
                let why = fault.to_string();
                current.first = Some(Attempt { text, tokens, fault });
                return self.retry(current, &why, context, config);
            }
            // What was not borne out is gone; what is left may stand.
            Some(_) if few => {}
            Some(fault)
                if fault.is_of_the_title()
                    && self.name_by_keywords(&mut text, chapter, &current.language) => {}
            Some(fault) => error = Some(fault.to_string()),
        }
        if let Some(first) = current.first.take() {
            mend::add_first(&mut text, first.text, chapter, &current.language);
        }
        self.written(current, text, tokens, error, context, config)
    }

    /// Names a chapter by its key terms. Whether that is a title.
    fn name_by_keywords(&self, text: &mut Text, chapter: &Chapter, language: &str) -> bool {
        own::extract(text, chapter, language);
        let title = own::keyword_title(&text.keywords);
        let checked = self.checker.check(&title, &text.summary, chapter.headings());
        let fine = checked.is_ok() && is_in_script_of(language, &title) && chapter.title.is_none();
        if fine {
            text.title = title;
        }
        fine
    }

    pub(super) fn written(
        &mut self,
        current: Current,
        mut text: Text,
        tokens: usize,
        mut error: Option<String>,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        let Current { job: Job::Chapter(chapter), language, into, .. } = current else {
            return Progress::Running;
        };
        if chapter.dialect == Dialect::Instruct {
            if text.points.is_empty() {
                own::extract(&mut text, &chapter, &language);
                let none = || "the lines bear out none of its points".to_owned();
                error = error.or_else(|| text.points.is_empty().then(none));
            }
            let fine = self.checker.check(&text.title, &text.summary, chapter.headings()).is_ok();
            if error.is_some() && !fine {
                self.name_by_keywords(&mut text, &chapter, &language);
            }
        }
        let written = Written { chapter, text, language, tokens, error };
        if written.chapter.is_expected() {
            self.ahead.written = Some((written, into));
            return Progress::Running;
        }
        self.conclude(written, into, context, config)
    }

    /// What is said of a chapter that has ended stands, in the language it was said in.
    pub(super) fn conclude(
        &mut self,
        written: Written,
        into: Option<String>,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        self.checker.remember(&written.text.title, &written.text.summary);
        match into {
            Some(into) if !written.text.title.is_empty() => self.translate(written, into, context, config),
            _ => self.close(written, context),
        }
    }

    /// Has a text translated.
    fn translate(
        &mut self,
        written: Written,
        language: String,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        let job = Job::Translation(Box::new(Translation::of(written)));
        match ask(context, config, &self.memory, &job, &language, None) {
            Ok(generation) => {
                self.current =
                    Some(Current { job, language, into: None, generation, retried: false, first: None });
                Progress::Running
            }
            Err(why) => self.give_up(job, language, why, context),
        }
    }

    /// What is not translated is asked for once more.
    pub(super) fn finish_translation(
        &mut self,
        mut current: Current,
        answer: &str,
        tokens: usize,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        let Job::Translation(mut translation) = current.job else { return Progress::Running };
        translation.tokens += tokens;
        match translation.take(answer, &current.language, &self.checker) {
            Err(fault) if !current.retried => {
                current.job = Job::Translation(translation);
                self.retry(current, &fault.to_string(), context, config)
            }
            _ => self.translated(*translation, current.language, None, context),
        }
    }

    /// Hands out a chapter with as much of its text as is translated.
    pub(super) fn translated(
        &mut self,
        translation: Translation,
        language: String,
        why: Option<String>,
        context: &mut dyn Context,
    ) -> Progress {
        let written = translation.finish(language, why);
        self.checker.remember(&written.text.title, &written.text.summary);
        self.close(written, context)
    }

    /// Remembers a chapter and hands it out.
    fn close(&mut self, mut written: Written, context: &mut dyn Context) -> Progress {
        let Written { chapter, text, .. } = &written;
        self.language = Some(written.language.clone());
        if chapter.dialect == Dialect::Instruct {
            let span = chapter.open.timeline.span(chapter.span);
            let held = Held::chapter(chapter.open.index + 1, span, &text.title, &text.summary);
            if let Err(error) = self.memory.add(context, held) {
                written.error.get_or_insert(format!("not remembered: {error}"));
            }
        }
        Progress::Closed(Box::new(written))
    }
}
