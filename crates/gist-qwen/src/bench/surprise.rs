//! How unexpected each line of a text is, given all before it.

use super::kv_error::log_probabilities;
use crate::QwenModel;
use crate::kv::KvType;

/// For each line the mean of minus the log-probability of its tokens, in nats, each given all before it in the text. Keys
/// and values are in f16 and none is let go, so the text has to fit into memory. A line without tokens is 0, and so is the
/// first token, which nothing comes before.
pub fn surprise(model: &QwenModel, lines: &[String]) -> Vec<f64> {
    let lines: Vec<Vec<u32>> = lines.iter().map(|line| model.tokenizer().encode(line)).collect();
    let mut expected = std::iter::once(0.0).chain(log_probabilities(model, &lines.concat(), KvType::F16));
    lines
        .iter()
        .map(|ids| -expected.by_ref().take(ids.len()).sum::<f64>() / ids.len().max(1) as f64)
        .collect()
}
