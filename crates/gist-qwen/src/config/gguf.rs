//! The shape of a decoder from GGUF metadata.

use super::{Config, Experts, SUPPORTED, VisionTokens, Yarn, max};
use crate::error::LoadError;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;
use crate::weights::gguf::{Gguf, Value};

/// What llama.cpp computes YaRN with unless the file says otherwise; nothing else is supported.
const YARN: [(&str, f64); 4] =
    [("attn_factor", 1.0), ("yarn_attn_factor", 1.0), ("yarn_beta_fast", 32.0), ("yarn_beta_slow", 1.0)];

impl Config {
    /// Reads the shape from GGUF metadata. Weight shapes are checked against it when they are read.
    ///
    /// # Errors
    /// For another architecture, missing keys and values out of range.
    pub(crate) fn read(file: &Gguf) -> Result<Self, LoadError> {
        let architecture = file.string("general.architecture")?;
        let (qwen3, mixture) = match architecture {
            "qwen2" => (false, false),
            "qwen3vl" => (true, false),
            "qwen3vlmoe" => (true, true),
            _ => {
                return Err(LoadError::Architecture {
                    path: file.path().into(),
                    found: architecture.chars().take(40).collect(),
                    supported: SUPPORTED,
                });
            }
        };
        if let Some(Value::Int(parts)) = file.get("split.count")
            && *parts > 1
        {
            let what = format!("it is one of {parts} parts; join them with `llama-gguf-split --merge`");
            return Err(file.unsupported(what));
        }
        let key = |key: &str| format!("{architecture}.{key}");
        let size = |name: &str, max| file.size(&key(name), max);
        let positive = |name: &str| file.positive(&key(name));
        let hidden = size("embedding_length", max::HIDDEN)?;
        let heads = size("attention.head_count", max::HEADS)?;
        let head_dim = match file.get(&key("attention.key_length")) {
            None if !qwen3 => hidden / heads,
            _ => size("attention.key_length", max::HEAD_DIM)?,
        };
        if file.get(&key("attention.value_length")).is_some()
            && size("attention.value_length", max::HEAD_DIM)? != head_dim
        {
            return Err(file.unsupported("its keys and values are of different widths"));
        }
        let experts = || -> Result<Experts, LoadError> {
            Ok(Experts {
                count: size("expert_count", max::EXPERTS)?,
                used: size("expert_used_count", max::EXPERTS)?,
                intermediate: size("expert_feed_forward_length", max::INTERMEDIATE)?,
            })
        };
        let config = Self {
            layers: size("block_count", max::LAYERS)?,
            hidden,
            intermediate: size("feed_forward_length", max::INTERMEDIATE)?,
            heads,
            kv_heads: size("attention.head_count_kv", heads)?,
            head_dim,
            vocab: file.strings("tokenizer.ggml.tokens")?.len(),
            rms_eps: positive("attention.layer_norm_rms_epsilon")? as f32,
            rope_theta: positive("rope.freq_base")?,
            max_context: size("context_length", max::CONTEXT)?,
            qkv_bias: !qwen3,
            qk_norm: qwen3,
            mrope_section: qwen3.then(|| sections(file, &key("rope.dimension_sections"))).transpose()?,
            yarn: yarn(file, &key("rope.scaling"))?,
            deepstack_layers: if qwen3 { file.count(&key("n_deepstack_layers"), max::LAYERS)? } else { 0 },
            experts: mixture.then(experts).transpose()?,
        };
        config.checked().map_err(|what| file.invalid(what))
    }
}

/// The file lists a fourth axis, which pictures do not have.
fn sections(file: &Gguf, key: &str) -> Result<[usize; 3], LoadError> {
    let wrong = || file.invalid(format!("{key} is not the size of three sections"));
    let [time, height, width, rest @ ..] = file.ints(key)? else { return Err(wrong()) };
    if rest.len() > 1 || rest.iter().any(|n| *n != 0) {
        return Err(wrong());
    }
    let size = |n: &i64| usize::try_from(*n).ok().filter(|n| *n <= max::HEAD_DIM).ok_or_else(wrong);
    Ok([size(time)?, size(height)?, size(width)?])
}

fn yarn(file: &Gguf, key: &str) -> Result<Option<Yarn>, LoadError> {
    match file.get(&format!("{key}.type")) {
        None => return Ok(None),
        Some(Value::String(kind)) => match &**kind {
            "none" => return Ok(None),
            "yarn" => (),
            kind => return Err(file.unsupported(format!("rope scaling `{kind}` is not supported"))),
        },
        Some(_) => return Err(file.invalid(format!("{key}.type is no string"))),
    }
    for (name, value) in YARN {
        match file.get(&format!("{key}.{name}")) {
            None => (),
            Some(Value::Float(found)) if *found == value => (),
            Some(_) => return Err(file.unsupported(format!("{key}.{name} is not {value}"))),
        }
    }
    let factor = file.positive(&format!("{key}.factor"))?;
    let original_context = file.size(&format!("{key}.original_context_length"), max::CONTEXT)?;
    Yarn { factor, original_context }.checked().map(Some).map_err(|what| file.invalid(what))
}

impl Yarn {
    /// Frequencies are stretched, not squeezed.
    pub(super) fn checked(self) -> Result<Self, String> {
        if (1.0..=1024.0).contains(&self.factor) {
            Ok(self)
        } else {
            Err(format!("the YaRN factor {} is not 1 to 1024", self.factor))
        }
    }
}

impl VisionTokens {
    /// The tokens of a GGUF file, by their names.
    ///
    /// # Errors
    /// When one is missing.
    pub(crate) fn read(file: &Gguf, tokenizer: &Tokenizer) -> Result<Self, LoadError> {
        let find = |name: &str| {
            tokenizer.special_id(name).ok_or_else(|| file.invalid(format!("token {name} is missing")))
        };
        let mut eos = vec![tokenizer.special().im_end, tokenizer.special().end_of_text];
        if file.get("tokenizer.ggml.eos_token_id").is_some() {
            let id = file.count("tokenizer.ggml.eos_token_id", max::VOCAB)? as u32;
            if !eos.contains(&id) {
                eos.push(id);
            }
        }
        let tokens = Self {
            image_pad: find("<|image_pad|>")?,
            video_pad: find("<|video_pad|>")?,
            vision_start: find("<|vision_start|>")?,
            vision_end: find("<|vision_end|>")?,
            eos,
        };
        tokens.checked(tokenizer.len()).map_err(|what| file.invalid(what))
    }
}
