//! One writer, and others beside it.

use std::thread;

use gist_store::{Error, Filter, Store};

use super::*;

#[test]
fn child_that_opens() {
    let Some(path) = child_path() else { return };
    let locked = Store::open(&path).expect_err("there is a writer");
    assert!(matches!(locked, Error::Locked { .. }), "{locked}");
    let list = Store::open_read(&path).expect("opens");
    assert_eq!(list.events("s", 0, 9).expect("events"), [json(0)]);
    let error = list.publish(&json(1), &[], at(1)).expect_err("only reads");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    let beside = Store::open_beside(&path).expect("opens");
    assert_eq!(beside.replay(&Filter::default(), at(1)).expect("replayed"), 1);
}

#[test]
fn another_process_lists_and_replays_but_is_no_second_writer() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(0));
    let version = store.data_version().expect("a number");
    deliver(&store, "a", at(0));
    assert_eq!(store.data_version().expect("a number"), version, "its own changes are no news");
    let output = child(&this(), "beside::child_that_opens", &place.path).output().expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert_eq!(ids(&due(&store, "a", at(1))), ["m0"]);
    assert_ne!(store.data_version().expect("a number"), version);
}

#[test]
fn a_reader_sees_whole_events_while_they_are_written() {
    const EVENTS: u64 = 100;
    let place = place();
    let store = begun(&place.path);
    let list = Store::open_read(&place.path).expect("opens");
    thread::scope(|scope| {
        let writer = scope.spawn(|| (0..EVENTS).for_each(|sequence| publish(&store, sequence, at(0))));
        let mut seen = 0;
        while seen < EVENTS && !writer.is_finished() {
            let events = list.events("s", 0, usize::MAX).expect("events").len() as u64;
            let messages =
                list.deliveries(&Filter::default(), None, usize::MAX).expect("listed").len() as u64;
            assert!(seen <= events && events <= messages, "{seen} {events} {messages}");
            seen = events;
        }
    });
}

#[test]
fn a_closed_store_is_read_and_opened_again() {
    let place = place();
    let missing = Store::open_read(&place.path).expect_err("not yet");
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    publish(&begun(&place.path), 0, at(0));
    let list = Store::open_read(&place.path).expect("opens without a writer");
    let store = Store::open(&place.path).expect("opens beside a reader");
    publish(&store, 1, at(0));
    assert_eq!(list.events("s", 0, 9).expect("events").len(), 2);
}

#[test]
fn ids_are_found_by_how_they_begin() {
    let place = place();
    let store = begun(&place.path);
    (0..2).for_each(|sequence| publish(&store, sequence, at(0)));
    let list = Store::open_read(&place.path).expect("opens");
    assert_eq!(list.message_ids("M", 9).expect("ids"), ["m0", "m1"]);
    assert_eq!(list.message_ids("m1", 9).expect("ids"), ["m1"]);
    assert_eq!(list.message_ids("%", 9).expect("ids"), [""; 0]);
    assert_eq!(list.session_ids("S", 9).expect("ids"), ["s"]);
    assert_eq!(list.closed_chapters("s").expect("a number"), 2);
    assert!(list.gaps("s").expect("gaps").is_empty());
}
