//! What is shared by the tests of everything that is read from disk.

mod hostile;
mod quantized;
mod released;

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use tempfile::TempDir;

use crate::config::Config;
use crate::vision::VisionConfig;

/// A file or folder of the fixtures, which `tests/data/qwen3vl/README.md` describes.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/qwen3vl").join(name)
}

/// The small trained model of the repository.
pub(crate) fn nano_vl() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano-vl")
}

/// A copy of a folder that a test may change.
pub(crate) fn copy(folder: &Path) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
        }
    }
    copy
}

/// Changes a JSON file.
pub(crate) fn edit(file: &Path, change: impl FnOnce(&mut Value)) {
    let mut value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    change(&mut value);
    std::fs::write(file, value.to_string()).unwrap();
}

/// A tensor to be written: name, type, shape and bytes.
pub(crate) type Tensor<'a> = (&'a str, &'a str, Vec<usize>, Vec<u8>);

/// The bytes of a safetensors file.
pub(crate) fn safetensors(tensors: &[Tensor<'_>]) -> Vec<u8> {
    let (mut header, mut data) = (Map::new(), Vec::new());
    for (name, dtype, shape, bytes) in tensors {
        let offsets = [data.len(), data.len() + bytes.len()];
        header.insert((*name).into(), json!({ "dtype": dtype, "shape": shape, "data_offsets": offsets }));
        data.extend_from_slice(bytes);
    }
    with_header(&Value::Object(header).to_string(), &data)
}

/// A file with any header.
pub(crate) fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
}

/// Little-endian f32.
pub(crate) fn f32s(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|x| x.to_le_bytes()).collect()
}

/// All tensors a decoder asks for, but for the experts.
pub(crate) fn text_tensors(config: &Config, tied: bool) -> Vec<(String, Vec<usize>)> {
    let Config { hidden, intermediate, vocab, head_dim, .. } = *config;
    let (q, kv) = (config.heads * head_dim, config.kv_heads * head_dim);
    let mut tensors = vec![
        ("token_embd.weight".to_owned(), vec![vocab, hidden]),
        ("output_norm.weight".to_owned(), vec![hidden]),
    ];
    if !tied {
        tensors.push(("output.weight".into(), vec![vocab, hidden]));
    }
    for i in 0..config.layers {
        let mut add = |part: &str, shape: &[usize]| tensors.push((format!("blk.{i}.{part}"), shape.into()));
        add("attn_norm.weight", &[hidden]);
        add("attn_q.weight", &[q, hidden]);
        add("attn_k.weight", &[kv, hidden]);
        add("attn_v.weight", &[kv, hidden]);
        add("attn_output.weight", &[hidden, q]);
        add("attn_q_norm.weight", &[head_dim]);
        add("attn_k_norm.weight", &[head_dim]);
        add("ffn_norm.weight", &[hidden]);
        match config.experts {
            Some(experts) => {
                add("ffn_gate_inp.weight", &[experts.count, hidden]);
            }
            None => {
                add("ffn_gate.weight", &[intermediate, hidden]);
                add("ffn_up.weight", &[intermediate, hidden]);
                add("ffn_down.weight", &[hidden, intermediate]);
            }
        }
    }
    tensors
}

/// The tensors of all experts: name, outputs, inputs.
pub(crate) fn expert_tensors(config: &Config) -> Vec<(String, usize, usize)> {
    let Some(experts) = config.experts else { return Vec::new() };
    let (hidden, width) = (config.hidden, experts.intermediate);
    (0..config.layers)
        .flat_map(|i| {
            [("gate", width, hidden), ("up", width, hidden), ("down", hidden, width)]
                .map(|(part, outputs, inputs)| (format!("blk.{i}.ffn_{part}_exps.weight"), outputs, inputs))
        })
        .collect()
}

/// All tensors a vision tower asks for.
pub(crate) fn vision_tensors(config: &VisionConfig) -> Vec<(String, Vec<usize>)> {
    let VisionConfig { hidden, intermediate, out_hidden, side, .. } = *config;
    let wide = 4 * hidden;
    let mut tensors = Vec::new();
    let mut linear = |name: &str, outputs: usize, inputs: usize| {
        tensors.push((format!("{name}.weight"), vec![outputs, inputs]));
        tensors.push((format!("{name}.bias"), vec![outputs]));
    };
    linear("v.patch_embd", hidden, 1536);
    for i in 0..config.depth {
        linear(&format!("v.blk.{i}.attn_qkv"), 3 * hidden, hidden);
        linear(&format!("v.blk.{i}.attn_out"), hidden, hidden);
        linear(&format!("v.blk.{i}.ffn_up"), intermediate, hidden);
        linear(&format!("v.blk.{i}.ffn_down"), hidden, intermediate);
    }
    linear("mm.0", wide, wide);
    linear("mm.2", out_hidden, wide);
    for i in &config.deepstack {
        linear(&format!("v.deepstack.{i}.fc1"), wide, wide);
        linear(&format!("v.deepstack.{i}.fc2"), out_hidden, wide);
    }
    let mut norm = |name: &str, width: usize| {
        tensors.push((format!("{name}.weight"), vec![width]));
        tensors.push((format!("{name}.bias"), vec![width]));
    };
    for i in 0..config.depth {
        norm(&format!("v.blk.{i}.ln1"), hidden);
        norm(&format!("v.blk.{i}.ln2"), hidden);
    }
    norm("v.post_ln", hidden);
    config.deepstack.iter().for_each(|i| norm(&format!("v.deepstack.{i}.norm"), wide));
    tensors.push(("v.position_embd.weight".into(), vec![side * side, hidden]));
    tensors
}
