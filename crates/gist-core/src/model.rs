//! The one small trait a language model has to fill.
//!
//! A [`Model`] is loaded once per process and shared. Each stream opens a [`Context`] on it: the rolling window that
//! is only ever appended to. Questions and chapter texts run on a fork of the context, so the live one stays
//! bit-identical whatever is asked.

use std::io;
use std::ops::Range;

use serde_json::Value;

use crate::picture::{Gate, Pair, Seen};
use crate::token_log::Logged;

/// Names a window segment: 0, 1, 2, … in the order of [`Context::append`], never reused, not even after a reset.
pub type SegmentId = u64;

/// What can go wrong with a model.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// The answer did not come to an end within its token budget.
    #[error("the answer was cut off after {0} tokens")]
    Truncated(usize),
    /// A single segment or question is larger than the window.
    #[error("{needed} tokens do not fit into a window of {capacity}; set a larger context-length")]
    TooLong {
        /// Tokens asked for.
        needed: usize,
        /// Tokens there are.
        capacity: usize,
    },
    /// Anything else, in the backend's words.
    #[error("{0}")]
    Backend(String),
}

/// What becomes of the rest when the oldest segments are evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Eviction {
    /// Nothing is touched: prompt and memory are seen from right before the window, whose positions grow for ever.
    #[default]
    MovingSinks,
    /// Nothing is touched, and everything is seen from where it was: what masked attention over the whole stream comes
    /// to, with a gap that grows beyond what a model was trained for.
    Keep,
    /// The whole window is encoded anew, as a model is used that cannot roll: the baseline, slow.
    Recompute,
}

/// What a context is opened with.
#[derive(Clone, Debug, Default)]
pub struct ContextConfig {
    /// System prompt, kept for ever at the front.
    pub system: String,
    /// Everything together in tokens: pinned, memory and window.
    pub context_length: usize,
    /// At most this many tokens of it for the texts of closed chapters.
    pub memory_length: usize,
    /// A model that sees scales pictures down to at most this many pixels; 0 for its own choice.
    pub max_pixels: usize,
    /// What becomes of the rest when the oldest segments are evicted.
    pub eviction: Eviction,
    /// An answer reads about this many tokens of the window, those that matter most to it; `None` for all.
    pub attention_budget: Option<usize>,
    /// Notes what enters and leaves, for [`Context::take_log`].
    pub token_log: bool,
}

/// How full a context is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Tokens held now: pinned, memory and window.
    pub tokens: usize,
    /// Tokens that fit.
    pub capacity: usize,
    /// Tokens appended to the window since it was opened.
    pub appended: u64,
    /// Tokens evicted from the window since it was opened.
    pub evicted: u64,
    /// The oldest segment in the window; the next one's number when it is empty.
    pub oldest: SegmentId,
    /// Texts in the memory.
    pub memory_texts: usize,
    /// Tokens of them.
    pub memory_tokens: usize,
    /// Tokens of them that fit.
    pub memory_capacity: usize,
    /// Bytes of keys and values held, forks included.
    pub bytes: u64,
    /// Pairs of pictures that went through the vision tower.
    pub pairs_encoded: u64,
    /// Pairs of pictures whose encoding was known from an earlier run.
    pub pairs_known: u64,
    /// Nanoseconds that bringing pictures before the model took: scaling, comparing, the vision tower.
    pub vision_ns: u64,
}

/// Which part of the context a question sees. Pinned tokens are always visible.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Window segments `start..end`; those already evicted are silently absent.
    pub segments: Range<SegmentId>,
    /// Whether the texts of closed chapters are visible.
    pub memory: bool,
}

/// A question to be answered on a fork.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is visible.
    pub view: View,
    /// The question in plain words; the model puts it into its own chat template.
    pub prompt: String,
    /// JSON schema that constrains the answer; `None` for free text.
    pub schema: Option<Value>,
    /// Token budget of the answer.
    pub max_tokens: usize,
    /// 0 is greedy.
    pub temperature: f32,
    /// Seed for a temperature above 0.
    pub seed: u64,
}

/// What one step of a generation came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// A prefill chunk or one token was computed; call again.
    Running,
    /// The whole answer.
    Done {
        /// The text; valid JSON of the schema when one was given.
        text: String,
        /// Tokens generated.
        tokens: usize,
    },
}

/// Which questions a model was trained to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// Any, as the prompts put them.
    #[default]
    Instruct,
    /// Only `at T seconds?`, after pictures with stamps and without a system prompt: the title shown then.
    Titles,
}

/// A loaded model.
pub trait Model: Send + Sync {
    /// The name chapters carry in their `model` field.
    fn name(&self) -> &str;
    /// The longest context the model was trained for, in tokens.
    fn max_context(&self) -> usize;
    /// Whether it sees pictures; one that does not is given the text on them.
    fn sees(&self) -> bool {
        false
    }
    /// Which questions it can be asked.
    fn dialect(&self) -> Dialect {
        Dialect::Instruct
    }
    /// Opens a rolling context and encodes the system prompt into it.
    ///
    /// # Errors
    /// When the sizes do not fit the model or memory.
    fn open(&self, config: ContextConfig) -> Result<Box<dyn Context>, ModelError>;
    /// Opens a context that [`Context::save`] wrote, with the sizes it had, and returns the note that was saved with it.
    ///
    /// # Errors
    /// When it is no such context, of another model or version, or damaged.
    fn restore(
        &self,
        from: &mut dyn io::Read,
        config: ContextConfig,
    ) -> Result<(Box<dyn Context>, Value), ModelError> {
        let _ = (from, config);
        Err(ModelError::Backend("this model cannot take up a saved context".into()))
    }
}

/// One stream's rolling context.
pub trait Context: Send {
    /// Encodes `text` at the end of the window, evicting the oldest whole segments until it fits.
    ///
    /// # Errors
    /// When the text alone is larger than the window; the context is then unchanged.
    fn append(&mut self, text: &str) -> Result<SegmentId, ModelError>;
    /// Encodes a pair of pictures at the end of the window behind `label` (may be empty) and the time stamp
    /// `seconds`, evicting as [`Context::append`] does.
    ///
    /// # Errors
    /// When the model does not see, when the pair is malformed, or when it alone is larger than the window.
    fn append_pair(
        &mut self,
        label: &str,
        pair: &Pair,
        seconds: f64,
        gate: Gate,
    ) -> Result<Seen, ModelError> {
        let _ = (label, pair, seconds, gate);
        Err(ModelError::Backend("this model does not see pictures".into()))
    }
    /// Encodes the text of a closed chapter into the memory region, evicting the oldest such texts until it fits.
    ///
    /// # Errors
    /// As [`Context::append`].
    fn remember(&mut self, text: &str) -> Result<(), ModelError>;
    /// Lets the oldest `texts` of the memory go.
    fn forget(&mut self, texts: usize);
    /// The probability, 0 to 1, that the answer to `question` is yes rather than no. Runs on a fork.
    ///
    /// # Errors
    /// When the backend fails.
    fn yes_probability(&mut self, view: &View, question: &str) -> Result<f32, ModelError>;
    /// Starts an answer on a fork. It shares what is encoded and never changes it.
    ///
    /// # Errors
    /// When the schema cannot be turned into a grammar.
    fn generate(&mut self, request: Request) -> Result<Box<dyn Generation>, ModelError>;
    /// Forgets window and memory; the pinned system prompt stays. Segment ids go on counting.
    fn reset(&mut self);
    /// How full it is.
    fn usage(&self) -> Usage;
    /// Writes all that is encoded, and `note` with it.
    ///
    /// # Errors
    /// When it cannot be written.
    fn save(&self, note: &Value, to: &mut dyn io::Write) -> Result<(), ModelError> {
        let _ = (note, to);
        Err(ModelError::Backend("this model cannot save its context".into()))
    }
    /// What entered and left since the last call, when [`ContextConfig::token_log`] is set.
    fn take_log(&mut self) -> Vec<Logged> {
        Vec::new()
    }
}

/// An answer in the making. Dropping it cancels it.
pub trait Generation: Send {
    /// Computes a prefill chunk of at most 64 tokens or one token of the answer, so that intake can go on between.
    ///
    /// # Errors
    /// [`ModelError::Truncated`] when the budget is used up before the answer is complete.
    fn step(&mut self) -> Result<Step, ModelError>;
}
