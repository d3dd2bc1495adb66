//! What was said in a chapter, to look up what the model wrote of it: which lines bear a point out, how a name is
//! spelt, and what is copied.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use super::terms::{Kind, Term, bare, is_han, numbers, terms, words};
use crate::model::SegmentId;

/// At least this share of the content words of a point stands in its lines; those of a name count twice.
const BORNE_OUT: f64 = 0.5;
/// Lines that bear this much more of a point out are taken instead of those the model named: it is often a line off.
const CLEARLY_BETTER: f64 = 0.25;
/// A point comes from at most so many neighbouring lines, when it is looked for.
const WINDOW: usize = 4;
/// A point whose lines lie further apart is looked for.
const WIDEST: usize = 8;
/// A sentence with fewer content words tells nothing of a chapter.
const LEAST_TERMS: usize = 2;
/// A shorter word has too many neighbours to be mended.
const SHORTEST_MENDED: usize = 5;

/// Which words of a text can be looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lookup {
    /// The text is in the language of the lines.
    Words,
    /// It is in another one: only numbers and, in another script, what is written in Latin letters.
    Names,
}

struct Line {
    segment: SegmentId,
    /// A picture has no words: what is taken from it cannot be looked up.
    picture: bool,
    keys: HashSet<String>,
    numbers: HashSet<String>,
}

/// The lines of a chapter.
pub(crate) struct Source {
    lines: Vec<Line>,
    lookup: Lookup,
    /// Names as they are spelt, by their lower case.
    names: HashMap<String, String>,
    /// All words in lower case.
    known: HashSet<String>,
    /// All words in their order, for what is copied.
    words: Vec<String>,
    /// How many different content words there are.
    terms: usize,
    /// Whether some letters are of another script than Latin and Greek.
    other_letters: bool,
}

fn has_other_letters(text: &str) -> bool {
    text.chars().any(|c| c >= '\u{400}' && c.is_alphabetic())
}

impl Source {
    /// The lines of a chapter in their order; a picture has no text.
    pub(crate) fn new<'a>(lines: impl Iterator<Item = (SegmentId, Option<&'a str>)>, lookup: Lookup) -> Self {
        let mut source = Self {
            lines: Vec::new(),
            lookup,
            names: HashMap::new(),
            known: HashSet::new(),
            words: Vec::new(),
            terms: 0,
            other_letters: false,
        };
        for (segment, text) in lines {
            let picture = text.is_none();
            let text = text.unwrap_or("");
            source.other_letters |= has_other_letters(text);
            let found = terms(text);
            for term in found.iter().filter(|term| term.kind == Kind::Name) {
                let name = bare(&text[term.at.clone()]);
                source.names.entry(name.to_lowercase()).or_insert_with(|| name.to_owned());
            }
            let lower = words(text).into_iter().map(|(_, word)| word.to_lowercase());
            source.words.extend(lower);
            source.lines.push(Line {
                segment,
                picture,
                keys: found.into_iter().map(|term| term.key).collect(),
                numbers: numbers(text).into_iter().collect(),
            });
        }
        source.terms = source.lines.iter().flat_map(|line| &line.keys).collect::<HashSet<_>>().len();
        source.known = source.words.iter().map(|word| bare(word).to_owned()).collect();
        source
    }

    /// Whether there is anything to look words up in: pictures have none.
    pub(crate) fn can_tell(&self) -> bool {
        !self.lines.is_empty() && self.lines.iter().all(|line| !line.picture)
    }

    /// Whether the text is in the language of the lines.
    pub(crate) fn is_in_its_language(&self) -> bool {
        self.lookup == Lookup::Words
    }

    /// Whether words of the lines stand in a text, or none of it can be looked up.
    pub(crate) fn touches(&self, text: &str) -> bool {
        let terms = self.claims(text);
        !self.can_tell()
            || terms.is_empty()
            || terms.iter().any(|term| self.lines.iter().any(|line| line.keys.contains(&term.key)))
    }

    /// Whether a text in the language of the lines has letters of a script that none of them is in.
    pub(crate) fn is_foreign(&self, text: &str) -> bool {
        self.can_tell() && self.is_in_its_language() && !self.other_letters && has_other_letters(text)
    }

    /// Whether a text has next to no content words, though the lines have some.
    pub(crate) fn is_too_little(&self, text: &str) -> bool {
        let keys: HashSet<String> = self.claims(text).into_iter().map(|term| term.key).collect();
        self.can_tell() && self.is_in_its_language() && keys.len() < LEAST_TERMS.min(self.terms)
    }

    /// The lines that bear a text out: those named, or those where its words stand; `None` when no lines do.
    pub(crate) fn anchor(&self, text: &str, named: &[SegmentId]) -> Option<Vec<SegmentId>> {
        let at = |line: &Line| named.contains(&line.segment);
        let first = self.lines.iter().position(at);
        let last = self.lines.iter().rposition(at);
        let range = first.zip(last).map(|(first, last)| first..last + 1);
        if let Some(range) = &range
            && self.lines[range.clone()].iter().any(|line| line.picture)
        {
            return Some(named.to_owned());
        }
        let mut terms = self.claims(text);
        let found = self.place(&terms, range.clone());
        if found.is_some() || self.lookup == Lookup::Words || !self.bears_out(text) {
            return found.map(|range| self.segments(range));
        }
        // A translation names what its lines only mean: names of the chapter will do, numbers have to be theirs.
        terms.retain(|term| term.kind == Kind::Number);
        self.place(&terms, range).map(|range| self.segments(range))
    }

    /// Where these terms stand: in the lines named, or in others that bear them out clearly better.
    fn place(&self, terms: &[Term], named: Option<Range<usize>>) -> Option<Range<usize>> {
        if terms.is_empty() {
            // Nothing that could be looked up: the model's word is all there is.
            return named;
        }
        let starts = 0..self.lines.len();
        let windows = starts.flat_map(|start| {
            (1..=WINDOW)
                .map(move |length| start..start + length)
                .filter(|range| range.end <= self.lines.len())
        });
        // Of two that say as much the shorter one.
        let best = windows
            .map(|range| (self.share(terms, range.clone()) - 0.02 * range.len() as f64, range))
            .max_by(|(a, left), (b, right)| a.total_cmp(b).then(right.start.cmp(&left.start)));
        let (_, best) = best?;
        let share = self.share(terms, best.clone());
        if let Some(range) = named.filter(|range| range.len() <= WIDEST) {
            let named = self.share(terms, range.clone());
            if named >= BORNE_OUT && share < named + CLEARLY_BETTER {
                return Some(range);
            }
        }
        (share >= BORNE_OUT).then_some(best)
    }

    /// Whether a sentence about the whole chapter is borne out by its lines, or nothing of it can be looked up.
    pub(crate) fn bears_out(&self, text: &str) -> bool {
        let terms = self.claims(text);
        !self.can_tell() || terms.is_empty() || self.share(&terms, 0..self.lines.len()) >= BORNE_OUT
    }

    fn segments(&self, range: Range<usize>) -> Vec<SegmentId> {
        self.lines[range].iter().map(|line| line.segment).collect()
    }

    /// The terms of a text that can be looked up.
    fn claims(&self, text: &str) -> Vec<Term> {
        let mut found = terms(text);
        if self.lookup == Lookup::Names {
            let other_script = text.chars().any(is_han);
            found.retain(|term| match term.kind {
                Kind::Number => true,
                Kind::Name | Kind::Word => other_script && term.key.is_ascii(),
                Kind::Han => false,
            });
        }
        found
    }

    /// Which share of the terms stands in some lines; none when a number doesn't.
    fn share(&self, terms: &[Term], range: Range<usize>) -> f64 {
        let lines = &self.lines[range];
        let (mut found, mut all) = (0.0, 0.0);
        for term in terms {
            let weight = match term.kind {
                Kind::Number if lines.iter().any(|line| line.numbers.contains(&term.key)) => continue,
                Kind::Number => return 0.0,
                Kind::Name => 2.0,
                Kind::Word | Kind::Han => 1.0,
            };
            all += weight;
            if lines.iter().any(|line| line.keys.contains(&term.key)) {
                found += weight;
            }
        }
        if all > 0.0 { found / all } else { 1.0 }
    }

    /// The text with its names spelt as the lines have them where the model is one or two letters off.
    pub(crate) fn spell(&self, text: &str) -> String {
        let mut out = String::with_capacity(text.len());
        let mut from = 0;
        for (at, word) in words(text) {
            let word = bare(word);
            if let Some(name) = self.misspelt(word) {
                out += &text[from..at.start];
                out += name;
                from = at.start + word.len();
            }
        }
        out + &text[from..]
    }

    /// The name that a word misspells.
    fn misspelt(&self, word: &str) -> Option<&str> {
        let lower = word.to_lowercase();
        let letters = lower.chars().count();
        if letters < SHORTEST_MENDED || self.known.contains(&lower) || !lower.chars().any(char::is_alphabetic)
        {
            return None;
        }
        let most = if letters < 8 { 1 } else { 2 };
        let near = self.names.iter().filter(|(name, _)| {
            name.chars().count() >= SHORTEST_MENDED
                && name.chars().next() == lower.chars().next()
                // Not of another number or case.
                && !name.starts_with(&lower)
                && !lower.starts_with(name.as_str())
                && digits(name) == digits(&lower)
        });
        let near = near.map(|(name, spelt)| (edits(name, &lower, most), name, spelt));
        let best = near.filter(|(edits, ..)| *edits <= most).min()?;
        Some(best.2)
    }

    /// The longest run of words that a text has in common with the lines, as a range of its words.
    fn copied(&self, units: &[(Range<usize>, &str)]) -> Range<usize> {
        let units: Vec<String> = units.iter().map(|(_, word)| word.to_lowercase()).collect();
        // Runs that end at word i of the text and at each word of the lines.
        let mut ending = vec![0usize; self.words.len() + 1];
        let mut best = 0..0;
        for (i, unit) in units.iter().enumerate() {
            for at in (0..self.words.len()).rev() {
                ending[at + 1] = if self.words[at] == *unit { ending[at] + 1 } else { 0 };
                if ending[at + 1] > best.len() {
                    best = i + 1 - ending[at + 1]..i + 1;
                }
            }
        }
        best
    }

    /// The longest run that is copied, when it has more than `most` words. A Han character is half a word.
    fn copied_beyond(&self, units: &[(Range<usize>, &str)], most: usize) -> Option<Range<usize>> {
        let run = self.copied(units);
        (length(&units[run.clone()]) > 2 * most).then_some(run)
    }

    /// The text without the rest of a clause that is copied beyond `most` words: it ends where a clause does, or with
    /// an ellipsis. `None` when too little is left.
    pub(crate) fn shorten(&self, text: &str, most: usize) -> Option<String> {
        let mut text = text.to_owned();
        loop {
            let units = words(&text);
            let Some(run) = self.copied_beyond(&units, most) else { return Some(text) };
            let mut end = run.start;
            while length(&units[run.start..end + 1]) <= 2 * most {
                end += 1;
            }
            let clause = (run.start + 1..=end).rev().find(|&k| {
                let between = &text[units[k - 1].0.end..units[k].0.start];
                k > 4
                    && (between.contains([',', ';', '，', '；', '。', '.', '—']) || joins_clauses(units[k].1))
            });
            let (at, tail) = match clause {
                Some(k) => (units[k - 1].0.end, "."),
                None => (units[end - 1].0.end, "…"),
            };
            let han = text[..at].chars().next_back().is_some_and(is_han);
            let tail = if han && tail == "." { "。" } else { tail };
            let shorter = format!("{}{tail}", &text[..at]);
            if shorter.len() >= text.len() || length(&words(&shorter)) < 8 {
                return None;
            }
            text = shorter;
        }
    }
}

/// Half words.
fn length(units: &[(Range<usize>, &str)]) -> usize {
    units.iter().map(|(_, unit)| if unit.chars().all(is_han) { 1 } else { 2 }).sum()
}

fn joins_clauses(word: &str) -> bool {
    const WORDS: [&str; 12] =
        ["and", "as", "because", "but", "if", "or", "so", "when", "where", "which", "while", "whether"];
    WORDS.contains(&word.to_lowercase().as_str())
}

fn digits(word: &str) -> String {
    word.chars().filter(char::is_ascii_digit).collect()
}

/// Letters that differ between two words: replaced, left out, put in, or two neighbours swapped (optimal string
/// alignment). More than `most` is not counted out.
fn edits(a: &str, b: &str, most: usize) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    if a.len().abs_diff(b.len()) > most {
        return most + 1;
    }
    let mut rows = [vec![0; b.len() + 1], vec![0; b.len() + 1], (0..=b.len()).collect()];
    for i in 1..=a.len() {
        rows.rotate_left(1);
        rows[2][0] = i;
        for j in 1..=b.len() {
            let mut cost = (rows[1][j] + 1).min(rows[2][j - 1] + 1);
            cost = cost.min(rows[1][j - 1] + usize::from(a[i - 1] != b[j - 1]));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                cost = cost.min(rows[0][j - 2] + 1);
            }
            rows[2][j] = cost;
        }
    }
    rows[2][b.len()]
}

#[cfg(test)]
#[path = "source_tests.rs"]
mod tests;
