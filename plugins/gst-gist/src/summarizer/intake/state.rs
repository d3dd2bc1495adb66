//! What is known at the intake, and what follows from it; nothing here waits.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use gist_core::reorder::Track;

use super::waiting::Waiting;
use super::{Command, Counters, Limits, Scope, Turn, VIDEO};

/// Text that may wait. A hostile caption file must not fill the memory; ten hours of talk have about 10,000 lines.
const MAX_TEXT: usize = 50_000;
/// How long a linked pad may stay without a stream before the others go on without it.
const GRACE: Duration = Duration::from_secs(10);
/// In a file, video may be this far ahead of what is dealt with (ARCHITECTURE.md, invariant 11) when no text pad
/// says how late it is.
const AHEAD: u64 = 60_000_000_000;
/// Else it may be ahead by what the transcriber needs plus this: less, and the demuxer could not deliver the sound that
/// the transcriber waits for.
const MARGIN: u64 = 10_000_000_000;

/// A pad.
#[derive(Debug, Default)]
pub(super) struct Source {
    pub(super) started: bool,
    pub(super) latency: u64,
    pub(super) flushing: Option<Scope>,
}

/// See the module.
pub(super) struct State {
    pub(super) waiting: Waiting,
    pub(super) commands: VecDeque<Command>,
    pub(super) sources: BTreeMap<Track, Source>,
    pub(super) first_started: Option<Instant>,
    pub(super) limits: Limits,
    pub(super) live: bool,
    pub(super) advanced: u64,
    /// Time of the turn the worker has taken; before the first one, of the first frame.
    pub(super) taken: Option<u64>,
    /// The worker waits for something to do.
    pub(super) idle: bool,
    pub(super) forget: bool,
    /// A seek is under way: it flushes one source after the other.
    pub(super) held: bool,
    /// The end was told to the worker: nothing comes any more.
    pub(super) finishing: bool,
    pub(super) drained: bool,
    pub(super) abandoned: Option<&'static str>,
    pub(super) stopped: bool,
    pub(super) given_up: bool,
    /// Frames dropped that the worker does not know of yet.
    pub(super) dropped: u64,
    pub(super) counters: Counters,
}

impl State {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            waiting: Waiting::default(),
            commands: VecDeque::new(),
            sources: BTreeMap::new(),
            first_started: None,
            limits,
            live: false,
            advanced: 0,
            taken: None,
            idle: false,
            forget: false,
            held: false,
            finishing: false,
            drained: false,
            abandoned: None,
            stopped: false,
            given_up: false,
            dropped: 0,
            counters: Counters::default(),
        }
    }

    pub(super) fn blocks(&self) -> bool {
        self.limits.block.unwrap_or(!self.live)
    }

    pub(super) fn latency(&self) -> Option<u64> {
        self.live.then_some(self.limits.text_latency)
    }

    /// The track has something to give, for the first time or again: what was told of an end does not hold any more.
    pub(super) fn open(&mut self, track: Track) {
        self.waiting.add(track);
        self.finishing = false;
        self.drained = false;
        self.abandoned = None;
    }

    pub(super) fn is_flushing(&self, track: Track) -> bool {
        self.sources.get(&track).is_none_or(|source| source.flushing.is_some())
    }

    pub(super) fn is_stale(&self) -> bool {
        let flushing = self.sources.values().any(|source| source.flushing == Some(Scope::Stream));
        self.forget || flushing || self.stopped
    }

    pub(super) fn watermark(&self) -> u64 {
        self.waiting.watermark(self.latency())
    }

    /// Whether the worker has something it could take.
    pub(super) fn is_ready(&self) -> bool {
        self.waiting.ready(self.latency()).is_some()
    }

    pub(super) fn backlog(&self) -> u64 {
        self.waiting.first().map_or(0, |first| self.watermark().saturating_sub(first))
    }

    pub(super) fn has_room(&self, track: Track, time: u64) -> bool {
        if self.backlog() > self.limits.max_queue_time || self.waiting.texts >= MAX_TEXT {
            return false;
        }
        // Text waits for nobody: it may share its demuxer with the video that is being waited for.
        let near = time <= self.taken.unwrap_or(time).saturating_add(self.ahead());
        track != VIDEO || (near && !(self.waiting.is_heavy() && self.is_ready()))
    }

    /// Drops frames: in a live stream those the worker is too far behind with; and where the worker is not what the
    /// pictures wait for, so that waiting for it would not help, those that weigh too much.
    pub(super) fn make_room(&mut self) -> u64 {
        let mut dropped = 0;
        while !self.blocks()
            && self.backlog() > self.limits.max_queue_time
            && self.waiting.drop_oldest_picture()
        {
            dropped += 1;
        }
        if !self.blocks() || !self.is_ready() {
            dropped += self.waiting.lighten();
        }
        dropped
    }

    pub(super) fn ahead(&self) -> u64 {
        let latency = self.sources.values().map(|source| source.latency).max().filter(|latency| *latency > 0);
        latency.map_or(AHEAD, |latency| latency.saturating_add(MARGIN))
    }

    /// A pad that is linked but never gets a stream (a file without sound) must not hold the others up.
    pub(super) fn forgive_silent_sources(&mut self) {
        if self.first_started.is_some_and(|first| first.elapsed() > GRACE) {
            for (track, _) in self.sources.iter().filter(|(_, source)| !source.started) {
                self.waiting.end(*track);
            }
        }
    }

    pub(super) fn turn(&mut self) -> Option<Turn> {
        if self.finishing || self.sources.values().all(|source| !source.started) {
            return None;
        }
        if let Some((time, item)) = self.waiting.pop(self.latency()) {
            return Some(Turn::Item(time, item));
        }
        let watermark = self.watermark();
        if self.waiting.ended() {
            self.finishing = true;
            return Some(Turn::Finish(watermark));
        }
        (watermark > self.advanced).then(|| {
            self.advanced = watermark;
            Turn::Advance(watermark)
        })
    }
}
