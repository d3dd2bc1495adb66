//! Model files that are not what they should be, and the second layout.

use std::io::Write;
use std::path::Path;

use gist_whisper::{Error, WhisperModel};

use crate::folder;

/// A folder with the test model's tokenizer and settings, and a model file made of `bytes`.
pub(crate) fn with_model(name: &str, bytes: &[u8]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    for file in ["tokenizer.json", "config.json"] {
        std::fs::copy(folder().join(file), dir.path().join(file)).unwrap();
    }
    std::fs::File::create(dir.path().join(name)).unwrap().write_all(bytes).unwrap();
    dir
}

fn refusal(dir: &Path) -> String {
    match WhisperModel::load(dir) {
        Err(why @ (Error::Format { .. } | Error::Io { .. })) => why.to_string(),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was loaded"),
    }
}

#[test]
fn a_truncated_model_is_refused_wherever_it_ends() {
    let whole = std::fs::read(folder().join("model.bin")).unwrap();
    for length in [0, 3, 5, 17, 40, 1000, whole.len() / 2, whole.len() - 100_000] {
        let dir = with_model("model.bin", &whole[..length]);
        let why = refusal(dir.path());
        assert!(why.contains("truncated") || why.contains("not a"), "{length} bytes: {why}");
    }
}

#[test]
fn lengths_beyond_the_file_are_not_believed() {
    let mut bytes = Vec::new();
    bytes.extend(6u32.to_le_bytes());
    bytes.extend(12u16.to_le_bytes());
    bytes.extend(b"WhisperSpec\0");
    bytes.extend(3u32.to_le_bytes());
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.extend(2u16.to_le_bytes());
    bytes.extend(b"a\0");
    bytes.push(2);
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.extend(u32::MAX.to_le_bytes());
    bytes.push(4);
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(refusal(with_model("model.bin", &bytes).path()).contains("truncated"));

    let mut bytes = u64::MAX.to_le_bytes().to_vec();
    bytes.extend(b"{}");
    assert!(refusal(with_model("model.safetensors", &bytes).path()).contains("safetensors"));

    let header =
        br#"{"encoder.conv1.weight":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}"#;
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.extend(header);
    assert!(refusal(with_model("model.safetensors", &bytes).path()).contains("conv1"));
}

#[test]
fn another_kind_of_model_is_named() {
    let mut bytes = Vec::new();
    bytes.extend(6u32.to_le_bytes());
    bytes.extend(16u16.to_le_bytes());
    bytes.extend(b"TransformerSpec\0");
    assert!(refusal(with_model("model.bin", &bytes).path()).contains("TransformerSpec"));
    let empty = tempfile::tempdir().unwrap();
    assert!(refusal(empty.path()).contains("no Whisper model here"));
    let elsewhere = Path::new("/nowhere/at/all");
    assert!(matches!(WhisperModel::load(elsewhere), Err(Error::Format { .. })));
}

#[test]
fn a_broken_tokenizer_is_refused() {
    let dir = with_model("model.bin", &std::fs::read(folder().join("model.bin")).unwrap());
    for text in ["", "{}", r#"{"model":{"vocab":{}},"added_tokens":[]}"#] {
        std::fs::write(dir.path().join("tokenizer.json"), text).unwrap();
        assert!(refusal(dir.path()).contains("tokenizer.json"), "{text}");
    }
}
