//! What of the stream is kept for the decision: the observations of the last minutes, as bags of terms.

use std::collections::VecDeque;

use super::cues::Cues;
use super::embed::{Embed, Meaning, Sum};
use super::signals::Seen;
use super::words::{Bag, Rarity};
use crate::model::SegmentId;
use crate::observation::{Observation, Source};
use crate::time::{SECOND, Span};

/// How far back of the oldest unjudged candidate anything is looked at.
pub(super) const KEEP: u64 = 300 * SECOND;

/// More observations than this are not kept, however fast they come.
const MAX_ENTRIES: usize = 1024;

/// One observation.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) segment: SegmentId,
    pub(super) source: Source,
    pub(super) span: Span,
    pub(super) turn: bool,
    pub(super) bag: Bag,
    pub(super) cues: Cues,
    /// What it is about, when there is an embedder.
    pub(super) meaning: Option<Meaning>,
    /// What the text around it says, as far as it was read.
    pub(super) seen: Option<Seen>,
    /// Nothing is to be decided here (any more).
    pub(super) judged: bool,
    counted: bool,
}

impl Entry {
    pub(super) fn is_slide(&self) -> bool {
        matches!(self.source, Source::Screen | Source::Picture)
    }

    pub(super) fn is_speech(&self) -> bool {
        self.source == Source::Speech
    }
}

/// The last minutes of the stream in order of their start.
#[derive(Debug, Default)]
pub(super) struct History {
    entries: VecDeque<Entry>,
    pub(super) rarity: Rarity,
    /// The whole stream so far.
    pub(super) usual: Sum,
    /// Starts up to here have been judged.
    frontier: Option<u64>,
}

impl History {
    /// Takes an observation. One that comes late finds its place, but is no candidate when its time was judged.
    pub(super) fn push(&mut self, segment: SegmentId, observation: &Observation, embed: Option<&dyn Embed>) {
        let late = self.frontier.is_some_and(|frontier| observation.span.start <= frontier);
        let bag = Bag::of(&observation.text);
        let entry = Entry {
            segment,
            source: observation.source,
            span: observation.span,
            turn: observation.turn,
            meaning: embed.and_then(|embed| Meaning::of(&observation.text, embed)),
            seen: None,
            cues: Cues::of(&observation.text),
            judged: late || observation.source == Source::Note,
            bag,
            counted: false,
        };
        let at = self.entries.partition_point(|other| other.span.start <= entry.span.start);
        self.entries.insert(at, entry);
        if self.entries.len() > MAX_ENTRIES {
            self.entries.pop_front();
        }
    }

    /// The first candidate not yet judged.
    pub(super) fn next(&self) -> Option<usize> {
        let from =
            self.frontier.map_or(0, |frontier| self.entries.partition_point(|e| e.span.start < frontier));
        (from..self.entries.len()).find(|&i| !self.entries[i].judged)
    }

    /// Marks the candidate as judged, and forgets what is too old to matter to the next.
    pub(super) fn judged(&mut self, index: usize) {
        self.entries[index].judged = true;
        self.judged_until(self.entries[index].span.start);
    }

    /// Nothing that starts up to `at` is judged any more.
    pub(super) fn judged_until(&mut self, at: u64) {
        self.frontier = Some(self.frontier.map_or(at, |frontier| frontier.max(at)));
    }

    /// Forgets what is too old to matter to any candidate to come.
    pub(super) fn forget(&mut self) {
        let Some(frontier) = self.frontier else { return };
        while self.entries.front().is_some_and(|e| e.span.start.saturating_add(KEEP) < frontier) {
            self.entries.pop_front();
        }
    }

    /// The candidates not yet judged that start up to `until`, in order.
    pub(super) fn waiting(&self, until: u64) -> Vec<usize> {
        let from = self.next().unwrap_or(self.entries.len());
        (from..self.entries.len())
            .take_while(|&i| self.entries[i].span.start <= until)
            .filter(|&i| !self.entries[i].judged)
            .collect()
    }

    /// The first time after `time` at which a line or slide begins or ends.
    pub(super) fn edge_after(&self, time: Option<u64>) -> Option<u64> {
        self.entries
            .iter()
            .filter(|e| e.source != Source::Note)
            .flat_map(|e| [e.span.start, e.span.end])
            .filter(|edge| time.is_none_or(|time| *edge > time))
            .min()
    }

    /// Counts the words and the meaning of everything that starts up to `until`, once.
    pub(super) fn count_until(&mut self, until: u64) {
        for entry in &mut self.entries {
            if !entry.counted && entry.span.start <= until {
                entry.counted = true;
                self.rarity.count(&entry.bag);
                entry.meaning.iter().for_each(|meaning| self.usual.count(meaning));
            }
        }
    }

    /// Whether nothing was said, read or noted in the last minutes: pictures alone.
    pub(super) fn is_wordless(&self) -> bool {
        self.entries.iter().all(|entry| entry.source == Source::Picture)
    }

    pub(super) fn get(&self, index: usize) -> &Entry {
        &self.entries[index]
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Entry {
        &mut self.entries[index]
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Entries before and at `index`, the last first.
    pub(super) fn before(&self, index: usize) -> impl Iterator<Item = &Entry> {
        self.entries.range(..index.min(self.entries.len())).rev()
    }

    /// Entries that start in `from..until`.
    pub(super) fn starting(&self, from: u64, until: u64) -> impl Iterator<Item = &Entry> {
        let first = self.entries.partition_point(|e| e.span.start < from);
        self.entries.range(first..).take_while(move |e| e.span.start < until)
    }
}
