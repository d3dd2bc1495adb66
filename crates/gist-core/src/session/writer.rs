//! Has the chapter texts written, one after the other, each on a fork of the context.

use std::collections::VecDeque;

use serde::Deserialize;

use super::chapter::{Chapter, longest_shown};
use super::sight;
use crate::Config;
use crate::check::Checker;
use crate::event::{ChapterEvent, Point};
use crate::model::{Context, Dialect, Generation, ModelError, Request, SegmentId, Step, View};
use crate::prompt::{self, ChapterPrompt};
use crate::time::Span;

const CHAPTER_TOKENS: usize = 700;
const DIGEST_TOKENS: usize = 700;

enum Job {
    Chapter(Box<Chapter>),
    Digest(Span),
}

struct Current {
    job: Job,
    language: String,
    generation: Box<dyn Generation>,
    retried: bool,
}

/// The texts that wait and the one being written.
#[derive(Default)]
pub(super) struct Writer {
    jobs: VecDeque<Job>,
    current: Option<Current>,
    checker: Checker,
    /// That of the last chapter with a text.
    language: Option<String>,
    abandoned: Option<String>,
}

/// What a step came to.
pub(super) enum Progress {
    Idle,
    Running,
    Closed(Box<Written>),
    Digest(Digest),
}

/// The answer of the model, as the schema of [`ChapterPrompt::schema`] has it; a model that only names titles leaves
/// the rest out.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Text {
    title: String,
    summary: String,
    points: Vec<TextPoint>,
    keywords: Vec<String>,
    conclusion: String,
}

#[derive(Debug, Deserialize)]
struct TextPoint {
    lines: Vec<SegmentId>,
    text: String,
}

#[derive(Debug, Default, Deserialize)]
struct DigestText {
    assessment: String,
    suggestions: Vec<String>,
}

/// A chapter with its text, or with the reason why it has none.
pub(super) struct Written {
    pub(super) chapter: Box<Chapter>,
    text: Text,
    language: String,
    tokens: usize,
    pub(super) error: Option<String>,
}

impl Written {
    pub(super) fn fill(self, event: &mut ChapterEvent, position: u64) {
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
        event.points.sort_by(|a, b| a.start.total_cmp(&b.start));
        event.language = self.language;
        event.tokens = self.tokens as u64;
        event.partial = self.error.is_some();
        event.error = self.error;
    }
}

/// The final digest.
pub(super) struct Digest {
    pub(super) period: Span,
    text: DigestText,
    language: String,
    tokens: usize,
    pub(super) error: Option<String>,
}

impl Digest {
    pub(super) fn fill(self, event: &mut ChapterEvent, position: u64) {
        event.period_start = Some(self.period.start);
        event.period_end = Some(self.period.end);
        event.is_final = true;
        event.emitted_at = position;
        event.language = self.language;
        event.tokens = self.tokens as u64;
        event.partial = self.error.is_some();
        event.error = self.error;
        if !self.text.assessment.is_empty() {
            let (assessment, study) = prompt::digest_labels(&event.language);
            event.text = format!("**{assessment}** {}\n", prompt::flat(&self.text.assessment));
            event.text += &format!("\n**{study}**\n\n");
            for (i, suggestion) in self.text.suggestions.iter().enumerate() {
                event.text += &format!("{}. {}\n", i + 1, prompt::flat(suggestion));
            }
        }
    }
}

impl Writer {
    pub(super) fn push(&mut self, chapter: Chapter) {
        self.jobs.push_back(Job::Chapter(Box::new(chapter)));
    }

    pub(super) fn digest(&mut self, period: Span) {
        self.jobs.push_back(Job::Digest(period));
    }

    pub(super) fn pending(&self) -> usize {
        self.jobs.len() + usize::from(self.current.is_some())
    }

    pub(super) fn abandon(&mut self, why: &str) {
        self.abandoned = Some(why.to_owned());
    }

    pub(super) fn step(&mut self, context: &mut dyn Context, config: &Config) -> Progress {
        if let Some(why) = self.abandoned.clone() {
            let Some(job) = self.current.take().map(|c| c.job).or_else(|| self.jobs.pop_front()) else {
                self.abandoned = None;
                return Progress::Idle;
            };
            return self.give_up(job, String::new(), why);
        }
        let Some(mut current) = self.current.take() else {
            let Some(job) = self.jobs.pop_front() else { return Progress::Idle };
            return self.start(job, context, config);
        };
        match current.generation.step() {
            Ok(Step::Running) => {
                self.current = Some(current);
                Progress::Running
            }
            Ok(Step::Done { text, tokens }) => self.finish(current, &text, tokens, context, config),
            Err(error) => self.retry(current, &error.to_string(), None, context, config),
        }
    }

    fn start(&mut self, job: Job, context: &mut dyn Context, config: &Config) -> Progress {
        if !config.write {
            return self.give_up(job, String::new(), String::new());
        }
        let instructions = config.prompt.as_deref();
        let language = match &job {
            Job::Chapter(chapter) if chapter.lines.is_empty() => {
                return self.give_up(job, String::new(), "nothing was said or shown".into());
            }
            Job::Chapter(chapter) => prompt::language(
                &config.language,
                instructions,
                chapter.lines.iter().map(|line| line.text.as_str()),
            ),
            Job::Digest(_) => match &self.language {
                // One summary is too short to tell a language by; the lines of a chapter are not.
                Some(last) => {
                    prompt::language_asked_for(&config.language, instructions).unwrap_or_else(|| last.clone())
                }
                None => return self.give_up(job, String::new(), "no chapter has a text to sum up".into()),
            },
        };
        match ask(context, config, &job, &language, None) {
            Ok(generation) => {
                self.current = Some(Current { job, language, generation, retried: false });
                Progress::Running
            }
            Err(error) => self.give_up(job, language, error.to_string()),
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
            Job::Chapter(chapter) => {
                let mut text: Text = match serde_json::from_str(answer) {
                    Ok(text) => text,
                    Err(error) => {
                        return self.retry(
                            current,
                            &format!("the answer is not valid: {error}"),
                            None,
                            context,
                            config,
                        );
                    }
                };
                if let Some(title) = &chapter.title {
                    text.title.clone_from(title);
                }
                if chapter.dialect == Dialect::Titles {
                    // It writes no summary that could repeat itself, and the same slide may well come twice.
                    return self.written(current, text, tokens, None, context);
                }
                match self.checker.check(&text.title, &text.summary, chapter.headings()) {
                    Ok(()) => self.written(current, text, tokens, None, context),
                    Err(fault) if current.retried || chapter.title.is_some() => {
                        self.written(current, text, tokens, Some(fault.to_string()), context)
                    }
                    Err(fault) => {
                        self.retry(current, &fault.to_string(), Some((text, tokens)), context, config)
                    }
                }
            }
            Job::Digest(period) => match serde_json::from_str(answer) {
                Ok(text) => Progress::Digest(Digest {
                    period: *period,
                    text,
                    language: current.language,
                    tokens,
                    error: None,
                }),
                Err(error) => {
                    self.retry(current, &format!("the answer is not valid: {error}"), None, context, config)
                }
            },
        }
    }

    fn written(
        &mut self,
        current: Current,
        text: Text,
        tokens: usize,
        error: Option<String>,
        context: &mut dyn Context,
    ) -> Progress {
        let Current { job: Job::Chapter(chapter), language, .. } = current else { return Progress::Running };
        self.checker.remember(&text.title, &text.summary);
        self.language = Some(language.clone());
        let memory = prompt::memory(
            chapter.open.index,
            chapter.span,
            &prompt::flat(&text.title),
            &prompt::flat(&text.summary),
        );
        let remember = chapter.dialect == Dialect::Instruct;
        let error = error.or_else(|| {
            remember.then(|| context.remember(&memory))?.err().map(|e| format!("not remembered: {e}"))
        });
        Progress::Closed(Box::new(Written { chapter, text, language, tokens, error }))
    }

    /// Tries once more, warmer and told what was wrong; then the chapter goes out with what there is.
    fn retry(
        &mut self,
        mut current: Current,
        why: &str,
        so_far: Option<(Text, usize)>,
        context: &mut dyn Context,
        config: &Config,
    ) -> Progress {
        if !current.retried {
            tracing::info!(why, "a text is written again");
            if let Ok(generation) = ask(context, config, &current.job, &current.language, Some(why)) {
                current.generation = generation;
                current.retried = true;
                self.current = Some(current);
                return Progress::Running;
            }
        }
        match so_far {
            Some((text, tokens)) => self.written(current, text, tokens, Some(why.to_owned()), context),
            None => self.give_up(current.job, current.language, why.to_owned()),
        }
    }

    fn give_up(&mut self, job: Job, language: String, why: String) -> Progress {
        let error = (!why.is_empty()).then_some(why);
        match job {
            Job::Chapter(chapter) => {
                let text = Text { title: chapter.title.clone().unwrap_or_default(), ..Text::default() };
                Progress::Closed(Box::new(Written { chapter, text, language, tokens: 0, error }))
            }
            Job::Digest(period) => {
                Progress::Digest(Digest { period, text: DigestText::default(), language, tokens: 0, error })
            }
        }
    }
}

fn ask(
    context: &mut dyn Context,
    config: &Config,
    job: &Job,
    language: &str,
    fault: Option<&str>,
) -> Result<Box<dyn Generation>, ModelError> {
    let instructions = config.prompt.as_deref();
    let (temperature, seed) = if fault.is_some() { (0.7, 1) } else { (0.0, 0) };
    let request = match job {
        Job::Chapter(chapter) if chapter.dialect == Dialect::Titles => {
            let picture = longest_shown(chapter.lines.iter());
            let none = || ModelError::Backend("there is no picture in the chapter".into());
            sight::title_request(picture.ok_or_else(none)?)
        }
        Job::Chapter(chapter) => {
            let avoid =
                fault.map(|fault| format!("A first attempt was rejected because {fault}. Do better."));
            let prompt = ChapterPrompt {
                segments: chapter.segments.clone(),
                span: chapter.span,
                language,
                instructions,
                avoid: avoid.as_deref(),
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
        Job::Digest(_) => Request {
            view: View { segments: 0..0, memory: true },
            prompt: prompt::digest(language, instructions),
            schema: Some(prompt::digest_schema()),
            max_tokens: DIGEST_TOKENS,
            temperature,
            seed,
        },
    };
    context.generate(request)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use crate::event::Kind;
    use crate::mock::{Mock, Script};
    use crate::model::ContextConfig;
    use crate::observation::{Observation, Source};
    use crate::session::{Identity, Session};
    use crate::time::{SECOND, Span};
    use crate::{ChapterEvent, Config};

    /// The digest of a stream of these lines.
    fn digest(config: Config, lines: &[&str]) -> ChapterEvent {
        let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
        let model = Arc::new(Mock::new(Script::default()));
        let mut session = Session::new(model, Identity::default(), config, context).unwrap();
        for (i, line) in lines.iter().enumerate() {
            let span = Span::new(5 * i as u64 * SECOND, (5 * i as u64 + 4) * SECOND);
            let line = Observation { source: Source::Speech, span, text: (*line).into(), turn: false };
            session.observe(line).unwrap();
        }
        session.finish(5 * lines.len() as u64 * SECOND);
        while session.work(0) {}
        session.events().find(|event| event.kind == Kind::Digest).unwrap()
    }

    #[test]
    fn the_digest_is_labelled_in_the_language_set() {
        let config = Config { language: "Spanish".into(), ..Config::default() };
        let digest = digest(config, &["Nodes find each other by asking seeds"]);
        assert!(digest.text.starts_with("**Valoración.** "), "{}", digest.text);
        assert!(digest.text.contains("\n**Para profundizar**\n\n1. "), "{}", digest.text);
    }

    /// The mock's summaries are some words of the first line, too few to tell a language by.
    #[test]
    fn the_digest_is_in_the_language_of_the_chapters() {
        let lines = [
            "Bitte OK",
            "Heute sprechen wir darüber, wie die Knoten eines Netzes einander finden und weshalb das schwierig ist.",
            "Ein Knoten, der gerade erst gestartet ist, kennt noch niemanden und fragt deshalb zuerst einen Saatknoten.",
        ];
        let digest = digest(Config::default(), &lines);
        assert_eq!(digest.language, "German");
        assert!(digest.text.starts_with("**Bewertung.** "), "{}", digest.text);
    }
}
