//! Between the streaming threads and the worker: the reorder buffer under one lock, and who waits for whom.
//!
//! Files wait and lose nothing, live streams never wait: they drop the oldest *frames* and say so. Every wait here
//! ends at once when the pad that waits flushes, or the element stops.

mod state;
mod waiting;

use std::path::PathBuf;
use std::sync::{Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gist_core::event::Reason;
use gist_core::reorder::Track;
use gist_core::session::Timeline;
use gist_core::time::Span;
use gist_core::{Config, Observation};
use state::{Source, State};

use super::sampler::Sampled;

/// The track of the `sink` pad; text pads count from 1.
pub(super) const VIDEO: Track = 0;
/// A wait for text with nothing left to do may be a deadlock of the demuxer: after this time one frame passes.
const PATIENCE: Duration = Duration::from_millis(500);

/// What goes through the reorder buffer.
pub(super) enum Item {
    Frame(Sampled),
    Text(Observation),
    /// Ends the open chapter here.
    Cut(Reason),
    /// Nothing came from this running-time until here, for too short a while to end the chapter.
    Missed(u64),
    /// How running-time maps onto the other axes from here on.
    Timeline(Timeline),
}

/// What goes past it.
pub(super) enum Command {
    Configure(Config),
    Split(Option<String>),
    /// A question, about a part of stream-time if one is given.
    Ask(String, Option<Span>),
    /// Writes the context to a file.
    Save(PathBuf),
    Reset,
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
    /// There is no time left: whatever is not written goes out as it is, saying why.
    Abandon(&'static str),
    /// Nothing came; there is a text to write.
    Work,
    Stop,
}

/// What a flush of a pad throws away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// What the pad has brought.
    Pad,
    /// And all that came of the stream so far.
    Stream,
}

/// The pad was flushed, or the element stopped, while waiting.
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
    /// Nanoseconds that copying and scaling sampled frames took.
    pub(super) sampling: u64,
}

/// The lock, and one bell for all who wait.
pub(super) struct Intake {
    state: Mutex<State>,
    bell: Condvar,
}

impl Intake {
    pub(super) fn new(limits: Limits) -> Self {
        Self { state: Mutex::new(State::new(limits)), bell: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // The state is plain data: a panic of another holder cannot have left it half-written in a harmful way.
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn wait<'a>(&self, guard: MutexGuard<'a, State>, time: Duration) -> MutexGuard<'a, State> {
        self.bell.wait_timeout(guard, time).unwrap_or_else(std::sync::PoisonError::into_inner).0
    }

    /// The pad was linked: the others wait for it, for a while even before it has a stream.
    pub(super) fn add(&self, track: Track) {
        let mut state = self.lock();
        state.open(track);
        state.sources.insert(track, Source::default());
    }

    /// The pad is gone; what it has brought stays.
    pub(super) fn remove(&self, track: Track) {
        let mut state = self.lock();
        state.waiting.remove(track);
        state.sources.remove(&track);
        self.bell.notify_all();
    }

    /// A stream arrived on the pad, the first one or one more.
    pub(super) fn started(&self, track: Track) {
        let mut state = self.lock();
        state.first_started.get_or_insert_with(Instant::now);
        state.open(track);
        state.sources.entry(track).or_default().started = true;
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
        let oldest = state.waiting.first().unwrap_or(state.advanced);
        Counters {
            queued: state.waiting.len() as u64,
            queue_time: state.watermark().saturating_sub(oldest),
            ..state.counters
        }
    }

    /// Puts an item in. Live streams make room by dropping the oldest frames; returns how many.
    pub(super) fn push(&self, track: Track, time: u64, item: Item) -> u64 {
        let mut state = self.lock();
        if state.stopped || state.given_up || state.finishing || state.is_flushing(track) {
            return 0;
        }
        let text = matches!(item, Item::Text(_));
        state.counters.frames_sampled += u64::from(matches!(item, Item::Frame(_)));
        state.counters.text_in += u64::from(text);
        let late = state.waiting.push(track, time, item);
        state.counters.text_late += u64::from(text && late);
        let dropped = state.make_room();
        state.dropped += dropped;
        state.counters.frames_dropped += dropped;
        self.bell.notify_all();
        dropped
    }

    /// Frames dropped since it was asked last.
    pub(super) fn take_dropped(&self) -> u64 {
        std::mem::take(&mut self.lock().dropped)
    }

    /// The track has reached `time`.
    pub(super) fn advance(&self, track: Track, time: u64) {
        let mut state = self.lock();
        state.waiting.advance(track, time);
        if track == VIDEO {
            state.counters.position = state.counters.position.max(time);
        }
        self.bell.notify_all();
    }

    /// The track is at its end.
    pub(super) fn end(&self, track: Track) {
        self.lock().waiting.end(track);
        self.bell.notify_all();
    }

    /// In a file, waits until the worker has caught up and the text is not too far behind.
    ///
    /// # Errors
    /// When the pad flushes or the element stops meanwhile.
    pub(super) fn wait_for_room(&self, track: Track, time: u64) -> Result<(), Flushing> {
        let mut state = self.lock();
        if track == VIDEO {
            state.taken.get_or_insert(time);
        }
        let since = Instant::now();
        loop {
            if state.stopped || state.is_flushing(track) {
                return Err(Flushing);
            }
            state.forgive_silent_sources();
            if state.given_up || !state.blocks() || state.has_room(track, time) {
                return Ok(());
            }
            if state.idle && !state.is_ready() && since.elapsed() >= PATIENCE {
                return Ok(());
            }
            state = self.wait(state, PATIENCE);
        }
    }

    /// Waits on the thread of a pad until the worker has delivered everything, at most `timeout`.
    pub(super) fn wait_drained(&self, track: Track, timeout: Option<Duration>) -> Drained {
        let deadline = timeout.map(|timeout| Instant::now() + timeout);
        let mut state = self.lock();
        loop {
            if state.stopped || state.is_flushing(track) {
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

    /// Whether something is still to come from the pad, as far as is known.
    pub(super) fn expects(&self, track: Track) -> bool {
        self.lock().waiting.is_open(track)
    }

    pub(super) fn ended(&self) -> bool {
        self.lock().waiting.ended()
    }

    /// Who waits on the pad goes home, and with [`Scope::Stream`] the worker drops what it is doing. Never waits for
    /// the worker.
    pub(super) fn flush_start(&self, track: Track, scope: Scope) {
        self.lock().sources.entry(track).or_default().flushing = Some(scope);
        self.bell.notify_all();
    }

    /// What the flush under way on the pad throws away.
    pub(super) fn flushing(&self, track: Track) -> Option<Scope> {
        self.lock().sources.get(&track)?.flushing
    }

    /// What the pad has brought is dropped; with [`Scope::Stream`] the worker forgets the stream.
    pub(super) fn flush_stop(&self, track: Track, scope: Scope) {
        let mut state = self.lock();
        state.sources.entry(track).or_default().flushing = None;
        state.waiting.flush(track);
        state.open(track);
        if scope == Scope::Stream {
            state.waiting.restart();
            state.advanced = 0;
            state.taken = None;
            state.dropped = 0;
            state.counters.position = 0;
            state.forget = true;
        }
        self.bell.notify_all();
    }

    /// While a seek flushes one source after the other, the worker takes nothing: what the first one brings must not
    /// be dealt with before the last one has begun anew.
    pub(super) fn hold(&self, held: bool) {
        self.lock().held = held;
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
        state.waiting.take_all();
        self.bell.notify_all();
    }

    pub(super) fn command(&self, command: Command) {
        self.lock().commands.push_back(command);
        self.bell.notify_all();
    }

    /// There is no time left for what is not written yet.
    pub(super) fn abandon(&self, why: &'static str) {
        self.lock().abandoned = Some(why);
        self.bell.notify_all();
    }

    /// Everything that waits, and the time at which the stream ends; nothing comes after it. `None` when the end was
    /// told already.
    pub(super) fn take_rest(&self) -> Option<(u64, Vec<(u64, Item)>)> {
        let mut state = self.lock();
        let told = std::mem::replace(&mut state.finishing, true);
        (!told).then(|| (state.waiting.furthest(), state.waiting.take_all()))
    }

    /// The worker has delivered everything.
    pub(super) fn set_drained(&self) {
        let mut state = self.lock();
        state.drained = state.finishing && !state.is_stale();
        self.bell.notify_all();
    }

    /// What the worker has is of a stream that is gone.
    pub(super) fn is_stale(&self) -> bool {
        self.lock().is_stale()
    }

    /// The worker must not begin anything that takes time.
    pub(super) fn is_over(&self) -> bool {
        let state = self.lock();
        state.is_stale() || state.abandoned.is_some()
    }

    /// The worker must interrupt what takes time and see what there is.
    pub(super) fn interrupted(&self) -> bool {
        let state = self.lock();
        state.is_stale() || state.abandoned.is_some() || !state.commands.is_empty()
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
            if let Some(why) = state.abandoned.take() {
                return Turn::Abandon(why);
            }
            if let Some(command) = state.commands.pop_front() {
                return Turn::Command(command);
            }
            if !state.held && !state.is_stale() {
                state.forgive_silent_sources();
                if let Some(turn) = state.turn() {
                    if let Turn::Item(time, _) | Turn::Advance(time) | Turn::Finish(time) = turn {
                        state.taken = state.taken.max(Some(time));
                    }
                    self.bell.notify_all();
                    return turn;
                }
                if busy {
                    return Turn::Work;
                }
            }
            state.idle = true;
            state = self.wait(state, Duration::from_millis(500));
            state.idle = false;
        }
    }
}

#[cfg(test)]
mod tests;
