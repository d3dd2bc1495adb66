//! One stream: its pipeline stands while its source comes and goes.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use gist_core::export::Format;
use gist_webhook::EventType;
use gst::prelude::*;
use gstgist::ChapterFile;
use serde_json::json;

use super::axis::{self, Anchor};
use super::backoff::Backoff;
use super::config::Stream;
use super::fault::caught;
use super::line::Line;
use super::publisher::{Publisher, Shared};
use super::session::{self, Chosen, STOPPED};
use crate::cli::chapters::by_name;
use crate::run::input::Input;
use crate::run::pipeline::Pipeline;
use crate::run::{Job, Show};

/// How often what waits is put into the store.
const SECOND: Duration = Duration::from_secs(1);

/// What the stream is told.
pub(super) enum Order {
    /// Close the chapter and end.
    Stop,
    /// The file was read again.
    Reload(Box<Stream>),
}

/// How a pipeline ended.
pub(super) enum End {
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
    /// Where the session was in this run of the program.
    anchor: Option<Anchor>,
    /// Whether its source is opened again when it ends.
    reconnects: bool,
    /// Why it was broken off last, if it was not the source.
    broken: Option<String>,
}

/// What stands is taken down, whatever happens.
struct Standing<'a>(&'a Pipeline);

impl Drop for Standing<'_> {
    fn drop(&mut self) {
        let _ = self.0.element().set_state(gst::State::Null);
    }
}

impl Watch {
    pub(super) fn new(
        config: Stream,
        shared: Arc<Shared>,
        orders: Receiver<Order>,
        beat: Arc<AtomicU64>,
    ) -> Self {
        Self { config, shared, orders, beat, publisher: None, anchor: None, reconnects: true, broken: None }
    }

    /// Watches until it is stopped or the stream is over. A pipeline that breaks down is built anew, and what panics is
    /// begun again: other streams notice nothing of either.
    pub(super) fn run(mut self) {
        let mut backoff = Backoff::default();
        loop {
            let begun = Instant::now();
            let ended = caught(|| self.watch());
            self.shared.metrics.up(self.name(), false);
            let (cause, why) = match ended {
                Ok(Ok(End::Over)) => return,
                Ok(Ok(End::Broken(why))) => ("error", why),
                Ok(Err(error)) => ("error", format!("{error:#}")),
                Err(why) => {
                    ("panic", format!("watching it broke down; this is a bug, please report it: {why}"))
                }
            };
            if begun.elapsed() > Duration::from_secs(300) {
                backoff = Backoff::default();
            }
            let pause = backoff.next();
            // What is told and stored may be what panics.
            let again = caught(|| self.again(cause, &why, pause)).unwrap_or_else(|why| {
                tracing::error!(stream = self.name(), "what waited for the store is lost: {why}");
                self.publisher = None;
                thread::sleep(pause);
                true
            });
            if !again {
                return;
            }
        }
    }

    /// Tells why it was broken off and waits before the next attempt; false when there is none.
    fn again(&mut self, cause: &'static str, why: &str, pause: Duration) -> bool {
        self.shared.metrics.broke_down(self.name(), cause);
        self.alert(why);
        self.broken = Some(why.to_owned());
        // From its beginning it would be told of twice.
        if !self.reconnects && self.publisher.is_some() {
            self.over(&format!("broken off: {why}"));
            return false;
        }
        if self.wait(pause) {
            return true;
        }
        if let Some(publisher) = &mut self.publisher {
            publisher.end(STOPPED);
        }
        false
    }

    pub(super) fn name(&self) -> &str {
        self.config.name.get_ref()
    }

    pub(super) fn alert(&mut self, why: &str) {
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
        self.reconnects = reconnects;
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
        let standing = Standing(&pipeline);
        let (position, anchor) = axis::start(&pipeline, &chosen, self.anchor)?;
        self.anchor = Some(anchor);
        let started = chosen.past.is_some();
        let line = Line::new(uri, reconnects, started, position, self.broken.take());
        if self.publisher.is_none() {
            self.publisher = Some(self.publisher(&chosen)?);
        }
        let end = self.drive(&pipeline, line, &job);
        drop(standing);
        end
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

    pub(super) fn over(&mut self, note: &str) -> End {
        if let Some(publisher) = &mut self.publisher {
            if note != STOPPED {
                publisher.news(EventType::StreamEnded, json!({"reason": note}));
            }
            publisher.end(note);
        }
        End::Over
    }

    pub(super) fn take(&mut self, config: Stream) {
        if let Some(publisher) = &mut self.publisher {
            publisher.tell(config.told());
        }
        self.config = config;
    }
}
