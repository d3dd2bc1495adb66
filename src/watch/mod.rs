//! `streamgist watch`: any number of streams, for as long as they last, and nothing of them lost.
//!
//! ```text
//!  stream thread (one each)                        dispatcher (threads of each endpoint)
//!  pipeline ── messages ──▶ Publisher ──▶ Store ──▶ due? ──▶ POST ──▶ delivery log
//!                               └──▶ stdout, files: only what is in the store
//! ```
//!
//! * [`config`]: the file, strict
//! * [`stream`]: a pipeline that stands while its source comes and goes
//! * [`session`]: which session a stream goes on with
//! * [`publisher`]: into the store first, then to everybody
//! * [`metrics`], [`http`]: what an operator sees
//! * [`backoff`]: pauses between attempts

mod backoff;
pub(crate) mod config;
mod http;
mod metrics;
mod publisher;
pub(crate) mod session;
mod stream;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, OnceLock, PoisonError, RwLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use gist_store::{Dropped, Retention, Store};
use gist_webhook::{Attempt, Delivery, Dispatcher, Endpoint, EventType, Next, Observer, OutboxError};
use sd_notify::NotifyState;
use serde_json::json;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::cli::exit::Class;
use crate::run::start_gstreamer;
use config::{Checked, Receiver, Source};
use metrics::Metrics;
use publisher::Shared;
use stream::{Order, Watch};

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(200);
/// How often what is too old is removed.
const RETAIN: Duration = Duration::from_secs(600);
/// How often it is looked whether another process has changed the store: a replay is sent soon after.
const LOOK: Duration = Duration::from_secs(1);
/// How often systemd hears of us.
const PING: Duration = Duration::from_secs(5);
/// How long the last messages may take at the end; the others wait for the next start.
const FLUSH: Duration = Duration::from_secs(10);

/// Tells metrics and operators of deliveries.
#[derive(Default)]
struct Deliveries(OnceLock<Weak<Shared>>);

impl Deliveries {
    fn shared(&self) -> Option<Arc<Shared>> {
        self.0.get()?.upgrade()
    }
}

impl Observer for Deliveries {
    fn attempted(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) {
        let Some(shared) = self.shared() else { return };
        let outcome = match next {
            Next::Delivered => "delivered",
            Next::Again { .. } => "retried",
            Next::Dead { .. } => "dead",
        };
        shared.metrics.attempted(&delivery.endpoint, outcome);
        let (endpoint, id) = (&delivery.endpoint, &delivery.webhook_id);
        match (&attempt.error, next) {
            (_, Next::Dead { reason }) => tracing::error!(%endpoint, %id, "a message was given up: {reason}"),
            (Some(error), _) => tracing::warn!(%endpoint, %id, "not delivered: {error}"),
            (None, _) => tracing::debug!(%endpoint, %id, "delivered"),
        }
    }

    fn disabled(&self, endpoint: &str, reason: &str) {
        tracing::error!(%endpoint, "the endpoint was disabled: {reason}");
        let Some(shared) = self.shared() else { return };
        let data = json!({"schema": "gist-stream-v1", "endpoint": endpoint, "reason": reason}).to_string();
        let message = shared.message(EventType::AlertRaised, &data, &|name| name != endpoint);
        if let Some(Err(error)) = message.map(|message| shared.store.post(&[message], SystemTime::now())) {
            tracing::error!("nobody could be told of it: {error}");
        }
    }

    fn outbox_failed(&self, endpoint: &str, error: &OutboxError) {
        tracing::error!(%endpoint, "deliveries wait: {error}");
    }
}

/// A stream at work.
struct Running {
    name: String,
    orders: Sender<Order>,
    beat: Arc<AtomicU64>,
    /// What it was at the last ping.
    seen: u64,
    thread: JoinHandle<()>,
}

/// Watches until all streams are over, or a signal ends it.
///
/// # Errors
/// One sentence with its class.
pub(crate) fn run(source: &Source) -> anyhow::Result<()> {
    let checked = Checked::read(source)?;
    // First of all: until then they would end it at once, and a manager of services may send one at any time.
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    // A limit of file sizes is a full disk like any other, which is waited out; left alone the signal ends the program.
    signal_hook::flag::register(SIGXFSZ, Arc::default())?;
    start_gstreamer()?;
    let (store, aside) = Store::open_or_set_aside(&checked.config.store)
        .map_err(|error| Class::Output.failure(error.to_string()))?;
    let store = Arc::new(store);
    let observer = Arc::new(Deliveries::default());
    let outbox: Arc<dyn gist_webhook::Outbox> = store.clone();
    let dispatcher = Arc::new(Dispatcher::new(outbox, observer.clone()));
    let metrics = Arc::new(Metrics::new());
    let shared = Arc::new(Shared { store, dispatcher, receivers: RwLock::default(), metrics });
    let _ = observer.0.set(Arc::downgrade(&shared));
    set_receivers(&shared, checked.receivers)?;
    if let Some(aside) = aside {
        let why = format!("the store was corrupt: it is now {}, and a new one was begun", aside.display());
        tracing::error!("{why}");
        let data = json!({"schema": "gist-stream-v1", "reason": why}).to_string();
        if let Some(message) = shared.message(EventType::AlertRaised, &data, &|_| true) {
            shared.store.post(&[message], SystemTime::now())?;
        }
    }
    let served = http::serve(checked.metrics, shared.clone())
        .map_err(|e| Class::Usage.failure(format!("metrics can't be served on {}: {e}", checked.metrics)))?;
    let mut running = Vec::new();
    for stream in checked.config.streams {
        running.push(spawn(stream, shared.clone())?);
    }
    tracing::info!("watching {} streams; metrics on http://{served}/metrics", running.len());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let retention = Retention {
        age: checked.config.retention.age.map(|age| age.0),
        bytes: checked.config.retention.size.map(|size| size.0),
    };
    let (mut retained, mut pinged) = (None::<Instant>, Instant::now());
    let (mut looked, mut version) = (Instant::now(), None);
    while running.iter().any(|stream| !stream.thread.is_finished()) {
        thread::sleep(TICK);
        for signal in signals.pending() {
            match signal {
                SIGHUP => reload(source, &shared, &running),
                _ => return stop(running, &shared, &mut signals),
            }
        }
        if retained.is_none_or(|at| at.elapsed() > RETAIN) {
            retained = Some(Instant::now());
            tell_dropped(&shared.store.retain(&retention, SystemTime::now()));
        }
        if looked.elapsed() > LOOK {
            looked = Instant::now();
            if let Ok(found) = shared.store.data_version()
                && version.replace(found) != Some(found)
            {
                shared.dispatcher.notify();
            }
        }
        if pinged.elapsed() > PING {
            pinged = Instant::now();
            ping(&mut running);
        }
    }
    stop(running, &shared, &mut signals)
}

fn spawn(config: config::Stream, shared: Arc<Shared>) -> anyhow::Result<Running> {
    let name = config.name.get_ref().clone();
    let (orders, inbox) = mpsc::channel();
    let beat = Arc::new(AtomicU64::new(0));
    let watch = Watch { config, shared, orders: inbox, beat: beat.clone(), publisher: None };
    let thread = thread::Builder::new().name(format!("watch {name}")).spawn(move || watch.run())?;
    Ok(Running { name, orders, beat, seen: 0, thread })
}

fn set_receivers(shared: &Shared, receivers: Vec<Receiver>) -> anyhow::Result<()> {
    let endpoint = |receiver: &Receiver| {
        let endpoint = receiver.endpoint.clone();
        // A log that can't be read is no reason not to send.
        let failing_since = shared.store.failing_since(&endpoint.name).unwrap_or_default();
        Endpoint { failing_since, ..endpoint }
    };
    let endpoints = receivers.iter().map(endpoint).collect();
    *shared.receivers.write().unwrap_or_else(PoisonError::into_inner) = receivers;
    Ok(shared.dispatcher.set_endpoints(endpoints)?)
}

/// Takes prompts and endpoints from the file as it is now. One that is not right changes nothing.
fn reload(source: &Source, shared: &Shared, running: &[Running]) {
    let checked = match Checked::read(source) {
        Ok(checked) => checked,
        Err(error) => return tracing::error!("nothing is changed: {error:#}"),
    };
    if let Err(error) = set_receivers(shared, checked.receivers) {
        tracing::error!("the endpoints can't be changed: {error:#}");
    }
    let mut streams = checked.config.streams;
    for stream in running {
        match streams.iter().position(|config| *config.name.get_ref() == stream.name) {
            Some(at) => drop(stream.orders.send(Order::Reload(Box::new(streams.swap_remove(at))))),
            None => tracing::warn!("{} is watched until the next start of the program", stream.name),
        }
    }
    for new in streams {
        tracing::warn!("{} is watched from the next start of the program on", new.name.get_ref());
    }
    tracing::info!("the configuration was read again");
}

/// Closes the chapters, then sends what is due.
fn stop(running: Vec<Running>, shared: &Shared, signals: &mut Signals) -> anyhow::Result<()> {
    let _ = sd_notify::notify(&[NotifyState::Stopping]);
    if running.iter().any(|stream| !stream.thread.is_finished()) {
        tracing::info!("stopping: the last chapters are being written; a second signal stops at once");
    }
    for stream in &running {
        let _ = stream.orders.send(Order::Stop);
    }
    while running.iter().any(|stream| !stream.thread.is_finished()) {
        thread::sleep(TICK);
        if signals.pending().any(|signal| signal != SIGHUP) {
            std::process::exit(130);
        }
    }
    let mut broke = None;
    for stream in running {
        if stream.thread.join().is_err() {
            broke = Some(stream.name);
        }
    }
    if !shared.dispatcher.stop(FLUSH) {
        tracing::warn!("some messages are not delivered yet; they are tried again at the next start");
    }
    match broke {
        None => Ok(()),
        Some(name) => {
            Err(Class::Pipeline
                .failure(format!("watching {name} broke down; this is a bug, please report it")))
        }
    }
}

/// Tells systemd that all is well, if every stream has moved since the last time.
fn ping(running: &mut [Running]) {
    let mut moved = true;
    for stream in running {
        let beat = stream.beat.load(Ordering::Relaxed);
        moved &= beat != stream.seen || stream.thread.is_finished();
        stream.seen = beat;
    }
    if moved {
        let _ = sd_notify::notify(&[NotifyState::Watchdog]);
    }
}

fn tell_dropped(dropped: &Dropped) {
    if let Some(error) = &dropped.stopped {
        tracing::error!("what is too old can't be removed: {error}");
    }
    if dropped.span.is_some() || dropped.over > 0 {
        tracing::warn!("removed by retention: {dropped:?}");
    }
}
