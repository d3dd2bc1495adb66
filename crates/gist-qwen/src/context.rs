//! [`gist_core::model::Model`] and [`gist_core::model::Context`], in the ChatML words of the Qwen family.

use std::sync::Arc;

use gist_core::model::{
    Context, ContextConfig, Dialect, Eviction, Generation, Model, ModelError, Request, SegmentId, Usage, View,
};
use gist_core::picture::{Gate, Pair, Seen};
use gist_core::token_log::Logged;

use crate::chat::Chat;
use crate::decoder::{CHUNK, Want};
use crate::generation::Answer;
use crate::guess::Guesser;
use crate::kv::{Cache, Layout, SinkPositions, Target};
use crate::model::{Engine, QwenModel};
use crate::rolling::{RollingContext, SCRATCH_TOKENS};
use crate::sequence::Sequence;
use crate::sight::{Sight, Sighted};

impl Model for QwenModel {
    fn name(&self) -> &str {
        &self.name
    }

    fn max_context(&self) -> usize {
        self.config().max_context
    }

    fn sees(&self) -> bool {
        self.engine.eyes.is_some()
    }

    fn dialect(&self) -> Dialect {
        self.dialect
    }

    fn open(&self, config: ContextConfig) -> Result<Box<dyn Context>, ModelError> {
        Ok(Box::new(self.open_context(config)?))
    }

    fn restore(
        &self,
        from: &mut dyn std::io::Read,
        config: ContextConfig,
    ) -> Result<(Box<dyn Context>, serde_json::Value), ModelError> {
        let (context, note) = self.restore_context(from, &config)?;
        Ok((Box::new(context), note))
    }
}

impl QwenModel {
    /// As [`Model::open`], with the type kept. A fork must stay within what the model was trained for, so the last
    /// [`SCRATCH_TOKENS`] before [`Model::max_context`] are kept for questions and answers.
    ///
    /// # Errors
    /// When the sizes do not fit the model.
    pub fn open_context(&self, config: ContextConfig) -> Result<QwenContext, ModelError> {
        let max = self.max_context();
        if config.context_length > max {
            return Err(ModelError::Backend(format!(
                "a context-length of {} is more than the {max} tokens {} was trained for",
                config.context_length, self.name
            )));
        }
        let capacity = config.context_length.min(max.saturating_sub(SCRATCH_TOKENS));
        let mut pinned = Chat::new(&self.engine.tokenizer);
        if !config.system.is_empty() {
            pinned = pinned.turn("system").text(&config.system).end();
        }
        pinned = pinned.turn("user");
        if let Some(tokens) = self.engine.nested() {
            pinned = pinned.special(tokens.vision_start);
        }
        let pinned = pinned.sequence();
        let engine = self.engine.clone();
        let layout = Layout::of(engine.decoder.config(), engine.kv_type);
        let mut rolling = RollingContext::new(
            &*engine,
            layout,
            match config.eviction {
                Eviction::MovingSinks => SinkPositions::Moving,
                Eviction::Keep => SinkPositions::Keep,
                Eviction::Recompute => SinkPositions::Recompute,
            },
            &pinned,
            capacity,
            config.memory_length,
        )?;
        rolling.set_budget(config.attention_budget);
        if config.token_log {
            rolling.keep_log(&*engine, &pinned);
        }
        Ok(QwenContext { engine, rolling, sight: Sight::new(config.max_pixels) })
    }
}

/// One stream's rolling context on a [`QwenModel`].
pub struct QwenContext {
    engine: Arc<Engine>,
    rolling: RollingContext,
    sight: Sight,
}

impl QwenContext {
    /// A hash of every key and value held: equal before and after anything that must not change the context.
    pub fn digest(&self) -> u64 {
        self.rolling.digest()
    }

    /// The logits after `question`, asked on a fork.
    ///
    /// # Errors
    /// When it does not fit behind what is in view.
    pub fn logits(&self, view: &View, question: &str) -> Result<Vec<f32>, ModelError> {
        let (mut fork, tokens) = self.ask(view, question, 0)?;
        let mut logits = Vec::new();
        let mut chunks = tokens.chunks(CHUNK).peekable();
        while let Some(chunk) = chunks.next() {
            let want = if chunks.peek().is_none() { Want::Logits(&mut logits) } else { Want::Encoding };
            self.engine.chunk(&chunk, &mut fork, Target::Window, want);
        }
        Ok(logits)
    }

    /// Appends tokens that were made elsewhere.
    pub(crate) fn append_sequence(&mut self, sequence: &Sequence) -> Result<SegmentId, ModelError> {
        self.rolling.append(&*self.engine, sequence)
    }

    #[cfg(test)]
    pub(crate) fn region(&self, target: Target) -> &crate::kv::Region {
        self.rolling.cache.region(target)
    }

    /// Has the window, which is still empty, begin at a position.
    #[cfg(test)]
    pub(crate) fn begin_window(&mut self, position: i64) {
        self.rolling.cache.region_mut(Target::Window).clear(position);
    }

    /// Starts an answer, with its type kept.
    pub(crate) fn answer(&self, request: &Request) -> Result<Answer, ModelError> {
        self.guess(request, Guesser::new(self.rolling.said(&request.view)))
    }

    /// As [`Self::answer`], guessing from what `guesser` knows and the question.
    pub(crate) fn guess(&self, request: &Request, mut guesser: Guesser) -> Result<Answer, ModelError> {
        let (fork, tokens) = self.ask(&request.view, &request.prompt, request.max_tokens)?;
        tokens.ids().iter().for_each(|token| guesser.push(*token));
        Answer::new(self.engine.clone(), fork, tokens.ids().to_vec(), guesser, request)
    }

    /// A fork of what is in view and the tokens of the question, with room for `answer` tokens more.
    fn ask(&self, view: &View, prompt: &str, answer: usize) -> Result<(Cache, Sequence), ModelError> {
        let tokenizer = &self.engine.tokenizer;
        let mut question = Chat::new(tokenizer);
        if let Some(tokens) = self.engine.nested() {
            question = question.special(tokens.vision_end);
        }
        question = question.text(prompt).end().turn("assistant");
        if self.engine.end_of_thought.is_some()
            && let Some(think) = tokenizer.special_id("<think>")
        {
            question = question.special(think).text("\n");
        }
        let tokens = question.sequence();
        let fork = self.rolling.fork(view);
        let (needed, capacity) = (tokens.len() + answer, self.rolling.room(&fork));
        if needed > capacity {
            return Err(ModelError::TooLong { needed, capacity });
        }
        Ok((fork, tokens))
    }
}

impl QwenModel {
    /// As [`Model::restore`], with the type kept.
    ///
    /// # Errors
    /// As there.
    pub fn restore_context(
        &self,
        from: &mut dyn std::io::Read,
        config: &ContextConfig,
    ) -> Result<(QwenContext, serde_json::Value), ModelError> {
        let engine = self.engine.clone();
        let layout = Layout::of(engine.decoder.config(), engine.kv_type);
        let most = self.max_context().saturating_sub(SCRATCH_TOKENS);
        let (mut rolling, note) = RollingContext::restore(&engine.saved_as(), layout, most, from)?;
        match config.eviction {
            Eviction::MovingSinks => {}
            Eviction::Keep => rolling.keep_sinks(),
            Eviction::Recompute => {
                let why =
                    "a saved context does not hold what it was made of: eviction=recompute cannot take it up";
                return Err(ModelError::Backend(why.into()));
            }
        }
        rolling.set_budget(config.attention_budget);
        if config.token_log {
            rolling.keep_log(&*engine, &Sequence::default());
        }
        Ok((QwenContext { engine, rolling, sight: Sight::new(config.max_pixels) }, note))
    }
}

impl Context for QwenContext {
    fn append(&mut self, text: &str) -> Result<SegmentId, ModelError> {
        let tokens = self.engine.tokenizer.encode(text);
        self.rolling.append(&*self.engine, &Sequence::text(&tokens))
    }

    fn append_pair(
        &mut self,
        label: &str,
        pair: &Pair,
        seconds: f64,
        gate: Gate,
    ) -> Result<Seen, ModelError> {
        match self.sight.see(&self.engine, label, pair, seconds, gate)? {
            Some(Sighted { segment, changed }) => {
                let segment = self.rolling.append(&*self.engine, &segment)?;
                Ok(Seen::Segment { segment, changed })
            }
            None => Ok(Seen::Unchanged),
        }
    }

    fn remember(&mut self, text: &str) -> Result<(), ModelError> {
        let tokens = self.engine.tokenizer.encode(text);
        self.rolling.remember(&*self.engine, &Sequence::text(&tokens))
    }

    fn forget(&mut self, texts: usize) {
        self.rolling.forget(texts);
    }

    fn yes_probability(&mut self, view: &View, question: &str) -> Result<f32, ModelError> {
        let logits = self.logits(view, &format!("{} Answer yes or no.", question.trim_end()))?;
        let [yes, no] = &self.engine.verdicts;
        let at = |tokens: &[u32]| {
            tokens.iter().filter_map(|t| logits.get(*t as usize).copied()).collect::<Vec<_>>()
        };
        let (yes, no) = (at(yes), at(no));
        let top = yes.iter().chain(&no).fold(f32::NEG_INFINITY, |a, b| a.max(*b));
        let sum = |x: Vec<f32>| x.into_iter().map(|x| (x - top).exp()).sum::<f32>();
        let (yes, no) = (sum(yes), sum(no));
        let probability = yes / (yes + no);
        if probability.is_finite() {
            Ok(probability)
        } else {
            Err(ModelError::Backend("the model computed values that are not numbers".into()))
        }
    }

    fn generate(&mut self, request: Request) -> Result<Box<dyn Generation>, ModelError> {
        Ok(Box::new(self.answer(&request)?))
    }

    fn reset(&mut self) {
        self.rolling.reset();
        self.sight.reset();
    }

    fn usage(&self) -> Usage {
        let pairs = self.sight.pairs;
        Usage {
            pairs_encoded: pairs.encoded,
            pairs_known: pairs.known,
            vision_ns: self.sight.busy.as_nanos() as u64,
            ..self.rolling.usage()
        }
    }

    fn save(&self, note: &serde_json::Value, to: &mut dyn std::io::Write) -> Result<(), ModelError> {
        let saved = self.rolling.save(&self.engine.saved_as(), note, to);
        saved.map_err(|e| ModelError::Backend(format!("the context cannot be saved: {e}")))
    }

    fn take_log(&mut self) -> Vec<Logged> {
        self.rolling.take_log()
    }
}
