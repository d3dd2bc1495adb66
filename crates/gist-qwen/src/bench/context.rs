//! A context at a depth: what a segment, a token read and a token written cost there, and what memory it takes.

use serde::Serialize;

use super::{median, rss, seconds};
use crate::QwenModel;
use crate::decoder::{CHUNK, Want};
use crate::kv::{Layout, PAGE, SinkPositions, Target};
use crate::rolling::RollingContext;
use crate::sequence::Sequence;
use gist_core::model::{ModelError, View};

/// Tokens of the prompt that stays.
const PINNED: usize = 16;
/// Tokens written in a run: enough for a mean that can be held against that of other programs.
const WRITTEN: usize = 32;

/// What a context of a depth costs.
#[derive(Clone, Debug, Serialize)]
pub struct ContextSpeed {
    /// Tokens held.
    pub depth: usize,
    /// How they are stored.
    pub kv_type: String,
    /// Tokens read a second.
    pub prefill_tps: f64,
    /// Tokens written a second, their logits included.
    pub decode_tps: f64,
    /// Milliseconds a segment takes, the eviction of the oldest one included.
    pub segment_ms: f64,
    /// Bytes of keys and values.
    pub kv_bytes: u64,
    /// Resident memory of the process.
    pub rss_bytes: u64,
    /// What the plan says of the whole.
    pub plan_bytes: u64,
}

/// Fills a context of `depth` tokens with copies of one page, then appends segments of `tokens` tokens and writes a
/// few, `runs` times; medians are told. A first run warms up and is not counted.
///
/// # Errors
/// When the model takes no context as long as that.
pub fn context(
    model: &QwenModel,
    depth: usize,
    tokens: usize,
    runs: usize,
) -> Result<ContextSpeed, ModelError> {
    let engine = &*model.engine;
    let layout = Layout::of(model.config(), engine.kv_type);
    // Before anything is held there has to be room for what is appended.
    let capacity = depth.max(PINNED + CHUNK.max(tokens));
    if capacity > model.config().max_context {
        return Err(ModelError::TooLong { needed: capacity, capacity: model.config().max_context });
    }
    let ids = |n: usize, seed: usize| -> Vec<u32> {
        (0..n).map(|i| ((i * 7919 + seed * 104_729) % 50_000 % engine.tokenizer.len()) as u32).collect()
    };
    let pinned = Sequence::text(&ids(PINNED, 0));
    let mut context = RollingContext::new(engine, layout, SinkPositions::Moving, &pinned, capacity, 0)?;
    if depth > PINNED + PAGE {
        context.fill(engine, &Sequence::text(&ids(PAGE, 1)))?;
    }
    let (mut segments, mut written) = (Vec::new(), Vec::new());
    for run in 0..=runs {
        if depth == 0 {
            context.reset();
        }
        // The newest segment is read again and again in its place: the depth stays what it is.
        let segment = Sequence::text(&ids(tokens, 2 + run));
        let mut result = Ok(0);
        segments.push(seconds(|| result = context.append(engine, &segment)));
        result?;
        let mut fork = context.fork(&View { segments: 0..u64::MAX, memory: true });
        let (one, mut logits) = (Sequence::text(&ids(1, run)), Vec::new());
        let mut write =
            || engine.chunk(&one.chunk(0..1), &mut fork, Target::Window, Want::Logits(&mut logits));
        written.push(seconds(|| (0..WRITTEN).for_each(|_| write())) / WRITTEN as f64);
        if run == 0 {
            segments.clear();
            written.clear();
        }
    }
    let segment = median(segments);
    Ok(ContextSpeed {
        depth,
        kv_type: engine.kv_type.to_string(),
        prefill_tps: tokens as f64 / segment,
        decode_tps: 1.0 / median(written),
        segment_ms: 1e3 * segment,
        kv_bytes: context.usage().bytes,
        rss_bytes: rss(),
        plan_bytes: model.plan(capacity).total,
    })
}
