//! When an attempt is followed by the next.

use std::time::{Duration, SystemTime};

use gist_webhook::Next;
use gist_webhook::client::Answer;
use gist_webhook::schedule::{DELAYS, HORIZON, Outcome, next, pause};
use rand::SeedableRng;
use rand::rngs::StdRng;

const NOW: SystemTime = SystemTime::UNIX_EPOCH;

fn answer(status: u16) -> Answer {
    let error = (status >= 300).then(|| format!("the receiver answered {status}"));
    Answer { status: Some(status), error, ..Answer::default() }
}

fn resting(status: u16, seconds: u64) -> Answer {
    Answer { retry_after: Some(Duration::from_secs(seconds)), ..answer(status) }
}

fn delay(attempts: u32, answer: &Answer, seed: u64) -> Option<Duration> {
    match next(attempts, answer, NOW, &mut StdRng::seed_from_u64(seed)) {
        Next::Again { at, .. } => Some(at.duration_since(NOW).unwrap()),
        _ => None,
    }
}

#[test]
fn the_schedule_is_that_of_the_standard_and_ends() {
    for (attempts, nominal) in DELAYS.iter().enumerate().skip(1) {
        for seed in 0..50 {
            let delay = delay(attempts as u32, &answer(500), seed).unwrap();
            assert!(delay >= *nominal && delay <= nominal.mul_f64(1.2) && delay < HORIZON, "{attempts}");
        }
        assert_eq!(delay(attempts as u32, &answer(500), 1), delay(attempts as u32, &answer(500), 1));
    }
    assert_ne!(delay(3, &answer(500), 1), delay(3, &answer(500), 2), "receivers are not met all at once");
    let mut random = StdRng::seed_from_u64(0);
    let Next::Dead { reason } = next(10, &answer(500), NOW, &mut random) else { panic!("dead") };
    assert_eq!(reason, "given up after 10 attempts: the receiver answered 500");
    assert!(matches!(next(u32::MAX, &answer(500), NOW, &mut random), Next::Dead { .. }));
}

#[test]
fn a_receiver_is_given_the_rest_it_asks_for_if_it_is_longer() {
    assert_eq!(delay(1, &resting(503, 100), 0), Some(Duration::from_secs(100)));
    assert!(delay(2, &resting(503, 100), 0).unwrap() >= Duration::from_secs(300), "the schedule is later");
    assert_eq!(delay(1, &resting(429, u64::MAX), 0), Some(Duration::from_secs(24 * 3600)), "within reason");
    assert!(pause(1, &resting(503, 100)) >= Duration::from_secs(100), "other messages wait as well");
}

#[test]
fn only_2xx_is_a_success() {
    for (status, outcome) in [
        (200, Outcome::Delivered),
        (204, Outcome::Delivered),
        (301, Outcome::Failed),
        (308, Outcome::Failed),
        (404, Outcome::Failed),
        (410, Outcome::Gone),
        (429, Outcome::Slow),
        (500, Outcome::Failed),
        (502, Outcome::Slow),
        (504, Outcome::Slow),
    ] {
        assert_eq!(Outcome::of(&answer(status)), outcome, "{status}");
    }
    assert_eq!(Outcome::of(&resting(503, 1)), Outcome::Slow);
    assert_eq!(Outcome::of(&resting(200, 1)), Outcome::Delivered);
    assert_eq!(Outcome::of(&Answer::default()), Outcome::Failed);
}

#[test]
fn an_endpoint_that_keeps_failing_is_left_alone_longer_and_longer() {
    assert_eq!(pause(4, &answer(500)), Duration::ZERO);
    assert_eq!(pause(5, &answer(500)), Duration::from_secs(5));
    assert_eq!(pause(6, &answer(500)), Duration::from_secs(10));
    assert_eq!(pause(1, &answer(429)), Duration::from_secs(5), "at once, when it says so");
    assert_eq!(pause(u32::MAX, &answer(429)), Duration::from_secs(300));
}
