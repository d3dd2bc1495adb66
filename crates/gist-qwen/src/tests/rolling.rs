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

/// The same context in the oracle's words.
#[derive(Default)]
struct Plain {
    pinned: Vec<Token>,
    memory: VecDeque<Vec<Token>>,
    window: VecDeque<(u64, Vec<Token>)>,
    next_id: u64,
}

impl Plain {
    fn len(&self) -> usize {
        let memory: usize = self.memory.iter().map(Vec::len).sum();
        self.pinned.len() + memory + self.window.iter().map(|(_, t)| t.len()).sum::<usize>()
    }

    fn evict(&mut self, n: usize) {
        while self.len() + n > CAPACITY && self.window.pop_front().is_some() {}
    }

    fn encode(&self, oracle: &Oracle, ids: &[u32], window: Option<&View>) -> (Vec<Token>, Vec<f64>) {
        let mut new: Vec<Token> = Vec::new();
        let mut logits = Vec::new();
        for id in ids {
            let memory = window.is_none_or(|v| v.memory);
            let before: Vec<&Token> = self
                .pinned
                .iter()
                .chain(self.memory.iter().flatten().filter(|_| memory))
                .chain(
                    self.window
                        .iter()
                        .filter(|(id, _)| window.is_some_and(|v| v.segments.contains(id)))
                        .flat_map(|s| &s.1),
                )
                .chain(&new)
                .collect();
            let (token, after) = oracle.encode(*id, &before);
            new.push(token);
            logits = after;
        }
        (new, logits)
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
    let layout = Layout::of(model.engine.decoder.config(), kv_type);
    RollingContext::new(
        &*model.engine,
        layout,
        SinkPositions::Moving,
        &Sequence::text(&PINNED),
        CAPACITY,
        MEMORY,
    )
    .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn everything_a_question_sees_is_as_in_full_attention(steps in prop::collection::vec(step(), 6..14)) {
        let gguf = tiny::gguf(&tiny::metadata());
        let (model, oracle) = (tiny::load(&gguf, KvType::F32).unwrap(), Oracle::new(&gguf));
        let mut context = open(&model, KvType::F32);
        let mut plain = Plain::default();
        plain.pinned = plain.encode(&oracle, &PINNED, None).0;
        let all = View { segments: 0..u64::MAX, memory: true };
        for (seed, step) in steps.into_iter().chain([Step::Ask(0.0, 1.1, true)]).enumerate() {
            match step {
                Step::Append(n) => {
                    let id = context.append(&*model.engine, &Sequence::text(&ids(n, seed))).unwrap();
                    plain.evict(n);
                    prop_assert_eq!(id, plain.next_id);
                    plain.next_id += 1;
                    let tokens = plain.encode(&oracle, &ids(n, seed), Some(&all)).0;
                    plain.window.push_back((id, tokens));
                }
                Step::Remember(n) => {
                    context.remember(&*model.engine, &Sequence::text(&ids(n, seed))).unwrap();
                    while plain.memory.iter().map(Vec::len).sum::<usize>() + n > MEMORY {
                        plain.memory.pop_front();
                    }
                    plain.evict(n);
                    let tokens = plain.encode(&oracle, &ids(n, seed), None).0;
                    plain.memory.push_back(tokens);
                }
                Step::Ask(from, to, memory) => {
                    let at = |share: f64| (share * plain.next_id as f64) as u64;
                    let view = View { segments: at(from)..at(to), memory };
                    let question = ids(3 + seed * 11, seed);
                    let before = context.digest();
                    let got = ask(&model, &context, &view, &question);
                    prop_assert_eq!(context.digest(), before);
                    let want = plain.encode(&oracle, &question, Some(&view)).1;
                    let difference = difference(&got, &want);
                    prop_assert!(difference < 1e-4, "logits are off by {} for {:?}", difference, view);
                }
                Step::Reset => {
                    context.reset();
                    plain.memory.clear();
                    plain.window.clear();
                }
            }
            prop_assert_eq!(context.usage().tokens, plain.len());
        }
    }
}

#[test]
fn half_precision_pages_stay_close_to_full_ones() {
    let [half, full] = [KvType::F16, KvType::F32].map(|kv_type| {
        let model = tiny::model(kv_type);
        let mut context = open(&model, kv_type);
        for seed in 0..8 {
            context.append(&*model.engine, &Sequence::text(&ids(60, seed))).unwrap();
        }
        ask(&model, &context, &View { segments: 0..8, memory: true }, &ids(9, 9))
    });
    let full: Vec<f64> = full.into_iter().map(f64::from).collect();
    let difference = difference(&half, &full);
    assert!(difference > 0.0 && difference < 0.05, "off by {difference}");
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
    let model = tiny::model(KvType::F16);
    let mut context = open(&model, KvType::F16);
    let page = Layout::of(model.engine.decoder.config(), KvType::F16).page_bytes();
    let most = (CAPACITY.div_ceil(64) as u64 + 4) * page;
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
    assert!(grown > 0 && grown <= 2 * page, "a fork owns what it wrote to: {grown}");
    drop(fork);
    assert_eq!(context.usage(), before);
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
