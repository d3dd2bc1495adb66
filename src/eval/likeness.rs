//! How alike texts are, by rules that the writer's own checks do not use: pieces of four letters, without stems and
//! without lists of words.

use std::collections::{HashMap, HashSet};

/// A Han character.
pub(super) fn is_han(c: char) -> bool {
    matches!(c, '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{20000}'..='\u{323af}')
}

/// Lower-case words; each Han character is one.
pub(super) fn words(text: &str) -> Vec<String> {
    let mut found = vec![String::new()];
    for c in text.chars() {
        match found.last_mut() {
            Some(word) if c.is_alphanumeric() && !is_han(c) => word.extend(c.to_lowercase()),
            _ if is_han(c) => found.extend([c.to_string(), String::new()]),
            // An apostrophe joins, so that both spellings of it are one.
            _ if c == '\'' || c == '’' => {}
            _ => found.push(String::new()),
        }
    }
    found.retain(|word| !word.is_empty());
    found
}

/// Words with at least four letters, or with a digit, and not among the commonest: what a heading is about.
pub(super) fn content(text: &str) -> HashSet<String> {
    const COMMON: [&str; 36] = [
        "about", "after", "also", "been", "before", "being", "between", "could", "does", "done", "from",
        "have", "here", "into", "just", "like", "more", "most", "only", "other", "over", "should", "some",
        "such", "than", "that", "their", "them", "then", "there", "they", "this", "what", "when", "with",
        "your",
    ];
    let tells = |word: &String| {
        let digits = word.chars().any(|c| c.is_ascii_digit());
        digits || word.chars().count() >= 4 && !COMMON.contains(&word.as_str())
    };
    words(text).into_iter().filter(tells).collect()
}

/// F1 of the longest common subsequence of words.
pub(super) fn rouge_l(found: &str, truth: &str) -> f64 {
    let (a, b) = (words(found), words(truth));
    let mut row = vec![0usize; b.len() + 1];
    for word in &a {
        let mut diagonal = 0;
        for j in 0..b.len() {
            let above = row[j + 1];
            row[j + 1] = if *word == b[j] { diagonal + 1 } else { above.max(row[j]) };
            diagonal = above;
        }
    }
    let common = row[b.len()];
    if common == 0 { 0.0 } else { 2.0 * common as f64 / (a.len() + b.len()) as f64 }
}

/// Pieces of four characters of each word, marked at its ends; a Han character with the next one.
pub(super) fn pieces(text: &str) -> HashSet<String> {
    let words = words(text);
    let mut found = HashSet::new();
    for (i, word) in words.iter().enumerate() {
        if word.chars().all(is_han) {
            if let Some(next) = words.get(i + 1).filter(|next| next.chars().all(is_han)) {
                found.insert(format!("{word}{next}"));
            }
            continue;
        }
        let marked: Vec<char> = format!("^{word}$").chars().collect();
        let length = marked.len().min(4);
        found.extend(marked.windows(length).map(|piece| piece.iter().collect::<String>()));
    }
    found
}

/// Dice coefficient of the pieces of two texts, 0 to 1.
pub(super) fn dice(a: &HashSet<String>, b: &HashSet<String>) -> f64 {
    let all = a.len() + b.len();
    if all == 0 { 1.0 } else { 2.0 * a.intersection(b).count() as f64 / all as f64 }
}

/// How rare pieces are in a talk, a line being the document.
pub(super) struct Rarity {
    seen: HashMap<String, usize>,
    lines: usize,
}

impl Rarity {
    pub(super) fn of<'a>(lines: impl Iterator<Item = &'a HashSet<String>>) -> Self {
        let mut rarity = Self { seen: HashMap::new(), lines: 0 };
        for line in lines {
            rarity.lines += 1;
            for piece in line {
                *rarity.seen.entry(piece.clone()).or_default() += 1;
            }
        }
        rarity
    }

    fn weight(&self, piece: &str) -> f64 {
        let seen = self.seen.get(piece).copied().unwrap_or(0) as f64;
        ((self.lines as f64 + 1.0) / (seen + 0.5)).ln().max(0.0)
    }

    /// Which share of a text's pieces, the rare ones counting more, stands in some lines.
    pub(super) fn contained(&self, text: &HashSet<String>, lines: &[&HashSet<String>]) -> f64 {
        // In a fixed order: sums of floats depend on it.
        let mut sorted: Vec<&String> = text.iter().collect();
        sorted.sort_unstable();
        let (mut found, mut all) = (0.0, 0.0);
        for piece in sorted {
            let weight = self.weight(piece);
            all += weight;
            if lines.iter().any(|line| line.contains(piece)) {
                found += weight;
            }
        }
        if all > 0.0 { found / all } else { 1.0 }
    }
}

/// The longest run of words that two texts have in common, in words; a Han character is half a word.
pub(super) fn longest_run(text: &str, source: &[String]) -> f64 {
    let length = |word: &String| if word.chars().all(is_han) { 0.5 } else { 1.0 };
    let mut ending = vec![0.0; source.len() + 1];
    let mut best: f64 = 0.0;
    for word in &words(text) {
        for at in (0..source.len()).rev() {
            ending[at + 1] = if source[at] == *word { ending[at] + length(word) } else { 0.0 };
            best = best.max(ending[at + 1]);
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rouge_l_counts_words_in_order() {
        assert_eq!(rouge_l("How does Tor work", "How does Tor work?"), 1.0);
        assert_eq!(rouge_l("Tor works", "How does Tor work?"), 2.0 / 6.0);
        assert_eq!(rouge_l("", "How?"), 0.0);
        assert_eq!(rouge_l("work Tor", "Tor work"), 0.5);
    }

    #[test]
    fn a_run_is_counted_in_words() {
        let source = words("we flush the cache to disk when it is full, and 共识算法 is done");
        assert_eq!(longest_run("They flush the cache to disk.", &source), 5.0);
        assert_eq!(longest_run("共识算法", &source), 2.0);
        assert_eq!(longest_run("nothing", &source), 0.0);
    }

    #[test]
    fn what_a_line_says_is_contained_in_it_and_other_things_are_not() {
        let lines =
            ["the cache is flushed to disk", "miners choose transactions by fee", "that is it for today"];
        let lines: Vec<_> = lines.iter().map(|line| pieces(line)).collect();
        let rarity = Rarity::of(lines.iter());
        let point = pieces("A cache that is full is flushed to the disk.");
        assert!(rarity.contained(&point, &[&lines[0]]) > 0.5);
        assert!(rarity.contained(&point, &[&lines[1]]) < 0.2);
        assert!(dice(&point, &point) > 0.99 && dice(&point, &lines[1]) < 0.3);
    }
}
