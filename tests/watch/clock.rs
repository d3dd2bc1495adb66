//! A clock that is wrong for a while. What the program takes for the time of day is changed under it by libfaketime; its
//! steady clock goes on as it does.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use crate::process::{Ended, Run};
use crate::receiver::{Manner, Receiver};
use crate::stored::Stored;
use crate::{Desk, filmed};

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;
const YEAR: u64 = 365 * DAY;

/// The library, of the architecture of this machine.
fn library() -> PathBuf {
    let folders = fs::read_dir("/usr/lib").expect("a folder").flatten();
    let found =
        folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists());
    found.expect("libfaketime; install it with: apt-get install libfaketime")
}

/// Sets the clock of the program: `+3600` is an hour ahead.
fn set(desk: &Desk, offset: &str) {
    // At once, as it is read at every look at the clock.
    fs::write(desk.path("offset.new"), offset).expect("written");
    fs::rename(desk.path("offset.new"), desk.path("offset")).expect("moved");
}

fn watch(desk: &Desk) -> Run {
    let shell = format!(
        "export FAKETIME_TIMESTAMP_FILE={:?} FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1; \
         LD_PRELOAD={:?} exec \"$0\" \"$@\"",
        desk.path("offset"),
        library()
    );
    desk.watch_by(&shell)
}

/// How far a message is stamped from now, in seconds.
fn stamped(receiver: &Receiver) -> i64 {
    let got = receiver.got();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs();
    got.last().expect("a message").timestamp.cast_signed() - now.cast_signed()
}

/// What must hold of everything, whatever the clock showed.
fn holds(desk: &Desk, receiver: &Receiver, ended: &[Ended]) -> Stored {
    let stored = Stored::read(desk);
    assert_eq!(stored.sessions.len(), 1, "one session all along: {:?}", stored.sessions);
    let shown: Vec<_> = ended.iter().flat_map(|ended| ended.out.clone()).collect();
    assert_eq!(shown, stored.lines);
    stored.is_in_order();
    stored.holds_delivered(&receiver.got());
    stored.was_delivered(&receiver.got());
    // No break of an hour in the stream because the clock was wrong for a while.
    let last = stored.events().last().expect("events")["emitted-at"].as_u64().expect("a time");
    assert!(Duration::from_nanos(last) < Duration::from_secs(HOUR), "{last}");
    stored
}

#[test]
fn a_clock_that_jumps_while_it_runs_loses_nothing_and_is_told_of() {
    let (desk, _camera, receiver) = filmed();
    set(&desk, "+0");
    let mut run = watch(&desk);
    run.chapters(1);
    for (offset, wrong, said) in [
        ("-3600", -3600, "set back by 1h"),
        ("+86400", DAY.cast_signed(), "1day 1h ahead"),
        ("+0", 0, "set back by 1day"),
    ] {
        set(&desk, offset);
        run.until("a word of it", |run| run.err().contains(said));
        run.until("an alert", |_| {
            let alerts = receiver.of("alert.raised");
            alerts.iter().any(|alert| alert["reason"].as_str().is_some_and(|why| why.contains(said)))
        });
        let before = receiver.of("chapter.closed").len();
        run.until("deliveries", |_| receiver.of("chapter.closed").len() > before);
        assert!((stamped(&receiver) - wrong).abs() < 120, "messages have the time of day that it is");
    }
    let ended = run.stop();
    holds(&desk, &receiver, &[ended]);
}

#[test]
fn nothing_is_removed_by_a_start_with_a_clock_that_is_a_year_ahead() {
    let (desk, _camera, receiver) = filmed();
    let text = fs::read_to_string(desk.path("watch.toml")).expect("written");
    fs::write(desk.path("watch.toml"), format!("{text}\n[retention]\nage = \"1h\"\n")).expect("written");
    set(&desk, "+0");
    let mut run = watch(&desk);
    run.chapters(1);
    run.stop();
    let known = Stored::read(&desk);
    // The clock of the machine comes up wrong, and is put right while the program runs.
    set(&desk, &format!("+{YEAR}"));
    let mut run = watch(&desk);
    run.until("a word of it", |run| run.err().contains("nothing is removed for its age"));
    run.chapters(1);
    set(&desk, "+0");
    run.until("a word of it", |run| run.err().contains("set back by"));
    run.kill();
    let mut run = watch(&desk);
    run.chapters(1);
    run.stop();
    let sessions = Stored::sessions_of(&desk, "hall");
    // By that clock it had been away for a year; the one that was begun then goes on by the right one.
    assert_eq!(sessions.len(), 2, "{sessions:?}");
    let old = Stored::of_session(&desk, &sessions[1].id);
    assert_eq!((old.lines.len(), old.lines.first()), (known.lines.len(), known.lines.first()));
    assert_eq!(old.observed(), known.observed());
    let new = Stored::read(&desk);
    new.is_in_order();
    new.was_delivered(&receiver.got());
    let last = new.events().last().expect("events")["emitted-at"].as_u64().expect("a time");
    assert!(Duration::from_nanos(last) < Duration::from_secs(HOUR), "a break of a year: {last}");
}

#[test]
fn a_message_that_waits_is_tried_again_at_the_next_start_whatever_the_clock_showed() {
    let (desk, _camera, receiver) = filmed();
    set(&desk, "+0");
    let mut run = watch(&desk);
    run.chapters(1);
    for (offset, said) in [(format!("+{DAY}"), "1day ahead"), ("+0".to_owned(), "set back by 1day")] {
        set(&desk, &offset);
        run.until("a word of it", |run| run.err().contains(said));
    }
    // What delivers goes on by the clock that was ahead, so that nothing waits for it to be so late again.
    receiver.becomes(Manner::Answers(500, ""));
    run.until("a failure", |run| run.err().contains("not delivered"));
    let mut ended = vec![run.stop()];
    assert!(Stored::waiting(&desk) > 0, "nothing waits");
    receiver.becomes(Manner::Answers(204, ""));
    let mut run = watch(&desk);
    run.until("all that waited", |_| Stored::waiting(&desk) == 0);
    ended.push(run.stop());
    holds(&desk, &receiver, &ended);
}
