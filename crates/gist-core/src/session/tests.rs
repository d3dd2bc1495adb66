use std::sync::Arc;

use super::*;
use crate::event::Reason;
use crate::mock::{Mock, Script};
use crate::time::SECOND;

pub(super) fn session(script: Script) -> Session {
    let identity = Identity { stream: "hall".into(), session: "0123456789".into(), first_index: 0 };
    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    Session::new(Arc::new(Mock::new(script)), identity, Config::default(), context).unwrap()
}

pub(super) fn say(session: &mut Session, from: u64, to: u64, text: &str) {
    let span = Span::new(from * SECOND, to * SECOND);
    session.observe(Observation { source: Source::Speech, span, text: text.into(), turn: false }).unwrap();
}

pub(super) fn drain(session: &mut Session) -> Vec<ChapterEvent> {
    while session.work(0) {}
    session.events().collect()
}

#[test]
fn a_manual_split_closes_one_chapter_and_opens_the_next() {
    let mut s = session(Script::default());
    s.begin(0);
    say(&mut s, 1, 5, "Nodes find each other by asking seeds");
    s.split_now(6 * SECOND, None);
    say(&mut s, 7, 9, "Blocks are then fetched in parallel");
    s.finish(10 * SECOND);
    let events = drain(&mut s);
    let kinds: Vec<_> = events.iter().map(|e| (e.kind, e.index)).collect();
    assert_eq!(
        kinds,
        [(Kind::Opened, 0), (Kind::Opened, 1), (Kind::Closed, 0), (Kind::Closed, 1), (Kind::Digest, 2)]
    );
    let closed = &events[2];
    assert_eq!((closed.start, closed.end), (0.0, Some(6.0)));
    assert_eq!(closed.id, "hall-0123456789-0");
    assert_eq!(closed.id, events[0].id, "the id is the one it was opened with");
    assert_eq!(closed.reason, Some(Reason::Manual));
    assert!(closed.title.contains("Nodes find"), "{:?}", closed.title);
    assert_eq!(events[3].reason, Some(Reason::Eos));
    assert!(events[4].is_final && events[4].text.contains("Further study"));
    assert!(events.windows(2).all(|pair| pair[0].sequence < pair[1].sequence));
}

#[test]
fn points_carry_the_time_of_their_lines_not_of_the_model() {
    let mut s = session(Script::default());
    say(&mut s, 3, 5, "Only line");
    s.finish(20 * SECOND);
    let closed = drain(&mut s).into_iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert_eq!((closed.points[0].start, closed.points[0].end), (3.0, 5.0));
}

#[test]
fn a_repeated_title_is_retried_once_and_then_said_to_be_partial() {
    let mut s = session(Script { title: Some("Same again".into()), ..Script::default() });
    say(&mut s, 0, 5, "one");
    s.split_now(6 * SECOND, None);
    say(&mut s, 7, 9, "two");
    s.finish(10 * SECOND);
    let closed: Vec<_> = drain(&mut s).into_iter().filter(|e| e.kind == Kind::Closed).collect();
    assert!(!closed[0].partial);
    assert!(closed[1].partial && closed[1].error.as_deref().unwrap().contains("used before"));
}

#[test]
fn a_failing_model_is_an_event_and_not_silence() {
    let mut s = session(Script { fail: Some("out of memory".into()), ..Script::default() });
    say(&mut s, 0, 5, "one");
    s.finish(10 * SECOND);
    let events = drain(&mut s);
    let closed = events.iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert!(closed.partial && closed.error.as_deref() == Some("out of memory"));
    assert_eq!(closed.end, Some(10.0), "the times are known all the same");
    assert_eq!(s.errors().0, 2, "chapter and digest");
}

#[test]
fn an_empty_stream_invents_nothing() {
    let mut s = session(Script::default());
    s.begin(0);
    s.finish(60 * SECOND);
    let events = drain(&mut s);
    let closed = events.iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert!(closed.partial && closed.title.is_empty());
    assert!(events.iter().filter(|e| e.kind == Kind::Digest).all(|e| e.text.is_empty()));
}

#[test]
fn a_users_title_is_kept() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "one");
    s.split_now(6 * SECOND, Some("Goal!".into()));
    let closed = drain(&mut s).into_iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert_eq!(closed.title, "Goal!");
}

#[test]
fn forgetting_drops_everything_but_goes_on_counting() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "one");
    s.finish(10 * SECOND);
    s.forget();
    assert!(drain(&mut s).is_empty());
    say(&mut s, 0, 5, "two");
    let opened = drain(&mut s).remove(0);
    assert_eq!((opened.kind, opened.index), (Kind::Opened, 1));
}

#[test]
fn what_nobody_took_before_a_flush_leaves_no_hole_in_the_sequence() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "one");
    assert_eq!(s.events().next().map(|event| event.sequence), Some(0));
    s.split_now(6 * SECOND, None);
    while s.work(0) {}
    s.forget();
    say(&mut s, 0, 5, "two");
    let opened = drain(&mut s).remove(0);
    assert_eq!((opened.kind, opened.sequence, opened.index), (Kind::Opened, 1, 2));
}

#[test]
fn an_end_in_a_hurry_says_what_was_not_read() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "one");
    s.count_lines(19);
    s.count_frames(0, 7);
    s.end(60 * SECOND);
    s.abandon("no time", 60 * SECOND);
    let events: Vec<_> = s.events().collect();
    let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::Opened, Kind::Closed, Kind::Digest]);
    let closed = &events[1];
    assert_eq!((closed.coverage.text_lines, closed.coverage.frames_dropped), (20, 7));
    assert_eq!((closed.end, closed.reason), (Some(60.0), Some(Reason::Eos)));
    assert!(events[1..].iter().all(|event| event.partial && event.error.as_deref() == Some("no time")));
}

#[test]
fn a_reset_forgets_what_was_said_and_keeps_the_time() {
    let mut s = session(Script::default());
    say(&mut s, 0, 5, "one");
    s.split_now(6 * SECOND, None);
    drain(&mut s);
    s.reset();
    assert_eq!((s.usage().tokens, s.watermark()), (0, 6 * SECOND));
    say(&mut s, 7, 9, "two");
    s.finish(10 * SECOND);
    let closed = drain(&mut s).remove(0);
    assert_eq!((closed.start, closed.end, closed.coverage.text_lines), (6.0, Some(10.0), 1));
}

#[test]
fn where_no_chapter_is_open_a_split_opens_none() {
    let mut s = session(Script::default());
    s.split_now(0, None);
    say(&mut s, 0, 5, "one");
    s.finish(10 * SECOND);
    drain(&mut s);
    s.split_now(10 * SECOND, None);
    assert!(drain(&mut s).is_empty(), "after the end there is nothing to split");
}

#[test]
fn stream_time_follows_the_segment() {
    let mut s = session(Script::default());
    s.set_timeline(Timeline { stream_time: 100 * SECOND as i64, timestamp: 7 });
    say(&mut s, 1, 5, "one");
    s.finish(10 * SECOND);
    let closed = drain(&mut s).into_iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert_eq!((closed.start, closed.end), (101.0, Some(110.0)));
    assert_eq!((closed.running_time, closed.timestamp), (SECOND, Some(SECOND + 7)));
}

#[test]
fn words_before_the_first_picture_are_on_its_axis() {
    let mut s = session(Script::default());
    for target in [100.0, 200.0] {
        say(&mut s, 0, 1, "before the picture");
        s.set_timeline(Timeline { stream_time: (target * SECOND as f64) as i64, timestamp: 0 });
        say(&mut s, 1, 2, "with it");
        s.set_timeline(Timeline { stream_time: 7, timestamp: 0 });
        s.finish(10 * SECOND);
        let closed = drain(&mut s).into_iter().find(|e| e.kind == Kind::Closed).unwrap();
        assert_eq!((closed.start, closed.end), (target, Some(target + 10.0)));
        s.forget();
    }
}

#[test]
fn a_new_prompt_is_counted() {
    let mut s = session(Script::default());
    s.configure(Config { prompt: Some("Be brief".into()), ..Config::default() });
    s.configure(Config { prompt: Some("Be brief".into()), look_ahead: 1, ..Config::default() });
    s.begin(0);
    assert_eq!(drain(&mut s)[0].prompt_revision, 1);
}

#[test]
fn an_answer_names_the_times_of_the_lines_it_comes_from() {
    let mut s = session(Script::default());
    say(&mut s, 70, 75, "Nodes find each other by asking seeds");
    say(&mut s, 80, 85, "Blocks are then fetched in parallel");
    let digest = s.usage();
    s.ask("Who finds whom?", None);
    s.ask("And what came last?", Some(Span::new(78 * SECOND, 100 * SECOND)));
    s.ask("Before the beginning?", Some(Span::new(0, 10 * SECOND)));
    s.ask("  ", None);
    while s.work(0) {}
    let answers: Vec<Answer> = s.answers().collect();
    let asked: Vec<&str> = answers.iter().map(|a| a.question.as_str()).collect();
    assert_eq!(asked, ["  ", "Who finds whom?", "And what came last?", "Before the beginning?"]);
    assert_eq!(answers[0].error.as_deref(), Some("there is no question"));
    assert!(answers[1].text().ends_with(" [00:01:10]"), "{:?}", answers[1]);
    assert_eq!(answers[2].statements[0].sources, [(80.0, 85.0)]);
    assert!(answers[3].error.as_deref().unwrap().contains("nothing of that time"), "{:?}", answers[3]);
    assert_eq!(s.usage(), digest, "asking leaves no trace");
    assert!(s.events().all(|event| event.kind == Kind::Opened), "nor an event");
}

#[test]
fn a_question_does_not_wait_for_chapters_that_do() {
    let mut s = session(Script { steps: 3, ..Script::default() });
    for i in 0..4 {
        say(&mut s, 10 * i, 10 * i + 5, "Something about rivers");
        s.split_now((10 * i + 6) * SECOND, None);
    }
    assert!(s.work(0), "the first chapter is begun");
    s.ask("What about rivers?", None);
    while s.answers.is_empty() {
        assert!(s.work(0));
    }
    assert_eq!(s.events().filter(|event| event.kind == Kind::Closed).count(), 1);
}

#[test]
fn times_of_an_answer_are_those_of_the_stream() {
    let mut s = session(Script::default());
    // Running-time 0 is the second minute of the recording.
    s.set_timeline(Timeline { stream_time: 60 * SECOND as i64, timestamp: 0 });
    say(&mut s, 5, 6, "Nodes find each other");
    s.ask("Who?", Some(Span::new(64 * SECOND, 67 * SECOND)));
    while s.work(0) {}
    assert_eq!(s.answers().next().unwrap().statements[0].sources, [(65.0, 66.0)]);
}

#[test]
fn old_chapters_are_merged_before_the_memory_is_full_and_are_still_found() {
    let mut s = session(Script::default());
    for i in 0..60 {
        let words =
            format!("Chapter {i} speaks of matter {i} and of nothing else that was ever heard before it");
        say(&mut s, 20 * i, 20 * i + 15, &words);
        s.split_now((20 * i + 18) * SECOND, None);
        while s.work(0) {}
        let usage = s.usage();
        assert!(usage.memory_tokens <= usage.memory_capacity);
    }
    let usage = s.usage();
    assert!(usage.memory_texts < 40, "{usage:?}");
    let held: Vec<_> = s.writer.memory().held().collect();
    let chapters: Vec<u64> = held.iter().flat_map(|held| held.first..=held.last).collect();
    assert_eq!(chapters, (1..=60).collect::<Vec<u64>>(), "every chapter is in exactly one text: {held:?}");
    assert!(held[0].line().contains("Chapter 0 speaks"), "its words are kept as they were: {held:?}");
    // What happened in the first chapter is known by its text alone once its lines have left.
    s.spans.clear();
    s.ask("What was first?", Some(Span::new(0, 15 * SECOND)));
    while s.work(0) {}
    let answer = s.answers().next().unwrap();
    assert_eq!(answer.statements[0].sources[0].0, 0.0, "{answer:?}");
}

#[test]
fn a_saved_session_answers_and_goes_on() {
    let mut s = session(Script::default());
    say(&mut s, 1, 5, "Nodes find each other by asking seeds");
    s.split_now(6 * SECOND, None);
    say(&mut s, 7, 9, "Blocks are then fetched in parallel");
    while s.work(0) {}
    s.events().for_each(drop);
    let mut saved = Vec::new();
    s.save(&mut saved).unwrap();

    let context = ContextConfig { context_length: 4_096, memory_length: 512, ..ContextConfig::default() };
    let again = |from: &[u8]| {
        let model = Arc::new(Mock::new(Script::default()));
        Session::restore(model, Identity::default(), Config::default(), context.clone(), &mut &*from)
    };
    let mut restored = again(&saved).unwrap();
    for session in [&mut s, &mut restored] {
        session.ask("What was fetched?", Some(Span::new(7 * SECOND, 8 * SECOND)));
        session.ask("Who finds whom?", None);
        while session.work(0) {}
    }
    let [a, b] = [&mut s, &mut restored].map(|session| session.answers().collect::<Vec<_>>());
    assert_eq!(a, b);
    assert_eq!(a[0].statements[0].sources, [(7.0, 9.0)]);
    assert_eq!(a[1].statements[0].sources, [(1.0, 5.0), (1.0, 6.0)], "a chapter of the memory, and a line");

    // The chapter that was open is not gone on with: its id is taken.
    say(&mut restored, 10, 12, "Then they are checked");
    restored.finish(20 * SECOND);
    let closed = drain(&mut restored).into_iter().find(|e| e.kind == Kind::Closed).unwrap();
    assert_eq!((closed.id.as_str(), closed.index), ("0123456789-2", 2));
    assert!(closed.title.contains("Then they are"), "{}", closed.title);

    // A line that has left the window to make room for the text of a chapter is no answer any more.
    let mut value: serde_json::Value = serde_json::from_slice(&saved).unwrap();
    value["window"].as_array_mut().unwrap().remove(0);
    let mut rolled = again(&serde_json::to_vec(&value).unwrap()).unwrap();
    rolled.ask("What was there?", Some(Span::new(7 * SECOND, 8 * SECOND)));
    rolled.ask("And before?", Some(Span::new(SECOND, 2 * SECOND)));
    while rolled.work(0) {}
    let sources: Vec<_> = rolled.answers().map(|a| a.statements[0].sources.clone()).collect();
    assert_eq!(sources, [vec![(7.0, 9.0)], vec![(1.0, 6.0)]], "a line, and a chapter of the memory");

    assert!(again(b"{}").is_err());
    let changed = String::from_utf8(saved).unwrap().replace("\"memory\":[{", "\"memory\":[{\"x\":1},{");
    assert!(again(changed.as_bytes()).is_err());
}

#[test]
fn whoever_asked_hears_that_there_will_be_no_answer() {
    let mut s = session(Script { steps: 3, ..Script::default() });
    say(&mut s, 1, 5, "Nodes find each other by asking seeds");
    s.ask("Who finds whom?", None);
    assert!(s.work(0));
    s.ask("And then?", None);
    s.forget();
    let answers: Vec<Answer> = s.answers().collect();
    assert_eq!(answers.len(), 2);
    assert!(answers.iter().all(|answer| answer.error.is_some()), "{answers:?}");
}
