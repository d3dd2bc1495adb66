//! A wall clock that jumps loses nothing and reorders nothing.

use std::time::Duration;

use gist_store::belief::DOUBT;
use gist_store::{Ended, Filter, Retention};

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
    let again = Next::Again { at: at(YEARS + 300), set: at(YEARS) };
    store.record(&delivery, &attempt(at(YEARS), 500), &again).expect("recorded");
    assert!(due(&store, "a", at(YEARS)).is_empty(), "its time has not come");
    assert_eq!(ids(&due(&store, "a", at(0))), ["m0"]);
}

#[test]
fn what_was_scheduled_by_a_clock_that_stayed_ahead_is_due_by_the_right_one() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(0));
    let delivery = due(&store, "a", at(0)).remove(0);
    // The time of day is right again; who delivers still counts from tomorrow, as its clock never goes back.
    let again = Next::Again { at: at(DAY + 300), set: at(DAY) };
    store.record(&delivery, &attempt(at(10), 500), &again).expect("recorded");
    assert!(due(&store, "a", at(DAY + 1)).is_empty(), "its time has not come");
    assert_eq!(store.next_due("a", at(DAY + 1)).expect("next"), Some(at(DAY + 300)));
    assert_eq!(ids(&due(&store, "a", at(11))), ["m0"], "the next start does not wait for tomorrow");
    assert_eq!(store.next_due("a", at(11)).expect("next"), Some(at(11)));
}

const DAY: u64 = 86_400;

/// What is dropped by an age of ten days when the clock shows `clock`, so long after the last time.
fn retain(store: &Store, clock: SystemTime, elapsed: Option<u64>) -> (usize, usize) {
    let belief = store.believe(clock, elapsed.map(Duration::from_secs)).expect("believes");
    let dropped =
        store.retain(&Retention { age: Some(Duration::from_secs(10 * DAY)), bytes: None }, belief.time);
    assert!(dropped.stopped.is_none(), "{dropped:?}");
    (dropped.delivered, dropped.sessions)
}

const NOTHING: (usize, usize) = (0, 0);

/// A session that has ended, with a message that is delivered.
fn finish(store: &Store, id: &str, now: SystemTime) {
    store.begin(&Session { started: now, ..session(id) }).expect("begins");
    store.post(&[outgoing(id, &["a"])], now).expect("stored");
    deliver(store, "a", now);
    store.end(id, &Ended { at: now, note: "stopped".into() }).expect("ends");
}

#[test]
fn nothing_is_dropped_because_the_clock_was_a_year_ahead_for_a_while() {
    const YEAR: u64 = 365 * DAY;
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    finish(&store, "s", at(0));
    assert_eq!(retain(&store, at(600), None), NOTHING);
    assert_eq!(retain(&store, at(YEAR), Some(600)), NOTHING);
    finish(&store, "later", at(YEAR));
    drop(store);
    // Nor at a start while it is wrong still, and not because it is set back.
    let store = Store::open(&place.path).expect("opens");
    assert_eq!(retain(&store, at(YEAR + 60), None), NOTHING);
    assert_eq!(retain(&store, at(1800), Some(600)), NOTHING);
    assert_eq!(retain(&store, at(9 * DAY), Some(9 * DAY - 1800)), NOTHING);
    // What was stored meanwhile goes in its time.
    assert_eq!(retain(&store, at(11 * DAY), Some(2 * DAY)), (2, 2));
}

#[test]
fn what_was_stored_by_a_clock_that_was_years_behind_is_kept_like_the_rest() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    finish(&store, "s", at(0));
    assert_eq!(retain(&store, at(600), None), NOTHING);
    let early = at(0) - Duration::from_secs(YEARS);
    assert_eq!(retain(&store, early, Some(600)), NOTHING);
    finish(&store, "later", early);
    drop(store);
    let store = Store::open(&place.path).expect("opens");
    assert_eq!(retain(&store, at(3600), None), NOTHING);
    assert_eq!(retain(&store, at(2 * DAY), Some(2 * DAY - 3600)), NOTHING);
    assert_eq!(retain(&store, at(11 * DAY), Some(9 * DAY)), (2, 2));
}

#[test]
fn what_was_stored_before_the_clock_was_put_right_is_kept_for_its_time() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    // A machine without a battery begins in the past.
    assert_eq!(retain(&store, at(0), None), NOTHING);
    finish(&store, "s", at(0));
    let mut right = YEARS;
    while right < YEARS + 9 * DAY {
        assert_eq!(retain(&store, at(right), Some(7200)), NOTHING, "{right}");
        right += 7200;
    }
    assert_eq!(retain(&store, at(YEARS + 11 * DAY), Some(2 * DAY)), (1, 1));
}

#[test]
fn what_grew_old_while_nothing_ran_is_dropped_when_the_clock_has_stood_for_a_day() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    finish(&store, "s", at(0));
    assert_eq!(retain(&store, at(600), None), NOTHING);
    drop(store);
    let store = Store::open(&place.path).expect("opens");
    assert_eq!(retain(&store, at(100 * DAY), None), NOTHING);
    let hours = DOUBT.as_secs() / 3600;
    for hour in 1..=hours {
        let dropped = retain(&store, at(100 * DAY + hour * 3600), Some(3600));
        assert_eq!(dropped == (1, 1), hour == hours, "{hour}: {dropped:?}");
    }
}

#[test]
fn a_store_that_has_no_belief_yet_takes_it_from_what_it_has() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    finish(&store, "s", at(0));
    let belief = store.believe(at(YEARS), None).expect("believes");
    assert_eq!(belief.time, at(0));
    assert_eq!(belief.ahead, Some(Duration::from_secs(YEARS)));
    let empty = Store::open(place.folder.path().join("other.db")).expect("opens");
    assert_eq!(empty.believe(at(YEARS), None).expect("believes").time, at(YEARS));
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
