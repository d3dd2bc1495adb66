//! The threads that bring messages from an outbox to their endpoints.

mod lane;
mod shared;

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::client::{TIMEOUT, Target};
use crate::clock::Clock;
use crate::{Attempt, Delivery, Guard, Next, Outbox, OutboxError};
use lane::Lane;
use shared::Shared;

/// Attempts at a time to one endpoint, at most.
pub const MAX_CONCURRENCY: usize = 4;

/// An endpoint that fails for so long without a single success is disabled.
pub const DISABLE_AFTER: Duration = Duration::from_secs(5 * 24 * 3600);

/// Where messages are brought, and how.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Its name in the outbox.
    pub name: String,
    /// Address, secrets and headers.
    pub target: Target,
    /// Which addresses may be reached.
    pub guard: Guard,
    /// How long an attempt may take.
    pub timeout: Duration,
    /// How many attempts may be under way at a time, 1 to [`MAX_CONCURRENCY`].
    pub concurrency: usize,
    /// No message before the one before it was delivered or given up.
    pub strict_order: bool,
    /// At most so many attempts a minute, evenly spread.
    pub per_minute: Option<NonZeroU32>,
    /// For how long nothing but failures was seen, if the log of an earlier run tells.
    pub failing_for: Option<Duration>,
}

impl Endpoint {
    /// An endpoint that is sent one message at a time, to any public address, as fast as it takes them.
    pub fn new(name: &str, target: Target) -> Self {
        Self {
            name: name.to_owned(),
            target,
            guard: Guard::default(),
            timeout: TIMEOUT,
            concurrency: 1,
            strict_order: false,
            per_minute: None,
            failing_for: None,
        }
    }

    fn workers(&self) -> usize {
        // The order of two attempts under way at once is anyone's guess.
        if self.strict_order { 1 } else { self.concurrency.clamp(1, MAX_CONCURRENCY) }
    }
}

/// Told of what happens, on the thread it happens on: count, log, hand on, and return soon.
pub trait Observer: Send + Sync {
    /// An attempt was made and is in the outbox.
    fn attempted(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) {
        let _ = (delivery, attempt, next);
    }

    /// An endpoint was disabled.
    fn disabled(&self, endpoint: &str, reason: &str) {
        let _ = (endpoint, reason);
    }

    /// The outbox can't be read or written. Nothing is lost by it; it is tried again, less and less often.
    fn outbox_failed(&self, endpoint: &str, error: &OutboxError) {
        let _ = (endpoint, error);
    }
}

/// For who wants to know nothing.
impl Observer for () {}

/// Brings messages to endpoints until it is stopped or dropped.
#[derive(Debug)]
pub struct Dispatcher {
    shared: Arc<Shared>,
    lanes: Mutex<HashMap<String, Arc<Lane>>>,
}

impl Dispatcher {
    /// A dispatcher without endpoints.
    pub fn new(outbox: Arc<dyn Outbox>, observer: Arc<dyn Observer>) -> Self {
        Self::with_clock(outbox, observer, Clock::system())
    }

    /// The same by another clock, for tests.
    pub fn with_clock(outbox: Arc<dyn Outbox>, observer: Arc<dyn Observer>, clock: Clock) -> Self {
        Self { shared: Arc::new(Shared::new(outbox, observer, clock)), lanes: Mutex::default() }
    }

    /// Replaces all endpoints. Attempts that are under way end as they began; what waits goes to the endpoint of the same
    /// name as it is now, at once if it is due.
    ///
    /// # Errors
    /// When the system has no more threads.
    pub fn set_endpoints(&self, endpoints: Vec<Endpoint>) -> std::io::Result<()> {
        let mut lanes = self.lanes.lock().unwrap_or_else(PoisonError::into_inner);
        for (name, lane) in lanes.iter() {
            if !endpoints.iter().any(|endpoint| endpoint.name == *name) {
                lane.retire();
            }
        }
        let started = endpoints.into_iter().try_for_each(|endpoint| {
            let fresh = || Arc::new(Lane::new(&endpoint.name, Arc::clone(&self.shared)));
            let lane = Arc::clone(lanes.entry(endpoint.name.clone()).or_insert_with(fresh));
            lane.start(endpoint)
        });
        self.shared.bell.ring();
        started
    }

    /// Something new is in the outbox, or an endpoint was enabled again.
    pub fn notify(&self) {
        self.shared.bell.ring();
    }

    /// Tries what is due for at most `flush_within`, then leaves the rest in the outbox. Whether all that was due was
    /// tried. After it the outbox isn't touched any more; an attempt that is still under way ends on its own, and is made
    /// again by whoever opens the outbox next.
    pub fn stop(&self, flush_within: Duration) -> bool {
        self.shared.stop(flush_within)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        self.stop(Duration::ZERO);
    }
}
