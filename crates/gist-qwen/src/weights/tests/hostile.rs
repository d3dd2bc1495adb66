//! Folders nobody should be asked to load.

use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;
use serde_json::json;
use tempfile::TempDir;

use super::{Tensor, copy, edit, f32s, fixture, safetensors, with_header};
use crate::config::{Config, Hub};
use crate::error::LoadError;
use crate::weights::Weights;
use crate::weights::safetensors::{Folder, Shapes};

const NORM: &str = "model.language_model.norm.weight";

fn config(model: &str) -> Config {
    Hub::read(&fixture(model)).unwrap().unwrap().config
}

fn open(folder: &Path) -> Result<Folder, LoadError> {
    let config = config("models/tiny-moe");
    Folder::open(folder, &Shapes { config: &config, deepstack: &[0, 1, 3], tied: true })
}

/// A folder with this one file.
fn folder(bytes: &[u8]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("model.safetensors"), bytes).unwrap();
    folder
}

fn error(bytes: &[u8]) -> LoadError {
    open(folder(bytes).path()).err().expect("it opens")
}

/// A small good file.
fn good() -> Vec<u8> {
    let tensors: [Tensor<'_>; 3] = [
        (NORM, "F32", vec![2], f32s(&[1.0, 2.0])),
        ("model.language_model.embed_tokens.weight", "BF16", vec![2, 2], vec![0; 8]),
        ("nobody.asks.for.this", "I64", vec![1], vec![0; 8]),
    ];
    safetensors(&tensors)
}

#[test]
fn a_good_file_opens() {
    let folder = open(folder(&good()).path()).unwrap();
    assert_eq!(folder.vector("output_norm.weight", 2).unwrap(), [1.0, 2.0]);
    assert_eq!(folder.tensor_bytes(), 16);
}

#[test]
fn wherever_it_is_cut_off_the_error_says_so() {
    let good = good();
    for length in 0..good.len() {
        let error = error(&good[..length]);
        assert!(matches!(error, LoadError::Truncated { .. }), "cut off at {length}: {error}");
    }
}

#[test]
fn absurd_lengths_are_refused_before_they_cost_memory() {
    for length in [u64::MAX, 1 << 62, 99 << 20, 1 << 24] {
        let mut bytes = good();
        bytes[..8].copy_from_slice(&length.to_le_bytes());
        let error = error(&bytes);
        assert!(matches!(error, LoadError::Invalid { .. } | LoadError::Truncated { .. }), "{error}");
    }
}

#[test]
fn tables_that_contradict_themselves_are_refused() {
    let one = |shape: &str, offsets: &str| {
        format!(r#"{{"{NORM}":{{"dtype":"F32","shape":{shape},"data_offsets":{offsets}}}}}"#)
    };
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"F32","shape":[2],"data_offsets":{a}}},"b":{{"dtype":"F32","shape":[2],"data_offsets":{b}}}}}"#
        )
    };
    let entry = one("[4]", "[0,16]");
    let entry = entry.trim_start_matches('{').strip_suffix('}').unwrap();
    let twice = format!("{{{entry},{entry}}}");
    for (header, what) in [
        (two("[0,8]", "[4,12]"), "overlaps"),
        (two("[0,8]", "[0,8]"), "overlaps"),
        (two("[0,4]", "[8,16]"), "values in 4 bytes"),
        (one("[2]", "[8,16]"), "gap"),
        (one("[2]", "[0,8]"), "belong to no tensor"),
        (one("[4]", "[16,0]"), "ends early"),
        (one("[3]", "[0,16]"), "values in 16 bytes"),
        (one("[4294967296,4294967296]", "[0,16]"), "values in 16 bytes"),
        (one("[18446744073709551615,2]", "[0,16]"), "values in 16 bytes"),
        (one("[1,1,1,1,1,1,1,1,4]", "[0,16]"), "dimensions"),
        (one("[-4]", "[0,16]"), "header is wrong"),
        (one("[4.5]", "[0,16]"), "header is wrong"),
        (one("4", "[0,16]"), "header is wrong"),
        (one("[4]", "[0,16,32]"), "header is wrong"),
        (one("[25000000000]", "[0,100000000000]"), "cut off"),
        (one("[4]", "[0,99999999999]"), "values in"),
        (one("[4]", "[0,18446744073709551615]"), "values in"),
        (twice, "twice"),
        ("[]".into(), "header is wrong"),
        ("{".into(), "header is wrong"),
        (String::new(), "header is wrong"),
        ("[".repeat(100_000), "header is wrong"),
        (r#"{"a":1}"#.into(), "header is wrong"),
    ] {
        let error = error(&with_header(&header, &[0; 16])).to_string();
        assert!(error.contains(what), "{header:.200}: {error}");
    }
}

#[test]
fn types_that_are_no_floats_are_refused_by_name() {
    for (dtype, size) in [("I32", 4), ("F64", 8), ("F8_E4M3", 1), ("BOOL", 1), ("\u{202e}", 1)] {
        let error = error(&safetensors(&[(NORM, dtype, vec![2], vec![0; 2 * size])]));
        assert!(matches!(&error, LoadError::Unsupported { what, .. } if what.contains(NORM)), "{error}");
    }
}

#[test]
fn norms_that_are_no_numbers_are_refused_when_they_are_read() {
    let folder = folder(&safetensors(&[(NORM, "F32", vec![2], f32s(&[1.0, f32::NAN]))]));
    let error = open(folder.path()).unwrap().vector("output_norm.weight", 2).unwrap_err().to_string();
    assert!(error.contains("not numbers"), "{error}");
}

#[test]
fn a_tensor_under_both_prefixes_is_refused() {
    let twice = [(NORM, "F32", vec![1], vec![0; 4]), ("model.norm.weight", "F32", vec![1], vec![0; 4])];
    assert!(error(&safetensors(&twice)).to_string().contains("under two names"));
}

#[test]
fn experts_of_unknown_order_are_refused() {
    let layer = "model.language_model.layers.0.mlp.experts.";
    let mut config = config("models/tiny-moe");
    let mut experts = config.experts.unwrap();
    experts.count = 1;
    let (gate_up, down) = (format!("{layer}gate_up_proj"), format!("{layer}down_proj"));
    for (name, hidden, width, shape, what) in [
        (&gate_up, 4, 2, vec![1, 4, 4], "cannot be told"),
        (&down, 4, 4, vec![1, 4, 4], "cannot be told"),
        (&gate_up, 4, 3, vec![1, 4, 4], "not [1, 6, 4] in either order"),
        (&gate_up, 4, 3, vec![6, 4], "not [1, 6, 4] in either order"),
        (&down, 4, 3, vec![2, 4, 3], "not [1, 4, 3] in either order"),
    ] {
        experts.intermediate = width;
        config.hidden = hidden;
        config.experts = Some(experts);
        let size = 4 * shape.iter().product::<usize>();
        let folder = folder(&safetensors(&[(name, "F32", shape, vec![0; size])]));
        let shapes = Shapes { config: &config, deepstack: &[], tied: true };
        let error = Folder::open(folder.path(), &shapes).err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn packed_weights_are_refused_with_what_to_take_instead() {
    let name = "model.language_model.layers.0.mlp.down_proj.qweight";
    let error = error(&safetensors(&[(name, "I32", vec![1], vec![0; 4])])).to_string();
    assert!(error.contains("GPTQ") && error.contains("Qwen/Qwen3-VL-2B-Instruct-GGUF"), "{error}");
}

#[test]
fn an_untied_model_without_a_head_is_refused() {
    let config = config("models/tiny-untied");
    let folder = folder(&good());
    let shapes = Shapes { config: &config, deepstack: &[], tied: false };
    let error = Folder::open(folder.path(), &shapes).err().unwrap().to_string();
    assert!(error.contains("lm_head.weight is missing"), "{error}");
}

/// Opens the sharded fixture with its index changed.
fn index_error(change: impl FnOnce(&mut serde_json::Value)) -> String {
    let folder = copy(&fixture("models/tiny-untied"));
    edit(&folder.path().join("model.safetensors.index.json"), change);
    open(folder.path()).err().expect("it opens").to_string()
}

#[test]
fn an_index_leads_nowhere_else() {
    for path in [
        "../model.safetensors",
        "/etc/passwd",
        "a/b.safetensors",
        "..\\model.safetensors",
        ".safetensors",
        "",
        "model.bin",
        "a\u{0}.safetensors",
    ] {
        let error = index_error(|index| index["weight_map"][NORM] = json!(path));
        assert!(error.contains("no name of a file beside it"), "{path}: {error}");
    }
    let error = index_error(|index| index["weight_map"][NORM] = json!("other.safetensors"));
    assert!(error.contains("other.safetensors does not exist"), "{error}");
    let error = index_error(|index| index["weight_map"]["b"] = json!("model-00001-of-00002.safetensors"));
    assert!(error.contains("tensor b is not in it"), "{error}");
    assert!(index_error(|index| *index = json!({ "weight_map": 3 })).contains("no index"));
    let many: serde_json::Map<_, _> =
        (0..600).map(|i| (format!("t{i}"), json!(format!("{i}.safetensors")))).collect();
    assert!(index_error(|index| index["weight_map"] = many.into()).contains("more than 512 shards"));
}

#[test]
fn missing_files_are_named() {
    let empty = tempfile::tempdir().unwrap();
    assert!(open(empty.path()).err().unwrap().to_string().contains("model.safetensors does not exist"));
    std::fs::create_dir(empty.path().join("model.safetensors")).unwrap();
    assert!(open(empty.path()).err().unwrap().to_string().contains("it is no file"));
}

/// Opens and reads everything; what counts is that it returns.
fn survive(bytes: &[u8]) {
    if let Ok(folder) = open(folder(bytes).path()) {
        for info in folder.infos() {
            let raw = folder.read(&info.name).unwrap();
            assert_eq!(raw.bytes.len() as u64, info.bytes());
            let _ = folder.tensor(&info.name, &info.shape);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_bytes_make_it_panic(bytes in vec(any::<u8>(), 0..200)) {
        survive(&bytes);
        survive(&with_header(&String::from_utf8_lossy(&bytes), &bytes));
    }

    #[test]
    fn no_change_of_a_real_header_makes_it_panic(
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = std::fs::read(fixture("models/tiny-moe/model.safetensors")).unwrap();
        let header = u64::from_le_bytes(bytes[..8].try_into().unwrap()) as usize;
        for (at, byte) in changes {
            let at = at.index(8 + header);
            bytes[at] = byte;
        }
        survive(&bytes);
        survive(&bytes[..cut.index(bytes.len())]);
    }
}
