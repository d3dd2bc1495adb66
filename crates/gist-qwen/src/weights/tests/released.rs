//! Checkpoints as they are published, in small.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor};

use super::{copy, expert_tensors, fixture, nano_vl, safetensors, text_tensors, vision_tensors};
use crate::checkpoint::Checkpoint;
use crate::weights::Weights;

const FOLDERS: [&str; 4] = ["models/tiny-untied", "models/tiny-tied", "models/tiny-moe", "models/tiny-yarn"];

/// Reads everything there is and tells how many tensors that were.
fn read_all(checkpoint: &Checkpoint) -> usize {
    let Checkpoint { config, text, .. } = checkpoint;
    let tied = !text.contains("output.weight");
    let named = text_tensors(config, tied);
    for (name, shape) in &named {
        text.floats(name, shape).unwrap_or_else(|e| panic!("{e}"));
    }
    let experts = expert_tensors(config);
    for (name, outputs, inputs) in &experts {
        let count = config.experts.unwrap().count;
        assert_eq!(text.experts(name, count, *outputs, *inputs).unwrap().len(), count);
    }
    let pictures = checkpoint.vision.as_ref().map(vision_tensors).unwrap_or_default();
    for (name, shape) in &pictures {
        checkpoint.pictures.as_ref().unwrap().floats(name, shape).unwrap_or_else(|e| panic!("{e}"));
    }
    named.len() + experts.len() + pictures.len()
}

#[test]
fn every_tensor_of_every_folder_is_read_in_its_shape() {
    for folder in FOLDERS.map(fixture).into_iter().chain([nano_vl()]) {
        let checkpoint = Checkpoint::open(&folder, None).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(read_all(&checkpoint), checkpoint.text.infos().len(), "{folder:?}");
        let shapes: HashMap<String, Vec<usize>> =
            checkpoint.text.infos().into_iter().map(|info| (info.name, info.shape)).collect();
        assert_eq!(shapes["v.patch_embd.weight"][1], 1536);
    }
}

#[test]
fn every_tensor_of_every_gguf_is_read_in_its_shape() {
    let mmproj = fixture("gguf/mmproj-tiny-tied-f16.gguf");
    for (file, mmproj) in [
        ("gguf/tiny-tied-f16.gguf", Some(&*mmproj)),
        ("gguf/tiny-text-legacy.gguf", None),
        ("gguf/tiny-text-q4_k_m.gguf", None),
    ] {
        let checkpoint = Checkpoint::open(&fixture(file), mmproj).unwrap_or_else(|e| panic!("{e}"));
        assert!(read_all(&checkpoint) > 10);
        assert_eq!(checkpoint.vision.is_some(), mmproj.is_some());
    }
}

/// The same numbers, written as a folder and as a pair of GGUF files.
#[test]
fn both_formats_give_the_same_bits() {
    let folder = Checkpoint::open(&fixture("models/tiny-tied"), None).unwrap();
    let mmproj = fixture("gguf/mmproj-tiny-tied-f16.gguf");
    let gguf = Checkpoint::open(&fixture("gguf/tiny-tied-f16.gguf"), Some(&mmproj)).unwrap();
    assert_eq!((&folder.config, &folder.vision), (&gguf.config, &gguf.vision));
    let bits = |weights: &dyn Weights, name: &str, shape: &[usize]| -> Vec<u32> {
        weights.floats(name, shape).unwrap().into_iter().map(f32::to_bits).collect()
    };
    for (name, shape) in text_tensors(&folder.config, true) {
        assert_eq!(bits(&*folder.text, &name, &shape), bits(&*gguf.text, &name, &shape), "{name}");
    }
    let (a, b) = (folder.pictures.unwrap(), gguf.pictures.unwrap());
    for (name, shape) in vision_tensors(&folder.vision.unwrap()) {
        assert_eq!(bits(&*a, &name, &shape), bits(&*b, &name, &shape), "{name}");
    }
}

/// Rows as the gguf package of llama.cpp restores them.
#[test]
fn quantised_rows_are_restored_exactly() {
    for name in ["tiny-text-legacy", "tiny-text-q4_k_m"] {
        let checkpoint = Checkpoint::open(&fixture(&format!("gguf/{name}.gguf")), None).unwrap();
        let expected = load(&fixture(&format!("gguf/{name}.safetensors")));
        let mut compared = 0;
        for (name, shape) in text_tensors(&checkpoint.config, true) {
            let Some(rows) = expected.get(&format!("rows.{name}")) else { continue };
            let rows: Vec<Vec<f32>> = rows.to_vec2().unwrap();
            let values = checkpoint.text.floats(&name, &shape).unwrap();
            let width = shape[1];
            assert_eq!(values[..width], rows[0], "{name}");
            assert_eq!(values[values.len() - width..], rows[1], "{name}");
            compared += 1;
        }
        assert_eq!(compared, expected.len() - 1, "all but the logits");
    }
}

fn load(file: &Path) -> HashMap<String, Tensor> {
    candle_core::safetensors::load(file, &Device::Cpu).unwrap()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1().unwrap()
}

/// candle's reader of the format, which shares nothing with ours, is the oracle.
#[test]
fn halves_and_shards_hold_the_right_numbers() {
    for (model, shards) in [
        ("tiny-untied", &["model-00001-of-00002", "model-00002-of-00002"] as &[&str]),
        ("tiny-yarn", &["model"]),
    ] {
        let folder = fixture(&format!("models/{model}"));
        let checkpoint = Checkpoint::open(&folder, None).unwrap();
        let tensors: HashMap<String, Tensor> =
            shards.iter().flat_map(|shard| load(&folder.join(format!("{shard}.safetensors")))).collect();
        let cases: [(&str, &str, &[usize]); 5] = [
            ("output.weight", "lm_head.weight", &[512, 64]),
            ("blk.3.ffn_down.weight", "model.language_model.layers.3.mlp.down_proj.weight", &[64, 128]),
            ("blk.2.attn_k_norm.weight", "model.language_model.layers.2.self_attn.k_norm.weight", &[32]),
            ("v.patch_embd.weight", "model.visual.patch_embed.proj.weight", &[32, 1536]),
            (
                "v.deepstack.3.fc2.weight",
                "model.visual.deepstack_merger_list.2.linear_fc2.weight",
                &[64, 128],
            ),
        ];
        for (ours, theirs, shape) in cases {
            assert_eq!(checkpoint.text.floats(ours, shape).unwrap(), values(&tensors[theirs]), "{ours}");
        }
    }
}

#[test]
fn experts_are_the_same_whichever_way_they_are_stored() {
    let folder = fixture("models/tiny-moe");
    let tensors = load(&folder.join("model.safetensors"));
    let turned = copy(&folder);
    // As transformers 5 saves them: the last two axes swapped.
    let bytes: Vec<(&String, Vec<usize>, Vec<u8>)> = tensors
        .iter()
        .map(|(name, tensor)| {
            let tensor = if name.contains("experts.") { tensor.t().unwrap() } else { tensor.clone() };
            let tensor = tensor.to_dtype(DType::F32).unwrap();
            (name, tensor.dims().to_vec(), super::f32s(&values(&tensor)))
        })
        .collect();
    let entries: Vec<_> =
        bytes.into_iter().map(|(name, shape, bytes)| (name.as_str(), "F32", shape, bytes)).collect();
    std::fs::write(turned.path().join("model.safetensors"), safetensors(&entries)).unwrap();

    let released = Checkpoint::open(&folder, None).unwrap();
    let saved = Checkpoint::open(turned.path(), None).unwrap();
    let gate_up = &tensors["model.language_model.layers.1.mlp.experts.gate_up_proj"];
    let down = &tensors["model.language_model.layers.1.mlp.experts.down_proj"];
    let halves = [gate_up.narrow(2, 0, 40).unwrap(), gate_up.narrow(2, 40, 40).unwrap(), down.clone()];
    for (part, stored) in ["gate", "up", "down"].into_iter().zip(halves) {
        let name = format!("blk.1.ffn_{part}_exps.weight");
        let stored = stored.t().unwrap();
        let shape = stored.dims();
        assert_eq!(released.text.floats(&name, shape).unwrap(), values(&stored), "{part}");
        assert_eq!(saved.text.floats(&name, shape).unwrap(), values(&stored), "{part}");
        let fifth = &released.text.experts(&name, 8, shape[1], shape[2]).unwrap()[5];
        let fifth = values(&fifth.dequantize(&Device::Cpu).unwrap());
        assert_eq!(fifth, values(&stored.get(5).unwrap()), "{part}");
    }
}
