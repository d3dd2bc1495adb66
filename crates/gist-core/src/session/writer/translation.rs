//! A text in another language than that of its lines. It is written in theirs and held against them, as only words of one
//! language can be looked up in the other's; then it is translated.

use std::collections::{HashMap, HashSet};

use super::chapter::Written;
use super::mend::whole;
use super::own::keyword_title;
use crate::check::script::is_in_script_of;
use crate::check::{Checker, Fault, adds_numbers, is_echo, normal, repeated_phrase};
use crate::model::{Request, View};
use crate::prompt::flat;
use crate::prompt::translation::{Part, TranslationPrompt};

/// Other scripts take more tokens than the text that is translated.
const TRANSLATION_TOKENS: usize = 1_500;

/// A chapter whose text is written, and what of it is translated.
pub(super) struct Translation {
    written: Written,
    done: HashMap<String, String>,
    /// What it took.
    pub(super) tokens: usize,
}

impl Translation {
    pub(super) fn of(written: Written) -> Self {
        Self { written, done: HashMap::new(), tokens: 0 }
    }

    /// What there is to translate, by key.
    fn texts(&self) -> Vec<(String, Part, &str)> {
        let text = &self.written.text;
        let mut texts = Vec::new();
        if self.written.chapter.title.is_none() {
            texts.push(("title".to_owned(), Part::Title, text.title.as_str()));
        }
        texts.push(("summary".to_owned(), Part::Summary, text.summary.as_str()));
        let points = text.points.iter().map(|point| point.text.as_str());
        texts.extend((1..).zip(points).map(|(n, point)| (point_key(n), Part::Sentence, point)));
        let words = (1..).zip(&text.keywords);
        texts.extend(words.map(|(n, word)| (keyword_key(n), Part::Term, word.as_str())));
        texts.push(("conclusion".to_owned(), Part::Sentence, text.conclusion.as_str()));
        texts.extend((1..).zip(&text.parts).map(|(n, part)| (part_key(n), Part::Title, part.as_str())));
        texts.retain(|(.., text)| !text.is_empty());
        texts
    }

    /// Asks for what is not translated yet.
    pub(super) fn request(&self, language: &str, (temperature, seed): (f32, u64)) -> Request {
        let mut texts = self.texts();
        texts.retain(|(key, ..)| !self.done.contains_key(key));
        let prompt = TranslationPrompt { texts, language };
        Request {
            view: View { segments: 0..0, memory: false },
            prompt: prompt.text(),
            schema: Some(prompt.schema()),
            max_tokens: TRANSLATION_TOKENS,
            temperature,
            seed,
        }
    }

    /// Takes what an answer translates: texts in the language, with no other numbers.
    ///
    /// # Errors
    /// When something is missing still.
    pub(super) fn take(&mut self, answer: &str, language: &str, checker: &Checker) -> Result<(), Fault> {
        let mut answer: HashMap<String, String> = serde_json::from_str(answer).unwrap_or_default();
        let good = |part: Part, text: &str, translated: &str| {
            let sentence = matches!(part, Part::Summary | Part::Sentence);
            let right = part == Part::Term || is_in_script_of(language, translated);
            let echo = is_echo(translated) || sentence && normal(translated) == normal(text);
            let fresh = part != Part::Title || checker.check(translated, text, std::iter::empty()).is_ok();
            let said = !normal(translated).is_empty() && repeated_phrase(translated).is_none();
            right && said && fresh && !echo && !adds_numbers(translated, text)
        };
        let texts = self.texts().into_iter();
        let fresh: Vec<_> = texts
            .filter_map(|(key, part, text)| {
                let translated = whole(&flat(&answer.remove(&key)?));
                good(part, text, &translated).then_some((key, translated))
            })
            .collect();
        self.done.extend(fresh);
        let missing = self.texts().iter().any(|(key, ..)| !self.done.contains_key(key));
        if missing { Err(Fault::Language("translation", language.to_owned())) } else { Ok(()) }
    }

    /// The chapter in its other language. For a title that could not be translated its key terms stand; without any it
    /// stays, as a summary does, and is said to, and `why`; of the rest what could not be is left out. Where neither could
    /// be, all stays in the language of its lines.
    pub(super) fn finish(mut self, language: String, why: Option<String>) -> Written {
        let untranslated = |field| Fault::Language(field, language.clone()).to_string();
        self.written.tokens += self.tokens;
        if !["title", "summary"].iter().any(|key| self.done.contains_key(*key)) {
            self.written.error.get_or_insert_with(|| why.unwrap_or_else(|| untranslated("text")));
            return self.written;
        }
        let mut missing = Vec::new();
        let mut take = |key: &str| self.done.remove(key);
        let Written { chapter, text, .. } = &mut self.written;
        for (key, field) in [("summary", &mut text.summary), ("title", &mut text.title)] {
            match take(key) {
                Some(translated) => *field = translated,
                None if field.is_empty() || key == "title" && chapter.title.is_some() => {}
                None => missing.push(key),
            }
        }
        text.conclusion = take("conclusion").unwrap_or_default();
        let points = (1..).zip(std::mem::take(&mut text.points));
        text.points = points
            .filter_map(|(n, mut point)| {
                point.text = take(&point_key(n))?;
                Some(point)
            })
            .collect();
        text.keywords = (1..=text.keywords.len()).filter_map(|n| take(&keyword_key(n))).collect();
        let mut seen = HashSet::new();
        text.keywords.retain(|word| seen.insert(normal(word)));
        if missing.contains(&"title") {
            let named = keyword_title(&text.keywords);
            if !named.is_empty() && is_in_script_of(&language, &named) {
                text.title = named;
                missing.retain(|field| *field != "title");
            }
        }
        for (n, part) in (1..).zip(&mut text.parts) {
            *part = take(&part_key(n)).unwrap_or_default();
        }
        let why = missing.first().map(|field| why.unwrap_or_else(|| untranslated(field)));
        let written = self.written;
        Written { error: written.error.or(why), language, ..written }
    }
}

fn point_key(n: usize) -> String {
    format!("point {n}")
}

fn keyword_key(n: usize) -> String {
    format!("keyword {n}")
}

fn part_key(n: usize) -> String {
    format!("part {n}")
}

#[cfg(test)]
mod tests {
    use super::super::mend::tests::{chapter, text};
    use super::*;

    fn written() -> Written {
        let mut text = text(&[
            (0, "The node saves everything to disk."),
            (1, "Pieter Wuille wrote Ultraprune in 2012."),
        ]);
        text.parts = vec![String::new(), "Ultraprune".into()];
        Written { chapter: Box::new(chapter()), text, language: "English".into(), tokens: 7, error: None }
    }

    #[test]
    fn what_an_answer_leaves_out_or_changes_is_asked_for_again() {
        let mut translation = Translation::of(written());
        let asked = |translation: &Translation| {
            let schema = translation.request("Chinese", (0.0, 0)).schema.unwrap();
            let mut keys: Vec<_> = schema["properties"].as_object().unwrap().keys().cloned().collect();
            keys.sort();
            keys
        };
        let keywords = (1..=4).map(|n| format!("keyword {n}"));
        let mut all: Vec<String> =
            ["conclusion", "part 2", "point 1", "point 2", "summary", "title"].map(Into::into).into();
        all.splice(1..1, keywords);
        assert_eq!(asked(&translation), all, "not the part without a title");
        let answer = r#"{"title": "硬币数据库", "summary": "节点把所有数据保存到磁盘。", "point 1": "The node saves it.",
            "point 2": "Pieter Wuille 在 2021 年写了 Ultraprune。", "keyword 1": "Utreexo", "keyword 2": "数据库",
            "keyword 3": "数据库", "keyword 4": "Kubernetes", "conclusion": "累加器将取代数据库。", "part 2": "超级修剪的来历"}"#;
        assert!(translation.take(answer, "Chinese", &Checker::default()).is_err());
        assert_eq!(asked(&translation), ["point 1", "point 2"], "one in English, one with another year");
        let answer = r#"{"point 1": "It does.", "point 2": "Pieter Wuille 在 2012 年写了 Ultraprune。"}"#;
        assert!(translation.take(answer, "Chinese", &Checker::default()).is_err());
        let written = translation.finish("Chinese".into(), None);
        assert_eq!((written.text.title.as_str(), written.language.as_str()), ("硬币数据库", "Chinese"));
        let points: Vec<_> =
            written.text.points.iter().map(|point| (&point.lines[..], point.text.as_str())).collect();
        assert_eq!(points, [(&[1][..], "Pieter Wuille 在 2012 年写了 Ultraprune。")], "with its lines");
        assert_eq!(written.text.parts, ["", "超级修剪的来历"]);
        assert_eq!(written.error, None);
    }

    #[test]
    fn what_could_not_be_translated_stays_and_says_so() {
        let untouched = Translation::of(written()).finish("Chinese".into(), Some("out of memory".into()));
        assert_eq!((untouched.language.as_str(), untouched.text.points.len()), ("English", 2), "all of it");
        assert_eq!(untouched.error.as_deref(), Some("out of memory"));

        let mut translation = Translation::of(written());
        let mut checker = Checker::default();
        checker.remember("硬币数据库", "");
        let answer = r#"{"title": "硬币数据库", "summary": "节点把所有数据保存到磁盘。"}"#;
        assert!(translation.take(answer, "Chinese", &checker).is_err(), "a title used before");
        let partly = translation.finish("Chinese".into(), None);
        assert_eq!(
            (partly.text.title, partly.text.summary.as_str()),
            (written().text.title, "节点把所有数据保存到磁盘。")
        );
        assert!(partly.error.unwrap().contains("the title is not in Chinese"));

        let mut translation = Translation::of(written());
        let answer = r#"{"title": "UTXO", "summary": "节点把所有数据保存到磁盘。", "keyword 2": "数据库", "keyword 4": "节点"}"#;
        assert!(translation.take(answer, "Chinese", &checker).is_err());
        let named = translation.finish("Chinese".into(), None);
        assert_eq!((named.text.title.as_str(), named.error), ("数据库、节点", None));
    }

    #[test]
    fn numbers_stay_what_they_are() {
        let adds = |text: &str, source: &str| adds_numbers(text, source);
        assert!(!adds("3,5 Prozent von 1.000 Knoten", "3.5 percent of 1,000 nodes"));
        assert!(!adds("12 个节点", "twelve nodes") && !adds("200万个节点", "two nodes"));
        assert!(!adds("2000 个节点", "two thousand nodes"), "which is not read here");
        assert!(adds("2021년", "in 2012") && adds("12 个节点", "the nodes"));
    }
}
