//! A clock that never goes back.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

/// Time of day for what is due when. Set back, the clock of a machine would make everything wait that was scheduled
/// before; so this one goes on from the latest time it has seen. Set forward it goes along: what is due earlier for it is
/// tried once, and what comes next is counted from there.
pub struct Clock {
    source: Box<dyn Fn() -> SystemTime + Send + Sync>,
    latest: Mutex<(SystemTime, Instant)>,
}

impl Clock {
    /// The clock of this machine.
    pub fn system() -> Self {
        Self::new(SystemTime::now)
    }

    /// Another one, for tests.
    pub fn new(source: impl Fn() -> SystemTime + Send + Sync + 'static) -> Self {
        let latest = Mutex::new((source(), Instant::now()));
        Self { source: Box::new(source), latest }
    }

    /// Now.
    pub fn now(&self) -> SystemTime {
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let here = Instant::now();
        let steady = latest.0.checked_add(here - latest.1).unwrap_or(latest.0);
        *latest = (steady.max((self.source)()), here);
        latest.0
    }
}

impl std::fmt::Debug for Clock {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Clock").finish_non_exhaustive()
    }
}

/// From `now` to `at`, nothing if that has passed.
pub(crate) fn until(at: SystemTime, now: SystemTime) -> Duration {
    at.duration_since(now).unwrap_or_default()
}
