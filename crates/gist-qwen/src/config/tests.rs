use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value as Meta};
use serde_json::{Value, json};

use super::{Config, Experts, Hub, VisionTokens, Yarn, read_mmproj};
use crate::error::LoadError;
use crate::vision::VisionConfig;
use crate::weights::gguf::Gguf;
use crate::weights::tests::fixture;

fn json(model: &str, file: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(&format!("models/{model}/{file}"))).unwrap()).unwrap()
}

fn parse(value: &Value) -> Result<Hub, LoadError> {
    Hub::parse(Path::new("folder"), Path::new("folder/config.json"), value.as_object().unwrap(), Vec::new())
}

/// The error for a config with one value changed; `null` takes it away.
fn error(model: &str, pointer: &str, value: Value) -> String {
    let mut config = json(model, "config.json");
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    config.pointer_mut(parent).unwrap()[key] = value;
    parse(&config).err().unwrap_or_else(|| panic!("{pointer} is taken")).to_string()
}

#[test]
fn both_styles_of_config_say_the_same() {
    for model in ["tiny-untied", "tiny-tied", "tiny-moe", "tiny-yarn"] {
        let hub = parse(&json(model, "config.json")).unwrap_or_else(|e| panic!("{e}"));
        let saved = parse(&json(model, "config.v5.json")).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(hub, saved, "{model}");
        assert_eq!(hub.tied, model == "tiny-tied");
    }
}

#[test]
fn every_value_is_where_it_belongs() {
    let Hub { config, vision, tokens, tied } = parse(&json("tiny-moe", "config.json")).unwrap();
    let expected = Config {
        layers: 4,
        hidden: 64,
        intermediate: 128,
        heads: 4,
        kv_heads: 2,
        head_dim: 32,
        vocab: 512,
        rms_eps: 1e-6,
        rope_theta: 5e6,
        max_context: 4096,
        qkv_bias: false,
        qk_norm: true,
        mrope_section: Some([8, 4, 4]),
        yarn: None,
        deepstack_layers: 3,
        experts: Some(Experts { count: 8, used: 2, intermediate: 40 }),
    };
    assert_eq!(config, expected);
    let expected = VisionConfig {
        hidden: 32,
        depth: 4,
        heads: 2,
        intermediate: 56,
        out_hidden: 64,
        side: 6,
        deepstack: vec![0, 1, 3],
        norm_eps: 1e-6,
    };
    assert_eq!(vision, expected);
    let expected =
        VisionTokens { image_pad: 500, video_pad: 501, vision_start: 502, vision_end: 503, eos: vec![1] };
    assert_eq!(tokens, expected);
    assert!(!tied);
    let yarn = parse(&json("tiny-yarn", "config.json")).unwrap().config.yarn;
    assert_eq!(yarn, Some(Yarn { factor: 3.0, original_context: 64 }));
}

#[test]
fn missing_and_impossible_values_are_refused_in_words() {
    let text = |key: &str| format!("/text_config/{key}");
    let vision = |key: &str| format!("/vision_config/{key}");
    for key in ["hidden_size", "num_hidden_layers", "head_dim", "vocab_size", "rms_norm_eps", "rope_theta"] {
        let error = error("tiny-tied", &text(key), Value::Null);
        assert!(error.contains(key) && error.contains("missing"), "{error}");
    }
    for (pointer, value, what) in [
        (text("hidden_size"), json!(0), "text_config.hidden_size is 0, not 1 to"),
        (text("hidden_size"), json!(u64::MAX), "hidden_size"),
        (text("num_hidden_layers"), json!(-1), "num_hidden_layers"),
        (text("num_hidden_layers"), json!("4"), "num_hidden_layers"),
        (text("num_key_value_heads"), json!(3), "impossible"),
        (text("num_key_value_heads"), json!(8), "num_key_value_heads"),
        (text("head_dim"), json!(31), "impossible"),
        (text("head_dim"), json!(64), "M-RoPE sections [8, 4, 4] do not fit 32 frequencies"),
        (text("rope_scaling/mrope_section"), json!([8, 8]), "three parts"),
        (text("rope_scaling/mrope_section"), json!([4, 8, 4]), "do not fit"),
        (text("rope_scaling/mrope_section"), json!([8, 4, 5]), "do not fit"),
        (text("rope_scaling/mrope_interleaved"), json!(false), "not interleaved"),
        (text("rope_scaling/mrope_interleaved"), Value::Null, "not interleaved"),
        (text("rope_scaling/rope_type"), json!("linear"), "`linear`"),
        (text("rope_scaling"), Value::Null, "rope_scaling is missing"),
        (text("rope_parameters"), json!({ "rope_theta": 3.0 }), "rope_theta is both 3 and 5000000"),
        (text("hidden_act"), json!("gelu"), "text_config.hidden_act is \"gelu\"; supported is \"silu\""),
        (text("attention_bias"), json!(true), "attention_bias"),
        (text("sliding_window"), json!(128), "sliding window"),
        (vision("patch_size"), json!(14), "patch_size is 14; supported is 16"),
        (vision("hidden_act"), json!("gelu"), "hidden_act"),
        (vision("num_position_embeddings"), json!(35), "no square"),
        (vision("num_heads"), json!(3), "attention heads"),
        (vision("num_heads"), json!(16), "attention heads"),
        (vision("out_hidden_size"), json!(32), "rows of 32 values, its decoder takes 64"),
        (vision("deepstack_visual_indexes"), json!([0, 3, 1]), "not ascending"),
        (vision("deepstack_visual_indexes"), json!([1, 4]), "not ascending or beyond"),
        ("/vision_config".into(), Value::Null, "vision_config is missing"),
        ("/text_config".into(), json!([]), "text_config is [], not an object"),
        ("/tie_word_embeddings".into(), json!("yes"), "tie_word_embeddings"),
        ("/image_token_id".into(), json!(512), "special tokens"),
        ("/image_token_id".into(), json!(501), "special tokens"),
        ("/image_token_id".into(), Value::Null, "image_token_id is missing"),
        ("/model_type".into(), json!("qwen2_5_vl"), "`qwen2_5_vl`"),
        ("/model_type".into(), json!("qwen3_vl_moe"), "num_local_experts is missing"),
    ] {
        let error = error("tiny-tied", &pointer, value);
        assert!(error.contains(what), "{pointer}: {error}");
    }
    for (key, value, what) in [
        ("num_experts_per_tok", json!(9), "9 of 8 experts"),
        ("num_local_experts", json!(4), "num_experts is 8, and num_local_experts 4"),
        ("norm_topk_prob", json!(false), "norm_topk_prob"),
        ("mlp_only_layers", json!([1]), "mlp_only_layers"),
        ("decoder_sparse_step", json!(2), "decoder_sparse_step"),
    ] {
        let error = error("tiny-moe", &text(key), value);
        assert!(error.contains(what), "{error}");
    }
    for (key, value, what) in [
        ("factor", json!(0.5), "YaRN factor"),
        ("factor", Value::Null, "factor is missing"),
        ("original_max_position_embeddings", Value::Null, "is missing"),
        ("beta_fast", json!(16), "beta_fast"),
        ("attention_factor", json!(1.0), "attention_factor"),
    ] {
        let error = error("tiny-yarn", &text(&format!("rope_scaling/{key}")), value);
        assert!(error.contains(what), "{error}");
    }
}

#[test]
fn quantised_checkpoints_are_refused_with_a_gguf_to_take() {
    let mut config = json("tiny-tied", "config.json");
    config["quantization_config"] = json!({ "quant_method": "awq", "bits": 4 });
    let folder = Path::new("/models/Qwen3-VL-4B-Thinking-AWQ");
    let parsed = Hub::parse(folder, &folder.join("config.json"), config.as_object().unwrap(), Vec::new());
    let error = parsed.unwrap_err().to_string();
    assert!(error.contains("awq") && error.contains("Qwen/Qwen3-VL-4B-Thinking-GGUF"), "{error}");
}

/// A GGUF file of metadata alone.
fn gguf(metadata: &[(&str, Meta)]) -> (tempfile::NamedTempFile, Gguf) {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let metadata: Vec<_> = metadata.iter().map(|(key, value)| (*key, value)).collect();
    gguf_file::write(&mut file, &metadata, &[]).unwrap();
    let open = Gguf::open(file.path()).unwrap();
    (file, open)
}

fn qwen3vl() -> Vec<(&'static str, Meta)> {
    let u32 = Meta::U32;
    vec![
        ("general.architecture", Meta::String("qwen3vlmoe".into())),
        ("qwen3vlmoe.block_count", u32(4)),
        ("qwen3vlmoe.context_length", u32(192)),
        ("qwen3vlmoe.embedding_length", u32(64)),
        ("qwen3vlmoe.feed_forward_length", u32(128)),
        ("qwen3vlmoe.attention.head_count", u32(4)),
        ("qwen3vlmoe.attention.head_count_kv", u32(2)),
        ("qwen3vlmoe.attention.key_length", u32(32)),
        ("qwen3vlmoe.attention.value_length", u32(32)),
        ("qwen3vlmoe.attention.layer_norm_rms_epsilon", Meta::F32(1e-6)),
        ("qwen3vlmoe.rope.freq_base", Meta::F32(5e6)),
        ("qwen3vlmoe.rope.dimension_sections", Meta::Array([8, 4, 4, 0].map(Meta::I32).into())),
        ("qwen3vlmoe.rope.scaling.type", Meta::String("yarn".into())),
        ("qwen3vlmoe.rope.scaling.factor", Meta::F32(3.0)),
        ("qwen3vlmoe.rope.scaling.original_context_length", u32(64)),
        ("qwen3vlmoe.n_deepstack_layers", u32(3)),
        ("qwen3vlmoe.expert_count", u32(8)),
        ("qwen3vlmoe.expert_used_count", u32(2)),
        ("qwen3vlmoe.expert_feed_forward_length", u32(40)),
        ("tokenizer.ggml.tokens", Meta::Array(vec![Meta::String("a".into()); 512])),
    ]
}

#[test]
fn a_gguf_says_the_same_as_a_config() {
    let config = Config::read(&gguf(&qwen3vl()).1).unwrap();
    let mut expected = parse(&json("tiny-moe", "config.json")).unwrap().config;
    expected.yarn = Some(Yarn { factor: 3.0, original_context: 64 });
    expected.max_context = 192;
    assert_eq!(config, expected);
    for (key, value, what) in [
        ("qwen3vlmoe.rope.scaling.type", Meta::String("linear".into()), "`linear`"),
        ("qwen3vlmoe.rope.scaling.factor", Meta::F32(f32::NAN), "factor"),
        ("qwen3vlmoe.rope.dimension_sections", Meta::Array([8, 4, 4, 1].map(Meta::I32).into()), "sections"),
        ("qwen3vlmoe.rope.dimension_sections", Meta::Array([8, 4, -4].map(Meta::I32).into()), "sections"),
        ("qwen3vlmoe.attention.value_length", Meta::U32(16), "different widths"),
        ("qwen3vlmoe.n_deepstack_layers", Meta::U32(5), "DeepStack"),
        ("qwen3vlmoe.expert_used_count", Meta::U32(9), "experts"),
    ] {
        let mut metadata = qwen3vl();
        metadata.iter_mut().find(|(k, _)| *k == key).unwrap().1 = value;
        let error = Config::read(&gguf(&metadata).1).unwrap_err().to_string();
        assert!(error.contains(what), "{key}: {error}");
    }
    for extra in [
        ("split.count", Meta::U16(3), "llama-gguf-split"),
        ("qwen3vlmoe.rope.scaling.yarn_beta_fast", Meta::F32(16.0), "yarn_beta_fast"),
    ] {
        let mut metadata = qwen3vl();
        metadata.push((extra.0, extra.1));
        let error = Config::read(&gguf(&metadata).1).unwrap_err().to_string();
        assert!(error.contains(extra.2), "{error}");
    }
}

#[test]
fn vision_parts_of_other_families_are_refused() {
    let metadata = [
        ("general.architecture", Meta::String("clip".into())),
        ("clip.projector_type", Meta::String("qwen2.5vl_merger".into())),
    ];
    let error = read_mmproj(&gguf(&metadata).1).unwrap_err().to_string();
    assert!(error.contains("`qwen2.5vl_merger`"), "{error}");
}
