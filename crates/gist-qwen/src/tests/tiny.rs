//! A random model of a few thousand weights, in a real GGUF file.

use std::io::Cursor;
use std::sync::Arc;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};

use crate::{KvType, LoadError, LoadOptions, QwenModel};

pub(super) const LAYERS: usize = 2;
pub(super) const HIDDEN: usize = 32;
pub(super) const HEADS: usize = 4;
pub(super) const KV_HEADS: usize = 2;
pub(super) const HEAD_DIM: usize = HIDDEN / HEADS;
pub(super) const INTERMEDIATE: usize = 48;
pub(super) const VOCAB: usize = 260;
pub(super) const THETA: f32 = 1000.0;
pub(super) const EPS: f32 = 1e-6;

/// Metadata of the tiny model; tests change it before they write it.
pub(super) fn metadata() -> Vec<(&'static str, Value)> {
    let mut next = 0x100u32;
    let byte = |b: u8| {
        let printable = matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
        let code = if printable {
            b.into()
        } else {
            next += 1;
            next - 1
        };
        char::from_u32(code).unwrap().to_string()
    };
    let mut tokens: Vec<String> = (0..=255).map(byte).collect();
    tokens.extend(["ab", "<|endoftext|>", "<|im_start|>", "<|im_end|>"].map(String::from));
    let types = (0..VOCAB as i32).map(|i| Value::I32(if i > 256 { 3 } else { 1 })).collect();
    let u32 = |n: usize| Value::U32(n as u32);
    vec![
        ("general.architecture", Value::String("qwen2".into())),
        ("qwen2.block_count", u32(LAYERS)),
        ("qwen2.context_length", u32(1 << 15)),
        ("qwen2.embedding_length", u32(HIDDEN)),
        ("qwen2.feed_forward_length", u32(INTERMEDIATE)),
        ("qwen2.attention.head_count", u32(HEADS)),
        ("qwen2.attention.head_count_kv", u32(KV_HEADS)),
        ("qwen2.rope.freq_base", Value::F32(THETA)),
        ("qwen2.attention.layer_norm_rms_epsilon", Value::F32(EPS)),
        ("tokenizer.ggml.model", Value::String("gpt2".into())),
        ("tokenizer.ggml.pre", Value::String("qwen2".into())),
        ("tokenizer.ggml.tokens", Value::Array(tokens.into_iter().map(Value::String).collect())),
        ("tokenizer.ggml.token_type", Value::Array(types)),
        ("tokenizer.ggml.merges", Value::Array(vec![Value::String("a b".into())])),
    ]
}

/// The file's bytes. The head is tied to the embedding.
pub(super) fn gguf(metadata: &[(&'static str, Value)]) -> Vec<u8> {
    let mut state = 7u64;
    let mut random = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    let mut tensors: Vec<(String, QTensor)> = Vec::new();
    let mut add = |name: String, shape: &[usize], scale: f32, offset: f32| {
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| offset + scale * random()).collect();
        let tensor = Tensor::from_vec(values, shape, &Device::Cpu).unwrap();
        tensors.push((name, QTensor::quantize(&tensor, GgmlDType::F32).unwrap()));
    };
    add("token_embd.weight".into(), &[VOCAB, HIDDEN], 1.0, 0.0);
    add("output_norm.weight".into(), &[HIDDEN], 0.2, 1.0);
    for i in 0..LAYERS {
        let name = |part: &str| format!("blk.{i}.{part}");
        let kv = KV_HEADS * HEAD_DIM;
        for (part, outputs, inputs) in [
            ("attn_q", HIDDEN, HIDDEN),
            ("attn_k", kv, HIDDEN),
            ("attn_v", kv, HIDDEN),
            ("attn_output", HIDDEN, HIDDEN),
            ("ffn_gate", INTERMEDIATE, HIDDEN),
            ("ffn_up", INTERMEDIATE, HIDDEN),
            ("ffn_down", HIDDEN, INTERMEDIATE),
        ] {
            add(name(&format!("{part}.weight")), &[outputs, inputs], 1.5 / (inputs as f32).sqrt(), 0.0);
        }
        add(name("attn_q.bias"), &[HIDDEN], 0.5, 0.0);
        add(name("attn_k.bias"), &[kv], 0.5, 0.0);
        add(name("attn_v.bias"), &[kv], 0.5, 0.0);
        add(name("attn_norm.weight"), &[HIDDEN], 0.2, 1.0);
        add(name("ffn_norm.weight"), &[HIDDEN], 0.2, 1.0);
    }
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (*k, v)).collect();
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut file = Cursor::new(Vec::new());
    gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    file.into_inner()
}

/// Loads a model from bytes.
pub(super) fn load(bytes: &[u8], kv_type: KvType) -> Result<Arc<QwenModel>, LoadError> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    QwenModel::load(file.path(), LoadOptions { kv_type, threads: 2, ..LoadOptions::default() })
}

/// The tiny model.
pub(super) fn model(kv_type: KvType) -> Arc<QwenModel> {
    load(&gguf(&metadata()), kv_type).unwrap()
}
