//! An answer in the making, on its own fork.

use std::collections::VecDeque;
use std::sync::Arc;

use gist_core::model::{Generation, ModelError, Request, Step};
use llguidance::Matcher;
use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};
use toktrie::SimpleVob;

use crate::decoder::CHUNK;
use crate::kv::{Cache, Target};
use crate::model::Engine;
use crate::sampling::{Sampler, penalise};

/// A [`Generation`] on a fork.
pub(crate) struct Answer {
    engine: Arc<Engine>,
    fork: Cache,
    /// Tokens to encode before the next one can be chosen: the question, then what was chosen last.
    pending: VecDeque<u32>,
    /// Of the last token encoded; meaningful when nothing is pending.
    logits: Vec<f32>,
    rules: Rules,
    sampler: Sampler,
    answer: Vec<u32>,
    max_tokens: usize,
}

/// What may come next.
enum Rules {
    /// Any text, until the model ends its turn.
    Free(SimpleVob),
    /// Only what the grammar allows.
    Grammar(Box<Matcher>),
}

impl Answer {
    pub(crate) fn new(
        engine: Arc<Engine>,
        fork: Cache,
        question: Vec<u32>,
        request: &Request,
    ) -> Result<Self, ModelError> {
        let rules = match &request.schema {
            Some(schema) => Rules::Grammar(Box::new(grammar(&engine, schema)?)),
            None => Rules::Free(engine.text_tokens.clone()),
        };
        let mut answer = Self {
            engine,
            fork,
            pending: question.into(),
            logits: Vec::new(),
            rules,
            sampler: Sampler::new(request.temperature, request.seed),
            answer: Vec::new(),
            max_tokens: request.max_tokens,
        };
        answer.fast_forward()?;
        Ok(answer)
    }

    /// Adds the tokens the grammar leaves no choice about; they are encoded in one go with what is pending.
    fn fast_forward(&mut self) -> Result<(), ModelError> {
        if let Rules::Grammar(matcher) = &mut self.rules {
            let forced = matcher.consume_ff_tokens();
            if let Some(error) = matcher.get_error() {
                return Err(ModelError::Backend(error));
            }
            self.answer.extend(&forced);
            self.pending.extend(forced);
        }
        Ok(())
    }

    /// Chooses the next token from the logits. Returns whether the answer is complete.
    fn choose(&mut self) -> Result<bool, ModelError> {
        let backend = |e: &dyn std::fmt::Display| ModelError::Backend(e.to_string());
        let tokenizer = &self.engine.tokenizer;
        let words = self.answer.iter().copied().filter(|t| {
            // Only words: punishing quotes and commas would bend the structure of the answer.
            tokenizer.is_ordinary(*t)
                && tokenizer.bytes(*t).iter().any(|b| b.is_ascii_alphabetic() || *b >= 0x80)
        });
        let mut used: Vec<u32> = words.collect();
        used.sort_unstable();
        used.dedup();
        penalise(&mut self.logits, used.into_iter());
        let mask;
        let allowed = match &mut self.rules {
            Rules::Free(tokens) => tokens,
            Rules::Grammar(matcher) => {
                mask = matcher.compute_mask_or_eos().map_err(|e| backend(&e))?;
                &mask
            }
        };
        let Some(token) = self.sampler.sample(&self.logits, allowed) else {
            return Err(ModelError::Backend("the model computed values that are not numbers".into()));
        };
        if !tokenizer.is_ordinary(token) {
            return Ok(true);
        }
        self.answer.push(token);
        self.pending.push_back(token);
        if let Rules::Grammar(matcher) = &mut self.rules {
            matcher.consume_token(token).map_err(|e| backend(&e))?;
            if !matcher.is_stopped() {
                self.fast_forward()?;
            }
        }
        Ok(self.is_complete())
    }

    /// Whether the grammar allows nothing more.
    fn is_complete(&self) -> bool {
        matches!(&self.rules, Rules::Grammar(matcher) if matcher.is_stopped())
    }

    fn finish(&self) -> Result<Step, ModelError> {
        let text = self.engine.tokenizer.decode(&self.answer);
        if matches!(self.rules, Rules::Grammar(_)) {
            serde_json::from_str::<Value>(&text)
                .map_err(|e| ModelError::Backend(format!("broken JSON: {e}")))?;
        }
        Ok(Step::Done { text, tokens: self.answer.len() })
    }
}

impl Generation for Answer {
    fn step(&mut self) -> Result<Step, ModelError> {
        if self.pending.is_empty() && self.choose()? || self.is_complete() {
            return self.finish();
        }
        // One step more than tokens: free text may still end here.
        if self.answer.len() > self.max_tokens {
            return Err(ModelError::Truncated(self.max_tokens));
        }
        let n = self.pending.len().min(CHUNK);
        let chunk: Vec<u32> = self.pending.iter().take(n).copied().collect();
        let last = n == self.pending.len();
        let logits = last.then_some(&mut self.logits);
        self.engine.chunk(&chunk, &mut self.fork, Target::Window, logits);
        self.pending.drain(..n);
        Ok(Step::Running)
    }
}

/// A matcher for `schema`, written the way the model writes JSON: one space behind commas and colons, no free white
/// space to get lost in, and no `\u` escapes, since it can write every character as it is.
fn grammar(engine: &Engine, schema: &Value) -> Result<Matcher, ModelError> {
    let refused = |e: &dyn std::fmt::Display| ModelError::Backend(format!("the schema is refused: {e}"));
    let Value::Object(mut schema) = schema.clone() else {
        return Err(refused(&"it is not an object"));
    };
    schema.insert(
        "x-guidance".into(),
        json!({
            "whitespace_flexible": false,
            "item_separator": ", ",
            "key_separator": ": ",
            "json_allowed_escapes": "nt\\\"",
        }),
    );
    let parser = engine.grammars.create_parser(TopLevelGrammar::from_json_schema(schema.into()));
    let matcher = Matcher::new(parser);
    match matcher.get_error() {
        Some(error) => Err(refused(&error)),
        None => Ok(matcher),
    }
}
