//! What becomes of a delivery after an attempt, and how long its endpoint is left alone.

use std::time::{Duration, SystemTime};

use rand::{Rng, RngExt};

use crate::Next;
use crate::client::Answer;

const fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// What is waited before each attempt, the example of Standard Webhooks: about three days in all.
pub const DELAYS: [Duration; 10] = [
    seconds(0),
    seconds(5),
    seconds(5 * 60),
    seconds(30 * 60),
    seconds(2 * 3600),
    seconds(5 * 3600),
    seconds(10 * 3600),
    seconds(14 * 3600),
    seconds(20 * 3600),
    seconds(24 * 3600),
];

/// By how much of itself a delay may be longer, so that receivers are not met by all at once when they are back.
const JITTER: f64 = 0.2;
/// No receiver is believed to want a longer rest.
const MAX_RETRY_AFTER: Duration = seconds(24 * 3600);
/// Nothing is ever scheduled further ahead than this: whatever is, was written while the clock was wrong.
pub const HORIZON: Duration = seconds(30 * 3600);

/// Failures in a row before an endpoint is left alone for a while, whatever its answers were.
const PATIENCE: u32 = 5;
/// How long it is left alone at first, and twice as long each time after.
const PAUSE: Duration = seconds(5);
const MAX_PAUSE: Duration = seconds(5 * 60);

/// What an answer means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// 2xx: the receiver has the message.
    Delivered,
    /// No answer, or one that says no.
    Failed,
    /// 429, 502, 504 or `Retry-After`: no, and not so fast.
    Slow,
    /// 410: the receiver wants no more messages, ever.
    Gone,
}

impl Outcome {
    /// What `answer` means.
    pub fn of(answer: &Answer) -> Self {
        match answer.status {
            Some(200..=299) => Self::Delivered,
            Some(410) => Self::Gone,
            Some(429 | 502 | 504) => Self::Slow,
            _ if answer.retry_after.is_some() => Self::Slow,
            _ => Self::Failed,
        }
    }
}

/// What becomes of a delivery of which `attempts` were made, the last just now with `answer`.
pub fn next(attempts: u32, answer: &Answer, now: SystemTime, random: &mut impl Rng) -> Next {
    let outcome = Outcome::of(answer);
    match (outcome, DELAYS.get(attempts as usize)) {
        (Outcome::Delivered, _) => Next::Delivered,
        // The endpoint is disabled; should it be enabled again, this is where it goes on.
        (Outcome::Gone, _) => Next::Again { at: now, set: now },
        (_, Some(delay)) => {
            let delay = delay.mul_f64(1.0 + random.random_range(0.0..=JITTER));
            Next::Again { at: now + delay.max(rest(answer)), set: now }
        }
        (_, None) => {
            let error = answer.error.as_deref().unwrap_or_default();
            Next::Dead { reason: format!("given up after {attempts} attempts: {error}") }
        }
    }
}

/// How long nothing at all is sent to an endpoint whose last `failures` attempts failed, the last with `answer`.
pub fn pause(failures: u32, answer: &Answer) -> Duration {
    let tolerated = match Outcome::of(answer) {
        Outcome::Delivered | Outcome::Gone => return Duration::ZERO,
        Outcome::Failed => PATIENCE,
        Outcome::Slow => 1,
    };
    let Some(more) = failures.checked_sub(tolerated) else { return Duration::ZERO };
    let pause = PAUSE.saturating_mul(1 << more.min(10)).min(MAX_PAUSE);
    pause.max(rest(answer))
}

fn rest(answer: &Answer) -> Duration {
    answer.retry_after.unwrap_or_default().min(MAX_RETRY_AFTER)
}
