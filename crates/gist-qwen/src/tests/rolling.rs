//! The rolling context against the oracle: whatever is appended, remembered, evicted and forked.

use std::collections::VecDeque;

use gist_core::model::{ContextConfig, ModelError, View};
use proptest::prelude::*;

use super::oracle::{Oracle, Token};
use super::tiny;
use crate::decoder::{CHUNK, Want};
use crate::kv::{KvType, Layout, SinkPositions, Target};
use crate::model::QwenModel;
use crate::rolling::RollingContext;
use crate::sequence::Sequence;

const CAPACITY: usize = 300;
const MEMORY: usize = 70;
const PINNED: [u32; 5] = [258, 7, 8, 9, 258];

#[derive(Clone, Debug)]
enum Step {
    Append(usize),
    Remember(usize),
    /// Asks about a stretch of the window, given in shares of it.
    Ask(f64, f64, bool),
    Reset,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (1usize..150).prop_map(Step::Append),
        3 => (1usize..45).prop_map(Step::Remember),
        4 => (0.0..1.0, 0.0..1.2, any::<bool>()).prop_map(|(a, b, m)| Step::Ask(a, b, m)),
        1 => Just(Step::Reset),
    ]
}

/// A token with its position on the axis of its region.
type Placed = (i64, Token);

/// The same context in the oracle's words: keys before they are rotated, and for each new token what it sees and where
/// that stands.
struct Plain {
    sinks: SinkPositions,
    pinned: Vec<Placed>,
    memory: VecDeque<Vec<Placed>>,
    window: VecDeque<(u64, Vec<Placed>)>,
    next_id: u64,
    /// Positions of the next token of memory and window.
    next_memory: i64,
    next_window: i64,
}

impl Plain {
    fn new(oracle: &Oracle, sinks: SinkPositions) -> Self {
        let start = PINNED.len() as i64;
        let mut plain = Self {
            sinks,
            pinned: Vec::new(),
            memory: VecDeque::new(),
            window: VecDeque::new(),
            next_id: 0,
            next_memory: start,
            next_window: start,
        };
        plain.pinned = plain.encode(oracle, &PINNED, 0, Vec::new()).0;
        plain
    }

    fn len(&self) -> usize {
        let memory: usize = self.memory.iter().map(Vec::len).sum();
        self.pinned.len() + memory + self.window.iter().map(|(_, t)| t.len()).sum::<usize>()
    }

    fn evict(&mut self, n: usize) {
        while self.len() + n > CAPACITY && self.window.pop_front().is_some() {}
    }

    /// Encodes tokens that see each other causally and `before`; the first stands at `first` on its region's axis.
    fn encode(
        &self,
        oracle: &Oracle,
        ids: &[u32],
        first: i64,
        before: Vec<&Placed>,
    ) -> (Vec<Placed>, Vec<f64>) {
        let mut new: Vec<Placed> = Vec::new();
        let mut logits = Vec::new();
        for (id, own) in ids.iter().zip(first..) {
            let seen = before.iter().copied().chain(&new);
            let seen: Vec<(i64, &Token)> = match self.sinks {
                // All that is seen stands in one line right before the new token.
                SinkPositions::Moving | SinkPositions::Recompute => {
                    (own - (before.len() + new.len()) as i64..).zip(seen.map(|s| &s.1)).collect()
                }
                // All stands where it always stood.
                SinkPositions::Keep => seen.map(|(position, token)| (*position, token)).collect(),
            };
            let (token, after) = oracle.encode(*id, own, &seen);
            new.push((own, token));
            logits = after;
        }
        (new, logits)
    }

    fn append(&mut self, oracle: &Oracle, ids: &[u32]) {
        self.evict(ids.len());
        let memory = self.memory.iter().flatten();
        let before = self.pinned.iter().chain(memory).chain(self.window.iter().flat_map(|s| &s.1));
        let tokens = self.encode(oracle, ids, self.next_window, before.collect()).0;
        self.window.push_back((self.next_id, tokens));
        self.next_id += 1;
        self.next_window += ids.len() as i64;
    }

    fn remember(&mut self, oracle: &Oracle, ids: &[u32]) {
        while self.memory.iter().map(Vec::len).sum::<usize>() + ids.len() > MEMORY {
            self.memory.pop_front();
        }
        self.evict(ids.len());
        let before = self.pinned.iter().chain(self.memory.iter().flatten());
        let tokens = self.encode(oracle, ids, self.next_memory, before.collect()).0;
        self.memory.push_back(tokens);
        self.next_memory += ids.len() as i64;
    }

    /// Logits after a question about `view`, which takes the place of what follows the view in the window.
    fn ask(&self, oracle: &Oracle, ids: &[u32], view: &View) -> Vec<f64> {
        let memory = self.memory.iter().flatten().filter(|_| view.memory);
        let inside = self.window.iter().filter(|(id, _)| view.segments.contains(id));
        let before = self.pinned.iter().chain(memory).chain(inside.flat_map(|s| &s.1));
        let behind = |id: u64| id >= view.segments.start && !view.segments.contains(&id);
        let follows = self.window.iter().find(|(id, _)| behind(*id)).and_then(|(_, tokens)| tokens.first());
        let first = follows.map_or(self.next_window, |(position, _)| *position);
        self.encode(oracle, ids, first, before.collect()).1
    }

    fn reset(&mut self) {
        self.memory.clear();
        self.window.clear();
        self.next_memory = PINNED.len() as i64;
        self.next_window = PINNED.len() as i64;
    }
}

/// Logits after `question` on a fork.
fn ask(model: &QwenModel, context: &RollingContext, view: &View, question: &[u32]) -> Vec<f32> {
    let mut fork = context.fork(view);
    let mut logits = Vec::new();
    for chunk in Sequence::text(question).chunks(CHUNK) {
        model.engine.chunk(&chunk, &mut fork, Target::Window, Want::Logits(&mut logits));
    }
    logits
}

fn difference(got: &[f32], want: &[f64]) -> f64 {
    assert_eq!(got.len(), want.len());
    got.iter().zip(want).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max)
}

fn ids(n: usize, seed: usize) -> Vec<u32> {
    (0..n).map(|i| ((i * 7919 + seed * 104_729) % 256) as u32).collect()
}

fn open(model: &QwenModel, kv_type: KvType) -> RollingContext {
    open_with(model, kv_type, SinkPositions::Moving)
}

fn open_with(model: &QwenModel, kv_type: KvType, sinks: SinkPositions) -> RollingContext {
    let layout = Layout::of(model.engine.decoder.config(), kv_type);
    let pinned = Sequence::text(&PINNED);
    RollingContext::new(&*model.engine, layout, sinks, &pinned, CAPACITY, MEMORY).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 50, ..ProptestConfig::default() })]

    /// With moving sinks what a token sees stands in one line; otherwise it is full attention over everything with a
    /// mask for what is evicted or out of view.
    #[test]
    fn everything_a_question_sees_is_as_in_full_attention(
        steps in prop::collection::vec(step(), 6..14),
        sinks in prop::sample::select(&[SinkPositions::Moving, SinkPositions::Keep][..]),
    ) {
        let gguf = tiny::gguf(&tiny::metadata());
        let (model, oracle) = (tiny::load(&gguf, KvType::F32).unwrap(), Oracle::new(&gguf));
        let mut context = open_with(&model, KvType::F32, sinks);
        let mut plain = Plain::new(&oracle, sinks);
        for (seed, step) in steps.into_iter().chain([Step::Ask(0.0, 1.1, true)]).enumerate() {
            match step {
                Step::Append(n) => {
                    let id = context.append(&*model.engine, &Sequence::text(&ids(n, seed))).unwrap();
                    prop_assert_eq!(id, plain.next_id);
                    plain.append(&oracle, &ids(n, seed));
                }
                Step::Remember(n) => {
                    context.remember(&*model.engine, &Sequence::text(&ids(n, seed))).unwrap();
                    plain.remember(&oracle, &ids(n, seed));
                }
                Step::Ask(from, to, memory) => {
                    let at = |share: f64| (share * plain.next_id as f64) as u64;
                    let view = View { segments: at(from)..at(to), memory };
                    let question = ids(3 + seed * 11, seed);
                    let before = (context.digest(), context.usage());
                    let got = ask(&model, &context, &view, &question);
                    // The fork is gone, with all pages it had of its own.
                    prop_assert_eq!((context.digest(), context.usage()), before);
                    let want = plain.ask(&oracle, &question, &view);
                    let difference = difference(&got, &want);
                    prop_assert!(difference < 1e-4, "logits are off by {} for {:?}", difference, view);
                }
                Step::Reset => {
                    context.reset();
                    plain.reset();
                }
            }
            prop_assert_eq!(context.usage().tokens, plain.len());
        }
    }
}

#[test]
fn packed_pages_stay_close_to_full_ones() {
    let [half, eight, four, full] = [KvType::F16, KvType::Q8, KvType::Q4, KvType::F32].map(|kv_type| {
        let model = tiny::model(kv_type);
        let mut context = open(&model, kv_type);
        for seed in 0..8 {
            context.append(&*model.engine, &Sequence::text(&ids(60, seed))).unwrap();
        }
        ask(&model, &context, &View { segments: 0..8, memory: true }, &ids(9, 9))
    });
    let full: Vec<f64> = full.into_iter().map(f64::from).collect();
    for (packed, bound) in [(half, 0.05), (eight, 0.1), (four, 1.5)] {
        let difference = difference(&packed, &full);
        assert!(difference > 0.0 && difference < bound, "off by {difference}, not {bound}");
    }
}

#[test]
fn far_positions_are_as_good_as_near_ones() {
    let model = tiny::model(KvType::F32);
    let run = |turnovers: usize| {
        let mut context = open(&model, KvType::F32);
        let mut last = Vec::new();
        for seed in 0..turnovers * 3 {
            // The last turnover is the same in both runs; what came before is evicted.
            context.append(&*model.engine, &Sequence::text(&ids(97, seed % 3))).unwrap();
            last = ask(&model, &context, &View { segments: 0..u64::MAX, memory: true }, &ids(5, 5));
        }
        (last, context.usage())
    };
    let ((near, _), (far, usage)) = (run(20), run(40));
    assert!(usage.evicted > 10_000 && usage.tokens <= CAPACITY);
    let near: Vec<f64> = near.into_iter().map(f64::from).collect();
    let difference = difference(&far, &near);
    assert!(difference < 2e-3, "off by {difference}");
}

#[test]
fn memory_is_bounded_and_pages_of_forks_are_given_back() {
    for kv_type in [KvType::F16, KvType::Q8, KvType::Q4] {
        let model = tiny::model(kv_type);
        let mut context = open(&model, kv_type);
        let layout = Layout::of(model.engine.decoder.config(), kv_type);
        let open = layout.open_page_bytes();
        let most = CAPACITY.div_ceil(64) as u64 * layout.page_bytes() + 4 * open;
        for seed in 0..50 {
            context.append(&*model.engine, &Sequence::text(&ids(50, seed))).unwrap();
            context.remember(&*model.engine, &Sequence::text(&ids(20, seed))).unwrap();
            assert!(context.usage().bytes <= most, "{:?}", context.usage());
        }
        let before = context.usage();
        let mut fork = context.fork(&View { segments: 0..u64::MAX, memory: true });
        assert_eq!(context.usage().bytes, before.bytes, "a fork shares all pages");
        let tokens = Sequence::text(&ids(64, 1));
        model.engine.chunk(&tokens.chunk(0..64), &mut fork, Target::Window, Want::Encoding);
        let grown = context.usage().bytes - before.bytes;
        assert!(grown > 0 && grown <= 2 * open, "a fork owns what it wrote to: {grown}");
        drop(fork);
        assert_eq!(context.usage(), before);
    }
}

#[test]
fn what_is_larger_than_the_window_is_refused_and_changes_nothing() {
    let model = tiny::model(KvType::F16);
    let mut context = open(&model, KvType::F16);
    context.append(&*model.engine, &Sequence::text(&ids(50, 1))).unwrap();
    let before = (context.digest(), context.usage());
    let window = CAPACITY - PINNED.len() - MEMORY;
    let error = context.append(&*model.engine, &Sequence::text(&ids(window + 1, 2))).unwrap_err();
    assert!(
        matches!(error, ModelError::TooLong { needed, capacity } if needed == window + 1 && capacity == window)
    );
    assert!(context.remember(&*model.engine, &Sequence::text(&ids(MEMORY + 1, 2))).is_err());
    assert_eq!((context.digest(), context.usage()), before);
    context.append(&*model.engine, &Sequence::text(&ids(window, 2))).unwrap();

    let config = |context_length| ContextConfig {
        system: "x".into(),
        context_length,
        memory_length: 4096,
        ..Default::default()
    };
    assert!(matches!(model.open_context(config(4096)), Err(ModelError::TooLong { .. })));
    let error = model.open_context(config(1 << 20)).err().unwrap();
    assert!(error.to_string().contains("32768"), "{error}");
}
