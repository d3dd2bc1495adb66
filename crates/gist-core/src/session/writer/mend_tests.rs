use super::*;
use crate::event::{ChapterEvent, Kind, Reason};
use crate::model::Dialect;
use crate::session::chapter::{Line, Open, Timeline};
use crate::session::writer::Written;
use crate::session::writer::own::{extract, keyword_title};
use crate::time::{SECOND, Span};

const LINES: [&str; 4] = [
    "So when you shut down the node, it saves everything to disk, and at the start you load it up again.",
    "Then Pieter Wuille wrote Ultraprune in 2012, which keeps the unspent outputs in a database of their own.",
    "The database is about four gigabytes, plus or minus one gigabyte I think, and it grows with every year.",
    "And Utreexo would replace it with a small accumulator that a phone can hold in memory.",
];

pub(crate) fn chapter() -> Chapter {
    let lines = (0..).zip(LINES).map(|(segment, text)| Line {
        segment,
        source: From::Speech,
        span: Span::new(segment * 10 * SECOND, (segment * 10 + 9) * SECOND),
        text: text.into(),
        stamp: None,
    });
    Chapter {
        id: "a-0".into(),
        open: Open::new(0, 0, 0, Timeline::default()),
        span: Span::new(0, 40 * SECOND),
        segments: 0..4,
        parts: Vec::new(),
        lines: lines.collect(),
        decided_at: Some(0),
        reason: Some(Reason::Model),
        title: None,
        dialect: Dialect::Instruct,
    }
}

pub(crate) fn text(points: &[(u64, &str)]) -> Text {
    let point = |(line, text): &(u64, &str)| TextPoint { lines: vec![*line], text: (*text).to_owned() };
    Text {
        title: "Introduction to the coins database".into(),
        summary: "This chapter discusses how coins are kept on disk. A node saves everything to disk.".into(),
        points: points.iter().map(point).collect(),
        keywords: vec!["Utrexo".into(), "database".into(), "Database".into(), "Kubernetes".into()],
        conclusion: "The chapter explains that an accumulator would replace the database.".into(),
        ..Text::default()
    }
}

fn points(text: &Text) -> Vec<(Vec<u64>, &str)> {
    text.points.iter().map(|point| (point.lines.clone(), point.text.as_str())).collect()
}

#[test]
fn a_text_goes_out_without_what_nobody_said() {
    let mut text = text(&[
        (0, "And so the node saves everything to disk."),
        (0, "Peter Wuile wrote Ultraprune in 2012."),
        (2, "The database is about 17 gigabytes."),
        (3, "The node saves everything to disk."),
        (3, "Utreexo is a small accumulator."),
    ]);
    mend(&mut text, &chapter(), "English").unwrap();
    assert_eq!(text.title, "The coins database");
    assert_eq!(text.conclusion, "An accumulator would replace the database.");
    assert_eq!(text.keywords, ["Utreexo", "database"], "spelt as it was, once, and none that was not said");
    assert_eq!(
        points(&text),
        [
            (vec![0], "The node saves everything to disk."),
            (vec![1], "Pieter Wuille wrote Ultraprune in 2012."),
            (vec![3], "Utreexo is a small accumulator."),
        ],
        "a wrong number is dropped and so is what was told before; a wrong line is set right"
    );
    assert_eq!(text.written, 5);
    assert!(!text.summary.contains("chapter"), "{}", text.summary);
}

#[test]
fn a_summary_leaves_out_what_a_point_tells() {
    let mut text =
        text(&[(0, "The node saves everything to disk."), (1, "Pieter Wuille wrote Ultraprune in 2012.")]);
    text.summary = "A node saves everything to disk. An accumulator would replace the database.".into();
    mend(&mut text, &chapter(), "English").unwrap();
    assert_eq!(text.summary, "An accumulator would replace the database.");
    assert_eq!(points(&text).len(), 2);
    text.summary = "A node saves everything to disk. Pieter Wuille wrote Ultraprune in 2012.".into();
    mend(&mut text, &chapter(), "English").unwrap();
    assert_eq!(text.summary, "A node saves everything to disk.", "a sentence is left");
}

#[test]
fn what_would_be_told_twice_is_told_in_the_chapters_own_words() {
    let mut lines = chapter().lines;
    lines[3].text = "A phone holds the accumulator in its memory. Is that a good idea?".into();
    let chapter = Chapter { lines, ..chapter() };
    let mut nothing = text(&[(0, "The node saves everything to disk.")]);
    nothing.summary = "Dogs and cats live in large houses.".into();
    mend(&mut nothing, &chapter, "English").unwrap();
    assert_eq!(nothing.summary, "A phone holds the accumulator in its memory.");

    let mut twice =
        text(&[(0, "The node saves everything to disk."), (1, "Pieter Wuille wrote Ultraprune.")]);
    twice.summary = "A node saves everything to disk.".into();
    mend(&mut twice, &chapter, "English").unwrap();
    assert_eq!(twice.summary, "A node saves everything to disk.");
    assert_eq!(
        points(&twice),
        [
            (vec![3], "A phone holds the accumulator in its memory."),
            (vec![1], "Pieter Wuille wrote Ultraprune."),
        ]
    );
}

#[test]
fn a_title_of_something_else_or_in_other_letters_is_asked_for_again() {
    let fault = |title: &str| {
        let mut text = text(&[(0, "The node saves everything to disk.")]);
        text.title = title.into();
        mend(&mut text, &chapter(), "English")
    };
    assert!(matches!(fault("Screening and Analysis"), Err(Fault::TitleEmpty(_))));
    assert!(matches!(fault("The Database占用"), Err(Fault::Language("title", _))));
    fault("The Database").unwrap();
    let mut text = text(&[(0, "The node saves everything to disk.")]);
    text.summary = "节点把所有数据保存到磁盘。".into();
    mend(&mut text, &chapter(), "English").unwrap();
    assert!(
        !text.summary.is_empty() && text.summary.is_ascii(),
        "a summary can be had without: {}",
        text.summary
    );
}

#[test]
fn what_is_copied_is_cut() {
    let mut text = text(&[(0, LINES[0]), (1, LINES[1]), (2, LINES[2])]);
    text.summary = LINES.join(" ");
    mend(&mut text, &chapter(), "English").unwrap();
    let short = |text: &str| text.split_whitespace().count() <= 14;
    assert!(
        text.points.len() == 3 && text.points.iter().all(|point| short(&point.text)),
        "{:?}",
        text.points
    );
    assert!(sentences(&text.summary).into_iter().all(short), "{}", text.summary);
}

#[test]
fn a_scrap_is_no_point_and_a_list_of_terms_no_summary() {
    let mut text = text(&[
        (0, " "),
        (2, "Database,"),
        (2, "It is something like that, right."),
        (2, "The database grows with every year,"),
    ]);
    text.summary = "The database grows every year. The key terms are 'disk', 'disk', 'cache'.".into();
    let _ = mend(&mut text, &chapter(), "English");
    assert_eq!(points(&text), [(vec![2], "The database grows with every year.")]);
    assert_eq!(text.summary, "The database grows every year.");
}

#[test]
fn points_that_rest_on_nothing_are_asked_for_again() {
    let mut text =
        text(&[(0, "Cats like warm houses."), (1, "Dogs run fast."), (2, "The database grows every year.")]);
    let fault = mend(&mut text, &chapter(), "English").unwrap_err();
    assert_eq!(fault, Fault::PointsDropped(2));
    assert_eq!(points(&text), [(vec![2], "The database grows every year.")]);
    let mut again = self::text(&[
        (3, "A phone can hold the accumulator in memory."),
        (2, "The database grows every year."),
    ]);
    mend(&mut again, &chapter(), "English").unwrap();
    take_points(&mut again, text);
    assert_eq!(points(&again).len(), 2, "what is said twice is said once");
    assert_eq!(again.written, 5, "and all that was written is counted");
}

#[test]
fn a_text_in_the_wrong_script_is_asked_for_again() {
    let mut english = text(&[(0, "The node saves everything to disk.")]);
    let fault = mend(&mut english, &chapter(), "Chinese").unwrap_err();
    assert!(matches!(fault, Fault::Language("title", _)), "{fault}");
    assert!(english.points.is_empty(), "nor does a point in another script go out");
    let mut chinese = Text {
        title: "币的数据库".into(),
        summary: "本章讨论了Ultraprne如何把币存入数据库。".into(),
        points: vec![TextPoint { lines: vec![2], text: "2012年有了Ultraprune。".into() }],
        ..Text::default()
    };
    mend(&mut chinese, &chapter(), "Chinese").unwrap();
    assert_eq!(chinese.summary, "Ultraprune如何把币存入数据库。");
    assert_eq!(points(&chinese), [(vec![1], "2012年有了Ultraprune。")]);
}

#[test]
fn a_sentence_that_was_cut_off_is_none() {
    assert_eq!(whole("It is done. And then it"), "It is done.");
    assert_eq!(whole("It is done"), "It is done");
    assert_eq!(ended("It sounds complicated, but."), "It sounds complicated.");
    assert_eq!(ended("It sounds complicated,"), "It sounds complicated.");
    assert_eq!(ended("It sounds…"), "It sounds…");
    assert_eq!(keyword_title(&["UTXO set".into(), "disk".into()]), "UTXO set, disk");
}

#[test]
fn parts_have_titles_that_their_lines_bear_out_and_times_of_lines() {
    let parted = |titles: &[&str]| {
        let chapter = Chapter { parts: vec![1, 3], ..chapter() };
        let mut text = text(&[(0, "The node saves everything to disk.")]);
        text.parts = titles.iter().map(|title| (*title).to_owned()).collect();
        mend(&mut text, &chapter, "English").unwrap();
        let written =
            Written { chapter: Box::new(chapter), text, language: "English".into(), tokens: 0, error: None };
        let mut event = ChapterEvent::new(Kind::Closed, "a-0", 0, 0);
        written.fill(&mut event, 0);
        event.subchapters.into_iter().map(|part| (part.title, part.start, part.end)).collect::<Vec<_>>()
    };
    let part = |title: &str, start, end| (title.to_owned(), start, end);
    assert_eq!(
        parted(&["Overview of saving to disk", "Peter Wuile and Ultraprune", "A small accumulator"]),
        [
            part("Saving to disk", 0.0, 10.0),
            part("Pieter Wuille and Ultraprune", 10.0, 30.0),
            part("A small accumulator", 30.0, 40.0)
        ]
    );
    // What nobody said gives no part: it belongs to the one before.
    assert_eq!(
        parted(&["Saving to disk", "Kubernetes in the cloud", "A small accumulator"]),
        [part("Saving to disk", 0.0, 30.0), part("A small accumulator", 30.0, 40.0)]
    );
    assert_eq!(parted(&["Saving to disk"]), [], "one part is no parts");
}

#[test]
fn a_chapter_about_which_nothing_was_written_tells_of_itself() {
    let mut empty = Text::default();
    extract(&mut empty, &chapter(), "English");
    assert_eq!(empty.points.len(), 3);
    for point in &empty.points {
        let line = LINES[point.lines[0] as usize].to_lowercase();
        let said = point.text.trim_end_matches(['.', '…']).to_lowercase();
        assert!(line.contains(&said), "{said} is of {line}");
        assert!(said.split_whitespace().count() <= MOST_COPIED, "{said}");
    }
    assert!(!empty.summary.is_empty());
    assert!(empty.keywords.contains(&"database".to_owned()), "{:?}", empty.keywords);
    let mut chinese = Text::default();
    extract(&mut chinese, &chapter(), "Chinese");
    assert!(chinese.points.is_empty(), "what was said is in another language");
}
