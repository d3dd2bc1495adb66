//! A tokenizer from its vocabulary and merges, wherever they come from.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use toktrie::{TokRxInfo, TokTrie};

use super::{Special, Tokenizer, WORDS};

/// Longest token in bytes.
const MAX_TOKEN: usize = 1 << 10;

/// What a tokenizer is built from.
pub(super) struct Parts<'a> {
    /// The text of each id, in the byte alphabet, and whether it is ordinary. Others are names: no text becomes them.
    pub(super) tokens: Vec<(Cow<'a, str>, bool)>,
    /// Pairs that become one token, most urgent first.
    pub(super) merges: Vec<(&'a str, &'a str)>,
}

impl Tokenizer {
    /// Builds a tokenizer.
    ///
    /// # Errors
    /// In words, when the vocabulary does not cover all bytes, repeats itself or lacks a special token, and for merges
    /// of or to something that is no token.
    pub(super) fn build(parts: &Parts<'_>) -> Result<Self, String> {
        let Parts { tokens, merges } = parts;
        let find = |name: &str| {
            let found = tokens.iter().position(|(token, ordinary)| token == name && !ordinary);
            found.map(|id| id as u32).ok_or_else(|| format!("token {name} is missing"))
        };
        let special = Special {
            im_start: find("<|im_start|>")?,
            im_end: find("<|im_end|>")?,
            end_of_text: find("<|endoftext|>")?,
        };

        let bytes_of = byte_alphabet();
        let mut vocab: HashMap<&str, u32> = HashMap::new();
        let mut words = Vec::with_capacity(tokens.len());
        for (id, (token, ordinary)) in tokens.iter().enumerate() {
            if !ordinary {
                let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                word.extend_from_slice(token.as_bytes());
                words.push(word);
                continue;
            }
            let Some(word) = token.chars().map(|c| bytes_of.get(&c).copied()).collect::<Option<Vec<u8>>>()
            else {
                return Err(format!("token {id} is not in the byte alphabet"));
            };
            let new = vocab.insert(token, id as u32).is_none();
            if !new || word.is_empty() || word.len() > MAX_TOKEN {
                return Err(format!("token {id} is empty, too long or there twice"));
            }
            words.push(word);
        }
        if !bytes_of.keys().all(|c| vocab.contains_key(c.encode_utf8(&mut [0; 4]) as &str)) {
            return Err("its vocabulary does not cover all bytes".into());
        }
        let mut seen = HashSet::new();
        for (a, b) in merges {
            let known = [*a, *b, &format!("{a}{b}")].iter().all(|token| vocab.contains_key(token));
            if !known || !seen.insert((a, b)) {
                return Err("a merge of its tokenizer makes no token".into());
            }
        }

        let broken = |e: tokenizers::Error| format!("its tokenizer cannot be built: {e}");
        let vocab: Vocab = vocab.into_iter().map(|(token, id)| (token.to_owned(), id)).collect();
        let merges = merges.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let bpe = BPE::builder().vocab_and_merges(vocab, merges).build().map_err(broken)?;
        let split = Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Isolated, false)
            .map_err(broken)?;
        let mut encoder = tokenizers::Tokenizer::new(bpe);
        encoder.with_normalizer(Some(NFC)).map_err(broken)?;
        encoder.with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)),
        ])));
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, special.im_end), &words);
        let ordinary = tokens.iter().map(|(_, ordinary)| *ordinary).collect();
        Ok(Self { encoder, trie, special, ordinary })
    }
}

/// GPT-2's printable stand-ins for the 256 bytes.
fn byte_alphabet() -> HashMap<char, u8> {
    let mut next = 0x100u32;
    (0..=255u8)
        .filter_map(|byte| {
            let printable = matches!(byte, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
            let code = if printable {
                byte.into()
            } else {
                next += 1;
                next - 1
            };
            Some((char::from_u32(code)?, byte))
        })
        .collect()
}
