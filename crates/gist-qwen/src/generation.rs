//! An answer in the making, on its own fork.

use std::collections::VecDeque;
use std::sync::Arc;

use gist_core::model::{Generation, ModelError, Request, Step};
use gist_kernels::DRAFT;
use llguidance::Matcher;
use llguidance::api::TopLevelGrammar;
use serde_json::{Value, json};
use toktrie::SimpleVob;

use crate::decoder::{CHUNK, Want};
use crate::guess::Guesser;
use crate::kv::{Cache, Target};
use crate::model::Engine;
use crate::sampling::{Sampler, is_word, penalise};
use crate::sequence::Sequence;

/// A [`Generation`] on a fork.
pub(crate) struct Answer {
    engine: Arc<Engine>,
    fork: Cache,
    /// Tokens to encode before the next one can be chosen: the question, then what was chosen last.
    pending: VecDeque<u32>,
    /// What logits are computed of, for the last token encoded and those behind it that were guessed,
    /// `[1 + guessed, hidden]`; meaningful when nothing is pending.
    hidden: Vec<f32>,
    /// Of the next token, `[vocab]`.
    logits: Vec<f32>,
    /// Encoded behind what is pending and chosen, not yet chosen themselves.
    guessed: VecDeque<u32>,
    guesser: Guesser,
    rules: Rules,
    sampler: Sampler,
    answer: Vec<u32>,
    max_tokens: usize,
    /// Of a model that thinks first: what it thought so far, until it comes to an end.
    thought: Option<Vec<u32>>,
}

/// Tokens a model may think before it is made to answer.
const THOUGHT_TOKENS: usize = 512;

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
        guesser: Guesser,
        request: &Request,
    ) -> Result<Self, ModelError> {
        let rules = match &request.schema {
            Some(schema) => Rules::Grammar(Box::new(grammar(&engine, schema)?)),
            None => Rules::Free(engine.text_tokens.clone()),
        };
        let thought = engine.end_of_thought.map(|_| Vec::new());
        let mut answer = Self {
            thought,
            engine,
            fork,
            guesser,
            pending: question.into(),
            hidden: Vec::new(),
            logits: Vec::new(),
            guessed: VecDeque::new(),
            rules,
            sampler: Sampler::new(request.temperature, request.seed),
            answer: Vec::new(),
            max_tokens: request.max_tokens,
        };
        if answer.thought.is_none() {
            answer.fast_forward()?;
        }
        Ok(answer)
    }

    /// One more token of reasoning, which is free text and no part of the answer; then the answer begins.
    fn think(&mut self, end: u32, mut thought: Vec<u32>) -> Result<(), ModelError> {
        self.expect();
        let tokenizer = &self.engine.tokenizer;
        let mut allowed = self.engine.text_tokens.clone();
        allowed.allow_token(end);
        let token = self.sampler.sample(&self.logits, &allowed).ok_or_else(not_numbers)?;
        if tokenizer.is_ordinary(token) && thought.len() < THOUGHT_TOKENS {
            self.pending.push_back(token);
            thought.push(token);
            self.thought = Some(thought);
            return Ok(());
        }
        tracing::debug!(reasoning = tokenizer.decode(&thought), "the model has thought");
        self.pending.push_back(end);
        self.pending.extend(tokenizer.encode("\n\n"));
        self.fast_forward()
    }

    /// The text so far.
    pub(crate) fn text(&self) -> String {
        self.engine.tokenizer.decode(&self.answer)
    }

    #[cfg(test)]
    pub(crate) fn state(&self) -> (&[u32], &Guesser, &Cache) {
        (&self.answer, &self.guesser, &self.fork)
    }

    /// Adds the tokens the grammar leaves no choice about; they are encoded in one go with what is pending.
    fn fast_forward(&mut self) -> Result<(), ModelError> {
        if let Rules::Grammar(matcher) = &mut self.rules {
            let forced = matcher.consume_ff_tokens();
            if let Some(error) = matcher.get_error() {
                return Err(ModelError::Backend(error));
            }
            forced.into_iter().for_each(|token| self.say(token));
        }
        Ok(())
    }

    /// Adds a token to the answer. One that was guessed is encoded already; where another one was guessed, that and all
    /// behind it is cut off.
    fn say(&mut self, token: u32) {
        self.answer.push(token);
        self.guesser.push(token);
        if self.pending.is_empty() && self.guessed.front() == Some(&token) {
            self.guessed.pop_front();
            self.guesser.right += 1;
            return;
        }
        let window = self.fork.region_mut(Target::Window);
        window.truncate(window.len() - self.guessed.len());
        self.guessed.clear();
        self.pending.push_back(token);
    }

    /// Computes what may come next.
    fn expect(&mut self) {
        let width = self.engine.decoder.config().hidden;
        let from = self.hidden.len().saturating_sub((self.guessed.len() + 1) * width);
        self.engine.logits(&self.hidden[from..][..width], &mut self.logits);
    }

    /// Chooses the next token from the logits. Returns whether the answer is complete.
    fn choose(&mut self) -> Result<bool, ModelError> {
        self.expect();
        let backend = |e: &dyn std::fmt::Display| ModelError::Backend(e.to_string());
        let tokenizer = &self.engine.tokenizer;
        let word = |t: &u32| tokenizer.is_ordinary(*t) && is_word(tokenizer.bytes(*t));
        let mut used: Vec<u32> = self.answer.iter().copied().filter(word).collect();
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
            return Err(not_numbers());
        };
        if !tokenizer.is_ordinary(token) {
            return Ok(true);
        }
        self.say(token);
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

    /// Guesses what comes behind the next `n` tokens, as much of it as costs next to nothing.
    fn guess(&mut self, n: usize) {
        let room = self.max_tokens.saturating_sub(self.answer.len());
        let open = self.fork.region(Target::Window).left_open(n);
        let most = if self.thought.is_some() { 0 } else { DRAFT.saturating_sub(n).min(open).min(room) };
        self.guessed.extend(self.guesser.next(most));
        self.guesser.guessed += self.guessed.len();
    }

    fn finish(&self) -> Result<Step, ModelError> {
        let text = self.text();
        let Guesser { guessed, right, .. } = self.guesser;
        tracing::debug!(tokens = self.answer.len(), guessed, right, "an answer");
        if matches!(self.rules, Rules::Grammar(_)) {
            serde_json::from_str::<Value>(&text)
                .map_err(|e| ModelError::Backend(format!("broken JSON: {e}")))?;
        }
        Ok(Step::Done { text, tokens: self.answer.len() })
    }
}

impl Generation for Answer {
    fn step(&mut self) -> Result<Step, ModelError> {
        if self.pending.is_empty()
            && let (Some(end), Some(thought)) = (self.engine.end_of_thought, self.thought.take())
        {
            self.think(end, thought)?;
        } else if self.pending.is_empty() && self.choose()? || self.is_complete() {
            return self.finish();
        }
        // One step more than tokens: free text may still end here.
        if self.answer.len() > self.max_tokens {
            return Err(ModelError::Truncated(self.max_tokens));
        }
        if self.pending.is_empty() {
            return Ok(Step::Running);
        }
        let n = self.pending.len().min(CHUNK);
        let mut chunk: Vec<u32> = self.pending.drain(..n).collect();
        let want = if self.pending.is_empty() {
            self.guess(n);
            chunk.extend(&self.guessed);
            Want::Hidden(1 + self.guessed.len(), &mut self.hidden)
        } else {
            Want::Encoding
        };
        let chunk = Sequence::text(&chunk);
        self.engine.chunk(&chunk.chunk(0..chunk.len()), &mut self.fork, Target::Window, want);
        Ok(Step::Running)
    }
}

fn not_numbers() -> ModelError {
    ModelError::Backend("the model computed values that are not numbers".into())
}

/// A matcher for `schema`, written the way the model writes JSON: one space behind commas and colons, no free white
/// space to get lost in, and no `\u` escapes, since it can write every character as it is.
fn grammar(engine: &Engine, schema: &Value) -> Result<Matcher, ModelError> {
    let refused = |e: &dyn std::fmt::Display| ModelError::Backend(format!("the schema is refused: {e}"));
    let Value::Object(mut schema) = schema.clone() else {
        return Err(refused(&"it is not an object"));
    };
    // A schema may bring its own, for a model that was trained on JSON without blanks.
    let style = schema.entry("x-guidance");
    style.or_insert_with(|| {
        json!({
            "whitespace_flexible": false,
            "item_separator": ", ",
            "key_separator": ": ",
            "json_allowed_escapes": "nt\\\"",
        })
    });
    let parser = engine.grammars.create_parser(TopLevelGrammar::from_json_schema(schema.into()));
    let matcher = Matcher::new(parser);
    match matcher.get_error() {
        Some(error) => Err(refused(&error)),
        None => Ok(matcher),
    }
}
