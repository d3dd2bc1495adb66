//! Words as terms: lower-cased, lightly stemmed, without stop words; Han text as character bigrams.

use std::cmp::Ordering;
use std::collections::HashMap;

/// A term, as the hash of its stem. The text itself is not kept.
pub(super) type Term = u64;

/// More of one observation than this is not read: a hostile subtitle must not cost more than a long one.
const MAX_TEXT: usize = 4096;

/// Terms with their counts, sorted by term, so that sums come out the same on every run.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Bag(Vec<(Term, f32)>);

impl Bag {
    /// The terms of a text.
    pub(super) fn of(text: &str) -> Self {
        let mut found = Vec::new();
        let mut han: Option<char> = None;
        let mut word = String::new();
        for c in text.chars().take(MAX_TEXT).chain(std::iter::once(' ')) {
            if is_han(c) {
                push_word(&mut word, &mut found);
                if let Some(before) = han
                    && !is_function_character(before)
                    && !is_function_character(c)
                {
                    found.push((hash([before, c].into_iter()), 1.0));
                }
                han = Some(c);
            } else {
                han = None;
                if c.is_alphanumeric() || (c == '\'' || c == '’') && !word.is_empty() {
                    word.extend(c.to_lowercase());
                } else {
                    push_word(&mut word, &mut found);
                }
            }
        }
        Self::collect(found)
    }

    /// The sum of several bags.
    pub(super) fn sum<'a>(bags: impl Iterator<Item = &'a Self>) -> Self {
        Self::collect(bags.flat_map(|bag| bag.0.iter().copied()).collect())
    }

    fn collect(mut found: Vec<(Term, f32)>) -> Self {
        found.sort_unstable_by_key(|&(term, _)| term);
        found.dedup_by(|next, kept| {
            let same = next.0 == kept.0;
            if same {
                kept.1 += next.1;
            }
            same
        });
        Self(found)
    }

    /// The terms.
    pub(super) fn terms(&self) -> impl Iterator<Item = Term> + '_ {
        self.0.iter().map(|&(term, _)| term)
    }
}

/// How rare terms are, from the stream so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Rarity {
    seen: HashMap<Term, f32>,
    lines: f32,
}

/// Above this many terms all counts are halved and the rare ones forgotten: memory stays bounded for ever.
const MAX_TERMS: usize = 16_384;

impl Rarity {
    /// Counts a line.
    pub(super) fn count(&mut self, bag: &Bag) {
        self.lines += 1.0;
        for term in bag.terms() {
            *self.seen.entry(term).or_default() += 1.0;
        }
        while self.seen.len() > MAX_TERMS {
            self.lines /= 2.0;
            self.seen.retain(|_, count| {
                *count /= 2.0;
                *count >= 0.75
            });
        }
    }

    /// Inverse document frequency of a term, a line being the document. At least 30 lines are assumed, or every
    /// word of the first minute would be as common as the next.
    fn weight(&self, term: Term) -> f32 {
        let count = self.seen.get(&term).copied().unwrap_or(0.0);
        ((self.lines.max(30.0) + 1.0) / (count + 0.5)).ln().max(0.1)
    }

    /// Terms held.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.seen.len()
    }

    fn value(&self, &(term, count): &(Term, f32)) -> f32 {
        (1.0 + count).ln() * self.weight(term)
    }

    /// Cosine of two bags, 0 to 1, with log term frequency times inverse document frequency; `None` when one is empty.
    pub(super) fn cosine(&self, a: &Bag, b: &Bag) -> Option<f32> {
        let norm = |bag: &Bag| bag.0.iter().map(|entry| self.value(entry).powi(2)).sum::<f32>();
        let norms = norm(a) * norm(b);
        let dot: f32 = shared(a, b).map(|(x, y)| self.value(x) * self.value(y)).sum();
        (norms > 0.0).then(|| (dot / norms.sqrt()).clamp(0.0, 1.0))
    }
}

/// The entries of terms that both bags have.
fn shared<'a>(a: &'a Bag, b: &'a Bag) -> impl Iterator<Item = (&'a (Term, f32), &'a (Term, f32))> {
    let (mut i, mut j) = (0, 0);
    std::iter::from_fn(move || {
        while let (Some(x), Some(y)) = (a.0.get(i), b.0.get(j)) {
            match x.0.cmp(&y.0) {
                Ordering::Less => i += 1,
                Ordering::Greater => j += 1,
                Ordering::Equal => {
                    (i, j) = (i + 1, j + 1);
                    return Some((x, y));
                }
            }
        }
        None
    })
}

fn push_word(word: &mut String, found: &mut Vec<(Term, f32)>) {
    let plain = word.split(['\'', '’']).next().unwrap_or_default();
    let long_enough = plain.chars().count() > 2 || plain.chars().any(|c| c.is_ascii_digit());
    if long_enough
        && STOP_WORDS.binary_search(&plain).is_err()
        && STOP_WORDS.binary_search(&word.as_str()).is_err()
    {
        found.push((hash(stem(plain).chars()), 1.0));
    }
    word.clear();
}

/// Takes English endings off: enough that `nodes`, `running` and `settled` meet `node`, `run` and `settle`.
fn stem(word: &str) -> &str {
    if !word.is_ascii() || word.len() < 4 {
        return word;
    }
    let cut = |ending: &str, least: usize| word.strip_suffix(ending).filter(|rest| rest.len() >= least);
    let base = if let Some(rest) = cut("ies", 3) {
        return rest;
    } else if let Some(rest) = cut("sses", 2) {
        &word[..rest.len() + 2]
    } else if word.ends_with("ss") || word.ends_with("us") || word.ends_with("is") {
        word
    } else {
        word.strip_suffix('s').unwrap_or(word)
    };
    let cut = |ending: &str| base.strip_suffix(ending).filter(|rest| rest.len() >= 3);
    let base = ["ations", "ation", "ing", "ed", "ly", "er"].into_iter().find_map(cut).unwrap_or(base);
    let bytes = base.as_bytes();
    let doubled =
        bytes.len() > 3 && bytes[bytes.len() - 1] == bytes[bytes.len() - 2] && bytes[bytes.len() - 1] != b's';
    if doubled || base.len() > 3 && (base.ends_with('e') || base.ends_with('y')) {
        &base[..base.len() - 1]
    } else {
        base
    }
}

fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{2fa1f}')
}

/// Characters that mostly join words of content in Chinese; a bigram with one of them says little.
fn is_function_character(c: char) -> bool {
    "的了是在和就也都这那个们我你他她它不有一么吗呢吧啊嗯呃对说会要能很还把被让给到去来上下里中为以及与或但而因所如果可".contains(c)
}

/// FNV-1a over the scalar values: stable over runs and machines.
fn hash(text: impl Iterator<Item = char>) -> Term {
    text.fold(0xcbf2_9ce4_8422_2325, |state, c| {
        (state ^ u64::from(u32::from(c))).wrapping_mul(0x0100_0000_01b3)
    })
}

/// English words that say nothing about the topic, fillers of speech among them. Sorted.
#[rustfmt::skip]
const STOP_WORDS: &[&str] = &[
    "a", "about", "above", "actually", "after", "again", "against", "ago", "ain't", "all", "almost",
    "already", "alright", "also", "although", "always", "am", "an", "and", "another", "any", "anybody",
    "anyone", "anything", "anyway", "are", "aren't", "around", "as", "ask", "at", "away", "back",
    "basically", "be", "because", "been", "before", "being", "below", "between", "big", "bit", "both",
    "but", "by", "call", "called", "came", "can", "can't", "cannot", "come", "comes", "coming", "could",
    "couldn", "couldn't", "course", "definitely", "did", "didn", "didn't", "different", "do", "does",
    "doesn", "doesn't", "doing", "don", "don't", "done", "down", "during", "each", "either", "else", "end",
    "enough", "even", "ever", "every", "everybody", "everyone", "everything", "exactly", "far", "few",
    "first", "for", "from", "get", "gets", "getting", "give", "given", "go", "goes", "going", "gonna",
    "good", "got", "gotta", "great", "guess", "guy", "guys", "had", "has", "hasn't", "have", "haven't",
    "having", "he", "her", "here", "hers", "hey", "him", "his", "how", "i'd", "i'll", "i'm", "i've", "idea",
    "if", "important", "in", "instead", "into", "is", "isn", "isn't", "it", "it'd", "it'll", "it's", "its",
    "itself", "just", "kind", "know", "last", "least", "let", "let's", "like", "likely", "literally",
    "little", "ll", "long", "look", "looking", "lot", "lots", "made", "make", "makes", "making", "many",
    "may", "maybe", "me", "mean", "means", "might", "mine", "more", "most", "much", "must", "my", "myself",
    "need", "needed", "needs", "never", "new", "next", "nice", "no", "nobody", "not", "nothing", "now",
    "of", "off", "often", "okay", "on", "once", "one", "ones", "only", "onto", "or", "other", "others",
    "otherwise", "our", "out", "over", "own", "part", "people", "perhaps", "place", "please", "point",
    "pretty", "probably", "put", "quite", "rather", "re", "really", "right", "said", "same", "saw", "say",
    "saying", "says", "second", "see", "seen", "she", "should", "shouldn", "shouldn't", "show", "side",
    "similar", "simply", "since", "so", "some", "somebody", "somehow", "someone", "something", "sometimes",
    "somewhat", "sort", "start", "still", "stuff", "such", "sure", "take", "takes", "taking", "talk",
    "talked", "talking", "tell", "than", "thank", "thanks", "that", "that's", "the", "their", "them",
    "themselves", "then", "there", "there's", "these", "they", "they'd", "they'll", "they're", "they've",
    "thing", "things", "think", "third", "this", "those", "though", "thought", "three", "through", "thus",
    "time", "times", "to", "today", "together", "told", "too", "took", "tried", "try", "trying", "two",
    "uh", "um", "under", "understand", "until", "up", "upon", "us", "use", "used", "using", "usually", "ve",
    "very", "via", "want", "wanted", "wants", "was", "wasn", "wasn't", "way", "ways", "we", "we'd", "we'll",
    "we're", "we've", "well", "went", "were", "weren't", "what", "what's", "whatever", "when", "where",
    "whether", "which", "while", "who", "whole", "whose", "why", "will", "with", "within", "without",
    "won't", "word", "work", "working", "works", "would", "wouldn", "wouldn't", "yeah", "year", "years",
    "yes", "yet", "you", "you'd", "you'll", "you're", "you've", "your", "yours", "yourself",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stop_words_are_sorted_for_the_search() {
        assert!(STOP_WORDS.is_sorted());
    }

    #[test]
    fn inflected_words_meet_and_stop_words_go() {
        assert_eq!(Bag::of("The nodes were running"), Bag::of("a node runs"));
        assert_eq!(Bag::of("settled settles"), Bag::of("settle settling"));
        assert_eq!(Bag::of("so what is it that we're going to do"), Bag::default());
        assert_ne!(Bag::of("version 21"), Bag::of("version 22"));
    }

    #[test]
    fn han_text_is_compared_by_pairs_of_characters() {
        let rarity = Rarity::default();
        let near = rarity.cosine(&Bag::of("比特币区块链技术"), &Bag::of("区块链与比特币")).unwrap_or(0.0);
        let far = rarity.cosine(&Bag::of("比特币区块链技术"), &Bag::of("面包烘焙温度")).unwrap_or(1.0);
        assert!(near > 0.5 && far == 0.0, "{near} {far}");
        assert_eq!(Bag::of("我们的是了"), Bag::default(), "function characters carry no topic");
    }

    #[test]
    fn rare_terms_weigh_more_than_common_ones() {
        let mut rarity = Rarity::default();
        (0..100).for_each(|_| rarity.count(&Bag::of("bitcoin")));
        let (common, rare) = (Bag::of("bitcoin mempool"), Bag::of("bitcoin channel"));
        assert!(rarity.cosine(&common, &rare).is_some_and(|c| c < 0.1));
        assert_eq!(rarity.cosine(&common, &Bag::default()), None);
    }
}
