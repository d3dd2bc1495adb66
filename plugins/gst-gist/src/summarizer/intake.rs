//! Between the streaming threads and the worker: the reorder buffer under one lock, and who waits for whom.
//!
//! Files wait and lose nothing, live streams never wait: they drop the oldest *frames* and say so. Every wait here
//! ends at once when the element flushes or stops.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gist_core::event::Reason;
use gist_core::reorder::{Reorder, Track};
use gist_core::session::Timeline;
use gist_core::{Config, Observation};
use gist_screen::Picture;

/// The track of the `sink` pad; text pads count from 1.
pub(super) const VIDEO: Track = 0;
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
/// A wait for text with nothing left to do may be a deadlock of the demuxer: after this time one frame passes.
const PATIENCE: Duration = Duration::from_millis(500);

/// What goes through the reorder buffer.
pub(super) enum Item {
    Frame(Picture),
    Text(Observation),
    /// Ends the open chapter here.
    Cut(Reason),
    /// How running-time maps onto the other axes from here on.
    Timeline(Timeline),
}

/// What goes past it.
pub(super) enum Command {
    Configure(Config),
    Split(Option<String>),
    Reset,
    Abandon(&'static str),
}

/// The worker's next step.
pub(super) enum Turn {
    Item(u64, Item),
    Advance(u64),
    Command(Command),
    /// A flush: forget the stream.
    Forget,
    /// Every track is at its end, at this time.
    Finish(u64),
    /// Nothing came; there is a text to write.
    Work,
    Stop,
}

/// The stream was flushed or stopped while waiting.
#[derive(Debug)]
pub(super) struct Flushing;

/// How a wait for the last chapter ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Drained {
    Yes,
    Flushed,
    TimedOut,
}

/// How it keeps up.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Backlog, in nanoseconds of stream, at which a file waits and a live stream drops.
    pub(super) max_queue_time: u64,
    /// Longest wait for text in a live stream.
    pub(super) text_latency: u64,
    /// Whether frames are dropped (`Some(live)` overrides what upstream says).
    pub(super) block: Option<bool>,
}

#[derive(Debug, Default)]
struct Source {
    started: bool,
    latency: u64,
}

/// Counters for `stats`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counters {
    pub(super) frames_in: u64,
    pub(super) frames_sampled: u64,
    pub(super) frames_dropped: u64,
    pub(super) frames_no_pts: u64,
    pub(super) text_in: u64,
    pub(super) text_late: u64,
    pub(super) queued: u64,
    pub(super) queue_time: u64,
    pub(super) position: u64,
}

struct State {
    reorder: Reorder<Item>,
    commands: VecDeque<Command>,
    sources: BTreeMap<Track, Source>,
    first_started: Option<Instant>,
    limits: Limits,
    live: bool,
    advanced: u64,
    /// Time of the turn the worker has taken; before the first one, of the first frame.
    taken: Option<u64>,
    /// The worker waits for something to do.
    idle: bool,
    forget: bool,
    flushing: bool,
    finishing: bool,
    drained: bool,
    stopped: bool,
    given_up: bool,
    text_waiting: usize,
    counters: Counters,
}

/// The lock, and one bell for all who wait.
pub(super) struct Intake {
    state: Mutex<State>,
    bell: Condvar,
}

impl Intake {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            state: Mutex::new(State {
                reorder: Reorder::default(),
                commands: VecDeque::new(),
                sources: BTreeMap::new(),
                first_started: None,
                limits,
                live: false,
                advanced: 0,
                taken: None,
                idle: false,
                forget: false,
                flushing: false,
                finishing: false,
                drained: false,
                stopped: false,
                given_up: false,
                text_waiting: 0,
                counters: Counters::default(),
            }),
            bell: Condvar::new(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain data: a panic of another holder cannot have left it half-written in a harmful way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.bell.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    pub(super) fn add(&self, track: Track) {
        let mut state = self.lock();
        state.reorder.add(track);
        state.sources.entry(track).or_default();
    }

    pub(super) fn remove(&self, track: Track) {
        let mut state = self.lock();
        state.reorder.remove(track);
        state.sources.remove(&track);
        self.bell.notify_all();
    }

    /// A stream arrived on the pad.
    pub(super) fn started(&self, track: Track) {
        let mut state = self.lock();
        state.first_started.get_or_insert_with(Instant::now);
        state.sources.entry(track).or_default().started = true;
        state.drained = false;
        state.finishing = false;
        if !state.reorder.has(track) {
            state.reorder.add(track);
        }
    }

    pub(super) fn set_live(&self, live: bool) {
        self.lock().live = live;
    }

    pub(super) fn set_limits(&self, limits: Limits) {
        self.lock().limits = limits;
        self.bell.notify_all();
    }

    /// The transcriber behind a text pad says how late it is.
    pub(super) fn set_latency(&self, track: Track, latency: u64) {
        self.lock().sources.entry(track).or_default().latency = latency;
    }

    /// Whether the pad is fed by a transcriber.
    pub(super) fn is_sequential(&self, track: Track) -> bool {
        self.lock().sources.get(&track).is_some_and(|source| source.latency > 0)
    }

    pub(super) fn count(&self, count: impl FnOnce(&mut Counters)) {
        count(&mut self.lock().counters);
    }

    pub(super) fn counters(&self) -> Counters {
        let state = self.lock();
        let oldest = state.reorder.first().unwrap_or(state.advanced);
        Counters {
            text_late: state.reorder.late(),
            queued: state.reorder.len() as u64,
            queue_time: state.watermark().saturating_sub(oldest),
            ..state.counters
        }
    }

    /// Puts an item in. Live streams make room by dropping the oldest frames; returns how many.
    pub(super) fn push(&self, track: Track, time: u64, item: Item) -> u64 {
        let mut state = self.lock();
        if state.flushing || state.stopped || state.given_up {
            return 0;
        }
        match item {
            Item::Frame(_) => state.counters.frames_sampled += 1,
            Item::Text(_) => {
                state.counters.text_in += 1;
                state.text_waiting += 1;
            }
            _ => {}
        }
        state.reorder.push(track, time, item);
        let mut dropped = 0;
        while !state.blocks() && state.backlog() > state.limits.max_queue_time {
            if state.reorder.drop_first(|item| matches!(item, Item::Frame(_))).is_none() {
                break;
            }
            dropped += 1;
        }
        state.counters.frames_dropped += dropped;
        self.bell.notify_all();
        dropped
    }

    /// The track has reached `time`.
    pub(super) fn advance(&self, track: Track, time: u64) {
        let mut state = self.lock();
        state.reorder.advance(track, time);
        if track == VIDEO {
            state.counters.position = state.counters.position.max(time);
        }
        self.bell.notify_all();
    }

    /// The track is at its end.
    pub(super) fn end(&self, track: Track) {
        self.lock().reorder.end(track);
        self.bell.notify_all();
    }

    /// In a file, waits until the worker has caught up and the text is not too far behind.
    ///
    /// # Errors
    /// When the element flushes or stops meanwhile.
    pub(super) fn wait_for_room(&self, track: Track, time: u64) -> Result<(), Flushing> {
        let mut state = self.lock();
        state.taken.get_or_insert(time);
        let since = Instant::now();
        loop {
            if state.flushing || state.stopped {
                return Err(Flushing);
            }
            state.forgive_silent_sources();
            if state.given_up || !state.blocks() || state.has_room(track, time) {
                return Ok(());
            }
            if state.idle && state.reorder.ready(state.latency()).is_none() && since.elapsed() >= PATIENCE {
                return Ok(());
            }
            state = self.wait(state, PATIENCE);
        }
    }

    /// Waits until the worker has delivered everything, at most `timeout`.
    pub(super) fn wait_drained(&self, timeout: Option<Duration>) -> Drained {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.lock();
        loop {
            if state.flushing || state.stopped {
                return Drained::Flushed;
            }
            if state.drained || state.given_up {
                return Drained::Yes;
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Drained::TimedOut;
            }
            state = self.wait(state, Duration::from_millis(200));
        }
    }

    pub(super) fn ended(&self) -> bool {
        self.lock().reorder.ended()
    }

    /// Everything that waits is dropped and everyone who waits goes home. Never waits for the worker.
    pub(super) fn flush_start(&self) {
        let mut state = self.lock();
        state.flushing = true;
        self.bell.notify_all();
    }

    pub(super) fn flush_stop(&self) {
        let mut state = self.lock();
        state.reorder.reset();
        state.text_waiting = 0;
        state.flushing = false;
        state.finishing = false;
        state.drained = false;
        state.advanced = 0;
        state.taken = None;
        state.counters.position = 0;
        state.forget = true;
        self.bell.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.bell.notify_all();
    }

    /// The worker is gone: video goes on, nobody waits for chapters any more.
    pub(super) fn give_up(&self) {
        let mut state = self.lock();
        state.given_up = true;
        state.reorder.reset();
        self.bell.notify_all();
    }

    pub(super) fn command(&self, command: Command) {
        self.lock().commands.push_back(command);
        self.bell.notify_all();
    }

    /// The worker has delivered everything.
    pub(super) fn set_drained(&self) {
        let mut state = self.lock();
        state.drained = state.finishing;
        self.bell.notify_all();
    }

    /// The worker must drop what it is doing: results would be of a stream that is gone.
    pub(super) fn interrupted(&self) -> bool {
        let state = self.lock();
        state.forget || state.flushing || state.stopped || !state.commands.is_empty()
    }

    /// Whether upstream said it is live.
    pub(super) fn is_live(&self) -> bool {
        self.lock().live
    }

    /// Whether the stream is live, as far as dropping goes.
    pub(super) fn drops(&self) -> bool {
        !self.lock().blocks()
    }

    /// The worker's next step; waits for one unless `busy`.
    pub(super) fn next(&self, busy: bool) -> Turn {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return Turn::Stop;
            }
            if std::mem::take(&mut state.forget) {
                return Turn::Forget;
            }
            if let Some(command) = state.commands.pop_front() {
                return Turn::Command(command);
            }
            if !state.flushing {
                state.forgive_silent_sources();
                if let Some(turn) = state.turn() {
                    if let Turn::Item(time, _) | Turn::Advance(time) | Turn::Finish(time) = turn {
                        state.taken = state.taken.max(Some(time));
                    }
                    self.bell.notify_all();
                    return turn;
                }
            }
            if busy {
                return Turn::Work;
            }
            state.idle = true;
            state = self.wait(state, Duration::from_millis(500));
            state.idle = false;
        }
    }
}

impl State {
    fn blocks(&self) -> bool {
        self.limits.block.unwrap_or(!self.live)
    }

    fn latency(&self) -> Option<u64> {
        self.live.then_some(self.limits.text_latency)
    }

    fn watermark(&self) -> u64 {
        self.reorder.watermark(self.latency())
    }

    fn backlog(&self) -> u64 {
        self.reorder.first().map_or(0, |first| self.watermark().saturating_sub(first))
    }

    fn has_room(&self, track: Track, time: u64) -> bool {
        if self.backlog() > self.limits.max_queue_time || self.text_waiting >= MAX_TEXT {
            return false;
        }
        // Text waits for nobody: it may share its demuxer with the video that is being waited for.
        track != VIDEO || time <= self.taken.unwrap_or(time).saturating_add(self.ahead())
    }

    fn ahead(&self) -> u64 {
        let latency = self.sources.values().map(|source| source.latency).max().filter(|latency| *latency > 0);
        latency.map_or(AHEAD, |latency| latency.saturating_add(MARGIN))
    }

    /// A pad that is linked but never gets a stream (a file without sound) must not hold the others up.
    fn forgive_silent_sources(&mut self) {
        if self.first_started.is_some_and(|first| first.elapsed() > GRACE) {
            for (track, _) in self.sources.iter().filter(|(_, source)| !source.started) {
                self.reorder.end(*track);
            }
        }
    }

    fn turn(&mut self) -> Option<Turn> {
        if self.sources.values().all(|source| !source.started) {
            return None;
        }
        if let Some((time, item)) = self.reorder.pop(self.latency()) {
            self.text_waiting -= usize::from(matches!(item, Item::Text(_)));
            return Some(Turn::Item(time, item));
        }
        let watermark = self.watermark();
        if self.reorder.ended() {
            return (!std::mem::replace(&mut self.finishing, true)).then_some(Turn::Finish(watermark));
        }
        (watermark > self.advanced).then(|| {
            self.advanced = watermark;
            Turn::Advance(watermark)
        })
    }
}

#[cfg(test)]
mod tests {
    use gist_core::observation::Source as From;
    use gist_core::time::Span;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn intake(live: bool) -> Intake {
        let intake =
            Intake::new(Limits { max_queue_time: 10 * SECOND, text_latency: 20 * SECOND, block: None });
        intake.set_live(live);
        intake.add(VIDEO);
        intake.started(VIDEO);
        intake
    }

    fn frame() -> Item {
        Item::Frame(Picture { width: 1, height: 1, pixels: vec![0] })
    }

    fn text(at: u64) -> Item {
        Item::Text(Observation {
            source: From::Speech,
            span: Span::new(at, at),
            text: "word".into(),
            turn: false,
        })
    }

    #[test]
    fn live_drops_the_oldest_frames_and_never_text() {
        let intake = intake(true);
        intake.add(1);
        intake.started(1);
        intake.push(1, 0, text(0));
        intake.end(1);
        let dropped: u64 = (0..30).map(|t| intake.push(VIDEO, t * SECOND, frame())).sum();
        assert!(dropped > 0 && intake.counters().frames_dropped == dropped);
        assert!(
            matches!(intake.next(false), Turn::Item(0, Item::Text(_))),
            "the text of second 0 is still there"
        );
        intake.wait_for_room(VIDEO, 1_000 * SECOND).unwrap();
    }

    #[test]
    fn a_file_waits_for_the_worker_until_flushed() {
        let intake = intake(false);
        for t in 0..12 {
            intake.push(VIDEO, t * SECOND, frame());
        }
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| intake.wait_for_room(VIDEO, 12 * SECOND));
            while !waiting.is_finished() {
                intake.flush_start();
                std::thread::yield_now();
            }
            assert!(waiting.join().unwrap().is_err());
        });
    }

    #[test]
    fn video_of_a_file_may_run_ahead_of_what_is_dealt_with_by_a_bounded_time() {
        let intake = intake(false);
        intake.add(1);
        intake.started(1);
        intake.set_latency(1, 40 * SECOND);
        intake.wait_for_room(VIDEO, 0).unwrap();
        intake.advance(VIDEO, 60 * SECOND);
        intake.advance(1, 5 * SECOND);
        assert!(!intake.lock().has_room(VIDEO, 51 * SECOND), "the worker has not moved");
        assert!(matches!(intake.next(true), Turn::Advance(time) if time == 5 * SECOND));
        assert!(intake.lock().has_room(VIDEO, 55 * SECOND));
        assert!(!intake.lock().has_room(VIDEO, 56 * SECOND));
        assert!(intake.lock().has_room(1, 500 * SECOND), "text never waits for video");
    }

    #[test]
    fn the_end_is_told_once_and_only_when_every_track_has_ended() {
        let intake = intake(false);
        intake.add(1);
        intake.started(1);
        intake.push(VIDEO, SECOND, frame());
        intake.end(VIDEO);
        assert!(matches!(intake.next(true), Turn::Work), "the transcript may still speak of second 1");
        intake.end(1);
        assert!(matches!(intake.next(true), Turn::Item(SECOND, _)));
        assert!(matches!(intake.next(true), Turn::Finish(SECOND)));
        assert!(matches!(intake.next(true), Turn::Work));
        intake.set_drained();
        assert_eq!(intake.wait_drained(None), Drained::Yes);
    }
}
