use super::*;

const LINES: [&str; 5] = [
    "A node that has just started asks a seed for the addresses of 20 peers.",
    "Then Pieter Wuille wrote Ultraprune, which keeps the unspent outputs in a database.",
    "The database was called chainstate and the miners liked it a lot.",
    "And Utreexo is another idea: it proves that a coin is there with a hash tree.",
    "And so we are done with all of that for today, thank you.",
];

fn source(lookup: Lookup) -> Source {
    Source::new((10..).zip(LINES.iter().map(|line| Some(*line))), lookup)
}

fn copies(source: &Source, text: &str, most: usize) -> bool {
    source.copied_beyond(&words(text), most).is_some()
}

#[test]
fn a_point_keeps_the_lines_that_bear_it_out_and_finds_them_when_others_were_named() {
    let source = source(Lookup::Words);
    let point = "A new node asks a seed for addresses.";
    assert_eq!(source.anchor(point, &[10]), Some(vec![10]));
    assert_eq!(source.anchor(point, &[13]), Some(vec![10]), "the wrong line was named");
    assert_eq!(source.anchor(point, &[]), Some(vec![10]));
    let database = "The database was called chainstate.";
    assert_eq!(source.anchor(database, &[11]), Some(vec![12]), "a line off, in which half of it stands");
    assert_eq!(source.anchor("Dogs and cats live in large houses.", &[10]), None);
}

#[test]
fn a_number_that_nobody_said_bears_nothing_out() {
    let source = source(Lookup::Words);
    assert!(source.anchor("A node asks a seed for 20 peers.", &[10]).is_some());
    assert!(source.anchor("A node asks a seed for twenty peers.", &[10]).is_some());
    assert_eq!(source.anchor("A node asks a seed for 25 peers.", &[10]), None);
}

#[test]
fn a_text_in_another_language_is_told_by_its_numbers_and_names() {
    let source = source(Lookup::Names);
    assert_eq!(source.anchor("Ultraprune把未花费的输出放进数据库。", &[10]), Some(vec![11]));
    assert_eq!(source.anchor("新节点向种子询问地址。", &[10]), Some(vec![10]), "nothing to look up");
    assert_eq!(source.anchor("节点向Kademlia询问地址。", &[10]), None);
    assert_eq!(source.anchor("Ein Knoten fragt nach 25 Adressen.", &[10]), None);
    assert!(source.anchor("Ein Knoten fragt nach 20 Adressen.", &[10]).is_some());
}

#[test]
fn a_translation_may_name_what_its_lines_only_mean() {
    let said =
        ["We talk about Wuille and Utreexo.", "-", "-", "-", "-", "It has 20 peers.", "It has 30 peers."];
    let source = Source::new((0..).zip(said.iter().map(|line| Some(*line))), Lookup::Names);
    assert_eq!(
        source.anchor("Wuille的Utreexo有20个同伴。", &[6]),
        Some(vec![5]),
        "the number is that of its line"
    );
    assert_eq!(source.anchor("Wuille的Utreexo有20个同伴。", &[5]), Some(vec![5]));
    assert_eq!(source.anchor("Kademlia有20个同伴。", &[5]), None, "a name that nobody said");
}

#[test]
fn names_are_spelt_as_they_were_and_other_words_are_left_alone() {
    let source = source(Lookup::Words);
    assert_eq!(source.spell("Peter Wuile wrote Ultrapune."), "Pieter Wuille wrote Ultraprune.");
    assert_eq!(source.spell("Utrexo's trees and a note."), "Utreexo's trees and a note.");
    for same in ["Ultraprune", "The chainstate", "Mines and minors", "节点", ""] {
        assert_eq!(source.spell(same), same);
    }
}

#[test]
fn what_is_copied_ends_with_a_clause() {
    let source = source(Lookup::Words);
    let copied = "Pieter Wuille wrote Ultraprune, which keeps the unspent outputs in a database.";
    assert!(!copies(&source, copied, 12));
    assert!(copies(&source, copied, 8));
    let whole = format!("He says: {copied} The database was called chainstate and the miners liked it.");
    assert!(copies(&source, &whole, 12));
    let shorter = source.shorten(&whole, 12).unwrap();
    assert_eq!(
        shorter,
        "He says: Pieter Wuille wrote Ultraprune, which keeps the unspent outputs in a database."
    );
    assert!(!copies(&source, &shorter, 12));
}

#[test]
fn what_is_copied_without_a_clause_ends_with_an_ellipsis() {
    let text =
        "one2 two2 three2 four2 five2 six2 seven2 eight2 nine2 ten2 eleven2 twelve2 thirteen2 fourteen2";
    let source = Source::new(std::iter::once((0, Some(text))), Lookup::Words);
    let shorter = source.shorten(text, 12).unwrap();
    assert!(shorter.ends_with("twelve2…"), "{shorter}");
    let han = "共识算法保证所有节点对同一顺序达成一致这是一个很长的句子没有任何标点符号";
    let source = Source::new(std::iter::once((0, Some(han))), Lookup::Words);
    let shorter = source.shorten(han, 12).unwrap();
    assert_eq!(shorter.chars().filter(|c| is_han(*c)).count(), 24, "{shorter}");
}

#[test]
fn a_picture_has_no_words_to_look_up() {
    let source = Source::new([(3, None), (4, Some("words"))].into_iter(), Lookup::Words);
    assert!(!source.can_tell());
    assert_eq!(source.anchor("A slide shows a tree.", &[3]), Some(vec![3]));
}

#[test]
fn edits_count_letters() {
    assert_eq!(edits("schnorr", "schnor", 2), 1);
    assert_eq!(edits("taproot", "tarpoot", 2), 1);
    assert_eq!(edits("merkle", "nakamoto", 1), 2, "not counted out");
    assert_eq!(edits("abcd", "dcba", 4), 3, "b and c are swapped");
}
