//! A camera that restarts, pauses, and forgets the time.

use std::time::Duration;

use crate::camera::{Camera, PASSWORD, film, film_of};
use crate::process::{Ended, Run};
use crate::receiver::Receiver;
use crate::stored::Stored;
use crate::{Desk, filmed, told};

/// Longer than a break of the picture must be to be one (`gap-threshold`).
const BREAK: Duration = Duration::from_secs(5);

/// `stall-timeout`
const STALL: Duration = Duration::from_secs(3);

/// What must hold after all of them.
fn holds(desk: &Desk, receiver: &Receiver, ended: &Ended) -> Stored {
    let stored = Stored::read(desk);
    assert_eq!(stored.sessions.len(), 1, "the session goes on");
    assert_eq!(ended.out, stored.lines);
    stored.is_in_order();
    stored.holds_delivered(&receiver.got());
    stored.was_delivered(&receiver.got());
    let secret = PASSWORD.as_bytes();
    let holds = |bytes: &[u8]| bytes.windows(secret.len()).any(|window| window == secret);
    assert!(!holds(ended.err.as_bytes()), "{}", ended.err);
    assert!(!holds(ended.out.join("\n").as_bytes()));
    assert!(!receiver.got().iter().any(|got| holds(&got.body)));
    for file in std::fs::read_dir(desk.folder.path()).expect("a folder").flatten() {
        let name = file.file_name();
        if name.to_string_lossy().starts_with("store.db") {
            assert!(!holds(&std::fs::read(file.path()).expect("read")), "{name:?}");
        }
    }
    stored
}

/// The break is told of in the text of a digest and counted in a chapter.
fn tells_of_the_break(stored: &Stored) {
    let gap = stored.gaps.first().expect("a gap is recorded");
    assert!(gap.span.duration() > 5_000_000_000, "{gap:?}");
    let digests: Vec<_> = stored.events().filter(|event| event["type"] == "digest").collect();
    let texts: Vec<_> = digests.iter().filter_map(|digest| digest["text"].as_str()).collect();
    assert!(texts.iter().any(|text| text.contains("No signal")), "{gap:?} is in no digest: {texts:#?}");
    let counted: u64 = stored.events().filter_map(|event| event["coverage"]["gap-ns"].as_u64()).sum();
    assert!(counted > 1_000_000_000, "{counted}");
}

/// Stops it: it started, was away and came back, and all of that is stored and told of.
fn ends_with_one_break(desk: &Desk, receiver: &Receiver, run: Run) {
    let ended = run.stop();
    let stored = holds(desk, receiver, &ended);
    for kind in ["stream.started", "stream.disconnected", "stream.resumed"] {
        assert!(!receiver.of(kind).is_empty(), "{kind} is not delivered: {}", ended.err);
    }
    tells_of_the_break(&stored);
}

#[test]
fn a_camera_that_restarts_is_gone_on_with() {
    let desk = Desk::new();
    let film = film(desk.folder.path());
    let camera = Camera::start(&film);
    let receiver = Receiver::good();
    desk.configure(&camera.url(), "", &told(&receiver));
    let mut run = desk.watch();
    run.chapters(1);
    run.until("that it plays", |run| run.err().contains("stream.started"));
    let port = camera.port();
    drop(camera);
    run.until("that it is gone", |_| !receiver.of("stream.disconnected").is_empty());
    std::thread::sleep(BREAK);
    let _camera = Camera::start_at(&film, port);
    run.until("that it is back", |_| !receiver.of("stream.resumed").is_empty());
    run.chapters(1);
    ends_with_one_break(&desk, &receiver, run);
}

#[test]
fn a_camera_that_pauses_is_opened_anew() {
    let (desk, camera, receiver) = filmed();
    let mut run = desk.watch();
    run.chapters(1);
    run.until("that it plays", |run| run.err().contains("stream.started"));
    camera.pause(true);
    run.until("that it is gone", |_| !receiver.of("stream.disconnected").is_empty());
    let why = receiver.of("stream.disconnected")[0]["reason"].clone();
    assert_eq!(why, "nothing came for 3 s");
    // It has been away for as long as that was waited for.
    std::thread::sleep(BREAK - STALL);
    camera.pause(false);
    run.until("that it is back", |_| !receiver.of("stream.resumed").is_empty());
    run.chapters(1);
    ends_with_one_break(&desk, &receiver, run);
}

#[test]
fn a_camera_whose_clock_begins_anew_keeps_the_order_of_chapters() {
    let (desk, camera, receiver) = filmed();
    let mut run = desk.watch();
    run.chapters(1);
    camera.reset_time();
    run.chapters(2);
    camera.reset_time();
    run.chapters(1);
    let ended = run.stop();
    holds(&desk, &receiver, &ended);
}

#[test]
fn a_camera_whose_stream_ends_is_opened_anew() {
    let desk = Desk::new();
    let camera = Camera::start(&film_of(desk.folder.path(), 3));
    let receiver = Receiver::good();
    desk.configure(&camera.url(), "", &told(&receiver));
    let mut run = desk.watch();
    run.until("that it is back", |_| !receiver.of("stream.resumed").is_empty());
    let ended = run.stop();
    assert_eq!(receiver.of("stream.disconnected")[0]["reason"], "the source ended");
    holds(&desk, &receiver, &ended);
}
