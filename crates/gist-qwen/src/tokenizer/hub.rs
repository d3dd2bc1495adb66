//! A tokenizer from Hugging Face's `tokenizer.json`.
//!
//! Only what the Qwen family has is supported; anything else in the file would cut text in another way than the model
//! was trained on, and is refused.

use std::fmt;
use std::marker::PhantomData;
use std::path::Path;

use serde::Deserialize;
use serde::de::{Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::build::Parts;
use super::{Tokenizer, WORDS};
use crate::config::json;
use crate::error::LoadError;

/// The file may take this much; that of the family takes 11 MB.
const MAX_FILE: u64 = 64 << 20;
/// Tokens and merges; the family has 0.15 million of each.
const MAX_ITEMS: usize = 1 << 20;

#[derive(Deserialize)]
struct File {
    #[serde(deserialize_with = "items")]
    added_tokens: Vec<Added>,
    normalizer: Option<Step>,
    pre_tokenizer: Option<Sequence>,
    model: Model,
}

#[derive(Deserialize)]
struct Added {
    id: u32,
    content: String,
}

#[derive(Deserialize)]
struct Sequence {
    r#type: String,
    #[serde(default, deserialize_with = "items")]
    pretokenizers: Vec<Step>,
}

#[derive(Deserialize, Default, PartialEq)]
struct Step {
    r#type: String,
    pattern: Option<Pattern>,
    behavior: Option<String>,
    invert: Option<bool>,
    add_prefix_space: Option<bool>,
    use_regex: Option<bool>,
}

#[derive(Deserialize, PartialEq)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: String,
}

#[derive(Deserialize)]
struct Model {
    /// Absent from old files.
    r#type: Option<String>,
    dropout: Option<f64>,
    continuing_subword_prefix: Option<String>,
    end_of_word_suffix: Option<String>,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(default)]
    ignore_merges: bool,
    #[serde(deserialize_with = "entries")]
    vocab: Vec<(String, u32)>,
    #[serde(deserialize_with = "items")]
    merges: Vec<Merge>,
}

/// `"a b"` in files of tokenizers before 0.20, `["a", "b"]` since.
#[derive(Deserialize)]
#[serde(untagged)]
enum Merge {
    Text(String),
    Pair(String, String),
}

impl Merge {
    fn pair(&self) -> Option<(&str, &str)> {
        match self {
            Self::Text(text) => text.split_once(' '),
            Self::Pair(a, b) => Some((a, b)),
        }
    }
}

impl Tokenizer {
    /// Reads `tokenizer.json` of a model whose embedding has `vocab` rows; `None` when there is no such file. Rows
    /// without a token become special tokens nobody uses.
    ///
    /// # Errors
    /// For files that are too large or damaged, and for other kinds of tokenizers.
    pub(crate) fn read_json(path: &Path, vocab: usize) -> Result<Option<Self>, LoadError> {
        let Some(text) = json::text(path, MAX_FILE)? else { return Ok(None) };
        let invalid = |what: String| LoadError::Invalid { path: path.into(), what };
        let file: File =
            serde_json::from_str(&text).map_err(|e| invalid(format!("it is no tokenizer: {e}")))?;
        if let Some(what) = file.unsupported() {
            let what = format!("its tokenizer {what}, unlike that of the Qwen family");
            return Err(LoadError::Unsupported { path: path.into(), what });
        }
        let parts = file.parts(vocab).map_err(invalid)?;
        Self::build(&parts).map(Some).map_err(invalid)
    }
}

impl File {
    /// What about this file is not Qwen's.
    fn unsupported(&self) -> Option<&'static str> {
        let nfc = Step { r#type: "NFC".into(), ..Step::default() };
        let words = [
            Step {
                r#type: "Split".into(),
                pattern: Some(Pattern { regex: WORDS.into() }),
                behavior: Some("Isolated".into()),
                invert: Some(false),
                ..Step::default()
            },
            Step {
                r#type: "ByteLevel".into(),
                add_prefix_space: Some(false),
                use_regex: Some(false),
                ..Step::default()
            },
        ];
        let Model { r#type, dropout, byte_fallback, ignore_merges, .. } = &self.model;
        let affixes = [&self.model.continuing_subword_prefix, &self.model.end_of_word_suffix];
        if r#type.as_deref().is_some_and(|kind| kind != "BPE") {
            Some("is no BPE")
        } else if self.normalizer != Some(nfc) {
            Some("does not normalise to NFC")
        } else if !matches!(&self.pre_tokenizer, Some(s) if s.r#type == "Sequence" && s.pretokenizers == words)
        {
            Some("cuts text into other words")
        } else if dropout.is_some_and(|p| p != 0.0)
            || *byte_fallback
            || *ignore_merges
            || affixes.into_iter().flatten().any(|affix| !affix.is_empty())
        {
            Some("merges in another way")
        } else {
            None
        }
    }

    /// The token of every id below `vocab`.
    fn parts(&self, vocab: usize) -> Result<Parts<'_>, String> {
        let mut tokens: Vec<Option<(&str, bool)>> = vec![None; vocab];
        let ordinary = self.model.vocab.iter().map(|(token, id)| (token, *id, true));
        let added = self.added_tokens.iter().map(|added| (&added.content, added.id, false));
        for (token, id, ordinary) in ordinary.chain(added) {
            let Some(slot) = tokens.get_mut(id as usize) else {
                return Err(format!("token {id} is beyond the {vocab} rows of the embedding"));
            };
            let replaced = slot.replace((token, ordinary));
            // Some files list their added tokens in the vocabulary as well.
            if replaced.is_some_and(|(other, _)| ordinary || other != token) {
                return Err(format!("token {id} is there twice"));
            }
        }
        let merges: Option<_> = self.model.merges.iter().map(Merge::pair).collect();
        let named = |(id, token): (usize, Option<(&'_ str, bool)>)| match token {
            Some((token, ordinary)) => (token.to_owned().into(), ordinary),
            None => (format!("[unused {id}]").into(), false),
        };
        Ok(Parts {
            tokens: tokens.into_iter().enumerate().map(named).collect(),
            merges: merges.ok_or("a merge of its tokenizer makes no token")?,
        })
    }
}

/// A list of a bounded length.
fn items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Items<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Items<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Vec<T>, A::Error> {
            let mut items = Vec::new();
            while let Some(item) = seq.next_element()? {
                if items.len() == MAX_ITEMS {
                    return Err(A::Error::custom(format!("a list of more than {MAX_ITEMS}")));
                }
                items.push(item);
            }
            Ok(items)
        }
    }
    deserializer.deserialize_seq(Items(PhantomData))
}

/// A vocabulary of a bounded size.
fn entries<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<(String, u32)>, D::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<(String, u32)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a vocabulary")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = map.next_entry()? {
                if entries.len() == MAX_ITEMS {
                    return Err(A::Error::custom(format!("more than {MAX_ITEMS} tokens")));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_map(Entries)
}
