//! A chapter in its own sentences, where its text says nothing or the same twice. Not in another language than that of its
//! lines, and not of pictures.

use super::chapter::{Text, TextPoint};
use super::mend::{LEAST_POINTS, MOST_COPIED, quoted, source, without_opener};
use crate::check::lead_in::{capital, sentences};
use crate::check::salient::{key_terms, salient};
use crate::check::same_words;
use crate::check::source::Source;
use crate::prompt::flat;
use crate::session::chapter::Chapter;

/// Has a chapter tell of itself where its text came to nothing.
pub(super) fn extract(text: &mut Text, chapter: &Chapter, language: &str) {
    let source = source(chapter, language);
    if text.summary.is_empty() {
        text.summary = summary(text, chapter, &source).unwrap_or_default();
    }
    if text.points.is_empty() {
        text.points = untold(text, chapter, &source, LEAST_POINTS);
        text.own = text.points.len();
    }
    if text.keywords.len() < LEAST_POINTS && can_tell(&source) {
        text.keywords = key_terms(&lines(chapter), LEAST_POINTS);
    }
}

/// The most telling sentence that nothing of the text tells; else its first point, which is borne out.
pub(super) fn summary(text: &Text, chapter: &Chapter, source: &Source) -> Option<String> {
    let own = untold(text, chapter, source, 1).pop();
    own.map(|point| point.text).or_else(|| text.points.first().map(|point| point.text.clone()))
}

/// At most `most` sentences of a chapter that nothing of its text tells: short ones, which can be quoted whole; where there
/// are none and summary or points are missing, what may be quoted of longer ones.
pub(super) fn untold(text: &Text, chapter: &Chapter, source: &Source, most: usize) -> Vec<TextPoint> {
    if !can_tell(source) || most == 0 {
        return Vec::new();
    }
    let told: Vec<&str> = sentences(&text.summary)
        .into_iter()
        .chain([text.title.as_str(), &text.conclusion])
        .chain(text.points.iter().map(|point| point.text.as_str()))
        .collect();
    let quote = |sentence: &str| {
        let quote = quoted(&flat(sentence), source)?;
        let states = !quote.ends_with(['?', '？']);
        (states && !told.iter().any(|told| same_words(told, &quote))).then_some(quote)
    };
    // A sentence of the lines is copied from its first word to its last.
    let short = |sentence: &&str| sentence.split_whitespace().count() <= MOST_COPIED;
    let whole =
        |sentence: &str| Some(sentence).filter(short).and_then(quote).filter(|quote| !quote.ends_with('…'));
    let clear = |sentence: &str| Some(sentence).filter(|sentence| stands_alone(sentence)).and_then(whole);
    let lines = lines(chapter);
    let mut found = Vec::new();
    fill(&mut found, &lines, most, clear);
    if text.points.is_empty() || text.summary.is_empty() {
        fill(&mut found, &lines, most, whole);
        fill(&mut found, &lines, most, quote);
        found.sort_unstable_by_key(|(line, _)| *line);
    }
    let point = |(at, text): (usize, String)| TextPoint { lines: vec![chapter.lines[at].segment], text };
    found.into_iter().map(point).collect()
}

/// Adds sentences that say something else than those found, up to `most`.
fn fill(
    found: &mut Vec<(usize, String)>,
    lines: &[&str],
    most: usize,
    quote: impl Fn(&str) -> Option<String>,
) {
    if found.len() == most {
        return;
    }
    for (line, sentence) in salient(lines, most, quote) {
        if found.len() < most && found.iter().all(|(_, other)| !same_words(other, &sentence)) {
            found.push((line, sentence));
        }
    }
}

/// Whether a sentence may be understood without the one before it.
fn stands_alone(sentence: &str) -> bool {
    const LEANING: &str = "because he her here his i it its my one our she something that their then there these they \
                           this those we well what which who yeah yes you";
    let sentence = without_opener(sentence);
    let first = sentence.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
    first.is_some_and(|word| !LEANING.split(' ').any(|leaning| word.eq_ignore_ascii_case(leaning)))
}

fn can_tell(source: &Source) -> bool {
    source.can_tell() && source.is_in_its_language()
}

fn lines(chapter: &Chapter) -> Vec<&str> {
    chapter.lines.iter().map(|line| line.text.as_str()).collect()
}

/// A title of key terms, at most 8 words.
pub(super) fn keyword_title(keywords: &[String]) -> String {
    let mut title = String::new();
    for keyword in keywords.iter().take(3) {
        let glue = if title.ends_with(|c| c >= '\u{2e80}') { "、" } else { ", " };
        let longer = if title.is_empty() { capital(keyword) } else { format!("{title}{glue}{keyword}") };
        if longer.split_whitespace().count() > 8 {
            break;
        }
        title = longer;
    }
    title
}
