//! The shape of a model from `config.json`, as the hub's files write it and as transformers 5 does.

use std::path::Path;

use serde_json::{Map, Value, json};

use super::json::{self, Object};
use super::{Config, Experts, SUPPORTED, VisionTokens, Yarn, max, vision};
use crate::error::LoadError;
use crate::vision::VisionConfig;

/// What `config.json` and `generation_config.json` say.
#[derive(Debug, PartialEq)]
pub(crate) struct Hub {
    pub(crate) config: Config,
    pub(crate) vision: VisionConfig,
    pub(crate) tokens: VisionTokens,
    /// Whether the head is the embedding.
    pub(crate) tied: bool,
}

impl Hub {
    /// Reads the configs of a folder; `None` when it has no `config.json`.
    ///
    /// # Errors
    /// For another architecture, quantised weights, missing keys, contradictions and values out of range.
    pub(crate) fn read(folder: &Path) -> Result<Option<Self>, LoadError> {
        let path = folder.join("config.json");
        let Some(config) = json::config(&path)? else { return Ok(None) };
        let generation = folder.join("generation_config.json");
        let eos = match json::config(&generation)? {
            Some(map) => Object::new(&generation, &map).tokens("eos_token_id")?,
            None => Vec::new(),
        };
        Self::parse(folder, &path, &config, eos).map(Some)
    }

    /// `eos` are the tokens that `generation_config.json` ends answers with.
    pub(super) fn parse(
        folder: &Path,
        path: &Path,
        map: &Map<String, Value>,
        mut eos: Vec<u32>,
    ) -> Result<Self, LoadError> {
        let root = Object::new(path, map);
        let kind = root.string("model_type")?;
        let mixture = match kind {
            "qwen3_vl" => false,
            "qwen3_vl_moe" => true,
            _ => {
                let found = kind.chars().take(40).collect();
                return Err(LoadError::Architecture { path: path.into(), found, supported: SUPPORTED });
            }
        };
        let text = root.part("text_config", "text_config.")?;
        for part in [root, text] {
            part.refuse_quantized(folder)?;
        }
        let vision = vision::read_json(&root.part("vision_config", "vision_config.")?)?;
        let config = decoder(&text, mixture, vision.deepstack.len())?;
        if vision.out_hidden != config.hidden {
            return Err(root.invalid(format!(
                "its vision tower makes rows of {} values, its decoder takes {}",
                vision.out_hidden, config.hidden
            )));
        }
        // Released files leave the key out of text_config, and transformers 5 writes a wrong one there.
        let tied = match root.get("tie_word_embeddings").or_else(|| text.get("tie_word_embeddings")) {
            Some(Value::Bool(tied)) => *tied,
            _ => return Err(root.invalid("tie_word_embeddings is missing")),
        };
        if eos.is_empty() {
            eos = text.tokens("eos_token_id")?;
        }
        let tokens = VisionTokens {
            image_pad: root.token("image_token_id")?,
            video_pad: root.token("video_token_id")?,
            vision_start: root.token("vision_start_token_id")?,
            vision_end: root.token("vision_end_token_id")?,
            eos,
        };
        let tokens = tokens.checked(config.vocab).map_err(|what| root.invalid(what))?;
        Ok(Self { config, vision, tokens, tied })
    }
}

fn decoder(text: &Object<'_>, mixture: bool, deepstack_layers: usize) -> Result<Config, LoadError> {
    for (key, value) in [
        ("hidden_act", json!("silu")),
        ("attention_bias", json!(false)),
        ("use_sliding_window", json!(false)),
        ("decoder_sparse_step", json!(1)),
        ("mlp_only_layers", json!([])),
        ("norm_topk_prob", json!(true)),
    ] {
        text.expect(key, &value)?;
    }
    if text.get("sliding_window").is_some() && text.get("use_sliding_window").is_none() {
        return Err(text.unsupported("a sliding window is not supported"));
    }
    let heads = text.size("num_attention_heads", max::HEADS)?;
    let rope = Rope::read(text)?;
    let config = Config {
        layers: text.size("num_hidden_layers", max::LAYERS)?,
        hidden: text.size("hidden_size", max::HIDDEN)?,
        intermediate: text.size("intermediate_size", max::INTERMEDIATE)?,
        heads,
        kv_heads: text.size("num_key_value_heads", heads)?,
        head_dim: text.size("head_dim", max::HEAD_DIM)?,
        vocab: text.size("vocab_size", max::VOCAB)?,
        rms_eps: text.positive("rms_norm_eps")? as f32,
        rope_theta: rope.theta,
        max_context: text.size("max_position_embeddings", max::CONTEXT)?,
        qkv_bias: false,
        qk_norm: true,
        mrope_section: Some(rope.sections),
        yarn: rope.yarn,
        deepstack_layers,
        experts: mixture.then(|| experts(text)).transpose()?,
    };
    config.checked().map_err(|what| text.invalid(what))
}

fn experts(text: &Object<'_>) -> Result<Experts, LoadError> {
    // The hub's files say num_experts, those of transformers 5 num_local_experts.
    let count = match (text.get("num_experts"), text.get("num_local_experts")) {
        (Some(hub), Some(local)) if hub != local => {
            return Err(text.invalid(format!("num_experts is {hub}, and num_local_experts {local}")));
        }
        (Some(_), _) => "num_experts",
        (None, _) => "num_local_experts",
    };
    Ok(Experts {
        count: text.size(count, max::EXPERTS)?,
        used: text.size("num_experts_per_tok", max::EXPERTS)?,
        intermediate: text.size("moe_intermediate_size", max::INTERMEDIATE)?,
    })
}

/// Rotary positions.
#[derive(PartialEq)]
struct Rope {
    theta: f64,
    sections: [usize; 3],
    yarn: Option<Yarn>,
}

impl Rope {
    /// The hub's files have `rope_theta` and `rope_scaling`, those of transformers 5 `rope_parameters` with both.
    fn read(text: &Object<'_>) -> Result<Self, LoadError> {
        let scaling = text.object("rope_scaling", "text_config.rope_scaling.")?;
        let parameters = text.object("rope_parameters", "text_config.rope_parameters.")?;
        let outer = text.get("rope_theta").map(|_| text.positive("rope_theta")).transpose()?;
        let mut found: Option<Self> = None;
        for part in [parameters, scaling].into_iter().flatten() {
            let inner = part.get("rope_theta").map(|_| part.positive("rope_theta")).transpose()?;
            let theta = match (inner, outer) {
                (Some(inner), Some(outer)) if inner != outer => {
                    return Err(text.invalid(format!("rope_theta is both {inner} and {outer}")));
                }
                (Some(theta), _) | (None, Some(theta)) => theta,
                (None, None) => return Err(text.invalid("rope_theta is missing")),
            };
            let rope = Self::parse(&part, theta)?;
            if found.is_some_and(|other| other != rope) {
                return Err(text.invalid("rope_scaling and rope_parameters say different things"));
            }
            found = Some(rope);
        }
        found.ok_or_else(|| text.invalid("rope_scaling is missing"))
    }

    fn parse(part: &Object<'_>, theta: f64) -> Result<Self, LoadError> {
        if part.get("mrope_interleaved") != Some(&Value::Bool(true)) {
            return Err(part.unsupported("M-RoPE whose sections are not interleaved is not supported"));
        }
        let sections = part.sizes("mrope_section", max::HEAD_DIM)?;
        let Ok(sections) = <[usize; 3]>::try_from(sections) else {
            return Err(part.invalid("mrope_section does not have three parts"));
        };
        let kind = if part.get("rope_type").is_some() { "rope_type" } else { "type" };
        let yarn = match part.string(kind)? {
            "default" => None,
            "yarn" => {
                for (key, value) in [
                    ("beta_fast", json!(32)),
                    ("beta_slow", json!(1)),
                    ("truncate", json!(true)),
                    ("attention_factor", Value::Null),
                    ("mscale", Value::Null),
                    ("mscale_all_dim", Value::Null),
                ] {
                    part.expect(key, &value)?;
                }
                let original_context = part.size("original_max_position_embeddings", max::CONTEXT)?;
                let yarn = Yarn { factor: part.positive("factor")?, original_context };
                Some(yarn.checked().map_err(|what| part.invalid(what))?)
            }
            kind => {
                let kind: String = kind.chars().take(40).collect();
                return Err(part.unsupported(format!("rope scaling `{kind}` is not supported")));
            }
        };
        Ok(Self { theta, sections, yarn })
    }
}
