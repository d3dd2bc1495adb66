//! Hours of stream through a small random model: whether the next segment costs the same at the end as when the window
//! first filled.

use std::cell::RefCell;

use gist_core::model::ModelError;
use serde::Serialize;

use super::{BenchType, Random, median, rss, seconds};
use crate::config::Config;
use crate::decoder::{CHUNK, Decoder, Scratch, Want};
use crate::error::LoadError;
use crate::kv::{Cache, KvType, Layout, SinkPositions, Target, Work};
use crate::rolling::{Encode, RollingContext};
use crate::sequence::Sequence;

const WINDOW: usize = 8_192;
/// Tokens of a segment; there is one a second.
const SEGMENT: usize = 32;
/// Two segments' worth, so that pages are cut at the same places whenever the window is full.
const PINNED: usize = 64;
/// Segments by which both states are compared.
const COMPARED: usize = 200;

/// What became of the cost.
#[derive(Clone, Debug, Serialize)]
pub struct StreamReport {
    /// Segments encoded.
    pub segments: usize,
    /// Tokens of each.
    pub segment_tokens: usize,
    /// Tokens of the context.
    pub window: usize,
    /// Decoder layers of the model.
    pub layers: usize,
    /// Its width.
    pub hidden: usize,
    /// Query heads.
    pub heads: usize,
    /// Key and value heads.
    pub kv_heads: usize,
    /// How keys and values are stored.
    pub kv_type: String,
    /// Milliseconds a segment takes when the window has just filled, the median.
    pub segment_ms_full: f64,
    /// The same at the end.
    pub segment_ms_end: f64,
    /// The second by the first.
    pub ratio: f64,
    /// Resident memory when the window had filled.
    pub rss_full: u64,
    /// At the end.
    pub rss_end: u64,
    /// What the compared segments cost when the window had just filled, in counts.
    pub work_full: Work,
    /// At the end.
    pub work_end: Work,
}

struct Small {
    decoder: Decoder,
    scratch: RefCell<Scratch>,
}

impl Encode for Small {
    fn encode(&self, tokens: &Sequence, cache: &mut Cache, target: Target) {
        for chunk in tokens.chunks(CHUNK) {
            self.decoder.forward(&chunk, cache, target, &mut self.scratch.borrow_mut(), Want::Encoding);
        }
    }
}

fn segment(i: usize) -> Sequence {
    Sequence::text(&(0..SEGMENT).map(|t| ((i * SEGMENT + t) * 7919 % 1000) as u32).collect::<Vec<_>>())
}

/// Encodes so many segments. Then both states, saved when the window had just filled and at the end, are taken up again
/// and given the same segments by turns. `progress` gets 0 to 1.
///
/// # Errors
/// When memory does not do, or a state is not taken up.
pub fn stream(segments: usize, progress: &mut dyn FnMut(f64)) -> Result<StreamReport, ModelError> {
    let config = Config {
        layers: 4,
        hidden: 128,
        intermediate: 256,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        vocab: 1024,
        rms_eps: 1e-6,
        rope_theta: 5e6,
        max_context: 1 << 40,
        qkv_bias: false,
        qk_norm: true,
        mrope_section: Some([8, 4, 4]),
        yarn: None,
        deepstack_layers: 0,
        experts: None,
    };
    let told = |e: LoadError| ModelError::Backend(e.to_string());
    let layout = Layout::of(&config, KvType::Q8);
    let decoder = Decoder::read(&Random(BenchType::F32), config.clone(), &mut |_| ()).map_err(told)?;
    let model = Small { decoder, scratch: RefCell::default() };
    let pinned = Sequence::text(&(0..PINNED as u32).collect::<Vec<_>>());
    let mut context = RollingContext::new(&model, layout, SinkPositions::Moving, &pinned, WINDOW, 0)?;
    let save = |context: &RollingContext| -> Result<Vec<u8>, ModelError> {
        let mut saved = Vec::new();
        let note = serde_json::Value::Null;
        context.save("bench", &note, &mut saved).map_err(|e| ModelError::Backend(e.to_string()))?;
        Ok(saved)
    };
    let filled = (WINDOW - PINNED) / SEGMENT;
    let segments = segments.max(filled + COMPARED).next_multiple_of(2);
    let (mut full, mut rss_full) = (Vec::new(), 0);
    for i in 0..segments {
        context.append(&model, &segment(i))?;
        if i + 1 == filled {
            (full, rss_full) = (save(&context)?, rss());
        }
        if i % 100 == 0 {
            progress(i as f64 / segments as f64);
        }
    }
    let rss_end = rss();
    let end = save(&context)?;
    drop(context);
    let restore =
        |saved: &[u8]| RollingContext::restore("bench", layout, WINDOW, &mut &*saved).map(|(c, _)| c);
    let mut states = [restore(&full)?, restore(&end)?];
    let mut times = [Vec::new(), Vec::new()];
    for i in 0..COMPARED {
        for (state, times) in states.iter_mut().zip(&mut times) {
            let mut result = Ok(0);
            times.push(seconds(|| result = state.append(&model, &segment(i))));
            result?;
        }
    }
    let [full, end] = times.map(|times| 1e3 * median(times));
    Ok(StreamReport {
        segments,
        segment_tokens: SEGMENT,
        window: WINDOW,
        layers: config.layers,
        hidden: config.hidden,
        heads: config.heads,
        kv_heads: config.kv_heads,
        kv_type: layout.kv_type.to_string(),
        segment_ms_full: full,
        segment_ms_end: end,
        ratio: end / full,
        rss_full,
        rss_end,
        work_full: states[0].work(),
        work_end: states[1].work(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_segment_costs_the_same_however_long_the_stream_has_been() {
        let report = stream(500, &mut |_| ()).unwrap();
        assert_eq!(report.work_full, report.work_end);
        assert!(report.work_full.bytes > 0 && report.work_full.rotated > 0);
    }
}
