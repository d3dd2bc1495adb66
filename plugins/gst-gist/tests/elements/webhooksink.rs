//! `gistwebhooksink`, with real receivers on loopback.

use std::fs;
use std::path::Path;
use std::time::Duration;

use gist_webhook::{Secret, sign};
use gst::prelude::*;
use serde_json::{Value, json};

use super::receiver::{OK, PATIENCE, Received, Receiver, Reply};

const CAPS: &str = "application/x-json,format=gist-chapters-v1";

fn line(kind: &str, index: u64) -> String {
    json!({
        "schema": "gist-chapters-v1", "sequence": index, "type": kind, "id": format!("s-{index}"), "index": index,
        "revision": 0, "running-time": u64::MAX, "start": 0.1, "emitted-at": 0, "prompt-revision": 0, "unknown-field": 1,
        "title": "Ünicode",
    })
    .to_string()
}

fn sink(url: &str, spool: &Path) -> gst::Element {
    super::init();
    gst::ElementFactory::make("gistwebhooksink")
        .property("url", url)
        .property("allow-private", "127.0.0.0/8")
        .property("spool-location", spool.to_str())
        .property("flush-timeout", PATIENCE.as_nanos() as u64)
        .build()
        .expect("the element")
}

/// A started harness around the sink.
fn harness(sink: &gst::Element) -> gst_check::Harness {
    let mut harness = gst_check::Harness::with_element(sink, Some("sink"), None);
    harness.set_src_caps_str(CAPS);
    harness.play();
    harness
}

fn push(harness: &mut gst_check::Harness, text: impl Into<Vec<u8>>) {
    assert_eq!(harness.push(gst::Buffer::from_slice(text.into())), Ok(gst::FlowSuccess::Ok));
}

fn stat(sink: &gst::Element, name: &str) -> u64 {
    sink.property::<gst::Structure>("stats").get(name).unwrap()
}

fn body(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// The next `gist-webhook` message, as `what` and `error`.
fn told(bus: &gst::Bus) -> (String, String) {
    let limit = gst::ClockTime::from_nseconds(PATIENCE.as_nanos() as u64);
    let message = bus.timed_pop_filtered(limit, &[gst::MessageType::Element]).expect("a message");
    let details = message.structure().unwrap();
    assert_eq!(details.name(), "gist-webhook");
    (details.get("what").unwrap(), details.get("error").unwrap())
}

fn watched(sink: &gst::Element) -> gst::Bus {
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    bus
}

#[test]
fn chapters_are_posted_signed_and_as_they_came() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    let (first, second) = (Secret::generate(), Secret::generate());
    let file = dir.path().join("secret");
    fs::write(&file, second.reveal()).unwrap();
    let sink = sink(&receiver.url(), &dir.path().join("spool"));
    sink.set_property("secret", first.reveal());
    sink.set_property("secret-file", file.to_str());
    assert_eq!(sink.property::<Option<String>>("secret"), None, "a secret is not shown");
    let mut harness = harness(&sink);
    push(&mut harness, line("opened", 0));
    push(&mut harness, [line("closed", 0), line("revised", 0)].join("\n"));
    push(&mut harness, line("digest", 1));
    push(&mut harness, "not JSON");
    assert!(harness.push_event(gst::event::Eos::new()));
    let received = receiver.received();
    let types: Vec<_> = received.iter().map(|r| body(r)["type"].as_str().unwrap().to_owned()).collect();
    assert_eq!(types, ["chapter.closed", "chapter.revised", "digest.created"], "all are there at EOS");
    for (request, expected) in received.iter().zip([line("closed", 0), line("revised", 0), line("digest", 1)])
    {
        let text = String::from_utf8(request.body.clone()).unwrap();
        assert!(text.ends_with(&format!("\"data\":{expected}}}")), "{text}");
        let timestamp = request.headers["webhook-timestamp"].parse().unwrap();
        for secret in [&first, &second] {
            let secret = std::slice::from_ref(secret);
            let signature = &request.headers["webhook-signature"];
            assert!(sign::verify(secret, request.id(), timestamp, &request.body, signature));
        }
    }
    for (name, expected) in [("delivered", 3), ("pending", 0), ("dead", 0), ("lost", 0), ("malformed", 1)] {
        assert_eq!(stat(&sink, name), expected, "{name}");
    }
}

#[test]
fn a_receiver_that_says_nothing_holds_up_nothing_and_the_next_run_delivers() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n == 0 { Reply::Silence } else { OK });
    let sink = sink(&receiver.url(), dir.path());
    sink.set_property("flush-timeout", 1_000_000_u64);
    let mut harness = harness(&sink);
    (0..50).for_each(|n| push(&mut harness, line("closed", n)));
    assert!(harness.push_event(gst::event::Eos::new()));
    sink.set_state(gst::State::Ready).unwrap();
    sink.set_property("flush-timeout", PATIENCE.as_nanos() as u64);
    sink.set_state(gst::State::Playing).expect("the attempt under way does not hold the spool");
    let received = receiver.wait_for(51);
    let first = received[0].id();
    let again = received[1..].iter().filter(|r| r.id() == first).count();
    assert_eq!(again, 1, "the same message under the same id");
    let mut sequences: Vec<_> =
        received[1..].iter().map(|r| body(r)["data"]["sequence"].as_u64().unwrap()).collect();
    sequences.sort_unstable();
    assert_eq!(sequences, (0..50).collect::<Vec<_>>());
    drop(harness);
}

#[test]
fn a_receiver_that_is_down_is_told_of_and_the_end_does_not_wait_for_it() {
    let dir = tempfile::tempdir().unwrap();
    let sink = sink(&Receiver::always(Reply::Status(500, "")).url(), dir.path());
    let bus = watched(&sink);
    let mut harness = harness(&sink);
    push(&mut harness, line("closed", 0));
    assert!(harness.push_event(gst::event::Eos::new()));
    let (what, error) = told(&bus);
    assert!(what == "failed" && error.contains("500"), "{what}: {error}");
    assert_eq!((stat(&sink, "pending"), stat(&sink, "delivered")), (1, 0));
    let last: String = sink.property::<gst::Structure>("stats").get("last-error").unwrap();
    assert!(last.contains("500"), "{last}");
}

#[test]
fn a_disk_that_takes_nothing_is_told_of_and_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    let sink = sink(&receiver.url(), dir.path());
    let bus = watched(&sink);
    let mut harness = harness(&sink);
    let (pending, away) = (dir.path().join("pending"), dir.path().join("away"));
    fs::rename(&pending, &away).unwrap();
    (0..3).for_each(|n| push(&mut harness, line("closed", n)));
    let (what, error) = told(&bus);
    assert!(what == "spool" && error.contains("tried again"), "{what}: {error}");
    assert_eq!((stat(&sink, "pending"), stat(&sink, "lost")), (3, 0));
    fs::rename(&away, &pending).unwrap();
    assert!(harness.push_event(gst::event::Eos::new()));
    let sequences: Vec<_> =
        receiver.received().iter().map(|r| body(r)["data"]["sequence"].as_u64()).collect();
    assert_eq!(sequences, [Some(0), Some(1), Some(2)]);
    assert_eq!((stat(&sink, "pending"), stat(&sink, "lost")), (0, 0));
}

#[test]
fn a_stop_interrupts_an_end_that_waits() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(Reply::Silence);
    let sink = sink(&receiver.url(), dir.path());
    let mut harness = harness(&sink);
    push(&mut harness, line("closed", 0));
    receiver.wait_for(1);
    let (send, ended) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            harness.push_event(gst::event::Eos::new());
            send.send(()).unwrap();
        });
        assert!(ended.recv_timeout(Duration::from_millis(50)).is_err(), "it waits");
        sink.set_state(gst::State::Null).unwrap();
        ended.recv_timeout(PATIENCE / 2).expect("it goes on");
    });
}

#[test]
fn what_cannot_work_is_said_at_the_start_with_the_property_to_set() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "hunter2").unwrap();
    let file = file.to_str().unwrap();
    for (property, value, words) in [
        ("url", "", "url"),
        ("url", "ftp://example.com/", "https"),
        ("url", "http://user:hunter2@example.com/", "header"),
        ("url", "http://169.254.169.254/?key=hunter2", "link-local"),
        ("url", "http://[::ffff:10.0.0.1]/", "IPv4"),
        ("secret", "hunter2", "whsec_"),
        ("secret-file", file, "secret-file"),
        ("secret-file", "/nowhere", "/nowhere"),
        ("events", "chapter.close", "chapter.closed"),
        ("allow-private", "lan", "192.168.1.0/24"),
        ("spool-location", file, "spool-location"),
    ] {
        let sink = sink("http://127.0.0.1:1/", &dir.path().join("spool"));
        let bus = watched(&sink);
        sink.set_property(property, value);
        assert!(sink.set_state(gst::State::Paused).is_err(), "{property}={value}");
        let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
        let gst::MessageView::Error(error) = message.view() else { panic!("an error") };
        let text = error.error().to_string();
        assert!(text.contains(words) && !text.contains("hunter2"), "{property}={value}: {text}");
        sink.set_state(gst::State::Null).unwrap();
    }
}

#[test]
fn two_sinks_do_not_share_a_spool() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (sink("http://127.0.0.1:1/", dir.path()), sink("http://127.0.0.1:1/", dir.path()));
    one.set_state(gst::State::Paused).unwrap();
    let bus = watched(&two);
    assert!(two.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).expect("an error");
    let gst::MessageView::Error(error) = message.view() else { panic!("an error") };
    assert!(error.error().message().contains("spool-location"), "{}", error.error());
    one.set_state(gst::State::Null).unwrap();
    two.set_state(gst::State::Paused).expect("the folder is free");
    two.set_state(gst::State::Null).unwrap();
}

#[test]
fn an_endpoint_that_said_410_is_left_alone_until_a_person_looks() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n == 0 { Reply::Status(410, "") } else { OK });
    let sink = sink(&receiver.url(), dir.path());
    let bus = watched(&sink);
    let mut harness = harness(&sink);
    push(&mut harness, line("closed", 0));
    let mut messages = std::iter::repeat_with(|| told(&bus));
    let (_, error) = messages.find(|(what, _)| what == "disabled").unwrap();
    assert!(error.contains("410") && error.contains("'disabled'"), "{error}");
    push(&mut harness, line("closed", 1));
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!((receiver.received().len(), stat(&sink, "pending")), (1, 2));
    sink.set_state(gst::State::Ready).unwrap();
    fs::remove_file(dir.path().join("disabled")).unwrap();
    sink.set_state(gst::State::Playing).unwrap();
    receiver.wait_for(3);
    drop(harness);
}
