//! A dispatcher over a spool, with a clock that tests turn.

use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::mpsc::{self, Receiver as Channel, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use gist_webhook::clock::Clock;
use gist_webhook::spool::LIMIT;
use gist_webhook::{
    Attempt, Delivery, Dispatcher, Endpoint, EventType, Guard, Next, Observer, Outbox, OutboxError, Spool,
    Target,
};

use super::receiver::{PATIENCE, Receiver};

/// What the dispatcher told of.
#[derive(Debug)]
pub(crate) enum Told {
    Attempted(Box<Delivery>, Attempt, Next),
    Disabled(String),
    OutboxFailed(String),
}

struct Teller(Mutex<Sender<Told>>);

impl Teller {
    fn tell(&self, told: Told) {
        // Nobody may be listening any more.
        let _ = self.0.lock().unwrap().send(told);
    }
}

impl Observer for Teller {
    fn attempted(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) {
        self.tell(Told::Attempted(Box::new(delivery.clone()), attempt.clone(), next.clone()));
    }

    fn disabled(&self, _endpoint: &str, reason: &str) {
        self.tell(Told::Disabled(reason.to_owned()));
    }

    fn outbox_failed(&self, _endpoint: &str, error: &OutboxError) {
        self.tell(Told::OutboxFailed(error.to_string()));
    }
}

pub(crate) struct Rig {
    pub(crate) spool: Arc<Spool>,
    pub(crate) dispatcher: Dispatcher,
    pub(crate) told: Channel<Told>,
    /// By how many seconds the clock is ahead.
    ahead: Arc<AtomicI64>,
}

impl Rig {
    pub(crate) fn new(folder: &Path, endpoint: Endpoint) -> Self {
        Self::around(folder, endpoint, |spool| spool)
    }

    /// With an outbox around the spool.
    pub(crate) fn around(
        folder: &Path,
        endpoint: Endpoint,
        wrap: impl FnOnce(Arc<dyn Outbox>) -> Arc<dyn Outbox>,
    ) -> Self {
        let spool = Arc::new(Spool::open(folder, LIMIT).unwrap());
        let (sender, told) = mpsc::channel();
        let ahead = Arc::new(AtomicI64::new(0));
        let by = Arc::clone(&ahead);
        let clock = Clock::new(move || {
            let by = by.load(Ordering::SeqCst);
            let (now, by) = (SystemTime::now(), (by.is_positive(), Duration::from_secs(by.unsigned_abs())));
            if by.0 { now + by.1 } else { now - by.1 }
        });
        let outbox = wrap(Arc::clone(&spool) as Arc<dyn Outbox>);
        let dispatcher = Dispatcher::with_clock(outbox, Arc::new(Teller(Mutex::new(sender))), clock);
        dispatcher.set_endpoints(vec![endpoint]).unwrap();
        Self { spool, dispatcher, told, ahead }
    }

    pub(crate) fn push(&self, body: &str) -> String {
        let id = self.spool.push(EventType::ChapterClosed, body.as_bytes()).unwrap();
        self.dispatcher.notify();
        id
    }

    /// Turns the clock, forward or back.
    pub(crate) fn turn(&self, seconds: i64) {
        self.ahead.fetch_add(seconds, Ordering::SeqCst);
        self.dispatcher.notify();
    }

    pub(crate) fn next(&self) -> Told {
        self.told.recv_timeout(PATIENCE).expect("something to be told")
    }

    /// What became of the next attempt.
    pub(crate) fn attempted(&self) -> (Delivery, Attempt, Next) {
        match self.next() {
            Told::Attempted(delivery, attempt, next) => (*delivery, attempt, next),
            other => panic!("an attempt, not {other:?}"),
        }
    }
}

/// The endpoint of a spool.
pub(crate) fn endpoint(receiver: &Receiver) -> Endpoint {
    let mut endpoint =
        Endpoint::new(Spool::ENDPOINT, Target::new(receiver.url().parse().unwrap(), Vec::new()));
    endpoint.guard = Guard::new(vec!["127.0.0.0/8".parse().unwrap()]);
    endpoint
}
