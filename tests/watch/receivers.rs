//! Receivers that fail, each in its way, while the stream goes on.

use std::net::TcpListener;
use std::time::Duration;

use gist_store::{Filter, Listed, State, Store};

use crate::camera::{Camera, film};
use crate::receiver::{Manner, Receiver};
use crate::{Desk, endpoint};

#[test]
fn receivers_that_fail_are_tried_again_as_the_convention_says_and_the_stream_goes_on() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let good = Receiver::good();
    let elsewhere = Receiver::good();
    let location: &'static str = Box::leak(format!("location: {}\r\n", elsewhere.url()).into_boxed_str());
    let bad = [
        ("hangs", Manner::Hangs),
        ("resets", Manner::Resets),
        ("breaks", Manner::Answers(500, "")),
        ("wants-less", Manner::Answers(429, "retry-after: 77\r\n")),
        ("has-gone", Manner::Answers(410, "")),
        ("has-moved", Manner::Answers(301, location)),
    ];
    let bad = bad.map(|(name, manner)| (name, Receiver::start(manner)));
    let mut endpoints = vec![endpoint("good", &good.url(), "")];
    endpoints.extend(bad.iter().map(|(name, receiver)| endpoint(name, &receiver.url(), "timeout = \"2s\"")));
    // A port where nobody listens, for the whole stream.
    let nobody = TcpListener::bind("127.0.0.1:0").and_then(|taken| taken.local_addr()).expect("a port");
    endpoints.push(endpoint("is-down", &format!("http://{nobody}/hook"), ""));
    desk.configure(&camera.url(), "", &endpoints);

    let mut run = desk.watch();
    run.until("a message to each", |_| bad.iter().all(|(_, receiver)| !receiver.got().is_empty()));
    // One hangs at every moment, and chapters come and are delivered all the same.
    run.chapters(2);
    let closed = run.closed();
    run.until("their delivery", |_| good.of("chapter.closed").len() >= closed);
    let alert = |data: &serde_json::Value| data["endpoint"] == "has-gone";
    run.until("an alert", |_| good.of("alert.raised").iter().any(alert));
    // The second attempt is the first that waits: 5 s and up to a fifth of it.
    run.until("a second attempt", |_| all(&desk, "breaks").iter().any(|delivery| delivery.attempts >= 2));
    // Not a stop, which would give those that hang ten seconds more.
    run.kill();

    assert!(elsewhere.got().is_empty(), "redirects are not followed");
    for (name, why) in [
        ("hangs", "did not answer within"),
        ("resets", "connection"),
        ("breaks", "answered 500"),
        ("has-moved", "redirects are not followed"),
        ("is-down", "refuses the connection"),
    ] {
        let tried: Vec<_> = all(&desk, name).into_iter().filter(|delivery| delivery.attempts > 0).collect();
        assert!(!tried.is_empty(), "{name}");
        for delivery in tried {
            let delays = [5, 300, 1800];
            let error = delivery.last.as_ref().and_then(|last| last.error.clone()).unwrap_or_default();
            assert!(error.contains(why), "{name}: {error}");
            assert_next(name, &delivery, delays[delivery.attempts as usize - 1]);
        }
    }
    let slow = all(&desk, "wants-less");
    let tried: Vec<_> = slow.iter().filter(|delivery| delivery.attempts > 0).collect();
    assert_eq!(tried.len(), 1, "it is left alone for as long as it wants: {tried:?}");
    assert_next("wants-less", tried[0], 77);
    let gone = all(&desk, "has-gone");
    let attempts: u32 = gone.iter().map(|delivery| delivery.attempts).sum();
    assert_eq!(attempts, 1, "nothing more is sent after 410");
    assert!(gone.iter().all(|delivery| delivery.state == State::Pending), "what waits is kept");
    let store = Store::open(desk.store()).expect("sound");
    let counts = store.counts().expect("read").endpoints;
    let disabled: Vec<_> = counts.iter().filter(|endpoint| endpoint.disabled.is_some()).collect();
    assert_eq!(disabled.iter().map(|endpoint| endpoint.name.as_str()).collect::<Vec<_>>(), ["has-gone"]);
}

#[test]
fn what_a_receiver_missed_comes_when_it_is_back_after_a_restart() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::start(Manner::Answers(503, ""));
    desk.configure(&camera.url(), "", &crate::told(&receiver));
    let mut run = desk.watch();
    run.chapters(1);
    run.until("an attempt", |_| !receiver.got().is_empty());
    run.kill();
    receiver.becomes(Manner::Answers(200, ""));
    let waiting = all(&desk, "team");
    assert!(waiting.iter().all(|delivery| delivery.state == State::Pending), "{waiting:?}");
    let mut run = desk.watch();
    // What was tried once is due 5 s after that; what was never tried, at once.
    run.until("what it missed", |_| {
        let got = receiver.got();
        waiting.iter().filter(|delivery| delivery.attempts < 2).all(|delivery| {
            got.iter().filter(|got| got.id == delivery.webhook_id).count() > delivery.attempts as usize
        })
    });
    run.stop();
    let bodies: std::collections::HashMap<_, _> =
        receiver.got().into_iter().map(|got| (got.id, got.body)).collect();
    assert!(receiver.got().iter().all(|got| bodies[&got.id] == got.body), "the same body at every attempt");
}

fn all(desk: &Desk, endpoint: &str) -> Vec<Listed> {
    let store = Store::open_read(desk.store()).expect("opens");
    let filter = Filter { endpoint: Some(endpoint.into()), ..Filter::default() };
    store.deliveries(&filter, None, 10_000).expect("read")
}

/// The next attempt is so many seconds after the last, or up to a fifth more; the time of the attempt itself comes on
/// top of what is measured from its beginning.
fn assert_next(name: &str, delivery: &Listed, seconds: u64) {
    let last = delivery.last.as_ref().expect("an attempt");
    let wait = delivery.next_at.expect("pending").duration_since(last.at).expect("later");
    let delay = Duration::from_secs(seconds);
    let most = delay.mul_f64(1.2) + last.latency + Duration::from_secs(60);
    assert!(wait + Duration::from_millis(2) >= delay && wait <= most, "{name}: {delivery:?}");
}
