//! Questions of the user about the stream, and their answers: the model names lines and chapters, code sets the times.

use std::ops::Range;

use serde::Deserialize;
use serde_json::{Value, json};

use super::memory::Held;
use crate::model::{Request, SegmentId, View};
use crate::prompt::flat;
use crate::prompt::question::QuestionPrompt;
use crate::time::{Span, seconds};

const ANSWER_TOKENS: usize = 500;

/// A question, and what of the stream may answer it.
#[derive(Debug)]
pub(in crate::session) struct Question {
    pub(in crate::session) text: String,
    /// When only a part of the stream counts.
    pub(in crate::session) span: Option<Span>,
    /// Lines that are in the window, with their times. All times are stream-time.
    pub(in crate::session) lines: Vec<(SegmentId, Span)>,
}

/// An answer with the times it rests on.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// What was asked.
    pub question: String,
    /// Statements in the order of the answer.
    pub statements: Vec<Statement>,
    /// Why there is none.
    pub error: Option<String>,
}

/// A sentence of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Statement {
    /// One line of text.
    pub text: String,
    /// Stretches of stream-time it comes from, in seconds.
    pub sources: Vec<(f64, f64)>,
}

impl Answer {
    /// The statements as a JSON array: `[{text, sources: [{start, end}]}]`, in seconds of stream-time.
    pub fn statements_json(&self) -> Value {
        let source = |(start, end): &(f64, f64)| json!({"start": start, "end": end});
        let statement = |statement: &Statement| {
            let sources: Vec<Value> = statement.sources.iter().map(source).collect();
            json!({"text": statement.text, "sources": sources})
        };
        self.statements.iter().map(statement).collect()
    }

    /// The statements line by line, each followed by where its sources begin: `… [00:12:07]`.
    pub fn text(&self) -> String {
        let cite = |(start, _): &(f64, f64)| {
            let s = start.max(0.0) as u64;
            format!(" [{:02}:{:02}:{:02}]", s / 3600, s / 60 % 60, s % 60)
        };
        let line = |statement: &Statement| {
            statement.text.clone() + &statement.sources.iter().map(cite).collect::<String>()
        };
        self.statements.iter().map(line).collect::<Vec<_>>().join("\n")
    }
}

#[derive(Deserialize)]
struct Text {
    statements: Vec<TextStatement>,
}

#[derive(Deserialize)]
struct TextStatement {
    text: String,
    #[serde(default)]
    lines: Vec<SegmentId>,
    #[serde(default)]
    chapters: Vec<u64>,
}

impl Question {
    /// The texts of chapters that may answer it.
    fn chapters<'a>(&self, memory: impl Iterator<Item = &'a Held>) -> Vec<&'a Held> {
        let counts = |held: &&Held| self.span.is_none_or(|span| span.overlaps(held.span));
        memory.filter(counts).collect()
    }

    /// What the model is asked.
    ///
    /// # Errors
    /// When nothing of that time is known any more, or yet.
    pub(super) fn request<'a>(
        &self,
        memory: impl Iterator<Item = &'a Held>,
        language: &str,
        (temperature, seed): (f32, u64),
    ) -> Result<Request, String> {
        let chapters = self.chapters(memory);
        let numbers = numbers(&chapters);
        let segments = match (self.lines.first(), self.lines.last()) {
            (Some((first, _)), Some((last, _))) => *first..last + 1,
            _ => 0..0,
        };
        if segments.is_empty() && numbers.is_empty() {
            return Err("nothing of that time is in the context or in the memory".into());
        }
        let prompt = QuestionPrompt {
            question: &self.text,
            segments: segments.clone(),
            chapters: numbers.clone(),
            span: self.span,
            language,
        };
        Ok(Request {
            view: View { segments, memory: !numbers.is_empty() },
            prompt: prompt.text(),
            schema: Some(prompt.schema()),
            max_tokens: ANSWER_TOKENS,
            temperature,
            seed,
        })
    }

    /// The answer of the model with its times.
    ///
    /// # Errors
    /// When it is none.
    pub(super) fn answered<'a>(
        &self,
        answer: &str,
        memory: impl Iterator<Item = &'a Held>,
    ) -> Result<Answer, String> {
        let text: Text = serde_json::from_str(answer).map_err(|e| format!("the answer is not valid: {e}"))?;
        let chapters = self.chapters(memory);
        let statements = text.statements.into_iter().map(|statement| {
            let lines = statement.lines.iter().filter_map(|line| {
                let at = self.lines.binary_search_by_key(line, |(segment, _)| *segment).ok()?;
                Some(self.lines[at].1)
            });
            let texts = statement.chapters.iter().filter_map(|number| {
                chapters.iter().find(|held| (held.first..=held.last).contains(number)).map(|held| held.span)
            });
            let mut spans: Vec<Span> = lines.chain(texts).collect();
            spans.sort_by_key(|span| (span.start, span.end));
            spans.dedup();
            let sources = spans.iter().map(|span| (seconds(span.start), seconds(span.end))).collect();
            Statement { text: plain(&statement.text), sources }
        });
        Ok(Answer { question: self.text.clone(), statements: statements.collect(), error: None })
    }

    pub(in crate::session) fn failed(&self, why: String) -> Answer {
        Answer { question: self.text.clone(), error: Some(why), ..Answer::default() }
    }
}

/// The numbers from the first chapter known to the last.
fn numbers(chapters: &[&Held]) -> Range<u64> {
    let first = chapters.iter().map(|held| held.first).min();
    let last = chapters.iter().map(|held| held.last).max();
    first.zip(last).map_or(0..0, |(first, last)| first..last + 1)
}

/// One line without the brackets a model may have put numbers or times into: those come from code alone.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('[') {
        out += before;
        rest = match after.split_once(']') {
            Some((inside, behind)) if inside.chars().all(|c| c.is_ascii_digit() || ":,;.- –".contains(c)) => {
                behind
            }
            _ => {
                out.push('[');
                after
            }
        };
    }
    flat(&(out + rest)).replace(" .", ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_that_the_model_made_up_do_not_go_out() {
        assert_eq!(plain("It is 42 [12:34] kg [3]."), "It is 42 kg.");
        assert_eq!(plain("a[i] and b[ 1, 2 ]\nc"), "a[i] and b c");
        assert_eq!(plain("open [ bracket"), "open [ bracket");
    }
}
