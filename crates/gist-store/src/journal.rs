//! A queue before [`Store::publish`], for when the disk is full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::SystemTime;

use crate::{Error, Outgoing, Published, Store};

/// An event that waits to be published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The event, `gist-chapters-v1`.
    pub json: String,
    /// The messages that tell of it.
    pub outgoing: Vec<Outgoing>,
    /// When it came.
    pub at: SystemTime,
}

/// What [`Journal::flush`] has to tell, in the order in which it happened.
#[derive(Debug)]
pub enum Report {
    /// This event is in the store and may be shown.
    Published(Entry, Published),
    /// The store does not take this event and never will; the next one is tried.
    Refused(Entry, Error),
    /// From now on events wait in memory. Said once.
    Failing(Error),
    /// The store takes events again. Said once.
    Working,
}

/// Events on their way into the store. While it can't be written they wait in memory, in their order, at most
/// [`Journal::MAX_EVENTS`] and [`Journal::MAX_BYTES`]; none is given out as published before it is committed.
#[derive(Debug)]
pub struct Journal {
    store: Arc<Store>,
    waiting: VecDeque<Entry>,
    bytes: usize,
    failing: bool,
}

impl Journal {
    /// The most events that wait.
    pub const MAX_EVENTS: usize = 4096;
    /// The most bytes of events and bodies that wait.
    pub const MAX_BYTES: usize = 64 << 20;

    /// An empty queue.
    pub fn new(store: Arc<Store>) -> Self {
        Self { store, waiting: VecDeque::new(), bytes: 0, failing: false }
    }

    /// Events that wait.
    pub fn len(&self) -> usize {
        self.waiting.len()
    }

    /// Whether none waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Takes an event behind those that wait; [`Journal::flush`] publishes it.
    ///
    /// # Errors
    /// Gives the event back when the queue is full. Who drops it must say so.
    pub fn push(&mut self, entry: Entry) -> Result<(), Box<Entry>> {
        let bytes = self.bytes + size(&entry);
        if self.waiting.len() >= Self::MAX_EVENTS || bytes > Self::MAX_BYTES {
            return Err(Box::new(entry));
        }
        self.bytes = bytes;
        self.waiting.push_back(entry);
        Ok(())
    }

    /// Publishes what waits, until all is published or the store fails. Call it after each event, and every few seconds
    /// while any waits.
    pub fn flush(&mut self) -> Vec<Report> {
        let mut reports = Vec::new();
        while let Some(entry) = self.waiting.front() {
            let result = self.store.publish(&entry.json, &entry.outgoing, entry.at);
            match result {
                Err(error) if !error.is_lasting() => {
                    if !self.failing {
                        reports.push(Report::Failing(error));
                    }
                    self.failing = true;
                    break;
                }
                Ok(_) if self.failing => {
                    reports.push(Report::Working);
                    self.failing = false;
                }
                _ => {}
            }
            let Some(entry) = self.waiting.pop_front() else { break };
            self.bytes -= size(&entry);
            reports.push(match result {
                Ok(published) => Report::Published(entry, published),
                Err(error) => Report::Refused(entry, error),
            });
        }
        reports
    }
}

fn size(entry: &Entry) -> usize {
    entry.json.len() + entry.outgoing.iter().map(|message| message.body.len()).sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Session;

    #[test]
    fn a_full_disk_is_said_once_and_then_all_is_published() {
        let folder = tempfile::tempdir().expect("a folder");
        let store = Arc::new(Store::open(folder.path().join("streamgist.db")).expect("opens"));
        store.begin(&Session { id: "s".into(), ..Session::default() }).expect("begins");
        let pages = |pages: u32| {
            store
                .outside(|connection| Ok(connection.pragma_update(None, "max_page_count", pages)?))
                .expect("set");
        };
        pages(1); // no more than there are
        let mut journal = Journal::new(store.clone());
        let mut event = gist_core::ChapterEvent::new(gist_core::event::Kind::Opened, "s-0", 0, 0);
        event.session = "s".into();
        event.text = "long ".repeat(10_000);
        let entry = Entry { json: event.to_json(), outgoing: Vec::new(), at: SystemTime::now() };
        journal.push(entry).expect("room");
        let reports = journal.flush();
        assert!(matches!(&reports[..], [Report::Failing(Error::Full { .. })]), "{reports:?}");
        assert!(journal.flush().is_empty() && journal.len() == 1);
        pages(u32::MAX);
        let reports = journal.flush();
        assert!(matches!(&reports[..], [Report::Working, Report::Published(..)]), "{reports:?}");
    }
}
