//! The byte-level BPE of the Qwen family, built from the vocabulary and merges in the GGUF or in `tokenizer.json`.
//!
//! Text is data: special tokens are not part of the encoder at all, so `<|im_end|>` in a transcript stays the plain
//! characters it is. Only the chat template puts special tokens in, by id.

mod build;
mod gguf;
mod hub;
#[cfg(test)]
mod tests;

use toktrie::{TokTrie, TokenizerEnv};

/// How `qwen2` cuts text into words before merging.
const WORDS: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
/// The word regex backtracks over runs of white space, so text is encoded in pieces of at most this many bytes.
const PIECE: usize = 8 << 10;

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
    /// Which ids stand for text.
    ordinary: Vec<bool>,
}

impl Tokenizer {
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

    /// Text of tokens with the names of special ones, for people to read.
    pub(crate) fn spell(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .flat_map(|t| self.trie.token(*t))
            .copied()
            .filter(|byte| *byte != TokTrie::SPECIAL_TOKEN_MARKER)
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
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

    /// The special token of this name, `<|image_pad|>` say. Its text alone never becomes this token.
    pub(crate) fn special_id(&self, name: &str) -> Option<u32> {
        let marked: Vec<u8> = [TokTrie::SPECIAL_TOKEN_MARKER].into_iter().chain(name.bytes()).collect();
        self.trie.token_id(&marked).filter(|id| !self.is_ordinary(*id))
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

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, s: &[u8]) -> Vec<u32> {
        self.trie.tokenize_with_greedy_fallback(s, |s| self.encode(s))
    }
}
