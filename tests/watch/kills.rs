//! kill -9 at any moment.

// The seed, to try a failure once more.
#![allow(clippy::print_stderr)]

use std::time::Duration;

use crate::camera::{Camera, film};
use crate::process::Run;
use crate::receiver::Receiver;
use crate::stored::Stored;
use crate::{Desk, told};

/// Numbers from a seed (splitmix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

/// Waits for some event or for some time, so that kills hit starts, texts, deliveries and everything between.
fn some_moment(run: &mut Run, random: &mut Random) {
    if !random.next().is_multiple_of(3) {
        let wanted = 1 + random.next() as usize % 3;
        run.until("an event", |run| run.events().len() >= wanted);
        std::thread::sleep(Duration::from_micros(random.next() % 50_000));
    } else {
        std::thread::sleep(Duration::from_millis(random.next() % 1_200));
    }
}

fn kills(count: usize) {
    let seed = std::env::var("STREAMGIST_SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| u64::from(std::process::id()));
    eprintln!("STREAMGIST_SEED={seed}");
    let mut random = Random(seed);
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    let outputs = format!("outputs = [{:?}]", desk.path("all.jsonl"));
    desk.configure(&camera.url(), &outputs, &told(&receiver));
    let mut shown = Vec::new();
    for _ in 0..count {
        let mut run = desk.watch();
        some_moment(&mut run, &mut random);
        let ended = run.kill();
        assert_eq!(ended.status.code(), None, "it was killed, and did not end: {}", ended.err);
        shown.extend(ended.out);
    }
    let mut run = desk.watch();
    run.chapters(1);
    shown.extend(run.stop().out);

    let stored = Stored::read(&desk);
    assert_eq!(stored.sessions.len(), 1, "one session all along");
    stored.holds_shown(&shown);
    stored.holds_delivered(&receiver.got());
    stored.was_delivered(&receiver.got());
    stored.is_in_order();
    stored.is_in_file(&desk.path("all.jsonl"));
    // What was said lies in no other file.
    let mut left: Vec<_> = std::fs::read_dir(desk.folder.path()).expect("a folder").flatten().collect();
    left.extend(std::fs::read_dir(desk.path("tmp")).expect("a folder").flatten());
    left.retain(|file| {
        file.file_name().to_string_lossy().contains("resume")
            || file.path().parent() == Some(&desk.path("tmp"))
    });
    assert!(left.is_empty(), "{left:?}");
    let closed = stored.events().filter(|event| event["type"] == "closed").count();
    eprintln!(
        "{count} kills, {} events, {closed} chapters, {} deliveries",
        stored.lines.len(),
        receiver.got().len()
    );
}

#[test]
fn nothing_is_lost_or_told_in_two_ways_when_it_is_killed() {
    kills(25);
}

#[test]
fn long_nothing_is_lost_when_it_is_killed_200_times() {
    kills(200);
}
