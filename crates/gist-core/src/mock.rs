//! A model without weights, for tests of timing and failure.
//!
//! It counts words as tokens and answers from what it was given: the title of a chapter is made of the first words of
//! its first visible segment. [`Script`] makes it slow, wrong or broken.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::{
    Context, ContextConfig, Generation, Model, ModelError, Request, SegmentId, Step, Usage, View,
};

/// How the mock behaves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Script {
    /// Sleep in every append and every step of a generation.
    pub delay: Duration,
    /// Steps before an answer is complete.
    pub steps: usize,
    /// Answer every chapter with this title instead of its own.
    pub title: Option<String>,
    /// Claim this in the points of a chapter, whatever was said; not when only points are asked for.
    pub claim: Option<String>,
    /// Fail every generation with this message.
    pub fail: Option<String>,
    /// Panic in the n-th append, counted from 1; 0 never does.
    pub panic_at: u64,
}

impl Script {
    /// Reads `key=value` pairs separated by commas: `delay-ms=50,steps=3,title=Same,fail=out of memory,panic-at=4`.
    ///
    /// # Errors
    /// Names the pair that can't be read.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut script = Self::default();
        for pair in text.split(',').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            let number = || value.parse::<u64>().map_err(|_| format!("mock: {pair:?} needs a whole number"));
            match key {
                "delay-ms" => script.delay = Duration::from_millis(number()?),
                "steps" => script.steps = number()? as usize,
                "title" => script.title = Some(value.into()),
                "claim" => script.claim = Some(value.into()),
                "fail" => script.fail = Some(value.into()),
                "panic-at" => script.panic_at = number()?,
                _ => {
                    return Err(format!(
                        "mock: unknown key {key:?}; known: delay-ms, steps, title, claim, fail, panic-at"
                    ));
                }
            }
        }
        Ok(script)
    }
}

/// The model.
#[derive(Debug)]
pub struct Mock(Script);

impl Mock {
    /// A mock that follows `script`.
    pub fn new(script: Script) -> Self {
        Self(script)
    }
}

impl Model for Mock {
    fn name(&self) -> &str {
        "mock"
    }

    fn max_context(&self) -> usize {
        32_768
    }

    fn open(&self, config: ContextConfig) -> Result<Box<dyn Context>, ModelError> {
        Ok(Box::new(MockContext {
            script: self.0.clone(),
            capacity: config.context_length,
            memory_length: config.memory_length,
            window: VecDeque::new(),
            memory: VecDeque::new(),
            next: 0,
            usage: Usage { capacity: config.context_length, ..Usage::default() },
        }))
    }

    fn restore(
        &self,
        from: &mut dyn io::Read,
        config: ContextConfig,
    ) -> Result<(Box<dyn Context>, Value), ModelError> {
        let saved: Saved = serde_json::from_reader(from).map_err(|e| ModelError::Backend(e.to_string()))?;
        let window: VecDeque<_> = saved.window.into_iter().map(|(id, text)| (id, text.into())).collect();
        let context = MockContext {
            script: self.0.clone(),
            capacity: config.context_length,
            memory_length: config.memory_length,
            next: window.back().map_or(0, |(id, _)| id + 1),
            window,
            memory: saved.memory.into_iter().map(Into::into).collect(),
            usage: Usage { capacity: config.context_length, ..Usage::default() },
        };
        Ok((Box::new(context), saved.note))
    }
}

struct MockContext {
    script: Script,
    capacity: usize,
    memory_length: usize,
    window: VecDeque<(SegmentId, Arc<str>)>,
    memory: VecDeque<Arc<str>>,
    next: SegmentId,
    usage: Usage,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    window: Vec<(SegmentId, String)>,
    memory: Vec<String>,
    note: Value,
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

impl Context for MockContext {
    fn append(&mut self, text: &str) -> Result<SegmentId, ModelError> {
        assert!(
            self.script.panic_at == 0 || self.next + 1 != self.script.panic_at,
            "the mock was told to panic"
        );
        std::thread::sleep(self.script.delay);
        let needed = count(text);
        let room = self.capacity.saturating_sub(self.memory_length);
        if needed > room {
            return Err(ModelError::TooLong { needed, capacity: room });
        }
        let mut held: usize = self.window.iter().map(|(_, text)| count(text)).sum();
        while held + needed > room {
            let Some((_, old)) = self.window.pop_front() else { break };
            held -= count(&old);
            self.usage.evicted += count(&old) as u64;
        }
        self.window.push_back((self.next, text.into()));
        self.usage.appended += needed as u64;
        self.usage.tokens = held + needed;
        self.next += 1;
        Ok(self.next - 1)
    }

    fn remember(&mut self, text: &str) -> Result<(), ModelError> {
        self.memory.push_back(text.into());
        while self.memory.iter().map(|text| count(text)).sum::<usize>() > self.memory_length {
            self.memory.pop_front();
        }
        Ok(())
    }

    fn save(&self, note: &Value, to: &mut dyn io::Write) -> Result<(), ModelError> {
        let saved = Saved {
            window: self.window.iter().map(|(id, text)| (*id, text.to_string())).collect(),
            memory: self.memory.iter().map(ToString::to_string).collect(),
            note: note.clone(),
        };
        serde_json::to_writer(to, &saved).map_err(|e| ModelError::Backend(e.to_string()))
    }

    fn forget(&mut self, texts: usize) {
        self.memory.drain(..texts.min(self.memory.len()));
    }

    fn yes_probability(&mut self, _view: &View, _question: &str) -> Result<f32, ModelError> {
        Ok(0.5)
    }

    fn generate(&mut self, request: Request) -> Result<Box<dyn Generation>, ModelError> {
        let visible: Vec<_> = self
            .window
            .iter()
            .filter(|(id, _)| request.view.segments.contains(id))
            .map(|(id, text)| (*id, text))
            .collect();
        let answer = match &request.schema {
            Some(schema) => {
                let words = visible.first().map_or("Nothing", |(_, text)| text);
                let title = self.script.title.clone().unwrap_or_else(|| {
                    words
                        .split_whitespace()
                        .filter(|w| !w.contains(['[', ']']))
                        .take(6)
                        .collect::<Vec<_>>()
                        .join(" ")
                });
                let mut answer = fill(schema, &title, visible.first().map_or(0, |(id, _)| *id));
                if let (Some(claim), Some(_)) = (&self.script.claim, answer.get("title")) {
                    answer["points"][0]["text"] = json!(claim);
                }
                answer.to_string()
            }
            None => format!("{} segments, {} memories", visible.len(), self.memory.len()),
        };
        Ok(Box::new(MockGeneration {
            delay: self.script.delay,
            left: self.script.steps,
            answer,
            fail: self.script.fail.clone(),
        }))
    }

    fn reset(&mut self) {
        self.window.clear();
        self.memory.clear();
        self.usage.tokens = 0;
    }

    fn usage(&self) -> Usage {
        Usage {
            oldest: self.window.front().map_or(self.next, |(id, _)| *id),
            memory_texts: self.memory.len(),
            memory_tokens: self.memory.iter().map(|text| count(text)).sum(),
            memory_capacity: self.memory_length,
            ..self.usage
        }
    }
}

/// A value that satisfies the small part of JSON Schema that the prompts use.
fn fill(schema: &Value, text: &str, segment: SegmentId) -> Value {
    match schema["type"].as_str() {
        Some("object") => {
            let fields = schema["properties"].as_object().into_iter().flatten();
            Value::Object(fields.map(|(key, field)| (key.clone(), fill(field, text, segment))).collect())
        }
        Some("array") => json!([fill(&schema["items"], text, segment)]),
        Some("integer") => {
            let bound = |key: &str, open: u64| schema[key].as_u64().unwrap_or(open);
            json!(segment.clamp(bound("minimum", 0), bound("maximum", u64::MAX)))
        }
        _ => json!(text),
    }
}

struct MockGeneration {
    delay: Duration,
    left: usize,
    answer: String,
    fail: Option<String>,
}

impl Generation for MockGeneration {
    fn step(&mut self) -> Result<Step, ModelError> {
        std::thread::sleep(self.delay);
        if let Some(message) = &self.fail {
            return Err(ModelError::Backend(message.clone()));
        }
        if self.left > 0 {
            self.left -= 1;
            return Ok(Step::Running);
        }
        Ok(Step::Done { text: self.answer.clone(), tokens: count(&self.answer) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_names_the_pair_it_cannot_read() {
        assert_eq!(Script::parse("delay-ms=7,steps=2").unwrap().delay, Duration::from_millis(7));
        assert!(Script::parse("delay-ms=soon").unwrap_err().contains("delay-ms=soon"));
        assert!(Script::parse("colour=red").unwrap_err().contains("colour"));
    }
}
