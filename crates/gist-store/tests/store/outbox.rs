//! What waits, what was given up, and what people do about it.

use gist_store::{Error, Filter, State, Store};

use super::*;

#[test]
fn deliveries_come_oldest_first_when_their_time_has_come() {
    let place = place();
    let store = begun(&place.path);
    (0..3).for_each(|sequence| publish(&store, sequence, at(0)));
    assert_eq!(ids(&due(&store, "a", at(2))), ["m0", "m1", "m2"]);
    assert_eq!(ids(&store.due("a", at(2), 2).expect("due")), ["m0", "m1"]);
    assert_eq!(store.next_due("a", at(0)).expect("next"), Some(at(0)));
    assert_eq!(store.next_due("nobody", at(0)).expect("next"), None);

    let first = due(&store, "a", at(0)).remove(0);
    store.record(&first, &attempt(at(2), 500), &Next::Again { at: at(60), set: at(2) }).expect("recorded");
    assert_eq!(ids(&due(&store, "a", at(59))), ["m1", "m2"]);
    let again = due(&store, "a", at(60)).remove(0);
    assert_eq!(again, Delivery { attempts: 1, ..first });
    deliver(&store, "a", at(60));
    assert_eq!(store.next_due("a", at(2)).expect("next"), None);
    assert_eq!(store.attempts("m0", "a").expect("log"), [attempt(at(2), 500), attempt(at(60), 200)]);
}

#[test]
fn a_disabled_endpoint_gets_nothing_until_it_is_enabled() {
    let place = place();
    let store = begun(&place.path);
    store.publish(&json(0), &[outgoing("m", &["a", "b"])], at(0)).expect("published");
    store.disable("a", "410 Gone").expect("disabled");
    store.disable("a", "again").expect("disabled");
    publish(&store, 1, at(1));
    assert!(due(&store, "a", at(9)).is_empty());
    assert_eq!(store.next_due("a", at(2)).expect("next"), None);
    assert_eq!(due(&store, "b", at(9)).len(), 1);
    let counts = store.counts().expect("counts");
    let [a, b] = &counts.endpoints[..] else { panic!("{counts:?}") };
    assert_eq!((a.name.as_str(), a.pending, a.oldest_pending), ("a", 2, Some(at(0))));
    assert_eq!(a.disabled.as_ref().map(|(_, reason)| reason.as_str()), Some("410 Gone"));
    assert_eq!((b.name.as_str(), b.pending, b.disabled.is_none()), ("b", 1, true));
    assert!(counts.disk_bytes > 0);

    assert!(store.enable("a").expect("enabled"));
    assert!(!store.enable("a").expect("was enabled"));
    assert_eq!(ids(&due(&store, "a", at(9))), ["m", "m1"]);
}

#[test]
fn the_log_tells_for_how_long_an_endpoint_has_failed() {
    let place = place();
    let store = begun(&place.path);
    (0..2).for_each(|sequence| publish(&store, sequence, at(0)));
    let tried = |second: u64, status: u16| {
        let delivery = due(&store, "a", at(second)).remove(0);
        let next =
            if status == 200 { Next::Delivered } else { Next::Again { at: at(second), set: at(second) } };
        store.record(&delivery, &attempt(at(second), status), &next).expect("recorded");
        store.failing_for("a").expect("told").map(|time| time.as_secs())
    };
    assert_eq!(tried(5, 500), Some(0));
    assert_eq!(tried(6, 500), Some(1));
    assert_eq!(tried(7, 200), None);
    assert_eq!(tried(8, 500), Some(0));
    assert_eq!(tried(20, 500), Some(12));
    // The clock was set ahead by a year, and back.
    assert_eq!(tried(365 * 86_400, 500), Some(12 + 30 * 3600));
    assert_eq!(tried(30, 500), Some(12 + 30 * 3600));
    assert_eq!(tried(40, 500), Some(22 + 30 * 3600));
    assert_eq!(store.failing_for("b").expect("told"), None);
}

#[test]
fn dead_letters_are_listed_and_replayed_with_the_same_body() {
    let place = place();
    let store = begun(&place.path);
    (0..4).for_each(|sequence| publish(&store, sequence, at(10 * sequence)));
    let first = due(&store, "a", at(50)).remove(0);
    for (delivery, status) in due(&store, "a", at(50)).iter().zip([500, 500, 200]) {
        let dead = Next::Dead { reason: "10 attempts".into() };
        let next = if status == 200 { Next::Delivered } else { dead };
        store.record(delivery, &attempt(at(50), status), &next).expect("recorded");
    }
    let list = |filter: &Filter, behind, limit| {
        let listed = store.deliveries(filter, behind, limit).expect("listed");
        listed.into_iter().map(|listed| listed.webhook_id).collect::<Vec<_>>()
    };
    let dead = Filter { state: Some(State::Dead), ..Filter::default() };
    assert_eq!(list(&Filter::default(), None, 9), ["m3", "m2", "m1", "m0"]);
    let page = store.deliveries(&Filter::default(), None, 2).expect("listed");
    assert_eq!(list(&Filter::default(), Some(page[1].number), 1), ["m1"]);
    assert_eq!(list(&dead, None, 9), ["m1", "m0"]);
    let range = Filter { from: Some(at(10)), to: Some(at(20)), ..Filter::default() };
    assert_eq!(list(&range, None, 9), ["m1"]);
    assert!(list(&Filter { endpoint: Some("b".into()), ..Filter::default() }, None, 9).is_empty());

    let listed = store.deliveries(&dead, None, 9).expect("listed").remove(1);
    assert_eq!((listed.session.as_deref(), listed.sequence), (Some("s"), Some(0)));
    assert_eq!((listed.state, listed.reason.as_deref()), (State::Dead, Some("10 attempts")));
    assert_eq!((listed.next_at, listed.last), (None, Some(attempt(at(50), 500))));
    assert_eq!(store.counts().expect("counts").endpoints[0].dead, 2);

    let one = Filter { webhook_id: Some("m0".into()), ..Filter::default() };
    assert_eq!(store.replay(&one, at(60)).expect("replayed"), 1);
    assert_eq!(store.replay(&one, at(60)).expect("waits already"), 0);
    assert_eq!(due(&store, "a", at(60))[0], first);
    assert_eq!(store.replay(&Filter::default(), at(60)).expect("replayed"), 2, "dead and delivered");
    assert_eq!(ids(&due(&store, "a", at(60))), ["m0", "m1", "m2", "m3"]);
}

#[test]
fn a_long_answer_is_cut_between_characters() {
    let place = place();
    let store = begun(&place.path);
    publish(&store, 0, at(0));
    let delivery = due(&store, "a", at(0)).remove(0);
    let long = Attempt { answer: format!("x{}", "ü".repeat(1000)), ..attempt(at(0), 500) };
    store.record(&delivery, &long, &Next::Delivered).expect("recorded");
    assert_eq!(store.attempts("m0", "a").expect("log")[0].answer.len(), 1023);
}

#[test]
fn messages_of_no_chapter_are_posted_once() {
    let place = place();
    let store = Store::open(&place.path).expect("opens");
    let message = outgoing("m", &["a"]);
    store.post(std::slice::from_ref(&message), at(0)).expect("posted");
    store.post(std::slice::from_ref(&message), at(0)).expect("known");
    assert_eq!(ids(&due(&store, "a", at(0))), ["m"]);
    let other = Outgoing { body: b"other".into(), ..message };
    assert!(matches!(store.post(&[other], at(0)), Err(Error::BodyDiffers(_))));
    let stranger = Delivery { webhook_id: "n".into(), ..due(&store, "a", at(0)).remove(0) };
    store.record(&stranger, &attempt(at(0), 200), &Next::Delivered).expect_err("no such delivery");
}
