//! One stream: observations in, chapter events out.
//!
//! The owner calls [`Session::observe`] and [`Session::advance`] in running-time order, [`Session::work`] whenever
//! there is time, and [`Session::events`] to collect what came of it. Nothing here blocks but the model itself, one
//! step at a time.

mod boundaries;
mod chapter;
mod period;
mod resumed;
mod saved;
mod sight;
mod texts;
mod writer;

use std::collections::VecDeque;
use std::sync::Arc;

use chapter::Open;
pub use chapter::{Line, Timeline};
use period::Periods;
pub use writer::{Answer, Statement, Task};
use writer::{Question, Writer};

use crate::boundary::{Detector, Embed};
use crate::event::{ChapterEvent, Kind};
use crate::model::{Context, ContextConfig, Dialect, Model, ModelError, SegmentId, Usage};
use crate::observation::{Observation, Source};
use crate::time::Span;
use crate::token_log::Logged;
use crate::{Config, check, prompt};

/// Who the events are about.
#[derive(Clone, Debug, Default)]
pub struct Identity {
    /// `stream-name`.
    pub stream: String,
    /// `session-id`; chapter ids are made of it.
    pub session: String,
    /// Index of the first chapter, when an earlier session is continued.
    pub first_index: u64,
}

/// Lines kept for a chapter that is being written; a chapter has a few hundred.
const MAX_LINES: usize = 20_000;

/// One stream.
pub struct Session {
    model: Arc<dyn Model>,
    context: Box<dyn Context>,
    identity: Identity,
    config: Config,
    prompt_revision: u32,
    /// `None` until it is known.
    timeline: Option<Timeline>,
    embed: Option<Arc<dyn Embed>>,
    detector: Detector,
    lines: VecDeque<Line>,
    /// When what the window holds was said or shown in stream-time, by segment.
    spans: VecDeque<(SegmentId, Span)>,
    answers: VecDeque<Answer>,
    next_segment: SegmentId,
    next_index: u64,
    open: Option<Open>,
    watermark: u64,
    periods: Periods,
    writer: Writer,
    events: VecDeque<ChapterEvent>,
    sequence: u64,
    turnovers: u64,
    errors: u64,
    last_error: Option<String>,
}

impl Session {
    /// Opens a context on the model. Its system prompt is set here; a context length of 0 is the model's own.
    ///
    /// # Errors
    /// When the sizes do not fit.
    pub fn new(
        model: Arc<dyn Model>,
        identity: Identity,
        config: Config,
        context: ContextConfig,
    ) -> Result<Self, ModelError> {
        let longest = model.max_context();
        let system = match model.dialect() {
            Dialect::Instruct => prompt::SYSTEM.into(),
            Dialect::Titles => String::new(),
        };
        let context = model.open(ContextConfig {
            system,
            context_length: match context.context_length {
                0 => longest,
                asked => asked.min(longest),
            },
            ..context
        })?;
        Ok(Self::around(model, identity, config, context))
    }

    fn around(model: Arc<dyn Model>, identity: Identity, config: Config, context: Box<dyn Context>) -> Self {
        Self {
            next_index: identity.first_index,
            model,
            context,
            identity,
            config,
            prompt_revision: 0,
            timeline: None,
            embed: None,
            detector: Detector::new(0),
            lines: VecDeque::new(),
            spans: VecDeque::new(),
            answers: VecDeque::new(),
            next_segment: 0,
            open: None,
            watermark: 0,
            periods: Periods::default(),
            writer: Writer::default(),
            events: VecDeque::new(),
            sequence: 0,
            turnovers: 0,
            errors: 0,
            last_error: None,
        }
    }

    /// Lets boundaries also go by what the text is about. To be called before anything is observed.
    pub fn embed_with(&mut self, embed: Arc<dyn Embed>) {
        self.detector = Detector::with_embedder(self.watermark, Some(embed.clone()));
        self.embed = Some(embed);
    }

    /// Takes new settings; they hold for the next decision and the next text.
    pub fn configure(&mut self, config: Config) {
        let texts = |config: &Config| (config.preset, config.prompt.clone(), config.language.clone());
        if texts(&config) != texts(&self.config) {
            self.prompt_revision += 1;
            self.writer.expect_nothing();
        }
        self.config = config;
    }

    /// How running-time maps onto the other time axes from here on; the first time, from the beginning: words may come
    /// before the picture that tells.
    pub fn set_timeline(&mut self, timeline: Timeline) {
        let first = self.timeline.replace(timeline).is_none();
        if let Some(open) = &mut self.open
            && (first || open.first_segment == self.next_segment)
        {
            open.timeline = timeline;
        }
    }

    fn timeline(&self) -> Timeline {
        self.timeline.unwrap_or_default()
    }

    /// Encodes an observation and lets the detector see it.
    ///
    /// # Errors
    /// When the model fails; the line is then lost for the context, which `last_error` and the error say.
    pub fn observe(&mut self, observation: Observation) -> Result<(), ModelError> {
        self.begin(observation.span.start);
        if self.is_idle_noise(&observation) {
            self.watermark = self.watermark.max(observation.span.start);
            self.periods.something(observation.span.end);
            self.count_lines(1);
            return Ok(());
        }
        let segment =
            self.context.append(&prompt::line(self.next_segment, &observation)).inspect_err(|error| {
                self.errors += 1;
                self.last_error = Some(error.to_string());
            })?;
        let at = crate::time::clock(observation.span.start);
        tracing::debug!(segment, at, source = ?observation.source, text = %observation.text, "encoded");
        self.watermark = self.watermark.max(observation.span.start);
        self.periods.something(observation.span.end);
        self.detector.observe(segment, &observation);
        self.note(Line {
            segment,
            source: observation.source,
            span: observation.span,
            text: observation.text,
            stamp: None,
        });
        Ok(())
    }

    /// Whether something was heard that tells of nothing, in a chapter in which nothing was said or shown yet: taken for
    /// words, music and noise would come to chapters, with texts made up for them.
    fn is_idle_noise(&self, observation: &Observation) -> bool {
        let first = self.open.as_ref().map_or(self.next_segment, |open| open.first_segment);
        observation.source == Source::Speech
            && check::is_noise(&observation.text)
            && self.lines.iter().filter(|line| line.segment >= first).all(Line::is_noise)
    }

    /// Keeps what a segment holds until its chapter is written.
    fn note(&mut self, line: Line) {
        self.next_segment = line.segment + 1;
        self.spans.push_back((line.segment, self.timeline().span(line.span)));
        self.lines.push_back(line);
        if self.lines.len() > MAX_LINES {
            self.lines.pop_front();
        }
        self.trim_spans();
        let usage = self.context.usage();
        let turnovers = usage.evicted / usage.capacity.max(1) as u64;
        if turnovers > self.turnovers {
            self.turnovers = turnovers;
            tracing::info!(
                turnovers,
                appended = usage.appended,
                evicted = usage.evicted,
                "the window has turned over"
            );
        }
    }

    /// Forgets the times of lines that have left the window: the text of a chapter may have needed their room.
    fn trim_spans(&mut self) {
        let oldest = self.context.usage().oldest;
        while self.spans.front().is_some_and(|(segment, _)| *segment < oldest) {
            self.spans.pop_front();
        }
    }

    /// Counts lines of speech that there is no time to encode.
    pub fn count_lines(&mut self, lines: u64) {
        if let Some(open) = &mut self.open {
            open.coverage.text_lines += lines;
        }
    }

    /// Counts sampled frames that were looked at and dropped.
    pub fn count_frames(&mut self, seen: u64, dropped: u64) {
        if let Some(open) = &mut self.open {
            open.coverage.frames += seen;
            open.coverage.frames_dropped += dropped;
        }
    }

    /// What came of it, in order; what is not taken stays for the next call.
    pub fn events(&mut self) -> impl Iterator<Item = ChapterEvent> + '_ {
        std::iter::from_fn(|| self.events.pop_front())
    }

    /// Forgets the stream without a word: after a flush its chapters are nobody's business any more. Ids go on, and
    /// so does `sequence` from the last event that was taken.
    pub fn forget(&mut self) {
        if let Some(event) = self.events.front() {
            self.sequence = event.sequence;
        }
        self.events.clear();
        self.open = None;
        self.timeline = None;
        self.watermark = 0;
        self.periods = Periods::default();
        self.reset();
    }

    /// Forgets what was said and shown so far, and texts that are not written yet; the open chapter and its time go on.
    pub fn reset(&mut self) {
        self.context.reset();
        let questions = std::mem::take(&mut self.writer).questions();
        let failed =
            |question: Question| question.failed("the stream was forgotten before it was answered".into());
        self.answers.extend(questions.map(failed));
        self.lines.clear();
        self.spans.clear();
        self.detector = Detector::with_embedder(self.watermark, self.embed.clone());
    }

    /// What entered and left the context since the last call, when its `token_log` is set.
    pub fn take_log(&mut self) -> Vec<Logged> {
        self.context.take_log()
    }

    /// How full the context is.
    pub fn usage(&self) -> Usage {
        self.context.usage()
    }

    /// Running-time up to which everything is known.
    pub fn watermark(&self) -> u64 {
        self.watermark
    }

    /// Failures so far and the last one's words.
    pub fn errors(&self) -> (u64, Option<&str>) {
        (self.errors, self.last_error.as_deref())
    }

    fn event(&mut self, kind: Kind, id: &str, index: u64, start: u64, timeline: Timeline) -> ChapterEvent {
        let sequence = self.sequence;
        self.sequence += 1;
        let mut event = ChapterEvent::new(kind, id, index, sequence);
        event.stream.clone_from(&self.identity.stream);
        event.session.clone_from(&self.identity.session);
        event.model = self.model.name().to_owned();
        event.prompt_revision = self.prompt_revision;
        event.emitted_at = self.watermark;
        timeline.stamp(&mut event, start);
        event
    }
}

#[cfg(test)]
mod nothing_tests;
#[cfg(test)]
mod period_tests;
#[cfg(test)]
mod sight_tests;
#[cfg(test)]
mod tests;
