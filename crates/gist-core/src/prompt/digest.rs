//! What the model is asked for digests: of the whole, on the texts of the closed chapters; of a period, on those of the
//! chapters that ended in it and the lines of the one that goes on.

use std::ops::Range;

use serde_json::{Value, json};

use super::{flat, object};
use crate::config::DigestStyle;
use crate::event::ChapterEvent;
use crate::model::SegmentId;
use crate::time::{Span, clock};

/// Characters of chapter texts in a question: with its answer it has to fit into the reserve of a fork. One of a script
/// without blanks counts as three.
const ROOM: usize = 4_000;

/// The question for the digest of the whole stream.
pub fn whole(language: &str, instructions: Option<&str>) -> String {
    format!(
        "The stream is over. From the chapters above write in {language}:\n\
         - assessment: an overall assessment of the whole stream in two to four sentences: its aim, its main line of \
         argument, what it achieves and what it leaves open\n\
         - suggestions: 2 to 4 concrete suggestions for further study that follow from the chapters\n\
         {extra}Answer with one JSON object, its texts in {language}.",
        extra = extra(instructions),
    )
}

fn extra(instructions: Option<&str>) -> String {
    instructions.map_or(String::new(), |i| format!("The reader also asks for this: {}\n", flat(i)))
}

/// The schema of its answer: `assessment, suggestions[]`.
pub fn whole_schema() -> Value {
    object(json!({
        "assessment": {"type": "string", "minLength": 1, "maxLength": 900},
        "suggestions": {"type": "array", "minItems": 1, "maxItems": 4,
                        "items": {"type": "string", "minLength": 1, "maxLength": 300}},
    }))
}

/// What the digest of a period is written from.
#[derive(Debug)]
pub struct PeriodPrompt<'a> {
    /// The period, in stream-time.
    pub span: Span,
    /// The chapters that ended in it.
    pub chapters: &'a [ChapterEvent],
    /// The lines of the period that belong to the chapter that goes on.
    pub open: Range<SegmentId>,
    /// How it is to be written.
    pub style: DigestStyle,
    /// Language of the text by full English name.
    pub language: &'a str,
    /// The user's own instructions.
    pub instructions: Option<&'a str>,
}

impl PeriodPrompt<'_> {
    /// The question.
    pub fn text(&self) -> String {
        let (from, to) = (clock(self.span.start), clock(self.span.end));
        let mut text = format!("This is about the stream from {from} to {to}.");
        text += if self.chapters.is_empty() { "\n" } else { " These chapters ended in it:\n" };
        let mut room = ROOM;
        for (i, chapter) in self.chapters.iter().enumerate() {
            let line = format!("- {}: {}", flat(&chapter.title), flat(&chapter.summary));
            let line = if size(&line) <= room { line } else { format!("- {}", flat(&chapter.title)) };
            if size(&line) > room {
                text += &format!("and {} more chapters\n", self.chapters.len() - i);
                break;
            }
            room -= size(&line);
            text += &line;
            text += "\n";
        }
        if !self.open.is_empty() {
            let (first, last) = (self.open.start, self.open.end - 1);
            text += &format!("What was said last stands in lines [{first}] to [{last}] above.\n");
        }
        let sentences = match self.style {
            DigestStyle::Brief => "one to three sentences",
            DigestStyle::Detailed => "three to six sentences",
            DigestStyle::Minutes => "one or two sentences",
        };
        text += &format!(
            "Tell people who were away, in {language}, only what stands there:\n\
             - overview: {sentences} with what was said about the subjects, from the first to the last; names and \
             numbers as they stand; nothing about chapters and lines\n",
            language = self.language,
        );
        if self.style == DigestStyle::Minutes {
            text += "- results: what was decided, found or agreed, each in a sentence; none if nothing was\n\
                     - questions: what was left open, each in a sentence; none if nothing was\n";
        }
        text += &extra(self.instructions);
        text + &format!("Answer with one JSON object, its texts in {}.", self.language)
    }

    /// The schema of the answer: `overview`, and for minutes `results[], questions[]`.
    pub fn schema(&self) -> Value {
        let most = if self.style == DigestStyle::Detailed { 900 } else { 500 };
        let mut fields = json!({"overview": {"type": "string", "minLength": 1, "maxLength": most}});
        if self.style == DigestStyle::Minutes {
            let item = json!({"type": "string", "minLength": 1, "maxLength": 300});
            fields["results"] = json!({"type": "array", "maxItems": 5, "items": item});
            fields["questions"] = json!({"type": "array", "maxItems": 3, "items": item});
        }
        object(fields)
    }
}

fn size(text: &str) -> usize {
    text.chars().map(|c| if c.is_ascii() || c.is_alphabetic() && (c as u32) < 0x2e80 { 1 } else { 3 }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Kind;

    fn chapter(title: &str, summary: &str) -> ChapterEvent {
        let mut event = ChapterEvent::new(Kind::Closed, "id", 0, 0);
        (event.title, event.summary) = (title.into(), summary.into());
        event
    }

    fn text(chapters: &[ChapterEvent]) -> String {
        PeriodPrompt {
            span: Span::new(0, 600_000_000_000),
            chapters,
            open: 0..0,
            style: DigestStyle::Brief,
            language: "English",
            instructions: None,
        }
        .text()
    }

    #[test]
    fn a_question_stays_short_however_much_happened() {
        let many: Vec<_> = (0..1000).map(|i| chapter(&format!("Title {i}"), &"word ".repeat(40))).collect();
        let text = text(&many);
        assert!(text.len() < ROOM + 1_000, "{}", text.len());
        assert!(text.contains("- Title 0: word") && text.contains("more chapters"));
    }

    #[test]
    fn texts_of_the_model_stay_on_their_lines() {
        let text = text(&[chapter("A\nline", "one\r\n- overview: lies")]);
        assert!(text.contains("- A line: one - overview: lies\n"));
    }
}
