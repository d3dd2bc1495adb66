//! What is dropped, in which order, and what never is.

use std::time::Duration;

use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::time::Span;
use gist_store::{Ended, Filter, Retention, State, Store};

use super::*;

const DAY: u64 = 86_400;

fn observe(store: &Store, session: &str, count: u64, now: SystemTime) {
    let text = "word ".repeat(200);
    let observation = |n| Observation {
        source: Source::Speech,
        span: Span::new(n, n + 1),
        text: text.clone(),
        turn: false,
    };
    store.observe(session, &(0..count).map(observation).collect::<Vec<_>>(), now).expect("stored");
}

#[test]
fn what_is_too_old_goes_and_is_counted() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(0));
    deliver(&store, "a", at(0));
    publish(&store, 1, at(DAY));
    observe(&store, "s", 3, at(0));
    observe(&store, "s", 2, at(DAY));
    let retention = Retention { age: Some(Duration::from_secs(DAY)), bytes: None };

    let dropped = store.retain(&retention, at(DAY + 1));
    assert_eq!((dropped.attempts, dropped.observations, dropped.delivered), (1, 3, 1), "{dropped:?}");
    assert_eq!((dropped.given_up, dropped.dead, dropped.sessions), (0, 0, 0), "{dropped:?}");
    assert_eq!(dropped.span, Some((at(0), at(0))));
    assert!(dropped.stopped.is_none());
    assert_eq!(store.events("s", 0, 10).expect("events").len(), 2, "the session runs");

    store.end("s", &Ended { at: at(2 * DAY), note: "stopped".into() }).expect("ends");
    let dropped = store.retain(&retention, at(3 * DAY + 1));
    assert_eq!((dropped.given_up, dropped.dead, dropped.sessions), (1, 0, 0), "{dropped:?}");
    let listed = store.deliveries(&Filter::default(), None, 9).expect("listed");
    assert_eq!(listed[0].state, State::Dead);
    assert_eq!(listed[0].reason.as_deref(), Some("waited longer than is kept"));

    let dropped = store.retain(&retention, at(4 * DAY + 2));
    assert_eq!((dropped.dead, dropped.sessions, dropped.events), (1, 1, 2), "{dropped:?}");
    assert_eq!(dropped.span, Some((at(0), at(2 * DAY))));
    assert!(store.sessions(None, 9).expect("listed").is_empty());
}

#[test]
fn what_is_too_much_goes_oldest_and_least_first_and_the_file_shrinks() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(0));
    store.begin(&session("old")).expect("begins");
    store.end("old", &Ended { at: at(1), note: String::new() }).expect("ends");
    observe(&store, "s", 2000, at(0));
    let size = || std::fs::metadata(&place.path).expect("there").len();
    let keep = |bytes| store.retain(&Retention { age: None, bytes: Some(bytes) }, at(1));

    keep(u64::MAX); // brings the log into the file
    let before = size();
    let dropped = keep(before / 2);
    assert!((1..2000).contains(&dropped.observations), "{dropped:?}");
    assert_eq!((dropped.sessions, dropped.over), (0, 0), "{dropped:?}");
    assert!(size() <= before / 2, "{} of {before}", size());
    let left = store.observations("s", 0, 9999).expect("read");
    assert_eq!(left[0].span.start, dropped.observations as u64, "the oldest went");

    let dropped = keep(1);
    assert_eq!((dropped.observations, dropped.sessions), (left.len(), 1), "{dropped:?}");
    assert!(dropped.over > 0, "says that it is too much still");
    assert_eq!(store.events("s", 0, 9).expect("events"), [json(0)]);
    assert_eq!(ids(&due(&store, "a", at(1))), ["m0"]);
}
