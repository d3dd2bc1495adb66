//! Chapter events as the outside knows them: messages, downstream events, the table of contents, JSON lines.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use gist_core::event::Kind;
use gist_core::session::Answer;
use gist_core::time::clock;
use gist_core::{ChapterEvent, Observation};
use gst::glib;
use gst::prelude::*;
use serde_json::Value;

use super::chapters::Out;
use super::outbox::Outbox;

/// Chapters in the table of contents and in `chapters-json`; the oldest go.
const MAX_CHAPTERS: usize = 1_000;

/// What is known of the chapters, for the read-only properties.
#[derive(Default)]
pub(super) struct Ledger {
    entries: VecDeque<ChapterEvent>,
    current: Option<ChapterEvent>,
    pub(super) closed: u64,
    pub(super) digests: u64,
    toc_sent: bool,
    pub(super) lag: u64,
    pub(super) lag_max: u64,
}

impl Ledger {
    /// `chapters-json`.
    pub(super) fn json(&self) -> String {
        let closed = self.entries.iter().filter(|event| event.kind != Kind::Opened);
        serde_json::to_string(&closed.collect::<Vec<_>>()).unwrap_or_default()
    }

    /// `current-chapter`.
    pub(super) fn current(&self) -> Option<gst::Structure> {
        self.current.as_ref().map(|event| structure("gist-chapter", event))
    }

    fn take(&mut self, event: &ChapterEvent) {
        match event.kind {
            Kind::Digest => self.digests += 1,
            Kind::Opened => self.current = Some(event.clone()),
            Kind::Closed => {
                self.closed += 1;
                self.lag = event.lag.unwrap_or(0);
                self.lag_max = self.lag_max.max(self.lag);
                if self.current.as_ref().is_some_and(|current| current.id == event.id) {
                    self.current = None;
                }
            }
            Kind::Updated | Kind::Revised => {}
        }
        if event.kind == Kind::Digest {
            return;
        }
        match self.entries.iter_mut().find(|entry| entry.id == event.id) {
            Some(entry) => entry.clone_from(event),
            None => self.entries.push_back(event.clone()),
        }
        if self.entries.len() > MAX_CHAPTERS {
            self.entries.pop_front();
        }
    }

    /// Drops the chapters that will never be closed; returns whether there were any.
    fn forget(&mut self) -> bool {
        let before = self.entries.len();
        self.entries.retain(|event| event.kind != Kind::Opened);
        self.current.take().is_some() || self.entries.len() < before
    }

    fn toc(&mut self, position: u64) -> gst::Event {
        let mut toc = gst::Toc::new(gst::TocScope::Global);
        if let Some(toc) = toc.get_mut() {
            for event in &self.entries {
                toc.append_entry(toc_entry(event, position));
            }
        }
        let updated = std::mem::replace(&mut self.toc_sent, true);
        gst::event::Toc::new(&toc, updated)
    }
}

fn toc_entry(event: &ChapterEvent, position: u64) -> gst::TocEntry {
    let mut entry = gst::TocEntry::new(gst::TocEntryType::Chapter, &event.id);
    if let Some(entry) = entry.get_mut() {
        let start = event.stream_time.unwrap_or(event.running_time);
        let length = event.duration.unwrap_or_else(|| position.saturating_sub(event.running_time));
        entry.set_start_stop_times(start as i64, start.saturating_add(length) as i64);
        let mut tags = gst::TagList::new();
        if let Some(tags) = tags.get_mut() {
            let title = if event.title.is_empty() { "…" } else { &event.title };
            tags.add::<gst::tags::Title>(&title, gst::TagMergeMode::Append);
            if !event.summary.is_empty() {
                tags.add::<gst::tags::Description>(&event.summary.as_str(), gst::TagMergeMode::Append);
            }
        }
        entry.set_tags(tags);
    }
    entry
}

/// Puts events out on every way that is switched on.
pub(super) struct Emitter {
    pub(super) element: glib::WeakRef<super::GistSummarizer>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
}

/// Which ways are switched on.
#[derive(Clone, Copy)]
pub(super) struct Ways {
    pub(super) messages: bool,
    pub(super) observations: bool,
    pub(super) toc: bool,
    /// Running-time is that of a clock, so that the time of day is known.
    pub(super) live: bool,
}

impl Emitter {
    /// Tells what became of a context that was to be saved.
    pub(super) fn saved(&self, path: &Path, error: Option<&str>) {
        let Some(element) = self.element.upgrade() else { return };
        let details = gst::Structure::builder("gist-context-saved")
            .field("location", path.to_string_lossy().as_ref())
            .field_if_some("error", error)
            .build();
        let _ = element.post_message(gst::message::Element::builder(details).src(&element).build());
    }

    /// Tells what was said, or read off the picture.
    pub(super) fn observation(&self, observation: &Observation) {
        let Some(element) = self.element.upgrade() else { return };
        let details = gst::Structure::builder("gist-observation")
            .field("source", observation.source.name())
            .field("start", observation.span.start)
            .field("end", observation.span.end)
            .field("text", &observation.text)
            .build();
        let _ = element.post_message(gst::message::Element::builder(details).src(&element).build());
    }

    /// Posts an answer. Whoever asked waits for it, so it is posted whatever is switched off.
    pub(super) fn answer(&self, answer: &Answer) {
        let Some(element) = self.element.upgrade() else { return };
        let details = gst::Structure::builder("gist-answer")
            .field("question", &answer.question)
            .field("text", answer.text())
            .field("statements", answer.statements_json().to_string())
            .field_if_some("error", answer.error.as_deref())
            .build();
        let _ = element.post_message(gst::message::Element::builder(details).src(&element).build());
    }

    /// Emits one event. `position` is the running-time the stream has reached.
    pub(super) fn emit(&self, event: &ChapterEvent, position: u64, ways: Ways) {
        let Some(element) = self.element.upgrade() else { return };
        let mut event = event.clone();
        if ways.live {
            stamp_wallclock(&element, &mut event);
        }
        let event = &event;
        gst::info!(super::CAT, obj = element, "{:?} {} {:?}", event.kind, event.id, event.title);
        let (toc, current) = {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            let before = ledger.current.as_ref().map(|current| current.index);
            ledger.take(event);
            let toc = (ways.toc && event.kind != Kind::Digest).then(|| ledger.toc(position));
            (toc, before != ledger.current.as_ref().map(|current| current.index))
        };
        let json = event.to_json();
        let name = if event.kind == Kind::Digest { "gist-digest" } else { "gist-chapter" };
        let mut details = structure(name, event);
        details.set("json", &json);
        if ways.messages {
            let message = gst::message::Element::builder(details.clone()).src(&element).build();
            let _ = element.post_message(message);
        }
        details.set_name(name.replace('-', "/"));
        self.outbox.src(gst::event::CustomDownstream::new(details));
        if let Some(toc) = toc {
            self.outbox.src(toc);
        }
        let text = matches!(event.kind, Kind::Closed | Kind::Revised)
            .then(|| format!("{} {}", clock(event.stream_time.unwrap_or(event.running_time)), event.title));
        if !self.outbox.chapters(Out::Line { json, text, position }) {
            gst::element_warning!(
                element,
                gst::CoreError::Pad,
                ("Nobody takes the chapters: one was dropped from the `chapters` pad")
            );
        }
        if current {
            element.notify("current-chapter");
        }
    }

    /// After a flush: the chapters that were open or being written are nobody's business any more.
    pub(super) fn forget(&self, ways: Ways) {
        self.outbox.resume();
        let toc = {
            let mut ledger = self.ledger.lock().unwrap_or_else(PoisonError::into_inner);
            if !ledger.forget() {
                return;
            }
            ways.toc.then(|| ledger.toc(0))
        };
        if let Some(toc) = toc {
            self.outbox.src(toc);
        }
        if let Some(element) = self.element.upgrade() {
            element.notify("current-chapter");
        }
    }
}

/// Time of day of start and end, by this machine's clock.
fn stamp_wallclock(element: &super::GistSummarizer, event: &mut ChapterEvent) {
    let (Some(now), Ok(utc)) = (element.current_running_time(), glib::DateTime::now_utc()) else { return };
    let at = |time: u64| {
        let ago = now.nseconds() as i64 - time as i64;
        let then = utc.add(glib::TimeSpan::from_microseconds(-ago / 1_000)).ok()?;
        Some(format!("{}.{:03}Z", then.format("%Y-%m-%dT%H:%M:%S").ok()?, then.microsecond() / 1_000))
    };
    [event.wallclock_start, event.wallclock_end] =
        [Some(event.running_time), event.end_running_time].map(|time| time.and_then(at));
    event.wallclock_source = Some("clock".into());
}

/// The event as a structure with the same field names.
pub(super) fn structure(name: &str, event: &ChapterEvent) -> gst::Structure {
    let mut structure = gst::Structure::new_empty(name);
    if let Ok(Value::Object(fields)) = serde_json::to_value(event) {
        for (key, value) in &fields {
            if let Some(value) = to_value(key, value) {
                structure.set_value(key, value);
            }
        }
    }
    structure
}

fn to_value(key: &str, value: &Value) -> Option<glib::SendValue> {
    Some(match value {
        Value::Null => return None,
        Value::Bool(flag) => flag.to_send_value(),
        Value::Number(number) => match number.as_u64() {
            Some(number) => number.to_send_value(),
            None => number.as_f64()?.to_send_value(),
        },
        Value::String(text) => text.to_send_value(),
        Value::Array(items) => {
            gst::Array::new(items.iter().filter_map(|item| to_value(key, item))).to_send_value()
        }
        Value::Object(fields) => {
            let mut structure = gst::Structure::new_empty(key);
            for (key, value) in fields {
                if let Some(value) = to_value(key, value) {
                    structure.set_value(key, value);
                }
            }
            structure.to_send_value()
        }
    })
}
