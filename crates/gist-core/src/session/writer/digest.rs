//! Digests: of periods, and of the whole at the end. The model writes an overview; which chapters there were, and when,
//! is set by code.

use std::ops::Range;

use serde::Deserialize;

use crate::config::DigestStyle;
use crate::event::{ChapterEvent, Subchapter};
use crate::model::{Request, SegmentId, View};
use crate::prompt::digest::{PeriodPrompt, whole, whole_schema};
use crate::prompt::flat;
use crate::prompt::labels::Labels;
use crate::time::{Span, clock, nanoseconds};

const DIGEST_TOKENS: usize = 700;

/// What a digest is to be made of.
#[derive(Debug)]
pub(in crate::session) struct Digest {
    /// Running-time.
    pub(in crate::session) period: Span,
    pub(in crate::session) of: Of,
}

#[derive(Debug)]
pub(in crate::session) enum Of {
    /// Of the whole stream, when it has ended.
    Whole,
    Period(Box<Period>),
}

/// What happened in a period. All times but `gap_ns` are stream-time.
#[derive(Debug)]
pub(in crate::session) struct Period {
    pub(in crate::session) span: Span,
    pub(in crate::session) style: DigestStyle,
    /// The chapters that ended in it; set when it is written, as their texts are written before.
    pub(in crate::session) chapters: Vec<ChapterEvent>,
    /// The chapter that goes on: since when, and its lines in the period.
    pub(in crate::session) open: Option<(Span, Range<SegmentId>)>,
    /// The language of those lines.
    pub(in crate::session) language: Option<String>,
    /// When nothing came in.
    pub(in crate::session) gaps: Vec<Span>,
}

impl Period {
    /// Whether there is something for the model to sum up.
    pub(in crate::session) fn has_text(&self) -> bool {
        self.open.as_ref().is_some_and(|(_, lines)| !lines.is_empty())
            || self.chapters.iter().any(|chapter| !chapter.summary.is_empty())
    }
}

/// The answer of the model, as either schema has it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(in crate::session) struct DigestText {
    assessment: String,
    suggestions: Vec<String>,
    overview: String,
    results: Vec<String>,
    questions: Vec<String>,
}

/// A digest with its text, or with the reason why it has none.
#[derive(Debug)]
pub(in crate::session) struct WrittenDigest {
    pub(in crate::session) digest: Digest,
    pub(in crate::session) text: DigestText,
    pub(in crate::session) language: String,
    pub(in crate::session) tokens: usize,
    pub(in crate::session) error: Option<String>,
}

impl Digest {
    pub(super) fn request(
        &self,
        language: &str,
        instructions: Option<&str>,
        (temperature, seed): (f32, u64),
    ) -> Request {
        let (view, prompt, schema) = match &self.of {
            Of::Whole => {
                (View { segments: 0..0, memory: true }, whole(language, instructions), whole_schema())
            }
            Of::Period(period) => {
                let open = period.open.as_ref().map_or(0..0, |(_, lines)| lines.clone());
                let Period { span, style, chapters, .. } = &**period;
                let (span, style) = (*span, *style);
                let prompt =
                    PeriodPrompt { span, chapters, open: open.clone(), style, language, instructions };
                (View { segments: open, memory: false }, prompt.text(), prompt.schema())
            }
        };
        Request { view, prompt, schema: Some(schema), max_tokens: DIGEST_TOKENS, temperature, seed }
    }
}

impl WrittenDigest {
    pub(in crate::session) fn fill(self, event: &mut ChapterEvent, position: u64) {
        let Self { digest, text, language, tokens, error } = self;
        event.period_start = Some(digest.period.start);
        event.period_end = Some(digest.period.end);
        event.is_final = matches!(digest.of, Of::Whole);
        event.emitted_at = position;
        event.language = language;
        event.tokens = tokens as u64;
        event.partial = error.is_some();
        event.error = error;
        match &digest.of {
            Of::Whole => fill_whole(event, &text),
            Of::Period(period) => fill_period(event, period, &text),
        }
    }
}

fn fill_whole(event: &mut ChapterEvent, text: &DigestText) {
    if text.assessment.is_empty() {
        return;
    }
    let labels = Labels::of(&event.language);
    event.summary = flat(&text.assessment);
    event.text = format!("**{}** {}\n", labels.assessment, event.summary);
    event.text += &format!("\n**{}**\n\n", labels.study);
    for (i, suggestion) in text.suggestions.iter().enumerate() {
        event.text += &format!("{}. {}\n", i + 1, flat(suggestion));
    }
}

fn fill_period(event: &mut ChapterEvent, period: &Period, text: &DigestText) {
    let labels = Labels::of(&event.language);
    let detailed = period.style == DigestStyle::Detailed;
    event.summary = flat(&text.overview);
    event.text = format!("**{}–{}**", clock(period.span.start), clock(period.span.end));
    if !event.summary.is_empty() {
        event.text += &format!(" {}", event.summary);
    } else if period.chapters.is_empty() && period.open.is_none() {
        event.text += &format!(" {}", labels.nothing);
    }
    event.text += "\n";
    if !period.chapters.is_empty() || period.open.is_some() {
        event.text += "\n";
    }
    for chapter in &period.chapters {
        let title = if chapter.title.is_empty() { "…" } else { &chapter.title };
        let at = chapter.stream_time.unwrap_or(chapter.running_time);
        if detailed {
            event.text += &format!("**[{}] {title}**\n\n", clock(at));
            for point in &chapter.points {
                event.text += &format!("- [{}] {}\n", clock(nanoseconds(point.start)), point.text);
            }
            event.text += "\n";
            event.points.extend(chapter.points.iter().cloned());
        } else {
            event.text += &format!("- [{}] {title}\n", clock(at));
        }
        event.subchapters.push(Subchapter {
            title: title.to_owned(),
            start: chapter.start,
            end: chapter.end.unwrap_or(chapter.start),
        });
        let (sum, of) = (&mut event.coverage, &chapter.coverage);
        sum.frames += of.frames;
        sum.frames_dropped += of.frames_dropped;
        sum.text_lines += of.text_lines;
    }
    if let Some((span, _)) = &period.open {
        event.text += &format!("- [{}] … ({})\n", clock(span.start), labels.going_on);
    }
    for (label, list) in [(labels.results, &text.results), (labels.questions, &text.questions)] {
        if !list.is_empty() {
            event.text += &format!("\n**{label}**\n\n");
            list.iter().for_each(|item| event.text += &format!("- {}\n", flat(item)));
        }
    }
    if !period.gaps.is_empty() {
        let spans: Vec<_> =
            period.gaps.iter().map(|gap| format!("{}–{}", clock(gap.start), clock(gap.end))).collect();
        event.text += &format!("\n{} {}\n", labels.no_signal, spans.join(", "));
        event.coverage.gap_ns = period.gaps.iter().map(|gap| gap.duration()).sum();
    }
}
