//! From the events of a stream to those who are told: into the store first, then to files and webhooks.

use std::collections::VecDeque;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use gist_core::event::Kind;
use gist_core::{ChapterEvent, Observation};
use gist_store::{Ended, Entry, Error, Gap, Journal, Outgoing, Published, Report, Session, Store};
use gist_webhook::{Dispatcher, EventType, envelope};
use gstgist::ChapterFile;
use serde_json::{Map, Value, json};

use super::config::Receiver;
use super::metrics::Metrics;

/// Lines that wait for the store; of more the oldest are given up, and counted.
const MAX_OBSERVATIONS: usize = 20_000;
/// Messages about the stream itself that wait for the store, and breaks.
const MAX_NEWS: usize = 1_000;

/// What streams share.
pub(super) struct Shared {
    pub(super) store: Arc<Store>,
    pub(super) dispatcher: Arc<Dispatcher>,
    pub(super) receivers: RwLock<Vec<Receiver>>,
    pub(super) metrics: Arc<Metrics>,
}

impl Shared {
    /// Who is told of `event`, of all that `stream` may tell.
    fn endpoints(&self, event: EventType, tells: &dyn Fn(&str) -> bool) -> Vec<String> {
        let receivers = self.receivers.read().unwrap_or_else(PoisonError::into_inner);
        let names = receivers.iter().filter(|receiver| receiver.events.wants(event));
        names.map(|receiver| receiver.endpoint.name.clone()).filter(|name| tells(name)).collect()
    }

    /// A message for those who want it; none when nobody does.
    pub(super) fn message(
        &self,
        event: EventType,
        data: &str,
        tells: &dyn Fn(&str) -> bool,
    ) -> Option<Outgoing> {
        let endpoints = self.endpoints(event, tells);
        if endpoints.is_empty() {
            return None;
        }
        let body = envelope(event, SystemTime::now(), data)
            .map_err(|error| tracing::error!("{event} is told to nobody: {error}"));
        let webhook_id = ulid::Ulid::generate().to_string();
        Some(Outgoing { webhook_id, event_type: event.name().to_owned(), body: body.ok()?, endpoints })
    }

    /// Tells everybody who wants alerts of something that is not of one stream.
    ///
    /// # Errors
    /// What the disk says; then nobody is told.
    pub(super) fn alert(&self, why: &str) -> Result<(), Error> {
        let data = json!({"schema": "gist-stream-v1", "reason": why}).to_string();
        let Some(message) = self.message(EventType::AlertRaised, &data, &|_| true) else { return Ok(()) };
        self.store.post(&[message], SystemTime::now())?;
        self.dispatcher.notify();
        Ok(())
    }
}

/// One stream's.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    stream: String,
    session: Session,
    /// The session is in the store.
    begun: bool,
    tells: Option<Vec<String>>,
    journal: Journal,
    observations: VecDeque<Observation>,
    gaps: VecDeque<Gap>,
    news: VecDeque<(Outgoing, SystemTime)>,
    files: Vec<(String, ChapterFile)>,
    last_sequence: Option<u64>,
    lost: u64,
    failing: bool,
}

impl Publisher {
    /// For a session that is new, or `begun` before.
    pub(super) fn new(
        shared: Arc<Shared>,
        session: Session,
        begun: bool,
        tells: Option<Vec<String>>,
        files: Vec<(String, ChapterFile)>,
    ) -> Self {
        let journal = Journal::new(Arc::clone(&shared.store));
        Self {
            shared,
            stream: session.stream.clone(),
            session,
            begun,
            tells,
            journal,
            observations: VecDeque::new(),
            gaps: VecDeque::new(),
            news: VecDeque::new(),
            files,
            last_sequence: None,
            lost: 0,
            failing: false,
        }
    }

    /// From now on other endpoints are told.
    pub(super) fn tell(&mut self, endpoints: Option<Vec<String>>) {
        self.tells = endpoints;
    }

    /// Takes an event, as the element gave it out.
    pub(super) fn event(&mut self, json: &str) {
        let event: ChapterEvent = match serde_json::from_str(json) {
            Ok(event) => event,
            Err(error) => return tracing::error!(stream = self.stream, "no gist-chapters-v1: {error}"),
        };
        let kind = match event.kind {
            Kind::Opened => EventType::ChapterOpened,
            Kind::Updated => EventType::ChapterUpdated,
            Kind::Closed => EventType::ChapterClosed,
            Kind::Revised => EventType::ChapterRevised,
            Kind::Digest => EventType::DigestCreated,
        };
        self.shared.metrics.event(&self.stream, &event);
        self.last_sequence = Some(event.sequence);
        let outgoing = self.message(kind, json).into_iter().collect();
        let entry = Entry { json: json.to_owned(), outgoing, at: SystemTime::now() };
        if let Err(entry) = self.journal.push(entry) {
            self.lost += 1;
            tracing::error!(
                stream = self.stream,
                session = self.session.id,
                "the store has been failing for so long that an event was lost: {}",
                entry.json
            );
        }
        self.flush();
    }

    /// Takes a line that was said or shown.
    pub(super) fn observation(&mut self, observation: Observation) {
        self.observations.push_back(observation);
        if self.observations.len() > MAX_OBSERVATIONS {
            self.observations.pop_front();
            self.lost += 1;
        }
    }

    /// Tells of the stream itself: `details` are the fields besides those that name it.
    pub(super) fn news(&mut self, event: EventType, details: Value) {
        let mut data = Map::new();
        data.insert("schema".into(), "gist-stream-v1".into());
        data.insert("stream".into(), self.stream.clone().into());
        data.insert("session".into(), self.session.id.clone().into());
        data.insert("after-sequence".into(), json!(self.last_sequence));
        data.extend(details.as_object().cloned().unwrap_or_default());
        let data = Value::Object(data).to_string();
        tracing::info!(stream = self.stream, session = self.session.id, "{event} {data}");
        if let Some(message) = self.message(event, &data) {
            self.news.push_back((message, SystemTime::now()));
            if self.news.len() > MAX_NEWS {
                self.news.pop_front();
                self.lost += 1;
            }
        }
        self.flush();
    }

    /// Takes a time in which nothing came.
    pub(super) fn gap(&mut self, gap: Gap) {
        self.gaps.push_back(gap);
        if self.gaps.len() > MAX_NEWS {
            self.gaps.pop_front();
            self.lost += 1;
        }
        self.flush();
    }

    /// The id of the session.
    pub(super) fn session(&self) -> &str {
        &self.session.id
    }

    /// The session has ended.
    pub(super) fn end(&mut self, note: &str) {
        self.flush();
        if !self.begun {
            return;
        }
        let ended = Ended { at: SystemTime::now(), note: note.to_owned() };
        if let Err(error) = self.shared.store.end(&self.session.id, &ended) {
            self.failed(&error);
        }
        for (name, file) in &mut self.files {
            if let Err(error) = file.finish() {
                tracing::error!(stream = self.stream, "can't write {name}: {error}");
            }
        }
    }

    fn message(&self, event: EventType, data: &str) -> Option<Outgoing> {
        let tells =
            |name: &str| self.tells.as_ref().is_none_or(|names| names.iter().any(|known| known == name));
        self.shared.message(event, data, &tells)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.begun {
            self.shared.store.begin(&self.session)?;
            self.begun = true;
        }
        Ok(())
    }

    /// Puts what waits into the store, and shows what is in it. To be called every second, too: the disk may have been
    /// full.
    pub(super) fn flush(&mut self) {
        if let Err(error) = self.begin() {
            return self.failed(&error);
        }
        if !self.observations.is_empty() {
            // Before the events that are made of them.
            let waiting = self.observations.make_contiguous();
            match self.shared.store.observe(&self.session.id, waiting, SystemTime::now()) {
                Ok(()) => self.observations.clear(),
                Err(error) => return self.failed(&error),
            }
        }
        while let Some(gap) = self.gaps.front() {
            match self.shared.store.record_gap(&self.session.id, gap) {
                Ok(()) => drop(self.gaps.pop_front()),
                Err(error) => return self.failed(&error),
            }
        }
        for report in self.journal.flush() {
            match report {
                Report::Published(entry, Published::New) => self.show(&entry),
                Report::Published(_, Published::Known) => {}
                Report::Refused(entry, error) => {
                    self.lost += 1;
                    tracing::error!(stream = self.stream, "an event was lost: {error}: {}", entry.json);
                }
                Report::Failing(error) => return self.failed(&error),
                Report::Working => {}
            }
        }
        while let Some((message, at)) = self.news.front() {
            match self.shared.store.post(std::slice::from_ref(message), *at) {
                Ok(()) => drop(self.news.pop_front()),
                Err(error) => return self.failed(&error),
            }
            self.shared.dispatcher.notify();
        }
        if self.journal.is_empty() && std::mem::take(&mut self.failing) {
            tracing::warn!(stream = self.stream, "the store takes events again; all that waited is in it");
        }
        self.shared.metrics.waiting(&self.stream, self.journal.len(), self.lost);
    }

    /// Whether nothing waits for the store.
    pub(super) fn is_settled(&self) -> bool {
        self.begun && self.journal.is_empty() && self.observations.is_empty() && self.gaps.is_empty()
    }

    /// Said once, until it is over.
    fn failed(&mut self, error: &Error) {
        if !std::mem::replace(&mut self.failing, true) {
            tracing::error!(
                stream = self.stream,
                "{error}. The stream goes on; events wait in memory until they can be stored"
            );
        }
        self.shared.metrics.waiting(&self.stream, self.journal.len(), self.lost);
    }

    /// An event is in the store: now everybody may know.
    fn show(&mut self, entry: &Entry) {
        if !entry.outgoing.is_empty() {
            self.shared.dispatcher.notify();
        }
        outln!("{}", entry.json);
        for (name, file) in &mut self.files {
            if let Err(error) = file.take(&entry.json) {
                tracing::error!(stream = self.stream, "can't write {name}: {error}");
            }
        }
    }
}
