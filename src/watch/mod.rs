//! `streamgist watch`: any number of streams, for as long as they last, and nothing of them lost.
//!
//! ```text
//!  stream thread (one each)                        dispatcher (threads of each endpoint)
//!  pipeline ── messages ──▶ Publisher ──▶ Store ──▶ due? ──▶ POST ──▶ delivery log
//!                               └──▶ stdout, files: only what is in the store
//! ```
//!
//! * [`config`]: the file, strict
//! * [`stream`]: a stream, begun again whatever happens to it
//! * [`drive`], [`mod@line`]: a pipeline that stands while its source comes and goes
//! * [`session`], [`axis`]: which session a stream goes on with, and when that is
//! * [`publisher`]: into the store first, then to everybody
//! * [`upkeep`]: what is done all the time for the store, and a look at the clock
//! * [`deliveries`], [`metrics`], [`http`]: what an operator sees
//! * [`backoff`]: pauses between attempts
//! * [`fault`]: what panics

mod axis;
mod backoff;
pub(crate) mod config;
mod deliveries;
mod drive;
mod fault;
mod http;
mod line;
mod metrics;
mod publisher;
pub(crate) mod session;
mod stream;
mod upkeep;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, PoisonError, RwLock};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use gist_store::{Ended, Store};
use gist_webhook::{Dispatcher, Endpoint};
use sd_notify::NotifyState;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGXFSZ};
use signal_hook::iterator::Signals;

use crate::cli::exit::Class;
use crate::run::start_gstreamer;
use config::{Checked, Receiver, Source};
use deliveries::Deliveries;
use metrics::Metrics;
use publisher::Shared;
use session::UNWATCHED;
use stream::{Order, Watch};
use upkeep::Upkeep;

/// How often signals are looked for.
const TICK: Duration = Duration::from_millis(200);
/// How often systemd hears of us.
const PING: Duration = Duration::from_secs(5);
/// How long the last messages may take at the end; the others wait for the next start.
const FLUSH: Duration = Duration::from_secs(10);

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
    fault::log_panics();
    start_gstreamer()?;
    let (store, aside) = Store::open_or_set_aside(&checked.config.store)
        .map_err(|error| Class::Output.failure(error.to_string()))?;
    let store = Arc::new(store);
    let observer = Arc::new(Deliveries::default());
    let outbox: Arc<dyn gist_webhook::Outbox> = store.clone();
    let dispatcher = Arc::new(Dispatcher::new(outbox, observer.clone()));
    let metrics = Arc::new(Metrics::new());
    let shared = Arc::new(Shared { store, dispatcher, receivers: RwLock::default(), metrics });
    observer.tell(&shared);
    set_receivers(&shared, checked.receivers)?;
    if let Some(aside) = aside {
        let why = format!("the store was corrupt: it is now {}, and a new one was begun", aside.display());
        tracing::error!("{why}");
        shared.alert(&why)?;
    }
    let served = http::serve(checked.metrics, shared.clone())
        .map_err(|e| Class::Usage.failure(format!("metrics can't be served on {}: {e}", checked.metrics)))?;
    end_unwatched(&shared, &checked.config.streams);
    let mut running = Vec::new();
    for stream in checked.config.streams {
        running.push(spawn(stream, shared.clone())?);
    }
    tracing::info!("watching {} streams; metrics on http://{served}/metrics", running.len());
    let _ = sd_notify::notify(&[NotifyState::Ready]);
    let mut upkeep = Upkeep::new(&checked.config.retention);
    let mut pinged = Instant::now();
    while running.iter().any(|stream| !stream.thread.is_finished()) {
        thread::sleep(TICK);
        for signal in signals.pending() {
            match signal {
                SIGHUP => reload(source, &shared, &running),
                _ => return stop(running, &shared, &mut signals),
            }
        }
        upkeep.tick(&shared);
        if pinged.elapsed() > PING {
            pinged = Instant::now();
            ping(&mut running);
        }
    }
    stop(running, &shared, &mut signals)
}

/// Ends the sessions of streams that are not watched any more: nobody else will.
fn end_unwatched(shared: &Shared, streams: &[config::Stream]) {
    let names: Vec<_> = streams.iter().map(|stream| stream.name.get_ref().as_str()).collect();
    let ended = Ended { at: SystemTime::now(), note: UNWATCHED.to_owned() };
    match shared.store.end_unwatched(&names, &ended) {
        Ok(sessions) => sessions.iter().for_each(|id| tracing::info!("session {id} is {UNWATCHED}")),
        Err(error) => tracing::error!("sessions that nobody goes on with are shown as running: {error}"),
    }
}

fn spawn(config: config::Stream, shared: Arc<Shared>) -> anyhow::Result<Running> {
    let name = config.name.get_ref().clone();
    let (orders, inbox) = mpsc::channel();
    let beat = Arc::new(AtomicU64::new(0));
    let watch = Watch::new(config, shared, inbox, beat.clone());
    let thread = thread::Builder::new().name(format!("watch {name}")).spawn(move || watch.run())?;
    Ok(Running { name, orders, beat, seen: 0, thread })
}

fn set_receivers(shared: &Shared, receivers: Vec<Receiver>) -> anyhow::Result<()> {
    let endpoint = |receiver: &Receiver| {
        let endpoint = receiver.endpoint.clone();
        // A log that can't be read is no reason not to send.
        let failing_for = shared.store.failing_for(&endpoint.name).unwrap_or_default();
        Endpoint { failing_for, ..endpoint }
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
