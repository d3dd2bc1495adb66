//! The shape of the network, from `config.json`.

use serde::Deserialize;

/// What of `config.json` matters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Config {
    /// Width of the hidden states, and of the embedding.
    pub(crate) hidden_size: usize,
    /// Layers.
    pub(crate) num_hidden_layers: usize,
    /// Attention heads of a layer.
    pub(crate) num_attention_heads: usize,
    /// Width inside the feed-forward part.
    pub(crate) intermediate_size: usize,
    /// Tokens known.
    pub(crate) vocab_size: usize,
    /// Positions known.
    pub(crate) max_position_embeddings: usize,
    /// Of the layer norms.
    pub(crate) layer_norm_eps: f64,
    model_type: String,
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

impl Config {
    /// Reads and checks it. The error says what is wrong.
    pub(crate) fn parse(json: &[u8]) -> Result<Self, String> {
        let config: Self = serde_json::from_slice(json).map_err(|why| why.to_string())?;
        let within = |name: &str, value: usize, most: usize| {
            if (1..=most).contains(&value) { Ok(()) } else { Err(format!("{name} is {value}")) }
        };
        within("hidden_size", config.hidden_size, 4096)?;
        within("num_hidden_layers", config.num_hidden_layers, 64)?;
        within("num_attention_heads", config.num_attention_heads, 256)?;
        within("intermediate_size", config.intermediate_size, 1 << 14)?;
        within("vocab_size", config.vocab_size, 1 << 20)?;
        within("max_position_embeddings", config.max_position_embeddings, 1 << 16)?;
        if !config.hidden_size.is_multiple_of(config.num_attention_heads) {
            return Err("hidden_size is no multiple of num_attention_heads".into());
        }
        if !(config.layer_norm_eps > 0.0 && config.layer_norm_eps < 1.0) {
            return Err(format!("layer_norm_eps is {}", config.layer_norm_eps));
        }
        for (name, value, known) in [
            ("model_type", config.model_type.as_str(), "bert"),
            ("hidden_act", &config.hidden_act, "gelu"),
            (
                "position_embedding_type",
                config.position_embedding_type.as_deref().unwrap_or("absolute"),
                "absolute",
            ),
        ] {
            if value != known {
                return Err(format!("{name} is {value:?}, only {known:?} is known here"));
            }
        }
        Ok(config)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"{"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16,
        "vocab_size": 10, "max_position_embeddings": 32, "layer_norm_eps": 1e-12, "model_type": "bert",
        "hidden_act": "gelu"}"#;

    #[test]
    fn what_is_no_such_network_is_refused_by_name() {
        assert!(Config::parse(GOOD.as_bytes()).is_ok());
        for (from, to, named) in [
            ("\"hidden_size\": 8", "\"hidden_size\": 9", "num_attention_heads"),
            ("\"hidden_size\": 8", "\"hidden_size\": 800000000", "hidden_size"),
            ("\"num_attention_heads\": 2", "\"num_attention_heads\": 0", "num_attention_heads"),
            ("1e-12", "-1", "layer_norm_eps"),
            ("\"bert\"", "\"mpnet\"", "mpnet"),
            ("\"gelu\"", "\"relu\"", "relu"),
            ("\"vocab_size\": 10,", "", "vocab_size"),
        ] {
            let error = Config::parse(GOOD.replace(from, to).as_bytes()).expect_err(to);
            assert!(error.contains(named), "{to}: {error}");
        }
    }
}
