//! WordPiece: text to token ids, from the vocabulary in `tokenizer.json`.
//!
//! Only the vocabulary is taken from the file: its rules may hold anything (expressions that never end, special tokens
//! that a transcript could spell), and those of a lower-casing BERT are known.

use serde_json::{Value, json};
use tokenizers::models::wordpiece::WordPiece;
use tokenizers::normalizers::bert::BertNormalizer;
use tokenizers::pre_tokenizers::bert::BertPreTokenizer;
use tokenizers::{
    DecoderWrapper, NormalizerWrapper, PostProcessorWrapper, PreTokenizerWrapper, TokenizerBuilder,
    TokenizerImpl,
};

use crate::config::Config;

/// `sentence-transformers` cuts here, the two special tokens among them.
const MAX_TOKENS: usize = 256;
/// Of a text no more is read; 254 tokens are seldom more than 1200 characters.
const MAX_CHARS: usize = 4096;

type Encoder =
    TokenizerImpl<WordPiece, NormalizerWrapper, PreTokenizerWrapper, PostProcessorWrapper, DecoderWrapper>;

/// A lower-casing WordPiece tokenizer.
pub(crate) struct Tokens {
    encoder: Encoder,
    start: u32,
    end: u32,
    most: usize,
}

impl Tokens {
    /// Reads the vocabulary. The error says what is wrong.
    pub(crate) fn parse(json: &[u8], config: &Config) -> Result<Self, String> {
        let file: Value = serde_json::from_slice(json).map_err(|why| why.to_string())?;
        let model = &file["model"];
        let lowercase = file["normalizer"]["lowercase"].as_bool().unwrap_or(true);
        let words = model["vocab"].as_object().ok_or("there is no vocabulary in it")?;
        if model["type"].as_str().is_some_and(|kind| kind != "WordPiece") {
            return Err("it is not a WordPiece tokenizer".into());
        }
        for (word, id) in words {
            if id.as_u64().is_none_or(|id| id >= config.vocab_size as u64) {
                return Err(format!("{word:?} has no id of this model"));
            }
        }
        let id = |name: &str| {
            let id = words.get(name).and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            id.ok_or_else(|| format!("{name} is missing"))
        };
        let (start, end, _) = (id("[CLS]")?, id("[SEP]")?, id("[UNK]")?);
        let model = json!({
            "type": "WordPiece", "vocab": words, "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
        });
        // By way of text: the reader of models takes borrowed strings only.
        let model: WordPiece = serde_json::from_str(&model.to_string()).map_err(|why| why.to_string())?;
        let encoder = TokenizerBuilder::new()
            .with_model(model)
            .with_normalizer(Some(BertNormalizer::new(true, true, None, lowercase).into()))
            .with_pre_tokenizer(Some(BertPreTokenizer.into()))
            .with_post_processor(None)
            .with_decoder(None)
            .build()
            .map_err(|why| why.to_string())?;
        Ok(Self { encoder, start, end, most: MAX_TOKENS.min(config.max_position_embeddings) })
    }

    /// The ids of a text between those of start and end; at least these two.
    pub(crate) fn of(&self, text: &str) -> Vec<u32> {
        let end = text.char_indices().nth(MAX_CHARS).map_or(text.len(), |(at, _)| at);
        let mut ids = vec![self.start];
        // The model has a token for what it doesn't know, so encoding can't fail.
        if let Ok(encoding) = self.encoder.encode_fast(&text[..end], false) {
            ids.extend(encoding.get_ids().iter().take(self.most.saturating_sub(2)));
        }
        ids.push(self.end);
        ids
    }
}
