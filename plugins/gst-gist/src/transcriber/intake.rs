//! From the streaming thread to the worker: a ring of samples, and what stands between them.
//!
//! Samples are counted from the last flush; everything else (times, events) is a mark at a count, so that the order
//! of the stream survives the ring.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use gist_whisper::SAMPLE_RATE;
use ringbuf::HeapRb;
use ringbuf::traits::Observer;

/// Samples the ring holds: 60 s.
pub(super) const CAPACITY: usize = 60 * SAMPLE_RATE;
/// Samples handed to the worker at once.
const CHUNK: usize = SAMPLE_RATE;

/// Something that happens between two samples.
#[derive(Debug)]
pub(super) enum Mark {
    /// From here on the samples have these times: a small jump that does not interrupt speech.
    Time(gst::ClockTime),
    /// From here on the samples have these times and do not continue those before.
    Restart(gst::ClockTime),
    /// A serialised event, to be forwarded in its place.
    Event(gst::Event),
}

/// What the worker gets.
#[derive(Debug)]
pub(super) enum Item {
    /// Samples, and the count of the first. A jump in the count means that samples before it were dropped.
    Samples(u64, Vec<f32>),
    /// A mark, at this count.
    Mark(u64, Mark),
    /// The element stops.
    Stop,
}

/// Why samples were not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    /// A flush or a stop.
    Flushing,
    /// The worker has given up; it has posted why.
    Failed,
}

struct State {
    ring: HeapRb<f32>,
    marks: VecDeque<(u64, Mark)>,
    /// Count of the next sample to come in.
    written: u64,
    /// Flushes so far.
    epoch: u64,
    /// Set to interrupt the computation of the current epoch.
    cancel: Arc<AtomicBool>,
    flushing: bool,
    failed: bool,
    stopped: bool,
    dropped: u64,
}

/// See the module.
pub(super) struct Intake {
    state: Mutex<State>,
    /// There is something new, or room.
    changed: Condvar,
}

impl Default for Intake {
    fn default() -> Self {
        let state = State {
            ring: HeapRb::new(CAPACITY),
            marks: VecDeque::new(),
            written: 0,
            epoch: 0,
            cancel: Arc::default(),
            flushing: false,
            failed: false,
            stopped: false,
            dropped: 0,
        };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Intake {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes samples in. When the ring is full a live stream loses the oldest, any other waits for room.
    /// Returns how many were dropped.
    pub(super) fn push(&self, mut samples: &[f32], live: bool) -> Result<u64, Refused> {
        let mut state = self.lock();
        let before = state.dropped;
        loop {
            if state.stopped || state.flushing {
                return Err(Refused::Flushing);
            }
            if state.failed {
                return Err(Refused::Failed);
            }
            if live && state.ring.vacant_len() < samples.len() {
                let excess = samples.len() - state.ring.vacant_len();
                state.dropped += state.ring.skip(excess) as u64;
            }
            let taken = state.ring.push_slice(samples);
            state.written += taken as u64;
            samples = &samples[taken..];
            self.changed.notify_all();
            if samples.is_empty() {
                return Ok(state.dropped - before);
            }
            // A live buffer longer than the ring goes round without waiting.
            if !live {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    /// Sets a mark behind the samples so far.
    pub(super) fn mark(&self, mark: Mark) {
        let mut state = self.lock();
        if !state.flushing && !state.stopped {
            let at = state.written;
            state.marks.push_back((at, mark));
            self.changed.notify_all();
        }
    }

    /// The next thing to do, with its epoch and the flag that interrupts it; waits for it.
    pub(super) fn next(&self) -> (u64, Arc<AtomicBool>, Item) {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return (state.epoch, state.cancel.clone(), Item::Stop);
            }
            let read = state.written - state.ring.occupied_len() as u64;
            // Marks among samples that were dropped count as well: the events have to go on.
            let due = state.marks.front().map(|(at, _)| at.saturating_sub(read));
            let item = match due {
                Some(0) => state.marks.pop_front().map(|(at, mark)| Item::Mark(at, mark)),
                _ if state.ring.is_empty() => None,
                _ => {
                    let limit = due.map_or(CHUNK, |due| CHUNK.min(usize::try_from(due).unwrap_or(CHUNK)));
                    let mut samples = vec![0.0; limit.min(state.ring.occupied_len())];
                    state.ring.pop_slice(&mut samples);
                    Some(Item::Samples(read, samples))
                }
            };
            if let Some(item) = item {
                self.changed.notify_all();
                return (state.epoch, state.cancel.clone(), item);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// FLUSH_START: forgets everything, interrupts the worker and lets nothing in. Returns the new epoch.
    pub(super) fn flush_start(&self) -> u64 {
        let mut state = self.lock();
        state.flushing = true;
        state.epoch += 1;
        state.cancel.store(true, Ordering::Relaxed);
        state.cancel = Arc::default();
        state.ring.clear();
        state.marks.clear();
        state.written = 0;
        self.changed.notify_all();
        state.epoch
    }

    /// FLUSH_STOP.
    pub(super) fn flush_stop(&self) {
        self.lock().flushing = false;
    }

    /// The worker has given up: nothing is taken in any more.
    pub(super) fn fail(&self) {
        self.lock().failed = true;
        self.changed.notify_all();
    }

    /// The element stops: everybody who waits goes home.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.cancel.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_keep_their_place_between_samples() {
        let intake = Intake::default();
        intake.mark(Mark::Restart(gst::ClockTime::ZERO));
        intake.push(&[1.0; 10], false).unwrap();
        intake.mark(Mark::Time(gst::ClockTime::SECOND));
        intake.push(&[2.0; 5], false).unwrap();
        assert!(matches!(intake.next().2, Item::Mark(0, Mark::Restart(_))));
        assert!(matches!(intake.next().2, Item::Samples(0, s) if s == [1.0; 10]));
        assert!(matches!(intake.next().2, Item::Mark(10, Mark::Time(_))));
        assert!(matches!(intake.next().2, Item::Samples(10, s) if s == [2.0; 5]));
    }

    #[test]
    fn a_live_stream_loses_the_oldest_and_counts_it() {
        let intake = Intake::default();
        assert_eq!(intake.push(&vec![0.0; CAPACITY], true), Ok(0));
        assert_eq!(intake.push(&[1.0; 160], true), Ok(160));
        assert!(matches!(intake.next().2, Item::Samples(160, _)));
    }

    #[test]
    fn a_flush_wakes_a_waiting_file_and_cancels_the_worker() {
        let intake = Intake::default();
        intake.push(&vec![0.0; CAPACITY], false).unwrap();
        let (_, cancel, _) = intake.next();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(|| intake.push(&vec![0.0; CAPACITY], false));
            while !waiting.is_finished() {
                intake.flush_start();
                std::thread::yield_now();
            }
            assert_eq!(waiting.join().unwrap(), Err(Refused::Flushing));
        });
        assert!(cancel.load(Ordering::Relaxed));
        intake.flush_stop();
        intake.push(&[0.0; 160], false).unwrap();
        assert!(matches!(intake.next().2, Item::Samples(0, s) if s.len() == 160));
    }
}
