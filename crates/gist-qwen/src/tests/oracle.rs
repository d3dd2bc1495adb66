//! The decoder once more, the slow and plain way: f64, one token at a time, keys rotated anew for every query to where
//! they are meant to stand.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;

use candle_core::Device;

use super::tiny::{EPS, HEAD_DIM, HEADS, HIDDEN, INTERMEDIATE, KV_HEADS, LAYERS, THETA, VOCAB};
use crate::weights::Weights;
use crate::weights::gguf::Gguf;

/// An encoded token: unrotated keys and values, `[layer][kv_heads * head_dim]`.
#[derive(Clone)]
pub(super) struct Token {
    keys: Vec<Vec<f64>>,
    values: Vec<Vec<f64>>,
}

pub(super) struct Oracle {
    file: Gguf,
    cache: RefCell<HashMap<String, Rc<[f64]>>>,
}

impl Oracle {
    pub(super) fn new(gguf: &[u8]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), gguf).unwrap();
        Self { file: Gguf::open(file.path()).unwrap(), cache: RefCell::default() }
    }

    fn weights(&self, name: &str, shape: &[usize]) -> Rc<[f64]> {
        let read = || {
            let tensor = self.file.tensor(name, shape).unwrap().dequantize(&Device::Cpu).unwrap();
            let values: Vec<f32> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            values.into_iter().map(f64::from).collect()
        };
        self.cache.borrow_mut().entry(name.into()).or_insert_with(read).clone()
    }

    fn product(&self, name: &str, outputs: usize, x: &[f64]) -> Vec<f64> {
        let weights = self.weights(&format!("{name}.weight"), &[outputs, x.len()]);
        weights.chunks(x.len()).map(|row| row.iter().zip(x).map(|(w, x)| w * x).sum()).collect()
    }

    fn projection(&self, name: &str, outputs: usize, x: &[f64]) -> Vec<f64> {
        let bias = self.weights(&format!("{name}.bias"), &[outputs]);
        self.product(name, outputs, x).iter().zip(bias.iter()).map(|(y, b)| y + b).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let weights = self.weights(&format!("{name}.weight"), &[x.len()]);
        let mean = x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64;
        let scale = 1.0 / (mean + f64::from(EPS)).sqrt();
        x.iter().zip(weights.iter()).map(|(x, w)| x * scale * w).collect()
    }

    /// Encodes a token at `position` that sees `before`, each at the position given with it. Returns it with its logits.
    pub(super) fn encode(&self, id: u32, position: i64, before: &[(i64, &Token)]) -> (Token, Vec<f64>) {
        let embedding = self.weights("token_embd.weight", &[VOCAB, HIDDEN]);
        let mut x = embedding[id as usize * HIDDEN..][..HIDDEN].to_vec();
        let mut token = Token { keys: Vec::new(), values: Vec::new() };
        for layer in 0..LAYERS {
            let name = |part: &str| format!("blk.{layer}.{part}");
            let normed = self.norm(&name("attn_norm"), &x);
            let query = self.projection(&name("attn_q"), HEADS * HEAD_DIM, &normed);
            token.keys.push(self.projection(&name("attn_k"), KV_HEADS * HEAD_DIM, &normed));
            token.values.push(self.projection(&name("attn_v"), KV_HEADS * HEAD_DIM, &normed));
            let mut attended = Vec::new();
            for head in 0..HEADS {
                let range = head / (HEADS / KV_HEADS) * HEAD_DIM..(head / (HEADS / KV_HEADS) + 1) * HEAD_DIM;
                let query = rotate(&query[head * HEAD_DIM..(head + 1) * HEAD_DIM], position);
                let seen: Vec<(i64, &Token)> = before.iter().copied().chain([(position, &token)]).collect();
                let scores: Vec<f64> = seen
                    .iter()
                    .map(|(position, seen)| {
                        let key = rotate(&seen.keys[layer][range.clone()], *position);
                        let dot: f64 = query.iter().zip(key).map(|(q, k)| q * k).sum();
                        (dot / (HEAD_DIM as f64).sqrt()).exp()
                    })
                    .collect();
                let sum: f64 = scores.iter().sum();
                attended.extend(range.map(|i| {
                    seen.iter()
                        .zip(&scores)
                        .map(|((_, seen), p)| p / sum * seen.values[layer][i])
                        .sum::<f64>()
                }));
            }
            let out = self.product(&name("attn_output"), HIDDEN, &attended);
            x.iter_mut().zip(out).for_each(|(x, y)| *x += y);
            let normed = self.norm(&name("ffn_norm"), &x);
            let gate = self.product(&name("ffn_gate"), INTERMEDIATE, &normed);
            let up = self.product(&name("ffn_up"), INTERMEDIATE, &normed);
            let inner: Vec<f64> = gate.iter().zip(up).map(|(g, u)| g / (1.0 + (-g).exp()) * u).collect();
            let out = self.product(&name("ffn_down"), HIDDEN, &inner);
            x.iter_mut().zip(out).for_each(|(x, y)| *x += y);
        }
        let logits = self.product("token_embd", VOCAB, &self.norm("output_norm", &x));
        (token, logits)
    }
}

/// Rotates a head to a position.
fn rotate(x: &[f64], position: i64) -> Vec<f64> {
    let half = HEAD_DIM / 2;
    let mut out = x.to_vec();
    for j in 0..half {
        let angle = position as f64 * f64::from(THETA).powf(-2.0 * j as f64 / HEAD_DIM as f64);
        let (sin, cos) = angle.sin_cos();
        out[j] = x[j] * cos - x[j + half] * sin;
        out[j + half] = x[j + half] * cos + x[j] * sin;
    }
    out
}
