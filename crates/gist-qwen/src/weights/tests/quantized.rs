//! Weights quantised on load.

use candle_core::quantized::GgmlDType;

use super::{fixture, nano_vl, text_tensors, vision_tensors};
use crate::checkpoint::Checkpoint;
use crate::weights::quantized::Quantization::{Q4, Q8};

fn dtype(checkpoint: &Checkpoint, name: &str) -> GgmlDType {
    checkpoint.text.read(name).unwrap().dtype
}

#[test]
fn matrices_are_quantised_and_nothing_else() {
    let q8 = Checkpoint::open(&fixture("models/tiny-moe"), None).unwrap().quantized(Q8);
    for (name, expected) in [
        ("token_embd.weight", GgmlDType::Q8_0),
        ("output.weight", GgmlDType::Q8_0),
        ("blk.0.attn_q.weight", GgmlDType::Q8_0),
        ("blk.0.ffn_up_exps.weight", GgmlDType::Q8_0),
        ("mm.0.weight", GgmlDType::Q8_0),
        // 40 values in a row do not come out even.
        ("blk.0.ffn_down_exps.weight", GgmlDType::BF16),
        ("blk.0.ffn_gate_inp.weight", GgmlDType::BF16),
        ("blk.0.attn_norm.weight", GgmlDType::BF16),
        ("v.position_embd.weight", GgmlDType::BF16),
        ("v.patch_embd.weight", GgmlDType::BF16),
        ("v.blk.0.attn_qkv.bias", GgmlDType::BF16),
    ] {
        assert_eq!(dtype(&q8, name), expected, "{name}");
    }
    let q4 = Checkpoint::open(&nano_vl(), None).unwrap().quantized(Q4);
    assert_eq!(dtype(&q4, "blk.0.attn_q.weight"), GgmlDType::Q4_0);
    assert_eq!(dtype(&q4, "token_embd.weight"), GgmlDType::Q8_0);
    assert_eq!(dtype(&q4, "v.blk.0.attn_qkv.weight"), GgmlDType::Q8_0);
}

/// Every tensor announces the size and type that it turns out to have, and stays close to what it was.
#[test]
fn sizes_are_known_before_and_values_stay_close() {
    let open = || Checkpoint::open(&nano_vl(), None).unwrap();
    let plain = open();
    for (quantization, share, error) in [(Q8, 0.31, 0.01), (Q4, 0.26, 0.12)] {
        let quantized = open().quantized(quantization);
        let mut sum = 0;
        for info in quantized.text.infos() {
            let raw = quantized.text.read(&info.name).unwrap();
            assert_eq!((raw.dtype, &raw.shape), (info.dtype, &info.shape));
            assert_eq!(raw.bytes.len() as u64, info.bytes());
            sum += info.bytes();
        }
        assert_eq!(quantized.tensor_bytes(), sum, "text and pictures are one file, counted once");
        assert!((sum as f64) < share * plain.tensor_bytes() as f64, "{sum}");
        let text = text_tensors(&plain.config, true);
        for (name, shape) in text.iter().chain(&vision_tensors(plain.vision.as_ref().unwrap())) {
            let before = plain.text.floats(name, shape).unwrap();
            let after = quantized.text.floats(name, shape).unwrap();
            let square = |x: f32| f64::from(x) * f64::from(x);
            let off: f64 = before.iter().zip(&after).map(|(a, b)| square(a - b)).sum();
            let all: f64 = before.iter().map(|a| square(*a)).sum();
            assert!(off <= error * error * all, "{name} is off by {}", (off / all).sqrt());
        }
    }
}

#[test]
fn what_is_quantised_already_stays_as_it_is() {
    let file = fixture("gguf/tiny-text-q4_k_m.gguf");
    let plain = Checkpoint::open(&file, None).unwrap();
    let bytes = plain.tensor_bytes();
    let q4 = plain.quantized(Q4);
    assert_eq!(q4.tensor_bytes(), bytes);
    assert_eq!(dtype(&q4, "blk.0.attn_k.weight"), GgmlDType::Q5_0);
}

/// Numbers that are none would make a whole block of a quantised row none.
#[test]
fn weights_that_are_no_numbers_are_refused() {
    let folder = super::copy(&fixture("models/tiny-tied"));
    let file = folder.path().join("model.safetensors");
    let mut bytes = std::fs::read(&file).unwrap();
    let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
    for value in bytes[8 + header..].chunks_exact_mut(400) {
        value[..4].copy_from_slice(&f32::NAN.to_le_bytes());
    }
    std::fs::write(&file, bytes).unwrap();
    let q8 = Checkpoint::open(folder.path(), None).unwrap().quantized(Q8);
    let error = q8.text.read("blk.0.attn_q.weight").err().unwrap().to_string();
    assert!(error.contains("not numbers"), "{error}");
}
