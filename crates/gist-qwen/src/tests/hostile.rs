//! Files nobody should be asked to load.

use candle_core::quantized::gguf_file::Value;

use super::tiny;
use crate::{KvType, LoadError, LoadOptions, QwenModel};

fn error(bytes: &[u8]) -> LoadError {
    match tiny::load(bytes, KvType::F16) {
        Ok(_) => panic!("it loads"),
        Err(e) => e,
    }
}

/// Loads the tiny model with one metadata value changed.
fn error_with(key: &str, value: Value) -> String {
    let mut metadata = tiny::metadata();
    metadata.iter_mut().find(|(k, _)| *k == key).unwrap().1 = value;
    error(&tiny::gguf(&metadata)).to_string()
}

#[test]
fn a_missing_file_is_named() {
    let error = QwenModel::load("/nowhere/model.gguf".as_ref(), LoadOptions::default()).err().unwrap();
    assert_eq!(error.to_string(), "model file /nowhere/model.gguf does not exist");
}

#[test]
fn other_files_and_directories_are_no_gguf() {
    assert!(matches!(error(b""), LoadError::NotGguf(_)));
    assert!(matches!(error(b"GGU"), LoadError::NotGguf(_)));
    assert!(matches!(error(b"PK\x03\x04 and much more"), LoadError::NotGguf(_)));
    let directory = tempfile::tempdir().unwrap();
    let error = QwenModel::load(directory.path(), LoadOptions::default()).err().unwrap();
    assert!(matches!(error, LoadError::NoModel(_)), "{error}");
}

#[test]
fn wherever_it_is_cut_off_the_error_says_so() {
    let gguf = tiny::gguf(&tiny::metadata());
    let step = gguf.len() / 97;
    for length in (4..gguf.len()).step_by(step).chain([gguf.len() - 1]) {
        let error = error(&gguf[..length]);
        assert!(matches!(error, LoadError::Truncated { .. }), "cut off at {length}: {error}");
    }
}

#[test]
fn absurd_counts_are_refused_before_they_cost_memory() {
    let gguf = tiny::gguf(&tiny::metadata());
    for at in [8, 16] {
        for count in [u64::MAX, 1 << 40, 1 << 20] {
            let mut bytes = gguf.clone();
            bytes[at..at + 8].copy_from_slice(&count.to_le_bytes());
            let error = error(&bytes);
            assert!(matches!(error, LoadError::Invalid { .. } | LoadError::Truncated { .. }), "{error}");
        }
    }
    // The length of the first key.
    for length in [u64::MAX, 1 << 62, 1 << 30] {
        let mut bytes = gguf.clone();
        bytes[24..32].copy_from_slice(&length.to_le_bytes());
        error(&bytes);
    }
}

#[test]
fn no_flipped_byte_makes_it_panic() {
    let gguf = tiny::gguf(&tiny::metadata());
    let header = gguf.len() - gguf.len() / 8;
    for at in (4..header).step_by(header / 150) {
        let mut bytes = gguf.clone();
        bytes[at] ^= 0xA5;
        // A weight or a letter may be changed unnoticed; what counts is that it returns.
        let _ = tiny::load(&bytes, KvType::F16);
    }
}

#[test]
fn another_architecture_is_refused_with_what_is_supported() {
    let error = error_with("general.architecture", Value::String("llama".into()));
    assert!(error.contains("`llama`") && error.contains("qwen2"), "{error}");
}

#[test]
fn impossible_shapes_are_refused() {
    for (key, value) in [
        ("qwen2.block_count", 0u32),
        ("qwen2.block_count", u32::MAX),
        ("qwen2.block_count", 200),
        ("qwen2.embedding_length", 31),
        ("qwen2.embedding_length", 1 << 16),
        ("qwen2.attention.head_count", 3),
        ("qwen2.attention.head_count_kv", 3),
        ("qwen2.attention.head_count_kv", 8),
        ("qwen2.feed_forward_length", 1 << 18),
    ] {
        let error = error_with(key, Value::U32(value));
        assert!(!error.is_empty(), "{key} = {value}");
    }
    for theta in [f32::NAN, 0.0, -1.0, f32::INFINITY] {
        assert!(error_with("qwen2.rope.freq_base", Value::F32(theta)).contains("freq_base"));
    }
}

#[test]
fn a_broken_vocabulary_is_refused() {
    let strings = |s: &[&str]| Value::Array(s.iter().map(|s| Value::String((*s).into())).collect());
    for merge in ["a", "", " ", "a c", "ab ab", "a b c"] {
        assert!(error_with("tokenizer.ggml.merges", strings(&[merge])).contains("merge"), "{merge:?}");
    }
    assert!(error_with("tokenizer.ggml.merges", strings(&["a b", "a b"])).contains("merge"));
    assert!(!error_with("tokenizer.ggml.tokens", strings(&["a", "b"])).is_empty());
    let types = Value::Array(vec![Value::I32(1); tiny::VOCAB]);
    assert!(!error_with("tokenizer.ggml.token_type", types).is_empty());
}

#[test]
fn a_context_that_does_not_fit_is_refused_with_one_that_does() {
    let file = tempfile::NamedTempFile::new().unwrap();
    // So many layers and so long a context that no machine holds it; that is known before a tensor is looked for.
    let mut metadata = tiny::metadata();
    for (key, value) in &mut metadata {
        match *key {
            "qwen2.block_count" => *value = Value::U32(256),
            "qwen2.context_length" => *value = Value::U32(1 << 24),
            _ => {}
        }
    }
    std::fs::write(file.path(), tiny::gguf(&metadata)).unwrap();
    let options = LoadOptions { context_length: usize::MAX, kv_type: KvType::F32, ..LoadOptions::default() };
    let error = QwenModel::load(file.path(), options).err().unwrap();
    let LoadError::Memory(table) = &error else { panic!("{error}") };
    let fits = table.longest().unwrap();
    assert!(error.to_string().contains(&format!("a context-length of {fits} would fit")), "{error}");
}
