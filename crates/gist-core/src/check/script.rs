//! Whether a text is in the language it was asked for in, as far as its script tells.

use super::terms::{is_han, words};
use crate::prompt::same_language;

/// Whether a text is written in the script of a language, by its full English name. Names in Latin letters may stand in
/// any text; a language whose script is not known here counts as written in it.
pub(crate) fn is_in_script_of(language: &str, text: &str) -> bool {
    let of = |name: &str| same_language(name, language);
    let any = |words: &[&str]| words.iter().any(|word| of(word));
    let kana = |c: char| matches!(c, '\u{3040}'..='\u{30ff}');
    let hangul = |c: char| matches!(c, '\u{ac00}'..='\u{d7af}' | '\u{1100}'..='\u{11ff}');
    let cyrillic = |c: char| matches!(c, '\u{400}'..='\u{52f}');
    if any(&["Chinese", "Mandarin", "Cantonese"]) {
        written_in(text, is_han)
    } else if of("Japanese") {
        written_in(text, |c| is_han(c) || kana(c))
    } else if of("Korean") {
        written_in(text, hangul)
    } else if any(&["Russian", "Ukrainian", "Bulgarian", "Belarusian", "Macedonian"]) {
        written_in(text, cyrillic)
    } else if any(&[
        "English",
        "French",
        "German",
        "Italian",
        "Spanish",
        "Portuguese",
        "Dutch",
        "Polish",
        "Swedish",
    ]) {
        let letters = text.chars().filter(|c| c.is_alphabetic()).count();
        let foreign = text.chars().filter(|c| is_han(*c) || kana(*c) || hangul(*c) || cyrillic(*c)).count();
        2 * foreign <= letters
    } else {
        true
    }
}

/// Whether at least as many characters of a script stand in a text as words in others, and two of them.
fn written_in(text: &str, script: impl Fn(char) -> bool) -> bool {
    let characters = text.chars().filter(|c| script(*c)).count();
    let others = words(text).into_iter().filter(|(_, word)| !word.chars().any(&script)).count();
    characters >= others.max(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_latin_letters_may_stand_in_any_text() {
        assert!(is_in_script_of("Chinese", "UTXO 集合与 Ultraprune"));
        assert!(!is_in_script_of("Chinese", "The UTXO set and Ultraprune 集合"));
        assert!(!is_in_script_of("Simplified Chinese", "How nodes find each other"));
        assert!(is_in_script_of("Japanese", "ノードはどう見つけるか"));
        assert!(!is_in_script_of("English", "节点如何找到彼此"));
        assert!(is_in_script_of("English", "The word 共识 in a sentence"));
        assert!(is_in_script_of("Klingon", "whatever"));
    }
}
