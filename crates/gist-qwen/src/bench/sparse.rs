//! What an answer loses and gains when it reads some pages of the window only: on real text.

use serde::Serialize;

use super::{median, seconds};
use crate::QwenModel;
use crate::decoder::{CHUNK, Scratch, Want};
use crate::kv::{Cache, Layout, PAGE, Pool, SinkPositions, Target};
use crate::sequence::Sequence;

/// One budget at one depth.
#[derive(Clone, Debug, Serialize)]
pub struct SparseSpeed {
    /// Tokens held.
    pub depth: usize,
    /// Tokens of them that are read.
    pub budget: usize,
    /// Share of the softmax weight of exact attention that is read, the mean over layers, heads and tokens.
    pub recall: f64,
    /// How often the most likely next token is that of exact attention.
    pub same_token: f64,
    /// Milliseconds a token takes, the median.
    pub ms: f64,
    /// The same with exact attention, by turns.
    pub exact_ms: f64,
}

/// Reads `depth` tokens of a text, then the `tokens` next ones one by one, exactly and with each budget by turns.
/// `None` when the text is too short.
pub fn sparse(
    model: &QwenModel,
    text: &str,
    depth: usize,
    budgets: &[usize],
    tokens: usize,
) -> Option<Vec<SparseSpeed>> {
    let engine = &*model.engine;
    let ids = engine.tokenizer.encode(text);
    let (read, next) = ids.get(..depth + tokens)?.split_at(depth);
    let pool = Pool::new(Layout::of(model.config(), engine.kv_type), depth / PAGE + 4);
    let mut cache = Cache::new(&pool, SinkPositions::Moving);
    for chunk in Sequence::text(read).chunks(CHUNK) {
        engine.chunk(&chunk, &mut cache, Target::Window, Want::Encoding);
    }
    let best = |logits: &[f32]| (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
    let step = |cache: &Cache, id: u32, budget: Option<usize>| {
        let (mut fork, mut logits) = (cache.clone(), Vec::new());
        fork.budget = budget;
        let one = Sequence::text(&[id]);
        let time = seconds(|| {
            engine.chunk(&one.chunk(0..1), &mut fork, Target::Window, Want::Logits(&mut logits));
        });
        (1e3 * time, best(&logits))
    };
    let mut found: Vec<(Vec<f64>, usize, Vec<f64>)> = vec![Default::default(); budgets.len()];
    let mut exact_ms = Vec::new();
    for id in next {
        let (ms, token) = step(&cache, *id, None);
        exact_ms.push(ms);
        for ((times, same, shares), budget) in found.iter_mut().zip(budgets) {
            let pages = budget.div_ceil(PAGE);
            let (ms, sparse) = step(&cache, *id, Some(pages));
            times.push(ms);
            *same += usize::from(sparse == token);
            let mut scratch = Scratch::default();
            scratch.recall = Some((pages, Vec::new()));
            let mut fork = cache.clone();
            let (one, mut logits) = (Sequence::text(&[*id]), Vec::new());
            engine.decoder.forward(
                &one.chunk(0..1),
                &mut fork,
                Target::Window,
                &mut scratch,
                Want::Logits(&mut logits),
            );
            shares.extend(scratch.recall.map(|(_, shares)| shares).unwrap_or_default());
        }
        engine.chunk(&Sequence::text(&[*id]).chunk(0..1), &mut cache, Target::Window, Want::Encoding);
    }
    let exact_ms = median(exact_ms);
    let speeds = found.into_iter().zip(budgets).map(|((times, same, shares), budget)| SparseSpeed {
        depth,
        budget: *budget,
        recall: shares.iter().sum::<f64>() / shares.len() as f64,
        same_token: same as f64 / tokens as f64,
        ms: median(times),
        exact_ms,
    });
    Some(speeds.collect())
}
