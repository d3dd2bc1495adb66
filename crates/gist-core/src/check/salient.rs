//! What a chapter's own lines tell the most of it by: for when a model has nothing to say that they bear out. Sentences
//! are chosen by how many lines share their terms, one after the other, terms told once counting less after that
//! (SumBasic, Nenkova and Vanderwende 2005).

use std::collections::{BTreeMap, BTreeSet};

use super::lead_in::sentences;
use super::same_words;
use super::terms::{Kind, bare, terms};

/// A sentence of fewer terms states nothing.
const LEAST_TERMS: usize = 4;
/// What a term still counts for that was told.
const TOLD: f64 = 0.25;

/// At most `most` sentences as they can be quoted, with the numbers of their lines, in order; `quote` refuses some.
pub(crate) fn salient(
    lines: &[&str],
    most: usize,
    quote: impl Fn(&str) -> Option<String>,
) -> Vec<(usize, String)> {
    let keys = |text: &str| terms(text).into_iter().map(|term| term.key).collect::<BTreeSet<_>>();
    let mut weights: BTreeMap<String, f64> = BTreeMap::new();
    for key in lines.iter().flat_map(|line| keys(line)) {
        *weights.entry(key).or_default() += 1.0;
    }
    let mut rest: Vec<_> = (0..)
        .zip(lines)
        .flat_map(|(line, text)| sentences(text).into_iter().map(move |sentence| (line, sentence.trim())))
        .map(|(line, sentence)| (line, sentence, keys(sentence)))
        .filter(|(_, _, keys)| keys.len() >= LEAST_TERMS)
        .collect();
    let mut chosen: Vec<(usize, *const u8, String)> = Vec::new();
    while chosen.len() < most {
        let score = |keys: &BTreeSet<String>| {
            keys.iter().map(|key| weights[key]).sum::<f64>() / (keys.len() as f64).sqrt()
        };
        let mut order: Vec<(f64, usize)> =
            rest.iter().enumerate().map(|(at, (_, _, keys))| (score(keys), at)).collect();
        // Of two that score the same the earlier one.
        order.sort_unstable_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)));
        let fresh = |quoted: &String| chosen.iter().all(|(_, _, other)| !same_words(other, quoted));
        let best = order.into_iter().find_map(|(_, at)| Some((at, quote(rest[at].1).filter(fresh)?)));
        let Some((at, quoted)) = best else { break };
        let (line, sentence, keys) = rest.remove(at);
        for key in keys {
            weights.entry(key).and_modify(|weight| *weight *= TOLD);
        }
        chosen.push((line, sentence.as_ptr(), quoted));
    }
    chosen.sort_unstable_by_key(|(line, at, _)| (*line, *at));
    chosen.into_iter().map(|(line, _, quoted)| (line, quoted)).collect()
}

/// The `most` words and names that stand in the most lines, each as it was written first.
pub(crate) fn key_terms(lines: &[&str], most: usize) -> Vec<String> {
    let mut counts: BTreeMap<String, (usize, usize, String)> = BTreeMap::new();
    for (at, text) in lines.iter().enumerate() {
        let mut seen = BTreeSet::new();
        for term in terms(text).into_iter().filter(|term| term.kind != Kind::Number) {
            if seen.insert(term.key.clone()) {
                let (count, _, _) =
                    counts.entry(term.key).or_insert_with(|| (0, at, bare(&text[term.at]).to_owned()));
                *count += 1;
            }
        }
    }
    let mut all: Vec<_> = counts.into_values().collect();
    all.sort_by(|a, b| b.0.cmp(&a.0).then(a.1.cmp(&b.1)));
    all.into_iter().take(most).map(|(_, _, word)| word).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 4] = [
        "Good morning everybody. Nice to see you all.",
        "Today the mempool decides which transactions a miner puts into the next block.",
        "A full mempool throws out transactions that pay the lowest fee. Right.",
        "So a miner looks at the fee of transactions in the mempool first.",
    ];

    #[test]
    fn sentences_about_what_most_lines_are_about_are_chosen_in_order() {
        let any = |sentence: &str| Some(sentence.to_owned());
        let chosen = salient(&LINES, 2, any);
        assert_eq!(chosen.len(), 2);
        assert!(
            chosen.iter().all(|(line, sentence)| LINES[*line].contains(sentence) && *line > 0),
            "{chosen:?}"
        );
        assert!(chosen[0].0 < chosen[1].0);
        assert_eq!(salient(&["Yes.", "No, no."], 3, any), []);
        let others = salient(&LINES, 2, |sentence| any(sentence).filter(|quoted| *quoted != chosen[0].1));
        assert_eq!(others.len(), 2);
        assert!(!others.contains(&chosen[0]), "one that is refused makes room for the next");
    }

    #[test]
    fn key_terms_are_those_of_most_lines() {
        assert_eq!(key_terms(&LINES, 2), ["mempool", "transactions"]);
        assert_eq!(key_terms(&[], 3), [] as [String; 0]);
    }
}
