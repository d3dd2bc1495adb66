//! From READY to PAUSED and back: the spool, the thread that fills it, and the one that empties it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant, SystemTime};

use gist_webhook::spool::{LIMIT, SpoolError};
use gist_webhook::{Attempt, Dispatcher, EventFilter, EventType, Next, Observer, Outbox, OutboxError, Spool};
use gst::glib;
use gst::prelude::*;

use super::settings::Plan;
use super::writer::{Report, Writer};

/// What happened so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Counts {
    pub(super) delivered: u64,
    pub(super) lost: u64,
    pub(super) malformed: u64,
    pub(super) last_error: String,
    /// Attempts that failed in a row.
    failures: u64,
    /// Rises with everything that happens.
    changes: u64,
}

/// Counts, and wakes who waits for the end.
#[derive(Debug, Default)]
pub(super) struct Progress {
    counts: Mutex<Counts>,
    changed: Condvar,
}

impl Progress {
    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn note<T>(&self, change: impl FnOnce(&mut Counts) -> T) -> T {
        let mut counts = self.counts();
        counts.changes += 1;
        self.changed.notify_all();
        change(&mut counts)
    }

    /// Waits for something to happen after `seen` changes.
    fn wait(&self, seen: u64, limit: Duration) {
        let unchanged = |counts: &mut Counts| counts.changes == seen;
        drop(self.changed.wait_timeout_while(self.counts(), limit, unchanged));
    }
}

/// Tells the element's bus.
#[derive(Clone, Debug)]
struct Teller {
    element: glib::WeakRef<super::WebhookSink>,
    progress: Arc<Progress>,
    /// Weak, as an attempt that outlives the stop must not keep the folder from the next start.
    spool: Weak<Spool>,
}

impl Teller {
    /// A warning for people and a `gist-webhook` message for programs.
    fn tell(&self, what: &str, error: &str) {
        let Some(element) = self.element.upgrade() else { return };
        gst::element_warning!(element, gst::ResourceError::Failed, ("{error}"), ["{what}"]);
        let details = gst::Structure::builder("gist-webhook")
            .field("what", what)
            .field("error", error)
            .field("pending", self.spool.upgrade().map_or(0, |spool| spool.pending()));
        // Nobody listens any more when the element is being shut down.
        let _ = element.post_message(gst::message::Element::builder(details.build()).src(&element).build());
    }
}

impl Observer for Teller {
    fn attempted(&self, _: &gist_webhook::Delivery, attempt: &Attempt, next: &Next) {
        let error = attempt.error.clone().unwrap_or_default();
        let failures = self.progress.note(|counts| {
            if *next == Next::Delivered {
                (counts.delivered, counts.failures) = (counts.delivered + 1, 0);
            } else {
                counts.failures += 1;
                counts.last_error.clone_from(&error);
            }
            counts.failures
        });
        match next {
            Next::Dead { reason } => {
                self.tell(
                    "dead",
                    &format!("A message was not delivered and is kept in the spool: {reason}."),
                );
            }
            // The bus hears of the 1st, 2nd, 4th, 8th, … in a row.
            Next::Again { .. } if failures.is_power_of_two() => {
                self.tell(
                    "failed",
                    &format!("A message could not be delivered, it is tried again: {error}."),
                );
            }
            Next::Again { .. } | Next::Delivered => {}
        }
    }

    fn disabled(&self, _: &str, reason: &str) {
        self.tell("disabled", &disabled(reason));
    }

    fn outbox_failed(&self, _: &str, error: &OutboxError) {
        self.progress.note(|counts| counts.last_error = error.to_string());
        self.tell("spool", &format!("The spool fails, it is tried again: {error}."));
    }
}

fn disabled(reason: &str) -> String {
    format!(
        "Nothing is sent any more and all is kept: {reason}. To go on, remove the file 'disabled' in the spool and start \
         again."
    )
}

/// The writer's side.
struct Stored(Teller, Arc<Dispatcher>);

impl Report for Stored {
    fn stored(&self) {
        self.1.notify();
        self.0.progress.note(|_| ());
    }

    fn delayed(&self, error: &SpoolError, failures: u32) {
        self.0.progress.note(|counts| counts.last_error = error.to_string());
        if failures.is_power_of_two() {
            self.0.tell("spool", &format!("An event could not be stored, it is tried again: {error}."));
        }
    }

    fn refused(&self, error: &SpoolError) {
        self.0.lost(&error.to_string());
    }
}

impl Teller {
    fn lost(&self, why: &str) {
        let lost = self.progress.note(|counts| {
            counts.last_error = why.to_owned();
            counts.lost += 1;
            counts.lost
        });
        if lost.is_power_of_two() {
            self.tell("lost", &format!("An event is lost ({lost} so far): {why}."));
        }
    }
}

/// All that runs between READY and PAUSED.
#[derive(Debug)]
pub(super) struct Delivery {
    events: EventFilter,
    spool: Arc<Spool>,
    teller: Teller,
    dispatcher: Arc<Dispatcher>,
    writer: Writer,
    /// The end of the stream has waited, as long as it was let: the stop need not.
    flushed: AtomicBool,
}

impl Delivery {
    /// # Errors
    /// Why nothing can be sent, and what to set.
    pub(super) fn start(plan: Plan, element: &super::WebhookSink) -> Result<Self, gst::ErrorMessage> {
        let spool = Spool::open(&plan.spool, LIMIT).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::OpenWrite,
                ("No spool: {error}. Set 'spool-location' to a folder of this element's own.")
            )
        })?;
        let no_thread = |error: std::io::Error| {
            gst::error_msg!(gst::ResourceError::Failed, ("Could not start a thread: {error}."))
        };
        let spool = Arc::new(spool);
        let progress = Arc::default();
        let teller = Teller { element: element.downgrade(), progress, spool: Arc::downgrade(&spool) };
        for warning in spool.warnings() {
            teller.tell("spool", &format!("In the spool: {warning}."));
        }
        if let Some(reason) = spool.disabled() {
            teller.tell("disabled", &disabled(&reason));
        }
        let outbox = Arc::clone(&spool) as Arc<dyn Outbox>;
        let dispatcher = Arc::new(Dispatcher::new(outbox, Arc::new(teller.clone())));
        dispatcher.set_endpoints(vec![plan.endpoint]).map_err(no_thread)?;
        let stored = Stored(teller.clone(), Arc::clone(&dispatcher));
        let writer = Writer::start(Arc::clone(&spool), stored).map_err(no_thread)?;
        Ok(Self { events: plan.events, spool, teller, dispatcher, writer, flushed: AtomicBool::new(false) })
    }

    /// Takes an event, if it is wanted; never waits.
    pub(super) fn take(&self, event: EventType, line: &str) {
        if !self.events.wants(event) {
            return;
        }
        self.flushed.store(false, Ordering::SeqCst);
        match gist_webhook::envelope(event, SystemTime::now(), line) {
            Ok(body) => {
                if !self.writer.push(event, body) {
                    self.teller.lost("the disk of the spool has taken nothing for too long");
                }
            }
            Err(error) => self.teller.lost(&error.to_string()),
        }
    }

    /// Waits until all is on the disk and what is due has been tried, for at most `timeout`, or until `stop` is set and
    /// [`Delivery::wake`] called.
    pub(super) fn flush(&self, timeout: Duration, stop: &AtomicBool) {
        let deadline = Instant::now() + timeout;
        loop {
            let seen = self.progress().counts().changes;
            let left = deadline.saturating_duration_since(Instant::now());
            if self.idle() || left.is_zero() || stop.load(Ordering::SeqCst) {
                break;
            }
            self.progress().wait(seen, left);
        }
        self.flushed.store(true, Ordering::SeqCst);
    }

    /// Whether nothing is to be done now. What is being sent is due until it is done.
    fn idle(&self) -> bool {
        // The writer first: what it has let go of is in the spool then.
        self.writer.waiting() == 0
            && self.spool.due(Spool::ENDPOINT, SystemTime::now(), 1).is_ok_and(|due| due.is_empty())
    }

    /// Has [`Delivery::flush`] look whether to go on.
    pub(super) fn wake(&self) {
        self.progress().note(|_| ());
    }

    /// Ends. What is due is tried for at most `timeout`, unless that was done at the end of the stream.
    pub(super) fn stop(&self, timeout: Duration) {
        let timeout = if self.flushed.load(Ordering::SeqCst) { Duration::ZERO } else { timeout };
        let deadline = Instant::now() + timeout;
        let lost = self.writer.close(deadline);
        if lost > 0 {
            let error = format!("The spool could not be written: the last {lost} events are lost.");
            self.progress().note(|counts| counts.lost += lost as u64);
            self.teller.tell("lost", &error);
        }
        self.dispatcher.stop(deadline.saturating_duration_since(Instant::now()));
    }

    pub(super) fn progress(&self) -> &Progress {
        &self.teller.progress
    }

    pub(super) fn stats(&self) -> gst::Structure {
        let counts = self.progress().counts().clone();
        gst::Structure::builder("application/x-gist-stats")
            .field("delivered", counts.delivered)
            .field("pending", self.spool.pending() + self.writer.waiting() as u64)
            .field("dead", self.spool.dead())
            .field("lost", counts.lost)
            .field("malformed", counts.malformed)
            .field("last-error", counts.last_error)
            .build()
    }
}
