//! What the model is asked for a text in another language.

use serde_json::{Map, Value};

use super::chapter::{SENTENCE, SUMMARY, sentence, term, title};
use super::{flat, object};

/// What a text is for: how long it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    /// Three to eight words.
    Title,
    Summary,
    /// A point or a conclusion.
    Sentence,
    /// A term, which may well be the same in both languages.
    Term,
}

/// Texts that are to be translated, each with a key of its own.
pub(crate) struct TranslationPrompt<'a> {
    pub(crate) texts: Vec<(String, Part, &'a str)>,
    /// By full English name.
    pub(crate) language: &'a str,
}

impl TranslationPrompt<'_> {
    /// The question.
    pub(crate) fn text(&self) -> String {
        let texts = self.texts.iter().map(|(key, _, text)| (key.clone(), Value::String(flat(text))));
        format!(
            "Translate the texts of this JSON object into {language}. Leave names and numbers as they are.\n{texts}\n\
             Answer with one JSON object of the same keys, its texts in {language}.",
            texts = Value::Object(texts.collect()),
            language = self.language,
        )
    }

    /// The schema of the answer: a string for each key.
    pub(crate) fn schema(&self) -> Value {
        let of = |part: Part| match part {
            Part::Title => title(self.language),
            Part::Summary => sentence(self.language, SUMMARY),
            Part::Sentence => sentence(self.language, SENTENCE),
            Part::Term => term(),
        };
        object(Value::Object(
            self.texts.iter().map(|(key, part, _)| (key.clone(), of(*part))).collect::<Map<_, _>>(),
        ))
    }
}
