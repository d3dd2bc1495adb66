//! What is done all the time for the store, and a look at the clock.

use std::time::{Duration, Instant, SystemTime};

use gist_store::{Dropped, Retention};

use super::config;
use super::publisher::Shared;

/// How often what is too old is removed.
const RETAIN: Duration = Duration::from_secs(600);
/// How often it is looked whether another process has changed the store: a replay is sent soon after.
const LOOK: Duration = Duration::from_secs(1);
/// A clock that is off by more than this since the last look was set.
const JUMP: Duration = Duration::from_secs(60);

/// Keeps the store in order.
pub(super) struct Upkeep {
    retention: Retention,
    retained: Option<Instant>,
    /// Until when the store knows how much time went by.
    counted: Option<Instant>,
    /// The clock is not believed at the moment, which was said.
    doubted: bool,
    clock: Clock,
    looked: Instant,
    version: Option<i64>,
}

impl Upkeep {
    pub(super) fn new(limits: &config::Retention) -> Self {
        Self {
            retention: Retention { age: limits.age.map(|age| age.0), bytes: limits.size.map(|size| size.0) },
            retained: None,
            counted: None,
            doubted: false,
            clock: Clock { time: SystemTime::now(), steady: Instant::now() },
            looked: Instant::now(),
            version: None,
        }
    }

    /// To be called several times a second.
    pub(super) fn tick(&mut self, shared: &Shared) {
        if let Some(jump) = self.clock.look(SystemTime::now(), Instant::now()) {
            tracing::warn!("{jump}");
            if let Err(error) = shared.alert(&jump) {
                tracing::error!("nobody could be told of it: {error}");
            }
        }
        if self.retained.is_none_or(|at| at.elapsed() > RETAIN) {
            self.retained = Some(Instant::now());
            self.retain(shared);
        }
        if self.looked.elapsed() > LOOK {
            self.looked = Instant::now();
            if let Ok(found) = shared.store.data_version()
                && self.version.replace(found) != Some(found)
            {
                shared.dispatcher.notify();
            }
            if shared.store.trouble().is_some() {
                // Whether it is over; nothing else may want to be written for hours.
                let _ = shared.store.probe();
            }
        }
    }

    fn retain(&mut self, shared: &Shared) {
        let now = Instant::now();
        let belief = match shared.store.believe(SystemTime::now(), self.counted.map(|at| now - at)) {
            Ok(belief) => belief,
            Err(error) => return tracing::error!("what is too old can't be removed: {error}"),
        };
        self.counted = Some(now);
        if let Some(ahead) = belief.ahead
            && !self.doubted
            && self.retention.age.is_some()
        {
            tracing::warn!(
                "the clock is {} ahead of what the store was written by: nothing is removed for its age by it \
                 before it has been so for a day",
                in_words(ahead)
            );
        }
        self.doubted = belief.ahead.is_some();
        tell_dropped(&shared.store.retain(&self.retention, belief.time));
    }
}

/// The time of day at the last look, and when that was by the steady clock of this machine.
struct Clock {
    time: SystemTime,
    steady: Instant,
}

impl Clock {
    /// What to tell when it was set since the last look.
    fn look(&mut self, time: SystemTime, steady: Instant) -> Option<String> {
        let expected = self.time.checked_add(steady.duration_since(self.steady)).unwrap_or(time);
        (self.time, self.steady) = (time, steady);
        if let Ok(ahead) = time.duration_since(expected)
            && ahead > JUMP
        {
            // By these clocks one is like the other.
            return Some(format!(
                "the clock of this machine is {} ahead of a moment ago: it was set, or the machine slept",
                in_words(ahead)
            ));
        }
        let back = expected.duration_since(time).ok().filter(|back| *back > JUMP)?;
        Some(format!("the clock of this machine was set back by {}", in_words(back)))
    }
}

fn in_words(time: Duration) -> String {
    // To the minute: it is never known better than to a second or so.
    let minutes = Duration::from_secs((time.as_secs() + 30) / 60 * 60);
    humantime::format_duration(minutes).to_string()
}

fn tell_dropped(dropped: &Dropped) {
    if let Some(error) = &dropped.stopped {
        tracing::error!("what is too old can't be removed: {error}");
    }
    if dropped.span.is_some() || dropped.over > 0 {
        tracing::warn!("removed by retention: {dropped:?}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_of_once() {
        let (time, steady) = (SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000), Instant::now());
        let mut clock = Clock { time, steady };
        let day = Duration::from_secs(86_400);
        let (one, two) = (Duration::from_secs(1), Duration::from_secs(2));
        assert_eq!(clock.look(time + one, steady + one), None);
        let ahead = clock.look(time + day, steady + one).expect("told");
        assert!(ahead.contains("1day ahead"), "{ahead}");
        assert_eq!(clock.look(time + day + one, steady + two), None);
        let back = clock.look(time + two, steady + two).expect("told");
        assert!(back.contains("set back by 1day"), "{back}");
    }
}
