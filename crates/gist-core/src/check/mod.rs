//! Whether a written chapter may go out: models repeat themselves, copy, and write what nobody said, and a reader notices
//! at once.
//!
//! * here: what was written before, and what goes round in circles
//! * `source`: what was said, to hold a text against
//! * `lead_in`: "This chapter discusses …"
//! * `salient`: a chapter in its own sentences
//! * `script`: the language, as far as its script tells
//! * `terms`: words, names and numbers of a text

pub(crate) mod lead_in;
pub(crate) mod salient;
pub(crate) mod script;
pub(crate) mod source;
mod terms;

use std::collections::{HashMap, HashSet, VecDeque};

/// How many titles are remembered; a day of chapters has a few hundred.
const REMEMBERED: usize = 4_096;

/// Titles that small models fall back on, as [`normal`] has them, without a number at their end.
const GENERIC: [&str; 21] = [
    "introduction",
    "anintroduction",
    "theintroduction",
    "conclusion",
    "theconclusion",
    "overview",
    "summary",
    "chapter",
    "subjectofchapter",
    "discussion",
    "introductionandoverview",
    "thischapter",
    "untitled",
    "titlehere",
    "引言",
    "介绍",
    "总结",
    "概述",
    "标题",
    "新闻标题",
    "标题名称",
];

/// What of the instructions for a title small models repeat in its place, as [`normal`] has it; in Chinese what they make
/// of it.
const ECHOES: [&str; 8] =
    ["8words", "thischapter", "nootherchapter", "3到8个", "8个字", "本章主题", "本章的主题", "其他章节"];
/// The same for a summary and points.
const SUMMARY_ECHOES: [&str; 11] = [
    "factsthemselves",
    "asanewspaper",
    "whoorwhatdoeswhat",
    "事实本身",
    "像报纸",
    "新闻摘要",
    "新闻内容",
    "结论内容",
    "结论部分",
    "摘要内容",
    "简要描述",
];

/// What was wrong, in words that go into the retry and into the `error` of a partial chapter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The title was used before.
    #[error("the title {0:?} was used before")]
    TitleRepeated(String),
    /// The title would fit any chapter of any talk.
    #[error("the title {0:?} says nothing about this chapter")]
    TitleEmpty(String),
    /// The title is made of the words it was asked for with.
    // Without its words: in the retry they would be copied again.
    #[error("the title repeats the instructions and does not name what the lines are about")]
    TitleEcho,
    /// The title is only the heading of a slide.
    #[error("the title {0:?} only copies the heading of a slide")]
    TitleCopied(String),
    /// The summary repeats the last chapter's.
    #[error("the summary repeats the last chapter")]
    SummaryRepeated,
    /// A phrase goes round in circles.
    #[error("the text repeats {0:?}")]
    Loop(String),
    /// A field has no words.
    #[error("the {0} is empty")]
    Empty(&'static str),
    /// A field is in another language than it was asked for in.
    #[error("the {0} is not in {1}")]
    Language(&'static str, String),
    /// Points say what their lines don't.
    #[error("{0} points say what the lines do not say; stay with their words, names and numbers")]
    PointsDropped(usize),
}

/// Remembers what was written.
#[derive(Debug, Default)]
pub struct Checker {
    titles: HashSet<String>,
    order: VecDeque<String>,
    last_summary: String,
}

/// Letters and digits in lower case, nothing else.
pub fn normal(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// What tells a title from others: its content words whatever their order and form, or its letters where it has none.
fn essence(title: &str) -> String {
    let mut keys: Vec<String> = terms::terms(title).into_iter().map(|term| term.key).collect();
    keys.sort_unstable();
    keys.dedup();
    if keys.is_empty() { normal(title) } else { keys.join(" ") }
}

/// Whether two texts say the same in nearly the same words: of the content words of both, two thirds are shared.
pub(crate) fn same_words(a: &str, b: &str) -> bool {
    let keys =
        |text: &str| -> HashSet<String> { terms::terms(text).into_iter().map(|term| term.key).collect() };
    let (left, right) = (keys(a), keys(b));
    let both = left.intersection(&right).count();
    let either = left.len() + right.len() - both;
    if either == 0 { normal(a) == normal(b) } else { 3 * both >= 2 * either }
}

/// Whether a sentence is its own instructions.
pub(crate) fn is_echo(sentence: &str) -> bool {
    let letters = normal(sentence);
    SUMMARY_ECHOES.iter().any(|echo| letters.contains(echo))
}

/// Whether a translation names a number in digits that its source does not, however they are grouped (`3.5`, `3,5`). Not
/// looked at are one counted in Han units (`200万`), and any where the source has numbers in words that are not known here.
pub(crate) fn adds_numbers(text: &str, source: &str) -> bool {
    const UNKNOWN: [&str; 5] = ["hundred", "thousand", "million", "billion", "dozen"];
    let plain = |number: &str| -> String { number.chars().filter(char::is_ascii_digit).collect() };
    let figure = |word: &str| -> String {
        word.chars()
            .take_while(|c| c.is_ascii_digit() || ['.', ','].contains(c))
            .filter(char::is_ascii_digit)
            .collect()
    };
    let words = terms::words(source);
    let unknown = |word: &str| {
        UNKNOWN.contains(&word.to_lowercase().as_str())
            || word.chars().all(|c| "一二三四五六七八九十百千万亿".contains(c))
    };
    if words.iter().any(|(_, word)| unknown(word)) {
        return false;
    }
    let mut known: HashSet<String> = words.iter().map(|(_, word)| figure(word)).collect();
    known.extend(terms::numbers(source).iter().map(|number| plain(number)));
    // Of a word without any.
    known.insert(String::new());
    terms::words(text).into_iter().any(|(at, word)| {
        let counted = text[at.end..].trim_start().starts_with(['万', '亿', '千', '百', '萬', '億']);
        !counted && !known.contains(&figure(word))
    })
}

impl Fault {
    /// Whether other points would mend it.
    pub(crate) fn is_of_the_points(&self) -> bool {
        matches!(self, Self::PointsDropped(_))
    }

    /// Whether another title would mend it.
    pub(crate) fn is_of_the_title(&self) -> bool {
        use Fault::{Empty, Language, TitleCopied, TitleEcho, TitleEmpty, TitleRepeated};
        matches!(
            self,
            TitleRepeated(_)
                | TitleEmpty(_)
                | TitleEcho
                | TitleCopied(_)
                | Empty("title")
                | Language("title", _)
        )
    }
}

impl Checker {
    /// Looks for a fault. `headings` are the slide headings shown in the chapter.
    ///
    /// # Errors
    /// The first fault found.
    pub fn check<'a>(
        &self,
        title: &str,
        summary: &str,
        headings: impl Iterator<Item = &'a str>,
    ) -> Result<(), Fault> {
        let letters = normal(title);
        if letters.is_empty() {
            return Err(Fault::Empty("title"));
        }
        if normal(summary).is_empty() {
            return Err(Fault::Empty("summary"));
        }
        if GENERIC.contains(&letters.trim_end_matches(|c: char| c.is_ascii_digit())) {
            return Err(Fault::TitleEmpty(title.into()));
        }
        if ECHOES.iter().any(|echo| letters.contains(echo)) {
            return Err(Fault::TitleEcho);
        }
        if self.titles.contains(&essence(title)) {
            return Err(Fault::TitleRepeated(title.into()));
        }
        if headings.map(normal).any(|heading| heading == letters) {
            return Err(Fault::TitleCopied(title.into()));
        }
        if let Some(phrase) = repeated_phrase(title).or_else(|| repeated_phrase(summary)) {
            return Err(Fault::Loop(phrase));
        }
        if normal(summary) == normal(&self.last_summary) {
            return Err(Fault::SummaryRepeated);
        }
        Ok(())
    }

    /// Remembers an emitted text.
    pub fn remember(&mut self, title: &str, summary: &str) {
        self.last_summary = summary.to_owned();
        let essence = essence(title);
        if self.titles.insert(essence.clone()) {
            self.order.push_back(essence);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.titles.remove(&oldest);
        }
    }
}

/// Whether a line tells of nothing: a mark of sounds (`[Music]`, `♪`), or what speech recognition hears into noise.
pub(crate) fn is_noise(line: &str) -> bool {
    const SOUNDS: [&str; 21] = [
        "applause",
        "bye",
        "for",
        "foreign",
        "hmm",
        "inaudible",
        "laughter",
        "much",
        "music",
        "noise",
        "oh",
        "please",
        "silence",
        "subscribe",
        "thank",
        "thanks",
        "uh",
        "um",
        "very",
        "watching",
        "you",
    ];
    terms::words(line).into_iter().all(|(_, word)| SOUNDS.contains(&word.to_lowercase().as_str()))
}

/// A run of four words, or eight characters where words aren't parted by blanks, that occurs three times or more. A
/// name of three words may well stand in every sentence.
pub fn repeated_phrase(text: &str) -> Option<String> {
    let words: Vec<String> = text.split_whitespace().map(normal).filter(|word| !word.is_empty()).collect();
    let units: Vec<String> = if text.chars().count() > 12 * words.len().max(1) {
        text.chars().filter(|c| c.is_alphanumeric()).map(String::from).collect()
    } else {
        words
    };
    let (run, glue) = if units.iter().all(|unit| unit.chars().count() == 1) { (8, "") } else { (4, " ") };
    let mut seen: HashMap<&[String], usize> = HashMap::new();
    units.windows(run).find_map(|window| {
        let count = seen.entry(window).or_default();
        *count += 1;
        (*count >= 3).then(|| window.join(glue))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn none() -> std::iter::Empty<&'static str> {
        std::iter::empty()
    }

    #[test]
    fn a_title_is_used_once() {
        let mut checker = Checker::default();
        checker.check("How nodes find peers", "Nodes ask seeds.", none()).unwrap();
        checker.remember("How nodes find peers", "Nodes ask seeds.");
        let fault = checker.check("How Nodes find peers!", "Other words.", none()).unwrap_err();
        assert!(matches!(fault, Fault::TitleRepeated(_)));
        let fault = checker.check("Nodes that find a peer", "Other words.", none());
        assert!(matches!(fault, Err(Fault::TitleRepeated(_))), "the same words in another order");
        assert_eq!(checker.check("Another", "nodes ask seeds", none()), Err(Fault::SummaryRepeated));
    }

    #[test]
    fn a_title_made_of_its_own_instructions_is_none() {
        let (segments, span) = (0..1, crate::time::Span::default());
        let asked = crate::prompt::ChapterPrompt {
            segments,
            parts: &[],
            span,
            language: "English",
            instructions: None,
            avoid: None,
            points: None,
        };
        let asked = normal(&asked.text());
        let mut echoes = ECHOES.iter().chain(&SUMMARY_ECHOES).filter(|echo| echo.is_ascii());
        assert!(echoes.all(|echo| asked.contains(echo)), "the words are those of the prompt");
        for title in [
            "3 to 8 words that name this chapter's",
            "Chapter Summary: 3 to 8 words",
            "3到8个字描述本章的主题，具体到足以让其他章节无法容纳的地步",
        ] {
            let fault = Checker::default().check(title, "Nodes ask seeds.", none());
            assert!(matches!(fault, Err(Fault::TitleEcho)), "{title}");
        }
        assert!(is_echo("简短的句子陈述事实本身，就像报纸一样：谁或什么做了什么，为什么"));
        assert!(!is_echo("Newspapers print facts."));
    }

    #[test]
    fn a_title_that_fits_any_chapter_is_none() {
        for title in ["The Introduction", "Subject of Chapter 3", "[Title Here]"] {
            let fault = Checker::default().check(title, "Nodes ask seeds.", none());
            assert!(matches!(fault, Err(Fault::TitleEmpty(_))), "{title}");
        }
        assert!(Checker::default().check("BIP 34", "Nodes ask seeds.", none()).is_ok());
    }

    #[test]
    fn a_slide_heading_alone_is_no_title() {
        let fault =
            Checker::default().check("Peer discovery", "Nodes ask seeds.", ["PEER DISCOVERY"].into_iter());
        assert!(matches!(fault, Err(Fault::TitleCopied(_))));
    }

    #[test]
    fn sounds_and_thanks_into_silence_say_nothing() {
        for line in ["[Music]", "♪ ♪", "(applause)", "Thank you.", "Thanks for watching!", "you", ""] {
            assert!(is_noise(line), "{line}");
        }
        for line in ["[Music] Welcome to the show", "共识算法", "one", "Thank you, Alice."] {
            assert!(!is_noise(line), "{line}");
        }
    }

    #[test]
    fn loops_are_seen_in_words_and_in_han() {
        assert_eq!(
            repeated_phrase("we go on and we go on and we go on and").as_deref(),
            Some("we go on and")
        );
        assert_eq!(
            repeated_phrase("the trusted setup, then the trusted setup again, and the trusted setup"),
            None
        );
        assert_eq!(repeated_phrase("one two three four five six seven eight nine"), None);
        assert!(repeated_phrase(&"这是一个关于共识的章节".repeat(3)).is_some());
        assert_eq!(repeated_phrase("共识算法保证所有节点对同一顺序达成一致"), None);
    }
}
