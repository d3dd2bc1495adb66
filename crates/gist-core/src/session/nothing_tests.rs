//! An hour of a picture that stands still: no chapter is invented, whatever is heard.

use super::tests::{drain, session};
use super::*;
use crate::mock::Script;
use crate::time::SECOND;

const HOUR: u64 = 3600 * SECOND;

/// What came of an hour with these observations at these seconds; each second is known as it passes.
fn hour(observed: impl Fn(u64) -> Vec<(Source, String)>) -> Vec<ChapterEvent> {
    let mut session = session(Script::default());
    session.configure(Config { digest_interval: HOUR / 2, ..Config::default() });
    session.begin(0);
    let mut events = Vec::new();
    for second in 0..3600 {
        for (source, text) in observed(second) {
            let span = Span::new(second * SECOND, (second + 2) * SECOND);
            session.observe(Observation { source, span, text, turn: false }).unwrap();
        }
        session.count_frames(1, 0);
        session.advance((second + 1) * SECOND);
        events.extend(drain(&mut session));
    }
    session.finish(HOUR);
    events.extend(drain(&mut session));
    events
}

/// One chapter of the whole hour that says that there was nothing, and a digest that invents nothing.
fn nothing_happened(events: &[ChapterEvent]) {
    let closed: Vec<_> = events.iter().filter(|event| event.kind == Kind::Closed).collect();
    assert_eq!(closed.len(), 1, "{closed:#?}");
    assert_eq!((closed[0].start, closed[0].end), (0.0, Some(3600.0)));
    assert!(closed[0].partial && closed[0].title.is_empty() && closed[0].points.is_empty());
    assert_eq!(closed[0].error.as_deref(), Some("nothing was said or shown"));
    assert_eq!(closed[0].coverage.frames, 3600);
    let last = events.last().unwrap();
    assert!(last.is_final && last.text.is_empty(), "{last:?}");
}

#[test]
fn an_hour_of_silence_is_one_chapter_in_which_nothing_happened() {
    let events = hour(|_| Vec::new());
    nothing_happened(&events);
    let digests: Vec<_> = events.iter().filter(|e| e.kind == Kind::Digest && !e.is_final).collect();
    assert_eq!(digests.len(), 2);
}

#[test]
fn an_hour_of_music_is_one_chapter_in_which_nothing_happened() {
    let marks = ["[Music]", "♪", "♪ [Music] ♪", "(applause)"];
    nothing_happened(&hour(|second| match second % 40 {
        0 => vec![(Source::Speech, marks[(second / 40 % 4) as usize].to_owned())],
        _ => Vec::new(),
    }));
}

#[test]
fn an_hour_of_noise_is_one_chapter_in_which_nothing_happened() {
    // What a speech model hears into noise now and then.
    let heard = ["Thank you.", "Thanks for watching!", "Bye.", "you"];
    nothing_happened(&hour(|second| match second % 170 {
        3 => vec![(Source::Speech, heard[(second / 170 % 4) as usize].to_owned())],
        _ => Vec::new(),
    }));
}

#[test]
fn an_hour_of_one_title_card_is_one_chapter_of_what_it_shows() {
    let events = hour(|second| match second {
        0 => vec![(Source::Screen, "Regional Water Board\nThe session will begin shortly".to_owned())],
        _ => Vec::new(),
    });
    let closed: Vec<_> = events.iter().filter(|event| event.kind == Kind::Closed).collect();
    assert_eq!(closed.len(), 1, "{closed:#?}");
    assert_eq!(closed[0].end, Some(3600.0));
}
