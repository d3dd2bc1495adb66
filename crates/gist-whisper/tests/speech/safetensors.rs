//! The layout of the hub: the test model, rewritten as safetensors, hears the same.

use std::collections::BTreeMap;

use gist_whisper::{Options, Output, Transcriber, WhisperModel};

use crate::{folder, lines, run, sounds::speech};

/// Shape, type and bytes of an array.
type Array = (Vec<usize>, &'static str, Vec<u8>);

/// The arrays of a CTranslate2 file.
fn arrays(file: &[u8]) -> BTreeMap<String, Array> {
    fn take<'a>(rest: &mut &'a [u8], n: usize) -> &'a [u8] {
        let (head, tail) = rest.split_at(n);
        *rest = tail;
        head
    }
    fn number(rest: &mut &[u8], n: usize) -> usize {
        take(rest, n).iter().rev().fold(0, |x, b| x << 8 | usize::from(*b))
    }
    fn string(rest: &mut &[u8]) -> String {
        let n = number(rest, 2);
        String::from_utf8(take(rest, n)[..n - 1].to_vec()).unwrap()
    }
    let mut rest = file;
    let (_version, _name, _revision) = (number(&mut rest, 4), string(&mut rest), number(&mut rest, 4));
    (0..number(&mut rest, 4))
        .map(|_| {
            let name = string(&mut rest);
            let rank = number(&mut rest, 1);
            let shape = (0..rank).map(|_| number(&mut rest, 4)).collect();
            let kind = if number(&mut rest, 1) == 4 { "F16" } else { "F32" };
            let n = number(&mut rest, 4);
            (name, (shape, kind, take(&mut rest, n).to_vec()))
        })
        .collect()
}

/// Under the names of the hub, with the fused projections taken apart.
fn unfused(arrays: BTreeMap<String, Array>) -> Vec<(String, Array)> {
    const NAMES: [(&str, &[&str]); 12] = [
        ("self_attention/layer_norm", &["self_attn_layer_norm"]),
        ("self_attention/linear_0", &["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"]),
        ("self_attention/linear_1", &["self_attn.out_proj"]),
        ("attention/layer_norm", &["encoder_attn_layer_norm"]),
        ("attention/linear_0", &["encoder_attn.q_proj"]),
        ("attention/linear_1", &["encoder_attn.k_proj", "encoder_attn.v_proj"]),
        ("attention/linear_2", &["encoder_attn.out_proj"]),
        ("ffn/layer_norm", &["final_layer_norm"]),
        ("ffn/linear_0", &["fc1"]),
        ("ffn/linear_1", &["fc2"]),
        ("position_encodings", &["embed_positions"]),
        ("embeddings", &["embed_tokens"]),
    ];
    let mut out = Vec::new();
    for (name, (shape, kind, bytes)) in arrays {
        if shape.is_empty() {
            continue;
        }
        let (path, leaf) = name.rsplit_once('/').unwrap();
        let leaf = match leaf {
            "gamma" | "encodings" => "weight",
            "beta" => "bias",
            other => other,
        };
        let (part, path) = path.split_once('/').unwrap();
        let (layer, path) = match path.strip_prefix("layer_").and_then(|p| p.split_once('/')) {
            Some((index, path)) => (format!("layers.{index}."), path),
            None => (String::new(), path),
        };
        let theirs =
            NAMES.iter().find(|(ours, _)| *ours == path).map_or(vec![path], |(_, theirs)| theirs.to_vec());
        for (i, their) in theirs.iter().enumerate() {
            // Whisper's keys have no bias.
            if their.ends_with("k_proj") && leaf == "bias" {
                continue;
            }
            let mut shape = shape.clone();
            shape[0] /= theirs.len();
            let size = bytes.len() / theirs.len();
            let bytes = bytes[i * size..(i + 1) * size].to_vec();
            out.push((format!("model.{part}.{layer}{their}.{leaf}"), (shape, kind, bytes)));
        }
    }
    out
}

#[test]
fn the_layout_of_the_hub_hears_the_same() {
    let tensors = unfused(arrays(&std::fs::read(folder().join("model.bin")).unwrap()));
    let (mut entries, mut data) = (Vec::new(), Vec::new());
    for (name, (shape, kind, bytes)) in tensors {
        let end = data.len() + bytes.len();
        entries.push(format!(
            r#""{name}":{{"dtype":"{kind}","shape":{shape:?},"data_offsets":[{},{end}]}}"#,
            data.len()
        ));
        data.extend(bytes);
    }
    let header = format!("{{{}}}", entries.join(","));
    let file = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &data].concat();
    let dir = crate::hostile::with_model("model.safetensors", &file);

    let samples = speech("When the table is full, the oldest entry is thrown away.");
    let mut transcriber =
        Transcriber::new(WhisperModel::load(dir.path()).unwrap().into(), Options::default()).unwrap();
    transcriber.push(&samples);
    transcriber.finish();
    let outputs: Vec<Output> = std::iter::from_fn(|| transcriber.poll().unwrap()).collect();
    assert!(!lines(&outputs).is_empty());
    assert_eq!(lines(&outputs), lines(&run(&samples, samples.len())));
}
