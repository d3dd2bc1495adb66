//! What the memory of the context holds: the texts of closed chapters, old ones merged.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;

use serde::{Deserialize, Serialize};
use unicode_segmentation::UnicodeSegmentation;

use crate::model::{Context, ModelError, Request, View};
use crate::prompt;
use crate::prompt::question::MergePrompt;
use crate::time::Span;

const MERGE_TOKENS: usize = 100;
/// When less than this share of the memory is free some texts are merged, so that the next one finds room.
const SPARE: f64 = 0.2;
/// Texts that become one. Those of the fewest chapters are taken first: a fact of the first chapter has to be chosen
/// again only when the stream has become this many times longer.
const MERGED: usize = 4;

/// A text of the memory: of one chapter, or of several, by their numbers from 1.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::session) struct Held {
    pub(in crate::session) first: u64,
    pub(in crate::session) last: u64,
    /// In stream-time.
    pub(in crate::session) span: Span,
    /// Of a single chapter.
    title: Option<String>,
    sentences: Vec<String>,
}

impl Held {
    /// Chapter `number`, from 1.
    pub(super) fn chapter(number: u64, span: Span, title: &str, summary: &str) -> Self {
        let sentences = summary.unicode_sentences().map(prompt::flat).filter(|sentence| !sentence.is_empty());
        Self {
            first: number,
            last: number,
            span,
            title: Some(prompt::flat(title)),
            sentences: sentences.collect(),
        }
    }

    /// The line of the context.
    pub(in crate::session) fn line(&self) -> String {
        let title = self.title.iter().map(|title| format!("{title}."));
        let text: Vec<String> = title.chain(self.sentences.iter().cloned()).collect();
        prompt::memory(self.first..=self.last, self.span, &text.join(" "))
    }
}

/// The texts of the memory, in the order in which they were told to the context, which is that of the chapters.
#[derive(Debug, Default)]
pub(in crate::session) struct Memory {
    held: VecDeque<Held>,
    /// After a merge: the merged text and those of later chapters, on their way back into the context.
    returning: VecDeque<Held>,
}

/// Neighbouring texts of the memory on their way to be one.
#[derive(Debug)]
pub(super) struct Merge {
    texts: Vec<Held>,
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
        context.remember(&held.line())?;
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

    /// What to merge, when it is time to.
    pub(super) fn crowded(&self, context: &dyn Context) -> Option<Merge> {
        let usage = context.usage();
        let spare = usage.memory_capacity.saturating_sub(usage.memory_tokens) as f64;
        if spare >= SPARE * usage.memory_capacity as f64 {
            return None;
        }
        let runs = (0..self.held.len().checked_sub(MERGED - 1)?).map(|at| at..at + MERGED);
        let chapters = |run: &Range<usize>| self.held[run.end - 1].last - self.held[run.start].first;
        Some(Merge { texts: self.held.range(runs.min_by_key(chapters)?).cloned().collect() })
    }

    /// Takes the merged text in the place of those it was made of. To stand in order it is told anew with all others,
    /// text by text by [`Memory::go_on`].
    pub(super) fn merged(&mut self, context: &mut dyn Context, merge: &Merge, answer: &str) {
        let Some(merged) = merge.merged(answer) else { return };
        context.forget(self.held.len());
        let (first, last) = (merged.first, merged.last);
        self.returning = std::mem::take(&mut self.held);
        self.returning.retain(|held| held.last < first || held.first > last);
        self.returning.insert(self.returning.partition_point(|held| held.last < first), merged);
        tracing::info!(first, last, "old chapters were merged");
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
    pub(super) fn request(&self, temperature: f32, seed: u64) -> Request {
        let parts = self.texts.iter().map(|held| (held.title.as_deref(), held.sentences.as_slice()));
        let prompt = MergePrompt { parts: parts.collect() };
        Request {
            view: View { segments: 0..0, memory: false },
            prompt: prompt.text(),
            schema: Some(prompt.schema()),
            max_tokens: MERGE_TOKENS,
            temperature,
            seed,
        }
    }

    /// The sentences that were chosen, word for word; of a text of which none was, the first.
    fn merged(&self, answer: &str) -> Option<Held> {
        let chosen: BTreeMap<String, usize> = serde_json::from_str(answer).unwrap_or_default();
        let mut before = 0;
        let mut kept = Vec::new();
        for (part, Held { title, sentences, .. }) in (1..).zip(&self.texts) {
            let chosen =
                chosen.get(&MergePrompt::key(part)).and_then(|number| number.checked_sub(before + 1));
            before += sentences.len();
            let sentence = chosen.and_then(|at| sentences.get(at)).or(sentences.first());
            kept.extend(match (title, sentence) {
                (Some(title), Some(sentence)) => Some(format!("{title}: {sentence}")),
                (Some(title), None) => Some(format!("{title}.")),
                (None, sentence) => sentence.cloned(),
            });
        }
        let (oldest, newest) = (self.texts.first()?, self.texts.last()?);
        Some(Held {
            first: oldest.first,
            last: newest.last,
            span: Span::new(oldest.span.start, newest.span.end),
            title: None,
            sentences: kept,
        })
    }
}
