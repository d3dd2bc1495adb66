//! What all threads of a dispatcher share.

use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use super::Observer;
use crate::clock::Clock;
use crate::{Outbox, OutboxError};

/// How often an outbox that fails is tried again: at first, and at last.
const BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// A panic of one thread must not stop the others.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How long to wait after the outbox failed `failures` times in a row.
pub(super) fn backoff(failures: u32) -> Duration {
    BACKOFF.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(MAX_BACKOFF)
}

/// Wakes threads that wait for something to do. It counts, so that a ring between looking and waiting is not missed.
#[derive(Debug, Default)]
pub(super) struct Bell {
    rings: Mutex<u64>,
    rung: Condvar,
}

impl Bell {
    pub(super) fn ring(&self) {
        *lock(&self.rings) += 1;
        self.rung.notify_all();
    }

    pub(super) fn rings(&self) -> u64 {
        *lock(&self.rings)
    }

    /// Waits until it has rung more than `seen` times, at most for `limit`.
    pub(super) fn wait(&self, seen: u64, limit: Duration) {
        let unchanged = |rings: &mut u64| *rings == seen;
        drop(self.rung.wait_timeout_while(lock(&self.rings), limit, unchanged));
    }
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Running {
    /// Threads that work.
    workers: usize,
    /// When to leave the rest; `None` while nobody wants it to stop.
    deadline: Option<Instant>,
}

pub(super) struct Shared {
    /// Taken away at the end, when no thread may touch it any more.
    outbox: RwLock<Option<Arc<dyn Outbox>>>,
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clock: Clock,
    pub(super) bell: Bell,
    running: Mutex<Running>,
}

/// The dispatcher was stopped.
pub(super) struct Stopped;

impl Shared {
    pub(super) fn new(outbox: Arc<dyn Outbox>, observer: Arc<dyn Observer>, clock: Clock) -> Self {
        let outbox = RwLock::new(Some(outbox));
        Self { outbox, observer, clock, bell: Bell::default(), running: Mutex::default() }
    }

    /// Runs `call` on the outbox, which stays until it is done.
    pub(super) fn with_outbox<T>(
        &self,
        call: impl FnOnce(&dyn Outbox) -> Result<T, OutboxError>,
    ) -> Result<Result<T, OutboxError>, Stopped> {
        let outbox = self.outbox.read().unwrap_or_else(PoisonError::into_inner);
        outbox.as_deref().map(call).ok_or(Stopped)
    }

    /// Runs `call` until the outbox takes it: what came of an attempt must not be forgotten, or it would be made again.
    pub(super) fn persist(
        &self,
        endpoint: &str,
        mut call: impl FnMut(&dyn Outbox) -> Result<(), OutboxError>,
    ) -> Result<(), Stopped> {
        for failures in 1.. {
            let Err(error) = self.with_outbox(&mut call)? else { break };
            self.observer.outbox_failed(endpoint, &error);
            let again = Instant::now() + backoff(failures);
            loop {
                let seen = self.bell.rings();
                let left = again.saturating_duration_since(Instant::now());
                if self.past_deadline() {
                    return Err(Stopped);
                }
                if left.is_zero() {
                    break;
                }
                self.bell.wait(seen, left);
            }
        }
        Ok(())
    }

    /// When to leave the rest, once it is to stop.
    pub(super) fn deadline(&self) -> Option<Instant> {
        lock(&self.running).deadline
    }

    fn past_deadline(&self) -> bool {
        self.deadline().is_some_and(|deadline| deadline <= Instant::now())
    }

    /// Counts a thread from now until it is dropped.
    pub(super) fn enter(self: &Arc<Self>) -> Working {
        lock(&self.running).workers += 1;
        Working(Arc::clone(self))
    }

    pub(super) fn stop(&self, flush_within: Duration) -> bool {
        let deadline = Instant::now() + flush_within;
        lock(&self.running).deadline = Some(deadline);
        self.bell.ring();
        let ended = loop {
            let seen = self.bell.rings();
            let left = deadline.saturating_duration_since(Instant::now());
            if lock(&self.running).workers == 0 || left.is_zero() {
                break lock(&self.running).workers == 0;
            }
            self.bell.wait(seen, left);
        };
        // Waits for calls that are under way, which are short.
        *self.outbox.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.bell.ring();
        ended
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("running", &self.running).finish_non_exhaustive()
    }
}

/// A thread at work.
pub(super) struct Working(Arc<Shared>);

impl Drop for Working {
    fn drop(&mut self) {
        lock(&self.0.running).workers -= 1;
        self.0.bell.ring();
    }
}
