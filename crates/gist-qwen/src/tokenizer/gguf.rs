//! A tokenizer from GGUF metadata.

use super::Tokenizer;
use super::build::Parts;
use crate::error::LoadError;
use crate::weights::gguf::Gguf;

/// `tokenizer.ggml.token_type` of an ordinary token.
const NORMAL: i64 = 1;

impl Tokenizer {
    /// Builds the tokenizer from the metadata of a GGUF file.
    ///
    /// # Errors
    /// For another kind of tokenizer and damaged vocabularies.
    pub(crate) fn read(file: &Gguf) -> Result<Self, LoadError> {
        let (model, pre) = (file.string("tokenizer.ggml.model")?, file.string("tokenizer.ggml.pre")?);
        if (model, pre) != ("gpt2", "qwen2") {
            let kind: String = format!("{model}/{pre}").chars().take(80).collect();
            return Err(file.unsupported(format!("its tokenizer is {kind}, not gpt2/qwen2")));
        }
        let tokens = file.strings("tokenizer.ggml.tokens")?;
        let types = file.ints("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() {
            return Err(file.invalid("it has another number of token types than of tokens"));
        }
        let merges = file.strings("tokenizer.ggml.merges")?.iter().map(|merge| merge.split_once(' '));
        let parts = Parts {
            tokens: tokens.iter().zip(types).map(|(t, kind)| (t.into(), *kind == NORMAL)).collect(),
            merges: merges
                .collect::<Option<_>>()
                .ok_or_else(|| file.invalid("a merge of its tokenizer makes no token"))?,
        };
        Self::build(&parts).map_err(|what| file.invalid(what))
    }
}
