//! Sessions, events and what a restart finds.

use gist_core::Observation;
use gist_core::event::Kind;
use gist_core::observation::Source;
use gist_core::time::{SECOND, Span};
use gist_store::{Ended, Error, Gap, Published, Session, Store};

use super::*;

#[test]
fn an_event_is_kept_byte_for_byte_and_once() {
    let place = place();
    let store = begun(&place.path);
    // As another version would write it: unknown fields, its own spaces.
    let text = json(0).replace("\"sequence\":0", "\"sequence\" : 0, \"of-tomorrow\": [1]");
    let message = outgoing("m", &["a", "b"]);
    let publish = |text: &str| store.publish(text, std::slice::from_ref(&message), at(1));
    assert_eq!(publish(&text).expect("stored"), Published::New);
    assert_eq!(publish(&text).expect("known"), Published::Known);
    assert_eq!(store.events("s", 0, 10).expect("events"), [text]);
    assert_eq!(due(&store, "a", at(1)).len(), 1);
    assert_eq!(due(&store, "b", at(1))[0].body, message.body);

    let error = publish(&json(0)).expect_err("another text");
    assert!(matches!(error, Error::Conflict { sequence: 0, .. }) && error.is_lasting(), "{error}");
}

#[test]
fn an_event_that_is_refused_leaves_nothing() {
    let place = place();
    let store = begun(&place.path);
    let messages = [outgoing("m", &["a"]), Outgoing { body: b"other".into(), ..outgoing("m", &["b"]) }];
    let error = store.publish(&json(0), &messages, at(1)).expect_err("an id twice");
    assert!(matches!(error, Error::BodyDiffers(_)), "{error}");
    let stranger = json(0).replace("\"session\":\"s\"", "\"session\":\"t\"");
    assert!(matches!(store.publish(&stranger, &[], at(1)), Err(Error::NoSession(_))));
    let never = json(0).replace("\"sequence\":0", &format!("\"sequence\":{}", u64::MAX));
    let later = json(0).replace("chapters-v1", "chapters-v2");
    for text in ["", "{}", &never, &later] {
        assert!(matches!(store.publish(text, &[], at(1)), Err(Error::NotAnEvent(_))), "{text}");
    }
    assert!(store.events("s", 0, 10).expect("events").is_empty());
    assert!(due(&store, "a", at(1)).is_empty() && due(&store, "b", at(1)).is_empty());
}

#[test]
fn a_restart_finds_where_the_session_was() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    store.begin(&Session { first_index: 7, ..session("s") }).expect("begins");
    let new = store.resume("s").expect("resumes");
    assert_eq!((new.next_sequence, new.next_index, new.running_time), (0, 7, 0));

    let events = [
        event(Kind::Opened, 7, 0),
        event(Kind::Opened, 8, 1),
        event(Kind::Closed, 7, 2),
        event(Kind::Opened, 9, 3), // given up at a seek
        event(Kind::Opened, 10, 4),
        event(Kind::Closed, 8, 5),
        event(Kind::Closed, 10, 6),
        ChapterEvent { title: "Better".into(), revision: 1, ..event(Kind::Revised, 7, 7) },
        event(Kind::Opened, 11, 8),
        event(Kind::Updated, 11, 9),
        event(Kind::Opened, 12, 10),
        ChapterEvent { id: "digest".into(), ..event(Kind::Digest, 13, 11) },
    ];
    for event in &events {
        store.publish(&event.to_json(), &[], at(1)).expect("published");
    }
    let gap = Gap { span: Span::new(20 * SECOND, 50 * SECOND), at: at(3), reason: "no route to host".into() };
    store.record_gap("s", &gap).expect("recorded");
    store.end("s", &Ended { at: at(9), note: "stopped".into() }).expect("ends");
    drop(store);

    let store = Store::open(&place.path).expect("opens");
    let ended = store.session("s").expect("read").expect("there").ended.expect("ended");
    assert_eq!(ended, Ended { at: at(9), note: "stopped".into() });
    let resumed = store.resume("s").expect("resumes");
    assert_eq!(resumed.session, Session { first_index: 7, ..session("s") });
    assert_eq!((resumed.next_sequence, resumed.next_index), (12, 13));
    assert_eq!(resumed.running_time, 50 * SECOND);
    assert_eq!(resumed.closed, [events[7].clone(), events[5].clone(), events[6].clone()]);
    assert_eq!(resumed.open, [events[9].clone(), events[10].clone()]);
    assert_eq!(resumed.gaps, [gap]);
    assert!(matches!(store.begin(&session("s")), Err(Error::SessionExists(_))));
    assert!(matches!(store.resume("t"), Err(Error::NoSession(_))));
}

#[test]
fn observations_come_back_in_running_time_order() {
    let place = place();
    let store = begun(&place.path);
    let observation = |source, start: u64, end, text: &str| Observation {
        source,
        span: Span::new(start * SECOND, end),
        text: text.into(),
        turn: source == Source::Speech,
    };
    let batch = [
        observation(Source::Screen, 8, 9 * SECOND, "Seeds\nand tables"),
        observation(Source::Picture, 8, 9 * SECOND, ""),
        observation(Source::Speech, 3, 5 * SECOND, "so, hello"),
        observation(Source::Note, 9, u64::MAX, "ask about this"),
    ];
    store.observe("s", &batch, at(1)).expect("stored");
    let [screen, _, speech, note] = batch;
    let mut found = store.observations("s", 0, 10).expect("read");
    assert_eq!(found[..2], [speech, screen]);
    // As far as the file's integers go.
    found[2].span.end = u64::MAX;
    assert_eq!(found[2], note);
    assert_eq!(store.observations("s", 8 * SECOND, 1).expect("read")[0].text, "Seeds\nand tables");
}

#[test]
fn sessions_are_listed_newest_first() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    // The second began before the first, by the clock.
    for (id, stream, started) in [("one", "hall", 5), ("two", "hall", 1), ("three", "yard", 2)] {
        let session = Session { stream: stream.into(), started: at(started), ..session(id) };
        store.begin(&session).expect("begins");
    }
    let list = |stream, limit| {
        let sessions = store.sessions(stream, limit).expect("listed");
        sessions.into_iter().map(|session| session.id).collect::<Vec<_>>()
    };
    assert_eq!(list(None, 10), ["three", "two", "one"]);
    assert_eq!(list(Some("hall"), 1), ["two"]);
    assert_eq!(store.session("none").expect("read"), None);
}
