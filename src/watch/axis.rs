//! The time axis of a session that goes on: how much later it is than what is known of it.

use std::time::{Duration, Instant, SystemTime};

use gst::prelude::*;

use super::session::Chosen;
use crate::run::pipeline::Pipeline;

/// How far the time of day may be from what the store tells before it is taken to have jumped.
const TRUST: Duration = Duration::from_secs(120);
/// A break is never shorter, so that nothing lies on what was there before.
const LEAST: u64 = 1_000_000_000;

/// A running-time, and when it was by the steady clock of this machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct Anchor {
    at: Instant,
    running_time: u64,
}

impl Anchor {
    fn now(&self) -> u64 {
        self.running_time.saturating_add(nanoseconds(self.at.elapsed()))
    }
}

/// Starts the pipeline on the clock of its session; `before` is where that was in this run of the program. Returns the
/// running-time that is known, and where the session is now.
///
/// # Errors
/// When an element does not start; the bus says why.
pub(super) fn start(
    pipeline: &Pipeline,
    chosen: &Chosen,
    before: Option<Anchor>,
) -> anyhow::Result<(u64, Anchor)> {
    let element = pipeline.element();
    let mut known = 0;
    let mut running_time = 0;
    if let Some(past) = &chosen.past {
        known = past.running_time;
        let now = SystemTime::now();
        running_time = match before {
            Some(anchor) => anchor.now(),
            None => resumed_at(chosen.session.started, known, past.seen, now),
        };
        running_time = running_time.max(known.saturating_add(LEAST));
        // A clock of its own that is ahead by so much: the machine may have been started after the session.
        let ahead = gst::ClockTime::from_nseconds(running_time);
        let clock: gst::SystemClock = gst::glib::Object::builder().build();
        clock.set_calibration(gst::ClockTime::ZERO, ahead, 1, 1);
        element.use_clock(Some(&clock));
        element.set_start_time(gst::ClockTime::NONE);
        element.set_base_time(clock.time().saturating_sub(ahead));
    }
    let anchor = Anchor { at: Instant::now(), running_time };
    element.set_state(gst::State::Playing).map_err(|_| anyhow::anyhow!("the pipeline did not start"))?;
    Ok((known, anchor))
}

/// The running-time of a session at `now`, of which `known` was stored at `seen`: as much later than its beginning as it
/// is by the time of day, so that the break has its length. Where the clock was set in between, the break alone is
/// counted by it, or a session would be away for years.
fn resumed_at(started: SystemTime, known: u64, seen: SystemTime, now: SystemTime) -> u64 {
    let between = |from: SystemTime| now.duration_since(from).map_or(0, nanoseconds);
    let by_beginning = between(started);
    let by_break = known.saturating_add(between(seen));
    let jumped = by_beginning.abs_diff(by_break) > nanoseconds(TRUST);
    if jumped { by_break } else { by_beginning }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const YEAR: u64 = 365 * 86_400;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    #[test]
    fn a_break_has_its_length() {
        // The last line was stored 20 s after it was said.
        assert_eq!(resumed_at(at(0), 580 * SECOND, at(600), at(900)), 900 * SECOND);
    }

    #[test]
    fn a_clock_that_was_set_is_no_break_of_years() {
        // It began when the clock was wrong, which was put right at 600 s of it.
        assert_eq!(resumed_at(at(0), 1000 * SECOND, at(YEAR), at(YEAR + 30)), 1030 * SECOND);
        // Set back since then: nothing is known of the break.
        assert_eq!(resumed_at(at(YEAR), 1000 * SECOND, at(YEAR + 1000), at(0)), 1000 * SECOND);
    }
}
