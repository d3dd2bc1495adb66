//! The thread that brings events to the disk, so that the streaming thread does not wait for it.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use gist_webhook::spool::SpoolError;
use gist_webhook::{EventType, Spool};

/// What may wait in memory. An event has a few kB and the disk takes it in milliseconds, so that there is one or none;
/// only while the disk takes nothing at all they add up, and this is a day of chapters.
const MAX_BYTES: usize = 8 << 20;

/// How often a disk that fails is tried again: at first, and at last.
const BACKOFF: Duration = Duration::from_secs(1);
const MAX_BACKOFF: Duration = Duration::from_secs(60);

/// Told of each event that was dealt with, on the thread of the writer.
pub(super) trait Report: Send + 'static {
    /// It is in the spool.
    fn stored(&self);
    /// It is not, and is tried again; so many times it failed in a row.
    fn delayed(&self, error: &SpoolError, failures: u32);
    /// It is too large, ever.
    fn refused(&self, error: &SpoolError);
}

#[derive(Debug, Default)]
struct Queue {
    events: VecDeque<(EventType, Vec<u8>)>,
    bytes: usize,
    /// When to give up on a disk that fails; `None` while more may come.
    closed: Option<Instant>,
}

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

impl Shared {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A queue in memory, and the thread that empties it into a spool.
#[derive(Debug)]
pub(super) struct Writer {
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Writer {
    /// # Errors
    /// When the system has no more threads.
    pub(super) fn start(spool: Arc<Spool>, report: impl Report) -> io::Result<Self> {
        let shared = Arc::new(Shared::default());
        let own = Arc::clone(&shared);
        let thread =
            thread::Builder::new().name("webhook-spool".into()).spawn(move || own.run(&spool, &report))?;
        Ok(Self { shared, thread: Mutex::new(Some(thread)) })
    }

    /// Takes an event; `false` when there is no more room, and it is lost.
    pub(super) fn push(&self, event: EventType, body: Vec<u8>) -> bool {
        let mut queue = self.shared.queue();
        let room = queue.bytes + body.len() <= MAX_BYTES;
        if room {
            queue.bytes += body.len();
            queue.events.push_back((event, body));
            self.shared.changed.notify_all();
        }
        room
    }

    /// How many events are in memory alone.
    pub(super) fn waiting(&self) -> usize {
        self.shared.queue().events.len()
    }

    /// Brings what waits to the disk and ends. A disk that fails is tried again until `deadline`; returns how many events
    /// it did not take.
    pub(super) fn close(&self, deadline: Instant) -> usize {
        self.shared.queue().closed = Some(deadline);
        self.shared.changed.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // A thread that panicked has left its events behind, which are counted.
        let _ = thread.map(JoinHandle::join);
        self.waiting()
    }
}

impl Shared {
    fn run(&self, spool: &Spool, report: &impl Report) {
        let mut failures = 0;
        while let Some((event, body)) = self.next() {
            match spool.push(event, &body) {
                Ok(_) => failures = 0,
                Err(error @ SpoolError::TooLarge(_)) => report.refused(&error),
                Err(error) => {
                    failures += 1;
                    report.delayed(&error, failures);
                    if !self.pause(failures) {
                        return;
                    }
                    continue;
                }
            }
            let mut queue = self.queue();
            queue.events.pop_front();
            queue.bytes -= body.len();
            drop(queue);
            report.stored();
        }
    }

    /// The oldest event, which stays in the queue until it is on the disk; `None` at the end.
    fn next(&self) -> Option<(EventType, Vec<u8>)> {
        let idle = |queue: &mut Queue| queue.events.is_empty() && queue.closed.is_none();
        let queue = self.changed.wait_while(self.queue(), idle).unwrap_or_else(PoisonError::into_inner);
        queue.events.front().cloned()
    }

    /// Waits before the next try; `false` when there is to be none.
    fn pause(&self, failures: u32) -> bool {
        let again = Instant::now() + BACKOFF.saturating_mul(1 << (failures - 1).min(10)).min(MAX_BACKOFF);
        let mut queue = self.queue();
        loop {
            let now = Instant::now();
            if queue.closed.is_some_and(|deadline| deadline <= now) {
                return false;
            }
            let until = queue.closed.map_or(again, |deadline| deadline.min(again));
            if again <= now {
                return true;
            }
            let wait = self.changed.wait_timeout(queue, until - now);
            queue = wait.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
