//! The rolling context: a pinned prompt, a bounded memory and a window of whole segments that is only appended to.
//!
//! Window tokens keep their positions for ever and positions grow for ever. What stands before the window is moved up
//! to it by rotating the query, see [`Cache::sections`](crate::kv::Cache::sections). Nothing encoded is encoded again,
//! but by [`SinkPositions::Recompute`], the baseline.

use std::collections::VecDeque;

use gist_core::model::{ModelError, SegmentId, Usage, View};
use gist_core::token_log::Logged;

use crate::kv::{Cache, Layout, PAGE, Pool, SinkPositions, Target, Work};
use crate::sequence::Sequence;

/// Tokens beyond the context length that are kept free for questions and answers on forks.
pub const SCRATCH_TOKENS: usize = 2048;

/// Encodes tokens at the end of a region.
pub(crate) trait Encode {
    /// Encodes any number of tokens, chunk by chunk.
    fn encode(&self, tokens: &Sequence, cache: &mut Cache, target: Target);

    /// Tokens as text, for the log.
    fn spell(&self, tokens: &Sequence) -> String {
        format!("{} tokens", tokens.len())
    }
}

/// What a stream has encoded and where its segments lie.
#[derive(Debug)]
pub(crate) struct RollingContext {
    pub(super) cache: Cache,
    pub(super) pool: Pool,
    pub(super) capacity: usize,
    pub(super) memory_length: usize,
    /// Lengths of the window segments in tokens, oldest first; the newest has id `next_id - 1`.
    pub(super) window: VecDeque<usize>,
    /// Their tokens, for as far as these are known: not after a restart.
    pub(super) said: VecDeque<Vec<u32>>,
    pub(super) memory: VecDeque<usize>,
    pub(super) next_id: SegmentId,
    pub(super) appended: u64,
    pub(super) evicted: u64,
    /// Pages of the window that an answer reads; `None` for all.
    pub(super) budget: Option<usize>,
    /// `None` when nobody wants to know.
    pub(super) log: Option<Vec<Logged>>,
    /// What memory and window hold, to be encoded anew; `None` unless that is wanted.
    pub(super) held: Option<[VecDeque<Sequence>; 2]>,
}

impl RollingContext {
    /// Encodes the pinned prompt. `capacity` and `memory_length` are in tokens.
    pub(crate) fn new(
        model: &impl Encode,
        layout: Layout,
        sinks: SinkPositions,
        pinned: &Sequence,
        capacity: usize,
        memory_length: usize,
    ) -> Result<Self, ModelError> {
        // A window of less than a chunk would be a context in name only.
        let needed = pinned.len() + memory_length + crate::decoder::CHUNK;
        if needed > capacity {
            return Err(ModelError::TooLong { needed, capacity });
        }
        let pool = Pool::new(layout, (capacity + SCRATCH_TOKENS).div_ceil(PAGE));
        let mut cache = Cache::new(&pool, sinks);
        model.encode(pinned, &mut cache, Target::Pinned);
        let mut context = Self {
            cache,
            pool,
            capacity,
            memory_length,
            window: VecDeque::new(),
            said: VecDeque::new(),
            memory: VecDeque::new(),
            next_id: 0,
            appended: 0,
            evicted: 0,
            budget: None,
            log: None,
            held: (sinks == SinkPositions::Recompute).then(Default::default),
        };
        context.reset();
        Ok(context)
    }

    fn tokens(&self) -> usize {
        [Target::Pinned, Target::Memory, Target::Window].iter().map(|t| self.cache.region(*t).len()).sum()
    }

    /// The oldest segment in the window; the next one's number when it is empty.
    fn oldest(&self) -> SegmentId {
        self.next_id - self.window.len() as u64
    }

    /// Tokens a segment may have: what is left when pinned and memory regions are full.
    fn window_length(&self) -> usize {
        self.capacity - self.cache.region(Target::Pinned).len() - self.memory_length
    }

    /// Lets whole segments go, the oldest first, until `n` more tokens fit.
    fn evict(&mut self, n: usize) {
        while self.tokens() + n > self.capacity
            && let Some(tokens) = self.window.pop_front()
        {
            self.said.pop_front();
            self.cache.region_mut(Target::Window).drop_front(tokens);
            self.evicted += tokens as u64;
            let segment = self.next_id - 1 - self.window.len() as u64;
            self.note(|| Logged::Evicted { segment, tokens });
        }
    }

    /// Appends a segment to the window.
    pub(crate) fn append(&mut self, model: &impl Encode, tokens: &Sequence) -> Result<SegmentId, ModelError> {
        fits(tokens.len(), self.window_length())?;
        // Had an earlier append panicked half-way, its tokens would belong to no segment.
        self.cache.region_mut(Target::Window).truncate(self.window.iter().sum());
        let evicted = self.evicted;
        self.evict(tokens.len());
        if self.evicted > evicted {
            self.recompute(model);
        }
        let start = self.cache.region(Target::Window).positions().end;
        model.encode(tokens, &mut self.cache, Target::Window);
        self.window.push_back(tokens.len());
        self.said.push_back(tokens.ids().to_vec());
        if let Some([_, window]) = &mut self.held {
            window.push_back(tokens.clone());
        }
        self.appended += tokens.len() as u64;
        let (segment, positions) = (self.next_id, start..self.cache.region(Target::Window).positions().end);
        self.next_id += 1;
        let text = || model.spell(tokens);
        self.note(|| Logged::Appended { segment, tokens: tokens.len(), positions, text: text() });
        Ok(segment)
    }

    /// Adds a text to the memory; it sees the pinned prompt and the texts before it, not the window.
    pub(crate) fn remember(&mut self, model: &impl Encode, tokens: &Sequence) -> Result<(), ModelError> {
        fits(tokens.len(), self.memory_length)?;
        let memory = self.cache.region_mut(Target::Memory);
        memory.truncate(self.memory.iter().sum());
        let mut dropped = 0;
        while memory.len() + tokens.len() > self.memory_length
            && let Some(length) = self.memory.pop_front()
        {
            memory.drop_front(length);
            dropped += length;
        }
        self.evict(tokens.len());
        model.encode(tokens, &mut self.cache, Target::Memory);
        self.memory.push_back(tokens.len());
        if let Some([memory, _]) = &mut self.held {
            memory.push_back(tokens.clone());
            self.recompute(model);
        }
        self.note(|| Logged::Remembered { tokens: tokens.len(), dropped, text: model.spell(tokens) });
        Ok(())
    }

    /// Encodes memory and window anew, in one line behind the prompt, where that is wanted.
    fn recompute(&mut self, model: &impl Encode) {
        let Some(held) = &mut self.held else { return };
        for (held, lengths) in held.iter_mut().zip([&self.memory, &self.window]) {
            held.drain(..held.len() - lengths.len());
        }
        let mut next = self.cache.region(Target::Pinned).positions().end;
        for (target, held) in [Target::Memory, Target::Window].into_iter().zip(held) {
            self.cache.region_mut(target).clear(next);
            held.iter().for_each(|tokens| model.encode(tokens, &mut self.cache, target));
            next = self.cache.region(target).positions().end;
        }
    }

    /// Fills the window to the brim with copies of one segment of a page: for benches of a depth that it would take
    /// hours to reach.
    pub(crate) fn fill(&mut self, model: &impl Encode, segment: &Sequence) -> Result<(), ModelError> {
        self.reset();
        assert_eq!(segment.len(), PAGE, "a segment of a page");
        self.append(model, segment)?;
        let segments = (self.capacity - self.tokens()) / PAGE;
        self.cache.region_mut(Target::Window).repeat(segments * PAGE);
        self.window.extend(std::iter::repeat_n(PAGE, segments));
        self.said.resize_with(self.window.len(), Vec::new);
        self.next_id += segments as u64;
        self.appended += (segments * PAGE) as u64;
        Ok(())
    }

    /// What encoding has cost so far.
    pub(crate) fn work(&self) -> Work {
        self.cache.work
    }

    /// Lets the oldest texts of the memory go.
    pub(crate) fn forget(&mut self, texts: usize) {
        let texts = texts.min(self.memory.len());
        let tokens = self.memory.drain(..texts).sum();
        self.cache.region_mut(Target::Memory).drop_front(tokens);
        if let Some([memory, _]) = &mut self.held {
            memory.drain(..memory.len() - self.memory.len());
        }
        self.note(|| Logged::Forgotten { texts, tokens });
    }

    /// What a question about `view` sees. It goes on right behind the last segment in view.
    pub(crate) fn fork(&self, view: &View) -> Cache {
        let mut cache = self.cache.clone();
        cache.budget = self.budget;
        if !view.memory {
            let next = cache.region(Target::Memory).positions().end;
            cache.region_mut(Target::Memory).clear(next);
        }
        let (mut before, mut inside) = (0, 0);
        for (id, length) in (self.oldest()..).zip(&self.window) {
            if view.segments.contains(&id) {
                inside += length;
            } else if id < view.segments.start {
                before += length;
            }
        }
        let window = cache.region_mut(Target::Window);
        window.truncate(before + inside);
        window.drop_front(before);
        cache
    }

    /// The tokens of the segments in view.
    pub(crate) fn said(&self, view: &View) -> Vec<u32> {
        let segments = (self.oldest()..).zip(&self.said).filter(|(id, _)| view.segments.contains(id));
        segments.flat_map(|(_, ids)| ids.iter().copied()).collect()
    }

    /// Tokens that may still be added to a fork.
    pub(crate) fn room(&self, fork: &Cache) -> usize {
        let held: usize =
            [Target::Pinned, Target::Memory, Target::Window].iter().map(|t| fork.region(*t).len()).sum();
        (self.capacity + SCRATCH_TOKENS).saturating_sub(held)
    }

    /// Forgets window and memory; ids go on.
    pub(crate) fn reset(&mut self) {
        let start = self.cache.region(Target::Pinned).positions().end;
        self.cache.region_mut(Target::Memory).clear(start);
        self.cache.region_mut(Target::Window).clear(start);
        self.window.clear();
        self.said.clear();
        self.memory.clear();
        self.held.iter_mut().flatten().for_each(VecDeque::clear);
        self.note(|| Logged::Reset);
    }

    /// Answers read about so many tokens of the window; `None` for all. What is appended is encoded exactly.
    pub(crate) fn set_budget(&mut self, tokens: Option<usize>) {
        self.budget = tokens.map(|tokens| tokens.div_ceil(PAGE).max(1));
    }

    /// Has everything seen from where it was.
    pub(crate) fn keep_sinks(&mut self) {
        self.cache.keep_sinks();
    }

    /// Notes from here on what enters and leaves, and what is `pinned`.
    pub(crate) fn keep_log(&mut self, model: &impl Encode, pinned: &Sequence) {
        self.log = Some(vec![Logged::Pinned { tokens: pinned.len(), text: model.spell(pinned) }]);
    }

    /// What was noted since the last call.
    pub(crate) fn take_log(&mut self) -> Vec<Logged> {
        self.log.as_mut().map(std::mem::take).unwrap_or_default()
    }

    fn note(&mut self, entry: impl FnOnce() -> Logged) {
        if let Some(log) = &mut self.log {
            log.push(entry());
        }
    }

    pub(crate) fn usage(&self) -> Usage {
        Usage {
            tokens: self.tokens(),
            capacity: self.capacity,
            appended: self.appended,
            evicted: self.evicted,
            oldest: self.oldest(),
            memory_texts: self.memory.len(),
            memory_tokens: self.memory.iter().sum(),
            memory_capacity: self.memory_length,
            bytes: self.pool.bytes(),
            ..Usage::default()
        }
    }

    /// A hash of all that is encoded.
    pub(crate) fn digest(&self) -> u64 {
        self.cache.digest()
    }
}

fn fits(needed: usize, capacity: usize) -> Result<(), ModelError> {
    if needed > capacity { Err(ModelError::TooLong { needed, capacity }) } else { Ok(()) }
}
