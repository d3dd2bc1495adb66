//! What an operator wants to see, for Prometheus. No address and no title is in a label.

use std::collections::HashMap;
use std::fmt::Write;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use gist_core::ChapterEvent;
use gist_core::event::Kind;
use gist_core::time::seconds;
use gist_store::{Counts, Store};
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{EncodeLabelSet, LabelSetEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// A stream that makes no progress for so long is told of as such.
const DEGRADED: Duration = Duration::from_secs(120);

/// Labels by name; which ones there are is the business of each metric.
#[derive(Clone, Debug, Hash, PartialEq, Eq)]
struct Labels(Vec<(&'static str, String)>);

impl EncodeLabelSet for Labels {
    fn encode(&self, encoder: &mut LabelSetEncoder<'_>) -> Result<(), std::fmt::Error> {
        self.0
            .iter()
            .map(|(name, value)| (*name, value.as_str()))
            .collect::<Vec<_>>()
            .as_slice()
            .encode(encoder)
    }
}

type Counts64 = Family<Labels, Counter>;
type Levels = Family<Labels, Gauge<f64, std::sync::atomic::AtomicU64>>;
type Times = Family<Labels, Histogram, fn() -> Histogram>;

fn histogram() -> Histogram {
    Histogram::new([1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 900.0])
}

/// All of them.
pub(super) struct Metrics {
    registry: Registry,
    up: Levels,
    chapters: Counts64,
    digests: Counts64,
    delay: Times,
    tokens: Counts64,
    lag: Levels,
    frames: Levels,
    kv_tokens: Levels,
    kv_evicted: Levels,
    realtime: Levels,
    reconnects: Counts64,
    breakdowns: Counts64,
    deliveries: Counts64,
    waiting: Levels,
    lost: Levels,
    pending: Levels,
    oldest_pending: Levels,
    dead: Levels,
    disk: Levels,
    /// What each stream has come to, and since when it has not gone on.
    progress: Mutex<HashMap<String, (u64, Instant)>>,
}

fn of(stream: &str) -> Labels {
    Labels(vec![("stream", stream.to_owned())])
}

fn with(stream: &str, name: &'static str, value: &str) -> Labels {
    Labels(vec![("stream", stream.to_owned()), (name, value.to_owned())])
}

impl Metrics {
    pub(super) fn new() -> Self {
        let mut registry = Registry::with_prefix("streamgist");
        let level = |registry: &mut Registry, name: &str, help: &str| {
            let metric = Levels::default();
            registry.register(name, help, metric.clone());
            metric
        };
        let seconds = |registry: &mut Registry, name: &str, help: &str| {
            let metric = Levels::default();
            registry.register_with_unit(name, help, Unit::Seconds, metric.clone());
            metric
        };
        let count = |registry: &mut Registry, name: &str, help: &str| {
            let metric = Counts64::default();
            registry.register(name, help, metric.clone());
            metric
        };
        let r = &mut registry;
        let delay = Times::new_with_constructor(histogram);
        r.register_with_unit(
            "chapter_delay",
            "From the end of a chapter to its text",
            Unit::Seconds,
            delay.clone(),
        );
        Self {
            up: level(r, "stream_up", "1 while something comes of the source"),
            chapters: count(r, "chapters", "Chapters by state: closed, partial, revised"),
            digests: count(r, "digests", "Digests written"),
            delay,
            tokens: count(r, "tokens", "Tokens written for chapters and digests"),
            lag: seconds(r, "stream_lag", "How far the model is behind the stream"),
            frames: level(r, "stream_frames", "Pictures by stage: in, sampled, dropped"),
            kv_tokens: level(r, "kv_tokens", "Tokens in the rolling context"),
            kv_evicted: level(r, "kv_evicted_tokens", "Tokens that left the window"),
            realtime: level(r, "realtime_factor", "Stream time divided by the time the worker was busy"),
            reconnects: count(r, "reconnects", "How often a source was opened anew"),
            breakdowns: count(r, "breakdowns", "How often a pipeline broke down, by cause: error, panic"),
            deliveries: count(r, "webhook_deliveries", "Attempts by outcome: delivered, retried, dead"),
            waiting: level(r, "store_waiting_events", "Events that wait for the store"),
            lost: level(r, "lost_events", "Events and lines that could not be kept"),
            pending: level(r, "webhook_pending", "Messages that wait to be delivered"),
            oldest_pending: seconds(r, "webhook_oldest_pending", "Age of the oldest of them"),
            dead: level(r, "dead_letters", "Messages that were given up"),
            disk: level(r, "disk_bytes", "Size of the store"),
            progress: Mutex::default(),
            registry,
        }
    }

    fn progress(&self) -> MutexGuard<'_, HashMap<String, (u64, Instant)>> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something comes of the source.
    pub(super) fn up(&self, stream: &str, up: bool) {
        self.up.get_or_create(&of(stream)).set(f64::from(u8::from(up)));
    }

    pub(super) fn reconnected(&self, stream: &str) {
        self.reconnects.get_or_create(&of(stream)).inc();
    }

    /// Watching the stream broke down and is begun again.
    pub(super) fn broke_down(&self, stream: &str, cause: &str) {
        self.breakdowns.get_or_create(&with(stream, "cause", cause)).inc();
    }

    pub(super) fn event(&self, stream: &str, event: &ChapterEvent) {
        let state = match event.kind {
            Kind::Closed if event.partial => "partial",
            Kind::Closed => "closed",
            Kind::Revised => "revised",
            Kind::Digest => {
                self.digests.get_or_create(&of(stream)).inc();
                self.tokens.get_or_create(&with(stream, "kind", "digest")).inc_by(event.tokens);
                return;
            }
            Kind::Opened | Kind::Updated => return,
        };
        self.chapters.get_or_create(&with(stream, "state", state)).inc();
        self.tokens.get_or_create(&with(stream, "kind", "chapter")).inc_by(event.tokens);
        self.delay.get_or_create(&of(stream)).observe(seconds(event.lag.unwrap_or(0)));
    }

    /// The `stats` of `gistsummarizer`.
    pub(super) fn stats(&self, stream: &str, stats: &gst::Structure) {
        let field = |name: &str| stats.get::<u64>(name).unwrap_or(0);
        let (position, watermark) = (field("position"), field("watermark"));
        self.lag.get_or_create(&of(stream)).set(seconds(position.saturating_sub(watermark)));
        for (stage, name) in
            [("in", "frames-in"), ("sampled", "frames-sampled"), ("dropped", "frames-dropped")]
        {
            self.frames.get_or_create(&with(stream, "stage", stage)).set(field(name) as f64);
        }
        self.kv_tokens.get_or_create(&of(stream)).set(field("kv-tokens") as f64);
        self.kv_evicted.get_or_create(&of(stream)).set(field("kv-evicted-tokens") as f64);
        let factor = stats.get::<f64>("realtime-factor").unwrap_or(0.0);
        self.realtime.get_or_create(&of(stream)).set(factor);
        let mut progress = self.progress();
        let (before, since) = progress.entry(stream.to_owned()).or_insert((watermark, Instant::now()));
        if *before != watermark {
            (*before, *since) = (watermark, Instant::now());
        }
    }

    /// What waits for the store, and what could not be kept.
    pub(super) fn waiting(&self, stream: &str, events: usize, lost: u64) {
        self.waiting.get_or_create(&of(stream)).set(events as f64);
        self.lost.get_or_create(&of(stream)).set(lost as f64);
    }

    pub(super) fn attempted(&self, endpoint: &str, outcome: &str) {
        let labels = Labels(vec![("endpoint", endpoint.to_owned()), ("outcome", outcome.to_owned())]);
        self.deliveries.get_or_create(&labels).inc();
    }

    /// Streams that have made no progress for long, and for how many seconds.
    pub(super) fn degraded(&self) -> Vec<(String, u64)> {
        let progress = self.progress();
        let slow = progress.iter().filter(|(_, (_, since))| since.elapsed() > DEGRADED);
        slow.map(|(stream, (_, since))| (stream.clone(), since.elapsed().as_secs())).collect()
    }

    /// The page, with what the store counts.
    pub(super) fn page(&self, store: &Store) -> String {
        if let Ok(Counts { endpoints, disk_bytes }) = store.counts() {
            for endpoint in endpoints {
                let labels = Labels(vec![("endpoint", endpoint.name)]);
                let age = endpoint.oldest_pending.and_then(|at| SystemTime::now().duration_since(at).ok());
                self.pending.get_or_create(&labels).set(endpoint.pending as f64);
                self.oldest_pending.get_or_create(&labels).set(age.unwrap_or_default().as_secs_f64());
                self.dead.get_or_create(&labels).set(endpoint.dead as f64);
            }
            self.disk.get_or_create(&Labels(Vec::new())).set(disk_bytes as f64);
        }
        let mut page = String::new();
        if encode(&mut page, &self.registry).is_err() {
            page.clear();
            let _ = writeln!(page, "# the metrics could not be written");
        }
        page
    }
}
