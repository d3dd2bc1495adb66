//! A wall clock that jumps loses nothing and reorders nothing.

use std::time::Duration;

use gist_store::{Filter, Retention};

use super::*;

const YEARS: u64 = 10 * 365 * 86_400;

#[test]
fn order_is_that_of_publishing_whatever_the_clock_says() {
    let place = place();
    let store = begun(&place.path);
    for (sequence, now) in [at(YEARS), SystemTime::UNIX_EPOCH, at(5), at(0)].into_iter().enumerate() {
        publish(&store, sequence as u64, now);
    }
    let events: Vec<String> = (0..4).map(json).collect();
    assert_eq!(store.events("s", 0, 10).expect("events"), events);
    assert_eq!(ids(&due(&store, "a", at(YEARS))), ["m0", "m1", "m2", "m3"]);
    let listed = store.deliveries(&Filter::default(), None, 9).expect("listed");
    assert!(listed.is_sorted_by(|one, next| one.number > next.number));
    assert_eq!(store.resume("s").expect("resumes").next_sequence, 4);
}

#[test]
fn a_clock_that_is_set_back_does_not_hold_back_what_waits() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(YEARS));
    let delivery = due(&store, "a", at(0)).remove(0);
    let again = Next::Again { at: at(YEARS + 300) };
    store.record(&delivery, &attempt(at(YEARS), 500), &again).expect("recorded");
    assert!(due(&store, "a", at(YEARS)).is_empty(), "its time has not come");
    assert_eq!(ids(&due(&store, "a", at(0))), ["m0"]);
}

#[test]
fn a_clock_that_leaps_ahead_drops_nothing_that_runs_or_waits() {
    let place = place();
    let store = begun(&place.path);
    (0..3).for_each(|sequence| publish(&store, sequence, at(0)));
    let retention = Retention { age: Some(Duration::from_secs(86_400)), bytes: None };
    let dropped = store.retain(&retention, at(YEARS));
    assert_eq!((dropped.given_up, dropped.dead, dropped.sessions), (3, 0, 0), "{dropped:?}");
    assert_eq!(store.events("s", 0, 10).expect("events").len(), 3);
    assert_eq!(store.replay(&Filter::default(), at(1)).expect("replayed"), 3);
    assert_eq!(ids(&due(&store, "a", at(1))), ["m0", "m1", "m2"]);
}
