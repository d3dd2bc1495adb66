//! all-MiniLM-L6-v2 against the numbers of `transformers` (`tools/embed_reference.py`), and files that are no model.

use std::fs;
use std::path::Path;

use gist_embed::cache::Cache;
use gist_embed::{Embedder, Error};
use serde::Deserialize;

#[derive(Deserialize)]
struct Case {
    text: String,
    embedding: Vec<f32>,
}

fn model() -> Embedder {
    let path = gist_models::locate("all-minilm-l6-v2").expect("`make test` pulls it");
    Embedder::load(&path).expect("an intact model loads")
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[test]
fn embeddings_are_those_of_the_reference() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("data/reference.json")).expect("valid");
    let model = model();
    assert!(cases.len() > 5);
    for case in cases {
        let found = model.embed(&case.text).expect("embeds");
        assert_eq!(found.len(), case.embedding.len());
        let off = found.iter().zip(&case.embedding).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(off < 2e-5, "{off} off for {:?}", case.text);
    }
}

#[test]
fn texts_that_say_alike_are_near_and_any_text_has_an_embedding() {
    let model = model();
    let of = |text: &str| model.embed(text).expect("embeds");
    let bread = of("The dough rises before the bread is baked.");
    let near = cosine(&bread, &of("A loaf goes into the oven."));
    let far = cosine(&bread, &of("The court ruled on the merger of two banks."));
    assert!(near > far + 0.2, "{near} {far}");
    for text in ["[SEP] [MASK] [CLS]", "\u{0}\u{feff}\u{202e}", &"x".repeat(100_000), &"😀 ".repeat(50_000)]
    {
        let norm = cosine(&of(text), &of(text));
        assert!((norm - 1.0).abs() < 1e-4, "{norm}");
    }
}

const CONFIG: &str = r#"{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 8,
    "vocab_size": 4, "max_position_embeddings": 8, "layer_norm_eps": 1e-12, "model_type": "bert", "hidden_act": "gelu"}"#;
const TOKENS: &str =
    r###"{"model": {"type": "WordPiece", "vocab": {"[UNK]": 0, "[CLS]": 1, "[SEP]": 2, "##a": 3}}}"###;

/// Weights of the shape `CONFIG` has, every number `value`.
fn weights(value: f32) -> Vec<u8> {
    let mut shapes: Vec<(String, Vec<usize>)> = vec![
        ("embeddings.word_embeddings.weight".into(), vec![4, 8]),
        ("embeddings.position_embeddings.weight".into(), vec![8, 8]),
        ("embeddings.token_type_embeddings.weight".into(), vec![2, 8]),
    ];
    let layer = "encoder.layer.0.";
    for linear in
        ["attention.self.query", "attention.self.key", "attention.self.value", "attention.output.dense"]
            .into_iter()
            .chain(["intermediate.dense", "output.dense"])
    {
        shapes.push((format!("{layer}{linear}.weight"), vec![8, 8]));
        shapes.push((format!("{layer}{linear}.bias"), vec![8]));
    }
    for norm in ["embeddings", "encoder.layer.0.attention.output", "encoder.layer.0.output"] {
        shapes.push((format!("{norm}.LayerNorm.weight"), vec![8]));
        shapes.push((format!("{norm}.LayerNorm.bias"), vec![8]));
    }
    let (mut header, mut data) = (serde_json::Map::new(), Vec::new());
    for (i, (name, shape)) in shapes.into_iter().enumerate() {
        let start = data.len();
        for j in 0..shape.iter().product::<usize>() {
            data.extend((value * ((i + j * j) % 7) as f32).to_le_bytes());
        }
        let entry = serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": [start, data.len()]});
        header.insert(name, entry);
    }
    let header = serde_json::to_vec(&header).expect("serializes");
    [&(header.len() as u64).to_le_bytes()[..], &header, &data].concat()
}

fn write(dir: &Path, config: &str, tokens: &str, weights: &[u8]) {
    for (name, bytes) in [
        ("config.json", config.as_bytes()),
        ("tokenizer.json", tokens.as_bytes()),
        ("model.safetensors", weights),
    ] {
        fs::write(dir.join(name), bytes).expect("writes");
    }
}

#[test]
fn a_file_that_is_no_model_is_named_and_never_panics() {
    let dir = tempfile::tempdir().expect("tempdir");
    let load = |config: &str, tokens: &str, weights: &[u8]| {
        write(dir.path(), config, tokens, weights);
        Embedder::load(dir.path())
    };
    let good = weights(0.1);
    assert!(load(CONFIG, TOKENS, &good).is_ok());
    let refused = |config: &str, tokens: &str, weights: &[u8], named: &str| {
        let error = load(config, tokens, weights).err().map(|e| e.to_string()).unwrap_or_default();
        assert!(error.contains(named), "{named}: {error:?}");
    };
    refused("{", TOKENS, &good, "config.json");
    refused(CONFIG, "[]", &good, "tokenizer.json");
    refused(CONFIG, &TOKENS.replace("\"##a\": 3", "\"##a\": 4"), &good, "##a");
    refused(CONFIG, &TOKENS.replace("[SEP]", "sep"), &good, "[SEP]");
    refused(&CONFIG.replace("\"vocab_size\": 4", "\"vocab_size\": 5"), TOKENS, &good, "word_embeddings");
    refused(
        &CONFIG.replace("\"num_hidden_layers\": 1", "\"num_hidden_layers\": 2"),
        TOKENS,
        &good,
        "layer.1",
    );
    for cut in [0, 4, 8, 100, good.len() - 1] {
        refused(CONFIG, TOKENS, &good[..cut], "model.safetensors");
    }
    let mut lying = good.clone();
    lying[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    refused(CONFIG, TOKENS, &lying, "model.safetensors");
}

#[test]
fn weights_that_are_no_numbers_give_an_error_and_a_missing_file_its_name() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), CONFIG, TOKENS, &weights(f32::NAN));
    let model = Embedder::load(dir.path()).expect("the shapes are right");
    assert!(matches!(model.embed("a"), Err(Error::Compute(_))));
    fs::remove_file(dir.path().join("tokenizer.json")).expect("removes");
    let error = Embedder::load(dir.path()).err().map(|e| e.to_string()).unwrap_or_default();
    assert!(error.contains("tokenizer.json"), "{error}");
}

#[test]
fn a_cache_goes_on_where_it_was_cut_off_and_gives_the_same_again() {
    let dir = tempfile::tempdir().expect("tempdir");
    write(dir.path(), CONFIG, TOKENS, &weights(0.1));
    let model = || Embedder::load(dir.path()).expect("loads");
    let path = dir.path().join("features.bin");
    let cache = Cache::open(&path, Some(model())).expect("begins");
    let first = cache.get("a").expect("computes").expect("has a model");
    cache.get("aa").expect("computes");
    let exact = model().embed("a").expect("embeds");
    let close = cosine(&first, &exact);
    assert!((close - 1.0).abs() < 0.02, "{close}: eight bits a value, and only eight values");
    drop(cache);
    // Killed in the middle of a record.
    let whole = fs::read(&path).expect("reads");
    fs::write(&path, &whole[..whole.len() - 3]).expect("writes");
    let cache = Cache::open(&path, None).expect("opens");
    assert_eq!((cache.len(), cache.get("a").expect("reads")), (1, Some(first.clone())));
    assert_eq!(cache.get("aa").expect("reads"), None, "no model to compute it");
    let cache = Cache::open(&path, Some(model())).expect("goes on");
    cache.get("aa").expect("computes");
    assert_eq!(fs::read(&path).expect("reads"), whole);
    for bad in [&b""[..], b"gistemb1", b"gistemb1\0\0\0\0", b"something else"] {
        fs::write(&path, bad).expect("writes");
        assert!(Cache::open(&path, None).is_err(), "{bad:?}");
    }
}
