//! The byte-level BPE of the Qwen family, built from the vocabulary and merges in the GGUF.
//!
//! Text is data: special tokens are not part of the encoder at all, so `<|im_end|>` in a transcript stays the plain
//! characters it is. Only the chat template puts special tokens in, by id.

use std::collections::{HashMap, HashSet};

use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;
use toktrie::{TokRxInfo, TokTrie, TokenizerEnv};

use crate::error::LoadError;
use crate::gguf::Gguf;

/// How `qwen2` cuts text into words before merging.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The word regex backtracks over runs of white space, so text is encoded in pieces of at most this many bytes.
const PIECE: usize = 8 << 10;
/// `tokenizer.ggml.token_type` of an ordinary token.
const NORMAL: i64 = 1;

/// Ids of the special tokens the chat template needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Special {
    /// `<|im_start|>`
    pub(crate) im_start: u32,
    /// `<|im_end|>`: the end of a turn.
    pub(crate) im_end: u32,
    /// `<|endoftext|>`: the end of a document, which models emit now and then in place of the end of the turn.
    pub(crate) end_of_text: u32,
}

/// Text to tokens and back.
pub struct Tokenizer {
    encoder: tokenizers::Tokenizer,
    trie: TokTrie,
    special: Special,
    /// Ids below this are ordinary tokens.
    ordinary: Vec<bool>,
}

impl Tokenizer {
    /// Builds the tokenizer from the metadata of a GGUF file.
    pub(crate) fn read(file: &Gguf) -> Result<Self, LoadError> {
        let (model, pre) = (file.string("tokenizer.ggml.model")?, file.string("tokenizer.ggml.pre")?);
        if (model, pre) != ("gpt2", "qwen2") {
            return Err(file.invalid(format!("its tokenizer is {model}/{pre}, not gpt2/qwen2")));
        }
        let tokens = file.strings("tokenizer.ggml.tokens")?;
        let types = file.ints("tokenizer.ggml.token_type")?;
        if types.len() != tokens.len() {
            return Err(file.invalid("it has another number of token types than of tokens"));
        }
        let find = |name: &str| {
            let found = tokens.iter().zip(types).position(|(t, kind)| t == name && *kind != NORMAL);
            found.map(|id| id as u32).ok_or_else(|| file.invalid(format!("token {name} is missing")))
        };
        let special = Special {
            im_start: find("<|im_start|>")?,
            im_end: find("<|im_end|>")?,
            end_of_text: find("<|endoftext|>")?,
        };

        let bytes_of = byte_alphabet();
        let mut vocab = HashMap::new();
        let mut words = Vec::with_capacity(tokens.len());
        for (id, (token, kind)) in tokens.iter().zip(types).enumerate() {
            if *kind != NORMAL {
                let mut word = vec![TokTrie::SPECIAL_TOKEN_MARKER];
                word.extend_from_slice(token.as_bytes());
                words.push(word);
                continue;
            }
            let Some(word) = token.chars().map(|c| bytes_of.get(&c).copied()).collect::<Option<Vec<u8>>>()
            else {
                return Err(file.invalid(format!("token {id} is not in the byte alphabet")));
            };
            if word.is_empty() || word.len() > 1 << 10 || vocab.insert(token.clone(), id as u32).is_some() {
                return Err(file.invalid(format!("token {id} is empty, too long or there twice")));
            }
            words.push(word);
        }
        if !bytes_of.keys().all(|c| vocab.contains_key(c.encode_utf8(&mut [0; 4]) as &str)) {
            return Err(file.invalid("its vocabulary does not cover all bytes"));
        }
        let mut merges = Vec::new();
        let mut seen = HashSet::new();
        for merge in file.strings("tokenizer.ggml.merges")? {
            let pair = merge
                .split_once(' ')
                .filter(|(a, b)| [*a, *b, &format!("{a}{b}")].iter().all(|t| vocab.contains_key(*t)));
            let Some((a, b)) = pair.filter(|pair| seen.insert(*pair)) else {
                return Err(file.invalid("a merge of its tokenizer makes no token"));
            };
            merges.push((a.to_owned(), b.to_owned()));
        }

        let broken = |e: tokenizers::Error| file.invalid(format!("its tokenizer cannot be built: {e}"));
        let vocab: Vec<(String, u32)> = vocab.into_iter().collect();
        let bpe = BPE::builder()
            .vocab_and_merges(vocab.into_iter().collect::<tokenizers::models::bpe::Vocab>(), merges)
            .build()
            .map_err(broken)?;
        let split = Split::new(SplitPattern::Regex(WORDS.into()), SplitDelimiterBehavior::Isolated, false)
            .map_err(broken)?;
        let mut encoder = tokenizers::Tokenizer::new(bpe);
        encoder.with_normalizer(Some(NFC)).map_err(broken)?;
        encoder.with_pre_tokenizer(Some(Sequence::new(vec![
            PreTokenizerWrapper::Split(split),
            PreTokenizerWrapper::ByteLevel(ByteLevel::new(false, false, false)),
        ])));
        let trie = TokTrie::from(&TokRxInfo::new(words.len() as u32, special.im_end), &words);
        Ok(Self { encoder, trie, special, ordinary: types.iter().map(|t| *t == NORMAL).collect() })
    }

    /// Tokens of plain text; never a special token, whatever the text holds.
    pub fn encode(&self, text: &str) -> Vec<u32> {
        let mut tokens = Vec::new();
        let mut rest = text;
        while !rest.is_empty() {
            let (piece, tail) = rest.split_at(piece_end(rest));
            match self.encoder.encode_fast(piece, false) {
                Ok(encoding) => tokens.extend_from_slice(encoding.get_ids()),
                // The trie spells any bytes; a different cut than the model was trained on, but no loss.
                Err(_) => tokens.extend(self.trie.greedy_tokenize(piece.as_bytes())),
            }
            rest = tail;
        }
        tokens
    }

    /// Text of tokens; special tokens have none. Bytes that are not UTF-8 become U+FFFD.
    pub fn decode(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .filter(|t| self.is_ordinary(**t))
            .flat_map(|t| self.trie.token(*t))
            .copied()
            .collect();
        String::from_utf8(bytes).unwrap_or_else(|e| String::from_utf8_lossy(e.as_bytes()).into_owned())
    }

    /// The single tokens that spell `word` in lower case, capitalised or in capitals, with or without a space.
    pub(crate) fn spellings(&self, word: &str) -> Vec<u32> {
        let capitalised =
            word.chars().take(1).flat_map(char::to_uppercase).chain(word.chars().skip(1)).collect();
        [word.to_lowercase(), capitalised, word.to_uppercase()]
            .into_iter()
            .flat_map(|word| [format!(" {word}"), word])
            .filter_map(|word| self.trie.token_id(word.as_bytes()))
            .collect()
    }

    /// Bytes of an ordinary token.
    pub(crate) fn bytes(&self, token: u32) -> &[u8] {
        self.trie.token(token)
    }

    /// Whether the token stands for text.
    pub(crate) fn is_ordinary(&self, token: u32) -> bool {
        self.ordinary.get(token as usize).copied().unwrap_or(false)
    }

    pub(crate) fn special(&self) -> Special {
        self.special
    }

    pub(crate) fn len(&self) -> usize {
        self.ordinary.len()
    }
}

/// Where to cut off the next piece: at a line end or space when there is one.
fn piece_end(text: &str) -> usize {
    if text.len() <= PIECE {
        return text.len();
    }
    let end = text.floor_char_boundary(PIECE);
    match text[..end].rfind('\n').map(|i| i + 1).or_else(|| text[..end].rfind(' ')) {
        Some(i) if i > 0 => i,
        _ => end,
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

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, s: &[u8]) -> Vec<u32> {
        self.trie.tokenize_with_greedy_fallback(s, |s| self.encode(s))
    }
}
