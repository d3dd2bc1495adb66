//! Token ids to text, and the ids of Whisper's control tokens.
//!
//! Whisper is never given text, only tokens it wrote itself (the prompt), so nothing here encodes.

use std::collections::HashMap;
use std::path::Path;

use serde_json::Value;

use crate::Error;

/// No vocabulary of Whisper comes near this.
const MAX_FILE: u64 = 64 << 20;

/// A Whisper vocabulary.
pub(crate) struct Tokenizer {
    /// The bytes of each ordinary token; `None` for control tokens and gaps.
    bytes: Vec<Option<Vec<u8>>>,
    /// Language code and token, in the order of the model.
    pub(crate) languages: Vec<(String, u32)>,
    pub(crate) end_of_text: u32,
    pub(crate) start_of_transcript: u32,
    pub(crate) start_of_previous: u32,
    pub(crate) transcribe: u32,
    pub(crate) no_speech: u32,
    /// `<|0.00|>`; each id from here on is 20 ms later.
    pub(crate) first_timestamp: u32,
    /// The English-only models know no language tokens in their prompt.
    pub(crate) multilingual: bool,
    /// Never sampled: non-speech marks such as `♪`, brackets and control tokens.
    pub(crate) suppressed: Vec<u32>,
    /// Never sampled first.
    pub(crate) suppressed_first: Vec<u32>,
}

impl Tokenizer {
    /// Reads `tokenizer.json`, and the suppressed tokens from `config.json` and `generation_config.json`.
    pub(crate) fn read(dir: &Path, vocabulary: usize) -> Result<Self, Error> {
        let path = dir.join("tokenizer.json");
        let json = read_json(&path)?;
        let missing =
            |what: &str| Error::format(&path, format!("not a Whisper tokenizer: there is no {what}"));
        let alphabet = byte_alphabet();
        let mut bytes = vec![None; vocabulary];
        let entries =
            json.pointer("/model/vocab").and_then(Value::as_object).ok_or_else(|| missing("vocabulary"))?;
        for (token, id) in entries {
            let slot = id.as_u64().and_then(|id| bytes.get_mut(usize::try_from(id).ok()?));
            if let Some(slot) = slot {
                *slot = token.chars().map(|c| alphabet.get(&c).copied()).collect();
            }
        }
        let mut special = HashMap::new();
        let added =
            json.get("added_tokens").and_then(Value::as_array).ok_or_else(|| missing("added_tokens"))?;
        for token in added {
            let id = token.get("id").and_then(Value::as_u64).and_then(|id| u32::try_from(id).ok());
            if let (Some(id), Some(text)) = (id, token.get("content").and_then(Value::as_str))
                && let Some(slot) = bytes.get_mut(id as usize)
            {
                *slot = None;
                special.insert(text, id);
            }
        }
        let find = |names: &[&str]| {
            names.iter().find_map(|n| special.get(n).copied()).ok_or_else(|| missing(names[0]))
        };
        let start_of_transcript = find(&["<|startoftranscript|>"])?;
        let transcribe = find(&["<|transcribe|>"])?;
        let no_timestamps = find(&["<|notimestamps|>"])?;
        let mut languages: Vec<_> = special
            .iter()
            .filter(|(_, id)| {
                (start_of_transcript + 1..transcribe.min(start_of_transcript + 120)).contains(id)
            })
            .map(|(text, id)| (text.trim_start_matches("<|").trim_end_matches("|>").to_owned(), *id))
            .filter(|(code, _)| code != "translate")
            .collect();
        languages.sort_by_key(|(_, id)| *id);
        let config = |file: &str, ours: &str, theirs: &str| -> Vec<u32> {
            let json = read_json(&dir.join(file)).unwrap_or_default();
            let ids = json.get(ours).or_else(|| json.get(theirs)).and_then(Value::as_array);
            ids.map(|ids| ids.iter().filter_map(|id| u32::try_from(id.as_u64()?).ok()).collect())
                .unwrap_or_default()
        };
        let either = |ours: &str, theirs: &str| {
            let ids = config("config.json", ours, theirs);
            if ids.is_empty() { config("generation_config.json", ours, theirs) } else { ids }
        };
        let end_of_text = find(&["<|endoftext|>"])?;
        let mut suppressed_first = either("suppress_ids_begin", "begin_suppress_tokens");
        suppressed_first.push(end_of_text);
        Ok(Self {
            end_of_text,
            start_of_transcript,
            start_of_previous: find(&["<|startofprev|>"])?,
            transcribe,
            no_speech: find(&["<|nospeech|>", "<|nocaptions|>"])?,
            first_timestamp: no_timestamps + 1,
            // The multilingual models have one token more; OpenAI's own test is the same.
            multilingual: vocabulary >= 51_865,
            suppressed: either("suppress_ids", "suppress_tokens"),
            suppressed_first,
            languages,
            bytes,
        })
    }

    /// Whether this is an ordinary token, not a control token or timestamp.
    pub(crate) fn is_text(&self, token: u32) -> bool {
        token < self.end_of_text
    }

    /// The text of the ordinary tokens. Bytes that are no UTF-8 (half a character at a cut) become U+FFFD.
    pub(crate) fn text(&self, tokens: &[u32]) -> String {
        let bytes: Vec<u8> = tokens
            .iter()
            .filter_map(|t| self.bytes.get(*t as usize)?.as_deref())
            .flatten()
            .copied()
            .collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// The token of a language code, with or without a region (`en`, `en-US`), in any case.
    pub(crate) fn language(&self, code: &str) -> Option<u32> {
        let code = code.split(['-', '_']).next()?.to_ascii_lowercase();
        self.languages.iter().find(|(name, _)| *name == code).map(|(_, id)| *id)
    }
}

fn read_json(path: &Path) -> Result<Value, Error> {
    let size = std::fs::metadata(path).map_err(|e| Error::io(path, e))?.len();
    if size > MAX_FILE {
        return Err(Error::format(path, "the file is far too large for what it should hold"));
    }
    let text = std::fs::read(path).map_err(|e| Error::io(path, e))?;
    serde_json::from_slice(&text).map_err(|e| Error::format(path, e.to_string()))
}

/// GPT-2's printable stand-ins for the 256 bytes: printable Latin-1 stands for itself, the rest follow from U+0100.
fn byte_alphabet() -> HashMap<char, u8> {
    let plain = |b: u8| matches!(b, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff);
    let mut next = 0x100..;
    (0..=255u8)
        .filter_map(|b| {
            let c = if plain(b) { char::from(b) } else { char::from_u32(next.next()?)? };
            Some((c, b))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_alphabet_covers_every_byte_once() {
        let alphabet = byte_alphabet();
        assert_eq!(alphabet.len(), 256);
        assert_eq!(alphabet[&'Ġ'], b' ');
        assert_eq!(alphabet[&'a'], b'a');
    }
}
