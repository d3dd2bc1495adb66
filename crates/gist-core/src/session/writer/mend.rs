//! What code does to a written text before it goes out: points find the lines that bear them out or are dropped, names
//! are spelt as they were, lead-ins are taken off, what is copied is cut.

use super::chapter::{Text, TextPoint};
use super::own;
use crate::check::lead_in::{bare_title, capital, sentences, without_lead_ins};
use crate::check::script::is_in_script_of;
use crate::check::source::{Lookup, Source};
use crate::check::{Fault, is_echo, normal, same_words};
use crate::observation::Source as From;
use crate::prompt::{self, MOST_POINTS, flat};
use crate::session::chapter::Chapter;

/// The most words in a row that may be copied.
pub(super) const MOST_COPIED: usize = 12;
/// Points a chapter has when its own sentences make them, and is left with when what is told twice is taken out.
pub(super) const LEAST_POINTS: usize = 3;
/// The most sentences of a summary.
const MOST_SENTENCES: usize = 3;

/// The lines of a chapter as what its text is held against.
pub(super) fn source(chapter: &Chapter, language: &str) -> Source {
    let spoken = prompt::spoken(chapter.lines.iter().map(|line| line.text.as_str()));
    let lookup = if prompt::same_language(&spoken, language) { Lookup::Words } else { Lookup::Names };
    let lines = chapter.lines.iter().map(|line| {
        let text = (line.source != From::Picture).then_some(line.text.as_str());
        (line.segment, text)
    });
    Source::new(lines, lookup)
}

/// Mends a text.
///
/// # Errors
/// What is wrong with it still and worth writing it again: the language, a title of something else, or that its points
/// rest on nothing.
pub(super) fn mend(text: &mut Text, chapter: &Chapter, language: &str) -> Result<(), Fault> {
    let source = source(chapter, language);
    let right = |text: &str| is_right(text, &source, language);
    let plain = |text: &str| plain(text, &source);
    if chapter.title.is_none() {
        text.title = capital(&source.spell(bare_title(&flat(&text.title))));
    }
    let all = text.points.len();
    mend_points(text, &source, language);
    let sayable = |text: &str| -> Vec<String> {
        let kept = sentences(text).into_iter().map(str::trim).filter(|sentence| source.bears_out(sentence));
        kept.filter(|sentence| !lists_terms(sentence) && !is_echo(sentence) && !source.is_foreign(sentence))
            .filter_map(|sentence| short(sentence, &source))
            .collect()
    };
    let glue = if text.summary.chars().any(|c| ('\u{3000}'..'\u{a000}').contains(&c)) { "" } else { " " };
    let mut summary = sayable(&plain(&text.summary));
    summary.dedup_by(|next, kept| same_words(next, kept));
    summary.truncate(MOST_SENTENCES);
    text.summary = summary.join(glue);
    text.conclusion = sayable(&plain(&text.conclusion)).join(glue);
    if text.summary.is_empty() {
        text.summary = own::summary(text, chapter, &source).unwrap_or_default();
    }
    leave_out_what_is_told_twice(text, chapter, &source);
    if !right(&text.conclusion) {
        text.conclusion.clear();
    }
    mend_parts(text, &source, language);
    let keywords = std::mem::take(&mut text.keywords);
    for keyword in keywords.into_iter().map(|keyword| source.spell(&flat(&keyword))) {
        let fresh = text.keywords.iter().all(|other| normal(other) != normal(&keyword));
        if fresh && !normal(&keyword).is_empty() && source.bears_out(&keyword) {
            text.keywords.push(keyword);
        }
    }
    let wrong = |field| Err(Fault::Language(field, language.to_owned()));
    // One that the user gave may be what it likes.
    if chapter.title.is_none() {
        if !right(&text.title) {
            return wrong("title");
        }
        if !source.touches(&text.title) {
            return Err(Fault::TitleEmpty(text.title.clone()));
        }
    }
    if !right(&text.summary) {
        return wrong("summary");
    }
    if 2 * text.points.len() < all {
        return Err(Fault::PointsDropped(all - text.points.len()));
    }
    Ok(())
}

/// Whether a text is in its language, as far as scripts tell.
fn is_right(text: &str, source: &Source, language: &str) -> bool {
    is_in_script_of(language, text) && !source.is_foreign(text)
}

/// A text on one line, without lead-ins, its names as they were spelt.
fn plain(text: &str, source: &Source) -> String {
    source.spell(&without_lead_ins(&whole(&flat(text))))
}

/// Points find the lines that bear them out, or are dropped; what is said twice is said once.
fn mend_points(text: &mut Text, source: &Source, language: &str) {
    text.written += text.points.len();
    for mut point in std::mem::take(&mut text.points) {
        point.text = plain(&point.text, source);
        let right = !is_echo(&point.text) && is_right(&point.text, source, language);
        let Some(lines) = source.anchor(&point.text, &point.lines).filter(|_| right) else {
            tracing::info!(text = point.text, "a point was dropped: no line bears it out");
            continue;
        };
        let Some(said) = quoted(&point.text, source) else {
            tracing::info!(text = point.text, "a point was dropped: it says too little");
            continue;
        };
        add(text, TextPoint { lines, text: said });
    }
}

/// A sentence that stands for itself, with no more copied than may be; `None` when it says too little.
pub(super) fn quoted(sentence: &str, source: &Source) -> Option<String> {
    short(&capital(without_opener(sentence)), source).filter(|short| !source.is_too_little(short))
}

fn short(sentence: &str, source: &Source) -> Option<String> {
    let short = source.shorten(sentence, MOST_COPIED).map(|short| ended(&short));
    short.filter(|short| is_statement(short))
}

/// Adds a point that says something else than the others, as long as there are not too many.
fn add(text: &mut Text, point: TextPoint) {
    let said = text.points.iter().any(|other| same_words(&other.text, &point.text));
    if !said && text.points.len() < MOST_POINTS {
        text.points.push(point);
    }
}

/// Adds what was written when only points were asked for.
pub(super) fn add_points(text: &mut Text, mut more: Text, chapter: &Chapter, language: &str) {
    let source = source(chapter, language);
    mend_points(&mut more, &source, language);
    take_points(text, more);
    leave_out_what_is_told_twice(text, chapter, &source);
}

/// Adds the points of a first attempt.
pub(super) fn add_first(text: &mut Text, first: Text, chapter: &Chapter, language: &str) {
    take_points(text, first);
    leave_out_what_is_told_twice(text, chapter, &source(chapter, language));
}

/// Titles of parts as that of the chapter. One that says nothing of its own, or that the lines do not bear out, is
/// emptied.
fn mend_parts(text: &mut Text, source: &Source, language: &str) {
    let mut said = vec![text.title.clone()];
    for title in &mut text.parts {
        *title = capital(&source.spell(bare_title(&flat(title))));
        let fresh = said.iter().all(|other| !same_words(other, title));
        if fresh && is_in_script_of(language, title) && source.bears_out(title) {
            said.push(title.clone());
        } else {
            title.clear();
        }
    }
}

/// What a conclusion says again; points that the title or the summary tells, as long as three are left; sentences of the
/// summary that a point tells still, as long as one is left. In the place of points told even then comes what the chapter
/// says itself, or nothing in another language where two others are left.
fn leave_out_what_is_told_twice(text: &mut Text, chapter: &Chapter, source: &Source) {
    let mut told: Vec<&str> = sentences(&text.summary);
    let tells = |told: &[&str], said: &str| {
        told.iter().chain([&text.title.as_str(), &told.concat().as_str()]).any(|told| same_words(told, said))
    };
    let again = |other: &TextPoint| same_words(&other.text, &text.conclusion);
    if tells(&told, &text.conclusion)
        || same_words(&text.summary, &text.conclusion)
        || text.points.iter().any(again)
    {
        text.conclusion.clear();
    }
    for i in (0..text.points.len()).rev() {
        if text.points.len() > LEAST_POINTS && tells(&told, &text.points[i].text) {
            text.points.remove(i);
        }
    }
    for i in (0..told.len()).rev() {
        if told.len() > 1 && text.points.iter().any(|point| same_words(&point.text, told[i])) {
            told.remove(i);
        }
    }
    let repeated: Vec<usize> =
        (0..text.points.len()).filter(|&i| tells(&told, &text.points[i].text)).collect();
    text.summary = told.concat().trim_end().to_owned();
    let mut others = own::untold(text, chapter, source, repeated.len());
    for i in repeated.into_iter().rev() {
        match others.pop() {
            Some(own) => {
                text.points[i] = own;
                text.own += 1;
            }
            None if !source.is_in_its_language() && text.points.len() > 2 => drop(text.points.remove(i)),
            None => {}
        }
    }
}

/// Takes over the points of another attempt that say something else.
fn take_points(text: &mut Text, other: Text) {
    text.written += other.written;
    text.own += other.own;
    other.points.into_iter().for_each(|point| add(text, point));
}

/// Whether a sentence only lists what has a field of its own.
fn lists_terms(sentence: &str) -> bool {
    let lower = sentence.to_lowercase();
    ["the key terms", "key terms", "keywords", "the keywords"].iter().any(|head| lower.starts_with(head))
}

/// Whether there is enough of it to say something: two words, or some characters where words are not parted.
fn is_statement(text: &str) -> bool {
    text.split_whitespace().count() >= 2 || text.chars().filter(|c| *c >= '\u{2e80}').count() >= 4
}

/// The text with an end instead of a comma and of a word that goes on.
fn ended(text: &str) -> String {
    let text = text.trim_end();
    let open = |text: &str| text.len() - text.trim_end_matches([',', ';', ':', '-', ' ']).len();
    let mut rest = &text[..text.len() - open(text)];
    let words = rest.trim_end_matches(['.', '…']);
    if let Some((before, last)) = words.rsplit_once(' ')
        && ["and", "but", "or", "so", "because", "the", "a", "of"].contains(&last)
    {
        rest = &before[..before.len() - open(before)];
    }
    if rest.len() == text.len() { text.to_owned() } else { format!("{rest}.") }
}

/// The text up to where its last sentence ends: what was cut off by its longest length is no sentence.
pub(super) fn whole(text: &str) -> String {
    let all = sentences(text);
    let last = all.last().copied().unwrap_or("");
    let ended = last.trim_end().ends_with(['.', '!', '?', '。', '！', '？', '"', '”', ')', '）', ':', '…']);
    if ended || all.len() < 2 {
        text.to_owned()
    } else {
        text[..text.len() - last.len()].trim_end().to_owned()
    }
}

/// The text without what only ties it to the sentence before.
pub(super) fn without_opener(text: &str) -> &str {
    const OPENERS: [&str; 16] = [
        "and so ",
        "and then ",
        "so, ",
        "so ",
        "and ",
        "but ",
        "well, ",
        "now, ",
        "yeah, ",
        "okay, ",
        "you know, ",
        "i mean, ",
        "basically, ",
        "like, ",
        "then, ",
        "right, ",
    ];
    let mut rest = text.trim_start();
    while let Some(opener) = OPENERS
        .iter()
        .find(|opener| rest.get(..opener.len()).is_some_and(|head| head.eq_ignore_ascii_case(opener)))
    {
        rest = rest[opener.len()..].trim_start();
    }
    rest
}

#[cfg(test)]
#[path = "mend_tests.rs"]
pub(super) mod tests;
