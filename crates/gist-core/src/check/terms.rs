//! What a text is made of, to be looked up in what was said: content words by their stem, names, numbers, and Han text
//! as pairs of characters.

use std::ops::Range;

/// What a term is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Kind {
    /// A content word.
    Word,
    /// A word that is written as a name: with a capital letter inside a sentence, with capitals or digits inside.
    Name,
    /// A number.
    Number,
    /// Two neighbouring Han characters.
    Han,
}

/// A term and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Term {
    /// Bytes of the text.
    pub(super) at: Range<usize>,
    /// What is compared: the stem in lower case, the digits of a number.
    pub(super) key: String,
    pub(super) kind: Kind,
}

/// Words that tell nothing of what a text is about, and those that tell of telling.
const COMMON: &[&str] = &[
    "about",
    "above",
    "across",
    "actually",
    "after",
    "again",
    "against",
    "all",
    "almost",
    "along",
    "already",
    "also",
    "although",
    "always",
    "among",
    "and",
    "another",
    "any",
    "anything",
    "are",
    "around",
    "away",
    "back",
    "basically",
    "because",
    "been",
    "before",
    "being",
    "below",
    "between",
    "both",
    "but",
    "can",
    "cannot",
    "chapter",
    "come",
    "could",
    "describe",
    "did",
    "different",
    "discuss",
    "discussed",
    "discusses",
    "discussing",
    "discussion",
    "does",
    "doing",
    "done",
    "down",
    "during",
    "each",
    "either",
    "else",
    "emphasize",
    "emphasizes",
    "enough",
    "even",
    "ever",
    "every",
    "explain",
    "explained",
    "explains",
    "few",
    "for",
    "from",
    "further",
    "get",
    "give",
    "goes",
    "going",
    "got",
    "had",
    "has",
    "have",
    "having",
    "her",
    "here",
    "highlight",
    "highlights",
    "him",
    "his",
    "how",
    "however",
    "importance",
    "important",
    "include",
    "includes",
    "including",
    "into",
    "involve",
    "involves",
    "its",
    "itself",
    "just",
    "kind",
    "know",
    "less",
    "let",
    "like",
    "line",
    "lines",
    "lot",
    "made",
    "make",
    "makes",
    "making",
    "many",
    "may",
    "maybe",
    "mean",
    "means",
    "mention",
    "mentions",
    "might",
    "more",
    "most",
    "much",
    "must",
    "need",
    "needs",
    "never",
    "not",
    "nothing",
    "now",
    "off",
    "often",
    "once",
    "one",
    "only",
    "onto",
    "other",
    "others",
    "our",
    "out",
    "over",
    "own",
    "people",
    "perhaps",
    "quite",
    "rather",
    "really",
    "said",
    "same",
    "say",
    "says",
    "see",
    "should",
    "since",
    "some",
    "something",
    "speaker",
    "speakers",
    "still",
    "such",
    "take",
    "talk",
    "than",
    "that",
    "the",
    "their",
    "them",
    "then",
    "there",
    "these",
    "they",
    "thing",
    "things",
    "think",
    "this",
    "those",
    "though",
    "through",
    "thus",
    "together",
    "too",
    "toward",
    "under",
    "until",
    "upon",
    "use",
    "used",
    "uses",
    "using",
    "very",
    "via",
    "was",
    "way",
    "well",
    "were",
    "what",
    "when",
    "where",
    "whether",
    "which",
    "while",
    "who",
    "whole",
    "whose",
    "why",
    "will",
    "with",
    "within",
    "without",
    "would",
    "yes",
    "yet",
    "you",
    "your",
];

const SMALL: [&str; 20] = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
];
const TENS: [&str; 10] =
    ["", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"];

/// Endings that do not make another word of it, longest first.
const ENDINGS: &[&str] = &[
    "izations", "ization", "ations", "ities", "ments", "ation", "ating", "ingly", "ions", "ment", "ness",
    "able", "ible", "ance", "ence", "ates", "ated", "ings", "ying", "ity", "ies", "ied", "ive", "ing", "ion",
    "ers", "ors", "ate", "est", "ous", "ful", "ly", "al", "ed", "er", "or", "es", "s", "e", "y", "d",
];

/// A Han character.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Han characters that hold sentences together.
fn joins(c: char) -> bool {
    "的了是在和与及或也都就而但把被对从到为这那其之此有会能可以要我你他它们个一不没".contains(c)
}

/// The stem of a word in lower case, rough on purpose: `propagation` and `propagates` are one, a reader would say so.
pub(super) fn stem(word: &str) -> &str {
    let rest = |ending: &&str| word.strip_suffix(*ending).filter(|rest| rest.chars().count() >= 3);
    let stem = ENDINGS.iter().find_map(rest).unwrap_or(word);
    // plan, planned
    let mut back = stem.chars().rev();
    match (back.next(), back.next()) {
        (Some(a), Some(b)) if a == b && stem.len() < word.len() && stem.chars().count() > 3 => {
            &stem[..stem.len() - a.len_utf8()]
        }
        _ => stem,
    }
}

/// The words of a text as it is written, with their bytes: letters and digits, what joins them inside (`OP_CTV`,
/// `1,000`, `don't`), and each Han character for itself.
pub(super) fn words(text: &str) -> Vec<(Range<usize>, &str)> {
    let mut found = Vec::new();
    let mut start: Option<usize> = None;
    let mut chars = text.char_indices().peekable();
    while let Some((at, c)) = chars.next() {
        let next = chars.peek().map(|&(_, c)| c);
        let before = text[..at].chars().next_back();
        let digits = before.is_some_and(|c| c.is_ascii_digit()) && next.is_some_and(|c| c.is_ascii_digit());
        let inside = match c {
            '\'' | '’' | '_' => next.is_some_and(|c| c.is_alphanumeric() && !is_han(c)),
            '.' | ',' => digits,
            _ => false,
        };
        if is_han(c) {
            found.extend(start.take().map(|from| (from..at, &text[from..at])));
            found.push((at..at + c.len_utf8(), &text[at..at + c.len_utf8()]));
        } else if c.is_alphanumeric() {
            start.get_or_insert(at);
        } else if !(inside && start.is_some()) {
            found.extend(start.take().map(|from| (from..at, &text[from..at])));
        }
    }
    found.extend(start.map(|from| (from..text.len(), &text[from..])));
    found
}

/// The terms of a text.
pub(super) fn terms(text: &str) -> Vec<Term> {
    let words = words(text);
    let mut found = Vec::new();
    for (i, (at, word)) in words.iter().enumerate() {
        let first = word.chars().next().unwrap_or(' ');
        if is_han(first) {
            let next = words.get(i + 1).filter(|(next, _)| next.start == at.end);
            if let Some((next, second)) = next
                && second.chars().all(|c| is_han(c) && !joins(c))
                && !joins(first)
            {
                let at = at.start..next.end;
                found.push(Term { key: text[at.clone()].to_owned(), at, kind: Kind::Han });
            }
            continue;
        }
        found.extend(term(text, at.clone(), word));
    }
    found
}

fn term(text: &str, at: Range<usize>, word: &str) -> Option<Term> {
    let word = bare(word);
    let lower = word.to_lowercase();
    if let Some(number) = number(&lower) {
        return Some(Term { at, key: number, kind: Kind::Number });
    }
    let digits = lower.chars().any(|c| c.is_ascii_digit());
    if !digits && (lower.chars().count() < 3 || COMMON.binary_search(&lower.as_str()).is_ok()) {
        return None;
    }
    let capital = |c: char| c.is_uppercase();
    let name = digits
        || word.chars().skip(1).any(capital)
        || word.starts_with(capital) && !begins_a_sentence(text, at.start);
    let kind = if name { Kind::Name } else { Kind::Word };
    Some(Term { at, key: stem(&lower).to_owned(), kind })
}

/// A word without what an apostrophe adds.
pub(super) fn bare(word: &str) -> &str {
    word.split(['\'', '’']).next().unwrap_or(word)
}

/// Whether a word at this byte is the first of a sentence, where every word is written with a capital.
fn begins_a_sentence(text: &str, at: usize) -> bool {
    let before = text[..at].trim_end_matches(|c: char| c.is_whitespace() || "\"'“‘(-–—*".contains(c));
    before.chars().next_back().is_none_or(|c| ".!?:;。！？：；…>".contains(c))
}

/// The digits of a number that is written in digits or, from ten on, as a word; `21st` is 21. Smaller ones as words are
/// no claim (`one of two ways`).
fn number(lower: &str) -> Option<String> {
    let digits: String = lower.chars().filter(|c| *c != ',').collect();
    let end = digits.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(digits.len());
    if end > 0 && ["", "st", "nd", "rd", "th", "s", "k", "m", "x"].contains(&&digits[end..]) {
        return Some(digits[..end].to_owned());
    }
    spoken(lower).filter(|number| *number >= 10).map(|number| number.to_string())
}

fn spoken(lower: &str) -> Option<usize> {
    let small = SMALL.iter().position(|word| *word == lower);
    small.or_else(|| TENS.iter().skip(2).position(|word| *word == lower).map(|tens| (tens + 2) * 10))
}

/// The numbers a text speaks of, in digits: also the small ones, and those of two words (`twenty one`).
pub(super) fn numbers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut tens: Option<usize> = None;
    for (_, word) in words(text) {
        let lower = word.to_lowercase();
        found.extend(number(&lower));
        let value = spoken(&lower);
        if let (Some(tens), Some(unit @ 1..=9)) = (tens, value) {
            found.push((tens + unit).to_string());
        }
        found.extend(value.map(|value| value.to_string()));
        tens = value.filter(|value| (20..100).contains(value));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Vec<(String, Kind)> {
        terms(text).into_iter().map(|term| (term.key, term.kind)).collect()
    }

    #[test]
    fn the_list_is_in_the_order_it_is_searched_in() {
        assert!(COMMON.is_sorted());
    }

    #[test]
    fn forms_of_a_word_are_one_and_other_words_are_not() {
        for (a, b) in
            [("propagates", "propagation"), ("nodes", "node"), ("verified", "verify"), ("planned", "plan")]
        {
            assert_eq!(stem(a), stem(b), "{a} {b}");
        }
        for (a, b) in [("contract", "contrast"), ("seed", "send"), ("block", "blockchain")] {
            assert_ne!(stem(a), stem(b), "{a} {b}");
        }
    }

    #[test]
    fn names_and_numbers_are_told_from_words() {
        let found = keys("Nodes ask Alice for 1,000 blocks of OP_CTV in version 0.21.");
        let named =
            |kind| found.iter().filter(|(_, k)| *k == kind).map(|(key, _)| key.as_str()).collect::<Vec<_>>();
        assert_eq!(named(Kind::Number), ["1000", "0.21"]);
        assert_eq!(named(Kind::Name), ["alic", "op_ctv"]);
        assert_eq!(named(Kind::Word), ["nod", "ask", "block", "vers"]);
        assert_eq!(keys("共识算法"), keys("共识算法 "));
        assert_eq!(keys("共识算法").len(), 3);
    }

    #[test]
    fn spoken_numbers_are_numbers() {
        assert_eq!(numbers("twenty one of the 21st"), ["20", "20", "21", "1", "21"]);
        assert!(numbers("two ways").contains(&"2".to_owned()));
        assert!(keys("two ways").iter().all(|(_, kind)| *kind != Kind::Number), "no claim about a number");
    }
}
