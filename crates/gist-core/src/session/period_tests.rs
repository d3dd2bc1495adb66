use std::sync::Arc;

use super::tests::{drain, say, session};
use super::*;
use crate::config::DigestStyle;
use crate::event::Reason;
use crate::mock::{Mock, Script};
use crate::record::Record;
use crate::time::SECOND;

/// A session with a digest a minute.
fn every_minute(style: DigestStyle) -> Session {
    let mut s = session(Script::default());
    s.configure(Config { digest_interval: 60 * SECOND, digest_style: style, ..Config::default() });
    s
}

fn digests(session: &mut Session) -> Vec<ChapterEvent> {
    drain(session).into_iter().filter(|event| event.kind == Kind::Digest).collect()
}

fn period(digest: &ChapterEvent) -> (u64, u64) {
    (digest.period_start.unwrap() / SECOND, digest.period_end.unwrap() / SECOND)
}

#[test]
fn each_period_tells_of_the_chapters_that_ended_in_it_and_of_the_one_that_goes_on() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "Nodes find each other");
    s.split_now(20 * SECOND, None);
    say(&mut s, 21, 25, "Blocks are fetched");
    s.advance(89 * SECOND);
    assert!(digests(&mut s).is_empty(), "before look-ahead the last chapter of the period is not decided");
    s.advance(90 * SECOND);
    let first = digests(&mut s).remove(0);
    assert_eq!((period(&first), first.is_final), ((0, 60), false));
    assert!(first.text.starts_with("**0:00–1:00** Blocks are fetched"), "{}", first.text);
    assert!(first.text.contains("\n- [0:00] ") && first.text.contains("\n- [0:20] … (still going on)\n"));
    assert_eq!(first.subchapters.len(), 1);

    s.split_now(100 * SECOND, None);
    say(&mut s, 101, 105, "Then they are checked");
    s.advance(150 * SECOND);
    let second = digests(&mut s).remove(0);
    assert_eq!(period(&second), (60, 120));
    assert!(second.text.contains("\n- [0:20] ") && !second.text.contains("[0:00]"), "{}", second.text);

    s.finish(160 * SECOND);
    let last = digests(&mut s);
    assert_eq!(last.iter().map(period).collect::<Vec<_>>(), [(120, 160), (0, 160)]);
    assert!(!last[0].is_final && last[1].is_final);
}

#[test]
fn a_period_in_which_nothing_happened_says_so_and_asks_nobody() {
    let mut s = session(Script { fail: Some("must not be asked".into()), ..Script::default() });
    s.configure(Config { digest_interval: 60 * SECOND, ..Config::default() });
    s.begin(0);
    s.cut(SECOND, Reason::Manual, None);
    (1..=150).for_each(|second| s.advance(second * SECOND));
    let told = digests(&mut s);
    assert_eq!(told.iter().map(period).collect::<Vec<_>>(), [(0, 60), (60, 120)]);
    assert_eq!(told[1].text, "**1:00–2:00** Nothing was said or shown.\n");
    assert!(told.iter().all(|digest| !digest.partial));
    s.advance(86_400 * SECOND);
    assert_eq!(digests(&mut s).len(), 1, "a day that was jumped over is one period");
}

#[test]
fn a_chapter_that_ends_between_a_period_and_its_digest_was_going_on() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "one");
    s.split_now(70 * SECOND, Some("The first part".into()));
    say(&mut s, 71, 75, "two");
    s.advance(90 * SECOND);
    s.advance(150 * SECOND);
    let told = digests(&mut s);
    assert_eq!(told[0].text, "**0:00–1:00**\n\n- [0:00] … (still going on)\n");
    assert!(
        told[1].text.contains("- [0:00] The first part\n- [1:10] … (still going on)"),
        "{}",
        told[1].text
    );
}

#[test]
fn a_break_is_in_the_digest_and_in_the_chapter() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "before");
    s.begin(10 * SECOND);
    s.advance(40 * SECOND);
    s.cut(40 * SECOND, Reason::Gap, None);
    say(&mut s, 40, 45, "after");
    s.advance(90 * SECOND);
    let events = drain(&mut s);
    let closed = events.iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert_eq!(closed.coverage.gap_ns, 30 * SECOND);
    let digest = events.iter().find(|e| e.kind == Kind::Digest).unwrap();
    assert!(digest.text.ends_with("\nNo signal: 0:10–0:40\n"), "{}", digest.text);
    assert_eq!(digest.coverage.gap_ns, 30 * SECOND);
}

#[test]
fn a_short_break_is_told_of_and_the_chapter_goes_on() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "before");
    s.begin(10 * SECOND);
    s.advance(13 * SECOND);
    s.missed(10 * SECOND, 13 * SECOND);
    say(&mut s, 13, 15, "after");
    s.missed(15 * SECOND, 16 * SECOND); // no more than lies between two samples
    s.advance(90 * SECOND);
    let events = drain(&mut s);
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Opened, Kind::Digest]);
    assert!(events[1].text.ends_with("\nNo signal: 0:10–0:13\n"), "{}", events[1].text);
    assert_eq!(events[1].coverage.gap_ns, 3 * SECOND);
    s.finish(100 * SECOND);
    let closed = drain(&mut s).into_iter().find(|event| event.kind == Kind::Closed).expect("closed");
    assert_eq!(closed.coverage.gap_ns, 3 * SECOND);
}

#[test]
fn a_model_that_fails_leaves_what_code_knows() {
    let mut s = session(Script { fail: Some("out of memory".into()), ..Script::default() });
    s.configure(Config { digest_interval: 60 * SECOND, ..Config::default() });
    say(&mut s, 0, 5, "one");
    s.split_now(20 * SECOND, Some("The first part".into()));
    say(&mut s, 21, 25, "two");
    s.advance(90 * SECOND);
    let digest = digests(&mut s).remove(0);
    assert!(digest.partial && digest.error.as_deref() == Some("out of memory"));
    assert!(digest.text.contains("- [0:00] The first part\n"), "{}", digest.text);
}

#[test]
fn styles_differ_in_what_they_tell() {
    let text = |style| {
        let mut s = every_minute(style);
        say(&mut s, 3, 5, "Nodes find each other");
        s.split_now(20 * SECOND, None);
        s.advance(95 * SECOND);
        digests(&mut s).remove(0).text
    };
    assert!(text(DigestStyle::Brief).contains("\n- [0:03] Nodes find"), "the chapter");
    assert!(text(DigestStyle::Detailed).contains("\n**[0:03] Nodes find"), "the chapter, and its point");
    assert!(text(DigestStyle::Detailed).contains("**\n\n- [0:03] "));
    let minutes = text(DigestStyle::Minutes);
    assert!(minutes.contains("**Results**") && minutes.contains("**Open questions**"));
}

#[test]
fn a_session_taken_up_goes_on_with_the_next_period_and_tells_of_the_break() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "one");
    s.split_now(50 * SECOND, Some("The first part".into()));
    say(&mut s, 51, 55, "two");
    drain(&mut s);
    let mut file = Vec::new();
    s.save(&mut file).unwrap();
    let config = Config { digest_interval: 60 * SECOND, ..Config::default() };
    let restore = || {
        let sizes = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
        let model = Arc::new(Mock::new(Script::default()));
        Session::restore(model, Identity::default(), config.clone(), sizes, &mut file.as_slice()).unwrap()
    };
    let mut s = restore();
    say(&mut s, 80, 85, "after the break");
    s.advance(120 * SECOND);
    let digest = digests(&mut s).remove(0);
    assert_eq!(period(&digest), (0, 60));
    assert!(digest.text.contains("[0:00] The first part"), "{}", digest.text);
    assert!(digest.text.contains("No signal: 0:55–1:20"), "{}", digest.text);

    let mut s = restore();
    say(&mut s, 2, 5, "by another clock");
    s.advance(100 * SECOND);
    assert_eq!(period(&digests(&mut s).remove(0)), (2, 62));
}

#[test]
fn a_session_goes_on_from_its_events_alone() {
    let mut s = every_minute(DigestStyle::Brief);
    say(&mut s, 0, 5, "Nodes find each other");
    s.split_now(20 * SECOND, None);
    say(&mut s, 21, 25, "Blocks are fetched");
    s.advance(90 * SECOND);
    s.split_now(95 * SECOND, Some("The second part".into()));
    let events = drain(&mut s);
    let last = events.last().unwrap().sequence;

    let mut s = every_minute(DigestStyle::Brief);
    s.identity.session = String::new();
    s.resume(&Record { events, observations: Vec::new() }).unwrap();
    say(&mut s, 120, 125, "after the crash");
    s.advance(150 * SECOND);
    let later = drain(&mut s);
    assert!(later.iter().all(|event| event.session == "0123456789"));
    assert_eq!(later[0].sequence, last + 1);
    assert!(later.iter().all(|event| event.kind == Kind::Digest), "the open chapter goes on");
    let digest = later.iter().find(|event| event.kind == Kind::Digest).unwrap();
    assert_eq!(period(digest), (60, 120));
    assert!(digest.text.contains("[0:20] The second part"), "{}", digest.text);
    assert!(!digest.text.contains("[0:00]"), "told of before: {}", digest.text);
    s.ask("What was it about?", None);
    while s.work(0) {}
    assert_eq!(s.usage().memory_texts, 2, "what was written is remembered");
}

#[test]
fn events_after_a_saved_context_are_taken_up_with_it() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "Nodes find each other");
    s.split_now(20 * SECOND, None);
    let mut events = drain(&mut s);
    let mut file = Vec::new();
    s.save(&mut file).unwrap();
    say(&mut s, 21, 25, "Blocks are fetched");
    s.split_now(40 * SECOND, None);
    events.extend(drain(&mut s));

    let sizes = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let model = Arc::new(Mock::new(Script::default()));
    let identity = Identity::default();
    let mut s = Session::restore(model, identity, Config::default(), sizes, &mut file.as_slice()).unwrap();
    assert_eq!(s.usage().memory_texts, 1);
    s.resume(&Record { events, observations: Vec::new() }).unwrap();
    assert_eq!(s.usage().memory_texts, 2, "the first one was in the context");
    s.split_now(60 * SECOND, None);
    assert_eq!(drain(&mut s)[0].index, 3);
}

/// What a run left behind that was killed at 70 s: chapter 0 closed, 1 ended without a text yet, 2 open.
fn killed() -> Record {
    let mut s = session(Script { steps: 1_000, ..Script::default() });
    let mut observations = Vec::new();
    let lines =
        [(0, 5, "Nodes find each other"), (21, 25, "Blocks are fetched"), (51, 55, "Then they are checked")];
    for (from, to, text) in lines {
        say(&mut s, from, to, text);
        let span = Span::new(from * SECOND, to * SECOND);
        observations.push(Observation { source: Source::Speech, span, text: text.into(), turn: false });
        if from == 0 {
            s.split_now(20 * SECOND, None);
            while s.work(0) {}
        } else if from == 21 {
            s.split_now(50 * SECOND, None);
        }
    }
    let events = s.events().collect();
    Record { events, observations }
}

#[test]
fn a_chapter_that_was_open_goes_on_with_what_was_said_in_it() {
    let record = killed();
    let mut s = every_minute(DigestStyle::Brief);
    s.resume(&record).unwrap();
    say(&mut s, 75, 80, "after the crash");
    s.finish(90 * SECOND);
    let closed: Vec<_> = drain(&mut s).into_iter().filter(|event| event.kind == Kind::Closed).collect();
    let told: Vec<_> = closed.iter().map(|e| (e.index, e.start, e.end, e.coverage.text_lines)).collect();
    assert_eq!(told, [(1, 20.0, Some(50.0), 1), (2, 50.0, Some(90.0), 2)]);
    assert!(closed[0].title.contains("Blocks are fetched"), "{}", closed[0].title);
    assert_eq!(closed[1].id, record.events.last().unwrap().id, "it is the same chapter");
    assert_eq!(closed[1].coverage.gap_ns, 20 * SECOND);
}

#[test]
fn a_long_break_or_another_clock_ends_the_chapter_that_was_open() {
    for (from, start) in [(200, 200.0), (3, 3.0)] {
        let mut s = every_minute(DigestStyle::Brief);
        s.resume(&killed()).unwrap();
        say(&mut s, from, from + 5, "after the crash");
        let events = drain(&mut s);
        let closed: Vec<_> = events.iter().filter(|event| event.kind == Kind::Closed).collect();
        let told: Vec<_> = closed.iter().map(|e| (e.index, e.end, e.reason)).collect();
        assert_eq!(told, [(1, Some(50.0), Some(Reason::Model)), (2, Some(55.0), Some(Reason::Gap))]);
        let opened = events.iter().find(|event| event.kind == Kind::Opened).unwrap();
        assert_eq!((opened.index, opened.start), (3, start));
    }
}

#[test]
fn of_many_chapters_the_newest_are_remembered() {
    let closed = |index: u64| {
        let mut event = ChapterEvent::new(Kind::Closed, &format!("c{index}"), index, index);
        (event.title, event.summary) = (format!("Title number {index}"), "some words of it ".repeat(12));
        event.end_running_time = Some(index * SECOND);
        event
    };
    let record = Record { events: (0..500).map(closed).collect(), observations: Vec::new() };
    let mut s = session(Script::default());
    s.resume(&record).unwrap();
    let usage = s.usage();
    assert!(usage.memory_texts > 2 && usage.memory_tokens <= usage.memory_capacity, "{usage:?}");
    let first = s.writer.memory().held().next().unwrap().first;
    assert_eq!(s.writer.memory().held().last().unwrap().last, 500);
    assert_eq!(usage.memory_texts as u64, 501 - first, "without a hole");
}
