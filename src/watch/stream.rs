//! One stream: its pipeline stands while its source comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use gist_core::observation::Source;
use gist_core::time::Span;
use gist_core::{Observation, export::Format};
use gist_store::Gap;
use gist_webhook::EventType;
use gst::prelude::*;
use gstgist::ChapterFile;
use serde_json::json;

use super::backoff::Backoff;
use super::config::Stream;
use super::publisher::{Publisher, Shared};
use super::session::{self, Chosen, STOPPED};
use crate::cli::chapters::by_name;
use crate::run::input::Input;
use crate::run::media::{INPUT_ENDED, NOTHING_TO_SEE_OR_HEAR};
use crate::run::pipeline::Pipeline;
use crate::run::{Job, Show, failure};

/// How often orders, counters and the clock are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often what waits is put into the store.
const SECOND: Duration = Duration::from_secs(1);
/// How long the end of a stream may take: as long as the element takes for it, and a little.
const END: Duration = Duration::from_secs(75);

/// What the stream is told.
pub(super) enum Order {
    /// Close the chapter and end.
    Stop,
    /// The file was read again.
    Reload(Box<Stream>),
}

/// How a pipeline ended.
enum End {
    /// It was stopped, or its source has an end.
    Over,
    /// It can't go on.
    Broken(String),
}

/// A stream and all it needs.
pub(super) struct Watch {
    pub(super) config: Stream,
    pub(super) shared: Arc<Shared>,
    pub(super) orders: Receiver<Order>,
    /// Counts ticks: who does not count hangs.
    pub(super) beat: Arc<AtomicU64>,
    pub(super) publisher: Option<Publisher>,
}

/// A source that comes and goes.
struct Line {
    uri: String,
    reconnects: bool,
    backoff: Backoff,
    /// When it is opened again.
    retry_at: Option<Instant>,
    /// Something comes of it.
    up: bool,
    /// Something came of it at some time in this session.
    started: bool,
    /// Running-time up to which something came, and since when not.
    position: u64,
    moved: Instant,
}

impl Watch {
    /// Watches until it is stopped or the stream is over. A pipeline that breaks down is built anew.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            match self.watch() {
                Ok(End::Over) => return,
                Ok(End::Broken(why)) => self.alert(&why),
                Err(error) => self.alert(&format!("{error:#}")),
            }
            if begun.elapsed() > Duration::from_secs(300) {
                backoff = Backoff::default();
            }
            if !self.wait(backoff.next()) {
                if let Some(publisher) = &mut self.publisher {
                    publisher.end(STOPPED);
                }
                return;
            }
        }
    }

    fn name(&self) -> &str {
        self.config.name.get_ref()
    }

    fn alert(&mut self, why: &str) {
        tracing::error!(stream = self.name(), "{why}");
        if let Some(publisher) = &mut self.publisher {
            publisher.news(EventType::AlertRaised, json!({"reason": why}));
        }
    }

    /// Waits before the next attempt; false when it is stopped meanwhile.
    fn wait(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            self.beat.fetch_add(1, Ordering::Relaxed);
            match self.orders.recv_timeout(left.min(SECOND)) {
                Ok(Order::Reload(config)) => self.take(*config),
                Ok(Order::Stop) | Err(RecvTimeoutError::Disconnected) => return false,
                Err(RecvTimeoutError::Timeout) => {}
            }
            self.publisher.iter_mut().for_each(Publisher::flush);
        }
        true
    }

    /// Builds a pipeline and watches it to its end.
    fn watch(&mut self) -> anyhow::Result<End> {
        let source = self.config.source().map_err(anyhow::Error::msg)?;
        let reconnects = self.config.reconnects(&source);
        let input = Input::new(&source)?;
        let Input::Media { uri, .. } = &input else { anyhow::bail!("a transcript is no stream") };
        let uri = uri.clone();
        let chosen = self.choose(&source, reconnects)?;
        let mut summarizer = self.config.summarizer();
        summarizer.push(("session-id", chosen.session.id.clone()));
        if let Some(past) = &chosen.past {
            summarizer.push(("resume-from", past.record.to_string_lossy().into_owned()));
        }
        let job = Job {
            input,
            transcript: None,
            outputs: Vec::new(),
            show: Show::Nothing,
            question: None,
            save_context: None,
            summarizer,
            transcriber: self.config.transcriber(),
            profile: false,
        };
        let pipeline = Pipeline::without_input(&job, reconnects)?;
        let (position, now) = (start(&pipeline, &chosen)?, Instant::now());
        let line = Line {
            uri,
            reconnects,
            backoff: Backoff::default(),
            retry_at: Some(now),
            up: false,
            started: chosen.past.is_some(),
            position,
            moved: now,
        };
        if self.publisher.is_none() {
            self.publisher = Some(self.publisher(&chosen)?);
        }
        let end = self.drive(&pipeline, line, &job);
        let _ = pipeline.element().set_state(gst::State::Null);
        self.shared.metrics.up(self.name(), false);
        match end {
            // From its beginning it would be told of twice.
            Ok(End::Broken(why)) if !reconnects => {
                self.alert(&why);
                Ok(self.over(&format!("broken off: {why}")))
            }
            end => end,
        }
    }

    /// The session of this pipeline.
    fn choose(&mut self, source: &str, reconnects: bool) -> anyhow::Result<Chosen> {
        let store = &self.shared.store;
        if let Some(publisher) = &mut self.publisher {
            // The pipeline broke down.
            publisher.flush();
            anyhow::ensure!(publisher.is_settled(), "what was written is not stored yet");
            return Ok(session::go_on(store, store.resume(publisher.session())?)?);
        }
        let model = self.config.model.as_ref().map_or("", |model| model.get_ref());
        let language = self.config.language.as_deref().unwrap_or("auto");
        let new = session::new(self.config.name.get_ref(), source, model, language);
        Ok(session::choose(store, new, reconnects.then_some(self.config.resume_within.0))?)
    }

    fn publisher(&self, chosen: &Chosen) -> anyhow::Result<Publisher> {
        let mut files = Vec::new();
        for path in self.config.outputs.iter().map(toml::Spanned::get_ref) {
            let name = path.display().to_string();
            let format = by_name(path).unwrap_or(Format::JsonLines);
            let failed = |error: &dyn std::fmt::Display| anyhow::anyhow!("can't write {name}: {error}");
            let past = chosen.past.as_ref().map_or(&[][..], |past| &past.events);
            let missing = match format {
                Format::JsonLines => session::missing(path, past).map_err(|error| failed(&error))?,
                // Written whole.
                _ => past.iter().collect(),
            };
            let mut file = ChapterFile::open(path, format, None).map_err(|error| failed(&error))?;
            for event in missing {
                file.take(event).map_err(|error| failed(&error))?;
            }
            files.push((name, file));
        }
        let shared = Arc::clone(&self.shared);
        let begun = chosen.past.is_some();
        Ok(Publisher::new(shared, chosen.session.clone(), begun, self.config.told(), files))
    }

    fn drive(&mut self, pipeline: &Pipeline, mut line: Line, job: &Job) -> anyhow::Result<End> {
        let bus = pipeline.element().bus().ok_or_else(|| anyhow::anyhow!("the pipeline has no bus"))?;
        let mut stopping: Option<(Instant, &str)> = None;
        let mut missing = None;
        let mut flushed = Instant::now();
        loop {
            self.beat.fetch_add(1, Ordering::Relaxed);
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Stop if stopping.is_some() => {}
                    Order::Stop if pipeline.finish() => stopping = Some((Instant::now(), STOPPED)),
                    Order::Stop => return Ok(self.over(STOPPED)),
                    Order::Reload(config) => self.reload(pipeline, *config),
                }
            }
            let gone = match bus.timed_pop(gst::ClockTime::from_mseconds(TICK.as_millis() as u64)) {
                None => None,
                Some(message) => match message.view() {
                    gst::MessageView::Eos(_) => {
                        self.look(&pipeline.stats(), &mut line);
                        return Ok(self.over(stopping.map_or("the stream ended", |(_, note)| note)));
                    }
                    gst::MessageView::Error(error) => {
                        let why = format!("{:#}", failure::explain(error, missing.as_deref(), job));
                        match pipeline.is_of_input(&message) {
                            Some(false) => return Ok(End::Broken(why)),
                            // One seldom comes alone; the others are of what was taken away at the first.
                            None => None,
                            Some(true) => Some(why),
                        }
                    }
                    gst::MessageView::Warning(warning) => {
                        tracing::warn!(stream = self.name(), "{}", failure::warning(warning, job));
                        None
                    }
                    gst::MessageView::Latency(_) => {
                        let _ = pipeline.element().recalculate_latency();
                        None
                    }
                    gst::MessageView::Element(details) => {
                        missing = failure::missing(details).or(missing);
                        details.structure().and_then(|details| self.told(details))
                    }
                    _ => None,
                },
            };
            if let Some(why) = gone.filter(|_| line.retry_at.is_none()) {
                self.gone(pipeline, &mut line, &why, &mut stopping);
            }
            if let Some((since, note)) = stopping {
                if since.elapsed() > END {
                    tracing::warn!(stream = self.name(), "the end of the stream took too long");
                    return Ok(self.over(note));
                }
            } else if line.retry_at.is_some_and(|at| at <= Instant::now()) {
                line.retry_at = None;
                line.moved = Instant::now();
                pipeline.open(&line.uri)?;
            }
            if flushed.elapsed() >= SECOND {
                flushed = Instant::now();
                self.publisher.iter_mut().for_each(Publisher::flush);
                let stats = pipeline.stats();
                self.shared.metrics.stats(self.config.name.get_ref(), &stats);
                self.look(&stats, &mut line);
                let stall = self.config.stall_timeout.0;
                if stopping.is_none() && line.retry_at.is_none() && line.moved.elapsed() > stall {
                    let why = format!("nothing came for {} s", stall.as_secs());
                    self.gone(pipeline, &mut line, &why, &mut stopping);
                }
            } else if !line.up && line.retry_at.is_none() {
                // How long a break was is told by its end.
                self.look(&pipeline.stats(), &mut line);
            }
        }
    }

    /// What elements tell; the reason when it is that the source is gone.
    fn told(&mut self, details: &gst::StructureRef) -> Option<String> {
        let publisher = self.publisher.as_mut()?;
        match details.name().as_str() {
            "gist-chapter" | "gist-digest" => {
                publisher.event(&details.get::<String>("json").unwrap_or_default());
            }
            "gist-observation" => {
                let time = |name: &str| details.get::<u64>(name).unwrap_or_default();
                let source = match details.get::<&str>("source").unwrap_or_default() {
                    "speech" => Source::Speech,
                    "note" => Source::Note,
                    _ => Source::Screen,
                };
                let span = Span::new(time("start"), time("end"));
                let text = details.get::<String>("text").unwrap_or_default();
                publisher.observation(Observation { source, span, text, turn: false });
            }
            "gist-overload" => {
                let dropped: u64 = details.get("dropped").unwrap_or_default();
                tracing::warn!(
                    stream = self.config.name.get_ref(),
                    "this machine is slower than the stream: {dropped} sampled pictures were left out"
                );
            }
            INPUT_ENDED => return Some("the source ended".into()),
            NOTHING_TO_SEE_OR_HEAR => return details.get("why").ok(),
            _ => {}
        }
        None
    }

    /// Whether something came since the last look.
    fn look(&mut self, stats: &gst::Structure, line: &mut Line) {
        let position = stats.get::<u64>("position").unwrap_or(0);
        if position <= line.position || position == u64::MAX {
            return;
        }
        if line.retry_at.is_some() {
            // What was on its way when the source went.
            line.position = position;
            return;
        }
        let gap = Span::new(line.position, position);
        (line.position, line.moved) = (position, Instant::now());
        if std::mem::replace(&mut line.up, true) {
            return;
        }
        line.backoff = Backoff::default();
        self.shared.metrics.up(self.name(), true);
        let Some(publisher) = &mut self.publisher else { return };
        if std::mem::replace(&mut line.started, true) {
            let reason = "the source was away".to_owned();
            publisher.gap(&Gap { span: gap, at: SystemTime::now(), reason });
            let gap_ms = gap.duration() / 1_000_000;
            publisher.news(EventType::StreamResumed, json!({"gap-ms": gap_ms, "running-time": position}));
        } else {
            publisher.news(EventType::StreamStarted, json!({"running-time": position}));
        }
    }

    /// Nothing comes of the source any more.
    fn gone(
        &mut self,
        pipeline: &Pipeline,
        line: &mut Line,
        why: &str,
        stopping: &mut Option<(Instant, &'static str)>,
    ) {
        if stopping.is_some() {
            return;
        }
        self.look(&pipeline.stats(), line);
        if !line.reconnects {
            if !line.up {
                self.alert(why);
            }
            *stopping = Some((Instant::now(), "the stream ended"));
            if !pipeline.finish() {
                let _ = pipeline.element().post_message(gst::message::Eos::new());
            }
            return;
        }
        pipeline.close();
        let pause = line.backoff.next();
        line.retry_at = Some(Instant::now() + pause);
        let name = self.config.name.get_ref();
        self.shared.metrics.up(name, false);
        self.shared.metrics.reconnected(name);
        if std::mem::take(&mut line.up) {
            if let Some(publisher) = &mut self.publisher {
                publisher.news(
                    EventType::StreamDisconnected,
                    json!({"reason": why, "running-time": line.position}),
                );
            }
        } else {
            tracing::warn!(stream = name, "{why}; the next attempt is in {:.0} s", pause.as_secs_f64());
        }
    }

    fn over(&mut self, note: &str) -> End {
        if let Some(publisher) = &mut self.publisher {
            if note != STOPPED {
                publisher.news(EventType::StreamEnded, json!({"reason": note}));
            }
            publisher.end(note);
        }
        End::Over
    }

    /// Prompts and endpoints change while it runs.
    fn reload(&mut self, pipeline: &Pipeline, config: Stream) {
        for (name, value) in config.texts() {
            pipeline.summarizer().set_property_from_str(name, &value);
        }
        if self.config.needs_restart(&config) {
            let stream = config.name.get_ref();
            tracing::warn!(
                stream,
                "source, models, sizes and outputs change with the next start of the program"
            );
        }
        self.take(config);
    }

    fn take(&mut self, config: Stream) {
        if let Some(publisher) = &mut self.publisher {
            publisher.tell(config.told());
        }
        self.config = config;
    }
}

/// Starts the pipeline on the clock of its session; returns the running-time that is known.
fn start(pipeline: &Pipeline, chosen: &Chosen) -> anyhow::Result<u64> {
    let element = pipeline.element();
    let known = chosen.past.as_ref().map_or(0, |past| past.running_time);
    if chosen.past.is_some() {
        // As much later as it is by the time of day, so that the break has its length; never earlier than what is known.
        let since = SystemTime::now().duration_since(chosen.session.started).unwrap_or_default();
        let running = u64::try_from(since.as_nanos()).unwrap_or(0).max(known.saturating_add(1_000_000_000));
        // A clock of its own that is ahead by so much: the machine may have been started after the session.
        let ahead = gst::ClockTime::from_nseconds(running);
        let clock: gst::SystemClock = gst::glib::Object::builder().build();
        clock.set_calibration(gst::ClockTime::ZERO, ahead, 1, 1);
        element.use_clock(Some(&clock));
        element.set_start_time(gst::ClockTime::NONE);
        element.set_base_time(clock.time().saturating_sub(ahead));
    }
    element.set_state(gst::State::Playing).map_err(|_| anyhow::anyhow!("the pipeline did not start"))?;
    Ok(known)
}
