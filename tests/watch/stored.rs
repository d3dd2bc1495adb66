//! What is in the store after all, and whether it is what everybody was told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::{Duration, SystemTime};

use gist_store::{Filter, Gap, Session, Store};
use gist_webhook::Outbox;
use serde_json::Value;

use crate::Desk;
use crate::receiver::Got;

pub(crate) struct Stored {
    pub(crate) sessions: Vec<Session>,
    /// Events of the newest session, byte for byte.
    pub(crate) lines: Vec<String>,
    pub(crate) gaps: Vec<Gap>,
    observations: Vec<gist_core::Observation>,
    /// Bodies by `webhook-id`.
    bodies: HashMap<String, Vec<u8>>,
}

impl Stored {
    /// Opens it as its writer, which checks the file. What waits for delivery looks different afterwards.
    pub(crate) fn read(desk: &Desk) -> Self {
        Self::of_some(desk, |_| true)
    }

    /// Of the newest session of a stream.
    pub(crate) fn of(desk: &Desk, stream: &str) -> Self {
        Self::of_some(desk, |session| session.stream == stream)
    }

    /// Of a session.
    pub(crate) fn of_session(desk: &Desk, id: &str) -> Self {
        Self::of_some(desk, |session| session.id == id)
    }

    /// The sessions of a stream, newest first, also while it is watched.
    pub(crate) fn sessions_of(desk: &Desk, stream: &str) -> Vec<Session> {
        let store = Store::open_read(desk.store()).expect("there");
        store.sessions(Some(stream), 1000).expect("read")
    }

    /// How many deliveries wait, also while it is watched.
    pub(crate) fn waiting(desk: &Desk) -> u64 {
        let store = Store::open_read(desk.store()).expect("there");
        store.counts().expect("read").endpoints.iter().map(|endpoint| endpoint.pending).sum()
    }

    fn of_some(desk: &Desk, is: impl Fn(&Session) -> bool) -> Self {
        let store = Store::open(desk.store()).expect("sound");
        let sessions = store.sessions(None, 1000).expect("read");
        let id = &sessions.iter().find(|session| is(session)).expect("a session").id;
        let deliveries = store.deliveries(&Filter::default(), None, 100_000).expect("read");
        let lines = store.events(id, 0, 100_000).expect("read");
        let gaps = store.gaps(id).expect("read");
        let observations = store.observations(id, 0, 100_000).expect("read");
        // Bodies are given out to who delivers.
        let now = SystemTime::now();
        store.replay(&Filter::default(), now).expect("replayed");
        let endpoints: BTreeSet<_> = deliveries.iter().map(|delivery| &delivery.endpoint).collect();
        let ever = now + Duration::from_secs(1 << 30);
        let due = endpoints.into_iter().flat_map(|endpoint| {
            store.enable(endpoint).expect("enabled");
            store.due(endpoint, ever, 100_000).expect("read")
        });
        let bodies = due.map(|delivery| (delivery.webhook_id, delivery.body)).collect();
        Self { sessions, lines, gaps, observations, bodies }
    }

    pub(crate) fn events(&self) -> impl Iterator<Item = Value> + '_ {
        self.lines.iter().map(|line| serde_json::from_str(line).expect("JSON"))
    }

    /// How many lines were said and shown.
    pub(crate) fn observed(&self) -> usize {
        self.observations.len()
    }

    /// What was on standard output is in the store; the last line of a run may be cut off.
    pub(crate) fn holds_shown(&self, shown: &[String]) {
        for line in shown {
            assert!(self.lines.iter().any(|stored| stored.starts_with(line.as_str())), "not stored: {line}");
        }
    }

    /// What a receiver got is what is stored, byte for byte.
    pub(crate) fn holds_delivered(&self, got: &[Got]) {
        for message in got {
            assert_eq!(self.bodies.get(&message.id), Some(&message.body), "message {}", message.id);
            let kind = message.kind();
            if kind.starts_with("chapter.") || kind.starts_with("digest.") {
                let body = std::str::from_utf8(&message.body).expect("UTF-8");
                let (_, data) = body.split_once("\"data\":").expect("data");
                let data = data.strip_suffix('}').expect("an end");
                assert!(self.lines.iter().any(|line| line == data), "not stored: {data}");
            }
        }
    }

    /// The receiver has all events.
    pub(crate) fn was_delivered(&self, got: &[Got]) {
        let sequence = |data: &Value| data["sequence"].as_u64().expect("a number");
        let got: BTreeSet<_> = got
            .iter()
            .filter(|got| got.kind().starts_with("chapter.") || got.kind().starts_with("digest."))
            .map(|got| sequence(&got.data()))
            .collect();
        let missing: Vec<_> = self.events().filter(|event| !got.contains(&sequence(event))).collect();
        assert!(missing.is_empty(), "not delivered: {missing:?}");
    }

    /// Numbers count, indices are never reused, times never go back, chapters don't overlap.
    pub(crate) fn is_in_order(&self) {
        let mut chapters: BTreeMap<u64, Vec<Value>> = BTreeMap::new();
        let mut ids = HashMap::new();
        for (n, event) in self.events().enumerate() {
            assert_eq!(event["sequence"], n as u64, "{event}");
            if event["type"] != "digest" {
                let index = event["index"].as_u64().expect("an index");
                let id = event["id"].as_str().expect("an id").to_owned();
                assert_eq!(*ids.entry(index).or_insert_with(|| id.clone()), id, "index {index} is reused");
                chapters.entry(index).or_default().push(event);
            }
        }
        let mut end = 0;
        let mut stream_end = 0;
        for events in chapters.values() {
            let count = |kind: &str| events.iter().filter(|event| event["type"] == kind).count();
            assert_eq!(count("opened"), 1, "{events:?}");
            assert!(count("closed") <= 1, "{events:?}");
            let Some(closed) = events.iter().find(|event| event["type"] == "closed") else { continue };
            let time = |name: &str| closed[name].as_u64().unwrap_or_else(|| panic!("{name}: {closed}"));
            assert!(time("running-time") >= end, "it overlaps the one before, which ends at {end}: {closed}");
            assert!(time("stream-time") >= stream_end, "stream-time went back: {closed}");
            assert!(time("end-running-time") >= time("running-time"), "{closed}");
            end = time("end-running-time");
            stream_end = time("stream-time") + time("duration");
        }
        let mut told = 0;
        for digest in self.events().filter(|event| event["type"] == "digest") {
            if let (Some(start), Some(until)) =
                (digest["period-start"].as_u64(), digest["period-end"].as_u64())
                && digest["final"] != true
            {
                assert!(start >= told, "a time is told of twice: {digest}");
                told = until;
            }
        }
        let mut seen = BTreeSet::new();
        for observed in &self.observations {
            let key = (observed.span.start, observed.span.end, &observed.text);
            assert!(seen.insert(key), "observed twice: {observed:?}");
        }
    }

    /// A file of lines has all events, once.
    pub(crate) fn is_in_file(&self, path: &Path) {
        let file = std::fs::read_to_string(path).expect("written");
        let lines: Vec<_> = file.lines().collect();
        assert_eq!(lines, self.lines, "the file and the store differ");
    }
}
