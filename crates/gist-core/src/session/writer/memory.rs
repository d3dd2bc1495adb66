//! What the memory of the context holds: the texts of closed chapters, the oldest ones merged.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::model::{Context, ModelError, Request, View};
use crate::prompt::question::{merge, merge_schema, merged};
use crate::time::Span;

const MERGE_TOKENS: usize = 400;
/// When less than this share of the memory is free its older half is merged, so that the next text finds room.
const SPARE: f64 = 0.2;

/// A text of the memory: of one chapter, or of several, by their numbers from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) struct Held {
    pub(in crate::session) first: u64,
    pub(in crate::session) last: u64,
    /// In stream-time.
    pub(in crate::session) span: Span,
    pub(in crate::session) text: String,
}

/// The texts of the memory, in the order in which they were told to the context, which is that of the chapters.
#[derive(Debug, Default)]
pub(in crate::session) struct Memory {
    held: VecDeque<Held>,
    /// After a merge: the merged text and those of later chapters, on their way back into the context.
    returning: VecDeque<Held>,
}

/// The older half of the memory, on its way to be one text.
#[derive(Debug)]
pub(super) struct Merge {
    pub(super) first: u64,
    pub(super) last: u64,
    span: Span,
    texts: usize,
}

#[derive(Deserialize)]
struct Text {
    summary: String,
}

impl Memory {
    /// What a saved context remembers.
    pub(super) fn of(held: Vec<Held>) -> Self {
        Self { held: held.into(), ..Self::default() }
    }

    /// Has a text remembered.
    ///
    /// # Errors
    /// When it alone is longer than the memory.
    pub(super) fn add(&mut self, context: &mut dyn Context, held: Held) -> Result<(), ModelError> {
        context.remember(&held.text)?;
        self.held.push_back(held);
        // The context lets the oldest go when there is no room: what is not merged is at least told.
        while self.held.len() > context.usage().memory_texts {
            if let Some(Held { first, last, .. }) = self.held.pop_front() {
                tracing::warn!(first, last, "chapters were forgotten: memory-length is too small");
            }
        }
        Ok(())
    }

    /// What is known, chapter by chapter.
    pub(in crate::session) fn held(&self) -> impl Iterator<Item = &Held> {
        self.held.iter()
    }

    /// The older half, when it is time to merge it.
    pub(super) fn crowded(&self, context: &dyn Context) -> Option<Merge> {
        let usage = context.usage();
        let spare = usage.memory_capacity.saturating_sub(usage.memory_tokens) as f64;
        if self.held.len() < 4 || spare >= SPARE * usage.memory_capacity as f64 {
            return None;
        }
        let texts = self.held.len() / 2;
        let (oldest, newest) = (self.held.front()?, self.held.get(texts - 1)?);
        let span = Span::new(oldest.span.start, newest.span.end);
        Some(Merge { first: oldest.first, last: newest.last, span, texts })
    }

    /// Takes the merged text in the place of those it was made of. To stand before the others it is told anew with
    /// them, text by text by [`Memory::go_on`].
    ///
    /// # Errors
    /// When the answer is no text; nothing is changed then.
    pub(super) fn merged(
        &mut self,
        context: &mut dyn Context,
        merge: &Merge,
        answer: &str,
    ) -> Result<(), String> {
        let text: Text = serde_json::from_str(answer).map_err(|e| format!("the answer is not valid: {e}"))?;
        let Merge { first, last, span, texts } = *merge;
        let text = merged(first, last, span, &crate::prompt::flat(&text.summary));
        context.forget(self.held.len());
        self.returning = std::mem::take(&mut self.held);
        self.returning.drain(..texts);
        self.returning.push_front(Held { first, last, span, text });
        tracing::info!(first, last, "the oldest chapters were merged");
        Ok(())
    }

    /// Whether texts are on their way back.
    pub(super) fn is_returning(&self) -> bool {
        !self.returning.is_empty()
    }

    /// Brings back one text; false when none is left.
    pub(super) fn go_on(&mut self, context: &mut dyn Context) -> bool {
        let Some(held) = self.returning.pop_front() else { return false };
        let (first, last) = (held.first, held.last);
        if let Err(error) = self.add(context, held) {
            tracing::warn!(first, last, %error, "chapters were forgotten");
        }
        true
    }
}

impl Merge {
    pub(super) fn request(&self, language: &str, temperature: f32, seed: u64) -> Request {
        Request {
            view: View { segments: 0..0, memory: true },
            prompt: merge(self.first, self.last, language),
            schema: Some(merge_schema()),
            max_tokens: MERGE_TOKENS,
            temperature,
            seed,
        }
    }
}
