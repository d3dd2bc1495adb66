use gist_core::observation::Source as From;
use gist_core::time::Span;
use gist_screen::Picture;

use super::*;

const SECOND: u64 = 1_000_000_000;

fn intake(live: bool) -> Intake {
    let intake = Intake::new(Limits { max_queue_time: 10 * SECOND, text_latency: 20 * SECOND, block: None });
    intake.set_live(live);
    intake.add(VIDEO);
    intake.started(VIDEO);
    intake
}

fn frame() -> Item {
    Item::Frame(Sampled::Grey(Picture { width: 1, height: 1, pixels: vec![0] }))
}

fn text(at: u64) -> Item {
    Item::Text(Observation {
        source: From::Speech,
        span: Span::new(at, at),
        text: "word".into(),
        turn: false,
    })
}

#[test]
fn live_drops_the_oldest_frames_and_never_text() {
    let intake = intake(true);
    intake.add(1);
    intake.started(1);
    intake.push(1, 0, text(0));
    intake.end(1);
    let dropped: u64 = (0..30).map(|t| intake.push(VIDEO, t * SECOND, frame())).sum();
    assert!(dropped > 0 && intake.counters().frames_dropped == dropped);
    assert!(
        matches!(intake.next(false), Turn::Item(0, Item::Text(_))),
        "the text of second 0 is still there"
    );
    intake.wait_for_room(VIDEO, 1_000 * SECOND).unwrap();
}

#[test]
fn a_file_waits_for_the_worker_until_flushed() {
    let intake = intake(false);
    for t in 0..12 {
        intake.push(VIDEO, t * SECOND, frame());
    }
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| intake.wait_for_room(VIDEO, 12 * SECOND));
        while !waiting.is_finished() {
            intake.flush_start(VIDEO, Scope::Stream);
            std::thread::yield_now();
        }
        assert!(waiting.join().unwrap().is_err());
    });
}

#[test]
fn video_of_a_file_may_run_ahead_of_what_is_dealt_with_by_a_bounded_time() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    intake.set_latency(1, 40 * SECOND);
    intake.wait_for_room(VIDEO, 0).unwrap();
    intake.advance(VIDEO, 60 * SECOND);
    intake.advance(1, 5 * SECOND);
    assert!(!intake.lock().has_room(VIDEO, 51 * SECOND), "the worker has not moved");
    assert!(matches!(intake.next(true), Turn::Advance(time) if time == 5 * SECOND));
    assert!(intake.lock().has_room(VIDEO, 55 * SECOND));
    assert!(!intake.lock().has_room(VIDEO, 56 * SECOND));
    assert!(intake.lock().has_room(1, 500 * SECOND), "text never waits for video");
}

#[test]
fn the_end_is_told_once_and_only_when_every_track_has_ended() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    intake.push(VIDEO, SECOND, frame());
    intake.end(VIDEO);
    assert!(matches!(intake.next(true), Turn::Work), "the transcript may still speak of second 1");
    intake.end(1);
    assert!(matches!(intake.next(true), Turn::Item(SECOND, _)));
    assert!(matches!(intake.next(true), Turn::Finish(SECOND)));
    assert!(matches!(intake.next(true), Turn::Work));
    intake.set_drained();
    assert_eq!(intake.wait_drained(VIDEO, None), Drained::Yes);
}

#[test]
fn a_flush_of_the_video_is_none_of_the_text() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    intake.flush_start(VIDEO, Scope::Stream);
    assert!(intake.wait_for_room(VIDEO, 0).is_err());
    intake.wait_for_room(1, 0).unwrap();
    intake.push(1, SECOND, text(SECOND));
    intake.end(1);
    assert!(intake.is_stale());
    intake.flush_stop(VIDEO, Scope::Stream);
    assert!(matches!(intake.next(true), Turn::Forget));
    assert!(matches!(intake.next(true), Turn::Work), "the text waits for the video");
    intake.end(VIDEO);
    assert!(matches!(intake.next(true), Turn::Item(SECOND, Item::Text(_))));
    assert!(matches!(intake.next(true), Turn::Finish(_)), "the text is at its end: it was not flushed");
}

#[test]
fn what_a_flushed_pad_has_brought_is_dropped() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    intake.push(1, SECOND, text(SECOND));
    intake.push(VIDEO, SECOND, frame());
    intake.flush_start(1, Scope::Pad);
    assert_eq!(intake.push(1, 2 * SECOND, text(2 * SECOND)), 0);
    assert!(!intake.is_stale(), "the worker goes on");
    intake.flush_stop(1, Scope::Pad);
    intake.end(1);
    assert!(matches!(intake.next(true), Turn::Item(SECOND, Item::Frame(_))));
    assert_eq!(intake.counters().queued, 0);
}

#[test]
fn while_a_seek_is_under_way_nothing_is_taken() {
    let intake = intake(false);
    intake.push(VIDEO, SECOND, frame());
    intake.hold(true);
    std::thread::scope(|scope| {
        let taken = scope.spawn(|| intake.next(false));
        while !intake.lock().idle {
            std::thread::yield_now();
        }
        intake.flush_start(VIDEO, Scope::Stream);
        intake.flush_stop(VIDEO, Scope::Stream);
        assert!(matches!(taken.join().unwrap(), Turn::Forget));
        intake.hold(false);
    });
}

/// A text that waits to be written is no work while the element flushes: the worker would turn on the spot.
#[test]
fn between_the_two_halves_of_a_flush_the_worker_sleeps() {
    let intake = intake(false);
    intake.flush_start(VIDEO, Scope::Stream);
    std::thread::scope(|scope| {
        let turn = scope.spawn(|| intake.next(true));
        while !intake.lock().idle && !turn.is_finished() {
            std::thread::yield_now();
        }
        intake.flush_stop(VIDEO, Scope::Stream);
        assert!(matches!(turn.join().unwrap(), Turn::Forget));
    });
}

#[test]
fn a_stream_that_comes_late_or_once_more_is_waited_for() {
    let intake = intake(false);
    intake.add(1);
    intake.end(1);
    intake.started(1);
    intake.push(VIDEO, SECOND, frame());
    assert!(matches!(intake.next(true), Turn::Work), "the text may speak of second 1");
    intake.end(1);
    intake.end(VIDEO);
    assert!(matches!(intake.next(true), Turn::Item(SECOND, _)));
    assert!(matches!(intake.next(true), Turn::Finish(_)));
    intake.set_drained();
    intake.started(VIDEO);
    assert_eq!(
        intake.wait_drained(VIDEO, Some(Duration::ZERO)),
        Drained::TimedOut,
        "the next film is not over"
    );
    intake.end(VIDEO);
    assert!(matches!(intake.next(true), Turn::Finish(_)));
}

#[test]
fn after_the_end_was_forced_nothing_comes() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    intake.push(1, SECOND, text(SECOND));
    intake.end(VIDEO);
    intake.abandon("no time");
    assert!(intake.interrupted());
    assert!(matches!(intake.next(true), Turn::Abandon("no time")));
    assert_eq!(intake.take_rest().map(|(end, rest)| (end, rest.len())), Some((SECOND, 1)));
    intake.set_drained();
    assert_eq!(intake.wait_drained(VIDEO, None), Drained::Yes);
    intake.push(1, 2 * SECOND, text(2 * SECOND));
    intake.advance(1, 3 * SECOND);
    intake.end(1);
    assert!(matches!(intake.next(true), Turn::Work), "no item, no end");
    assert!(intake.take_rest().is_none());
}

/// Eight pictures of 8 MiB are all that may wait.
fn large() -> Item {
    Item::Frame(Sampled::Grey(Picture { width: 8 << 20, height: 1, pixels: vec![0; 8 << 20] }))
}

#[test]
fn pictures_that_wait_for_words_are_thinned_out_evenly() {
    let intake = intake(false);
    intake.add(1);
    intake.started(1);
    let dropped: u64 = (1..=33).map(|time| intake.push(VIDEO, time * SECOND, large())).sum();
    assert_eq!((dropped, intake.counters().frames_dropped, intake.take_dropped()), (25, 25, 25));
    assert!(intake.lock().has_room(VIDEO, 34 * SECOND), "the words may be behind it in the same file");
    intake.end(1);
    let times = std::iter::from_fn(|| match intake.next(true) {
        Turn::Item(time, _) => Some(time / SECOND),
        _ => None,
    });
    let times: Vec<_> = times.collect();
    assert_eq!((times.len(), times[0], times[7]), (8, 1, 33));
    assert!(times.windows(2).all(|near| near[1] - near[0] <= 8), "{times:?}");
}

#[test]
fn pictures_that_wait_for_the_worker_are_waited_for() {
    let intake = intake(false);
    assert_eq!((1..=8).map(|time| intake.push(VIDEO, time, large())).sum::<u64>(), 0);
    assert!(intake.lock().has_room(VIDEO, 8), "just as many as may");
    assert_eq!(intake.push(VIDEO, 9, large()), 0, "a file loses none");
    assert!(!intake.lock().has_room(VIDEO, 9));
    assert!(matches!(intake.next(true), Turn::Item(1, _)));
    assert!(intake.lock().has_room(VIDEO, 9));
}

#[test]
fn two_pictures_may_wait_however_large_they_are() {
    let intake = intake(true);
    for time in 1..=5 {
        let item =
            Item::Frame(Sampled::Grey(Picture { width: 65 << 20, height: 1, pixels: vec![0; 65 << 20] }));
        intake.push(VIDEO, time, item);
    }
    assert_eq!((intake.counters().queued, intake.counters().frames_dropped), (2, 3));
}
