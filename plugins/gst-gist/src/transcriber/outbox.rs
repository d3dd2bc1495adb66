//! From the worker to the task of the `src` pad.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Entries that may wait for a slow consumer before the worker does.
const CAPACITY: usize = 1024;

/// Something for the `src` pad.
#[derive(Debug)]
pub(super) enum Out {
    Buffer(gst::Buffer),
    Event(gst::Event),
}

struct State {
    queue: VecDeque<Out>,
    epoch: u64,
    stopped: bool,
    /// What downstream said to the last buffer.
    flow: Result<gst::FlowSuccess, gst::FlowError>,
}

/// See the module.
pub(super) struct Outbox {
    state: Mutex<State>,
    changed: Condvar,
}

impl Default for Outbox {
    fn default() -> Self {
        let state =
            State { queue: VecDeque::new(), epoch: 0, stopped: false, flow: Ok(gst::FlowSuccess::Ok) };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves something for the pad; what belongs to an epoch that is over is dropped. Waits while there is no room.
    pub(super) fn push(&self, epoch: u64, out: Out) {
        let mut state = self.lock();
        while state.queue.len() >= CAPACITY && state.epoch == epoch && !state.stopped {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        if state.epoch == epoch && !state.stopped {
            state.queue.push_back(out);
            self.changed.notify_all();
        }
    }

    /// The next thing to push; waits for it. `None` when the task has to end.
    pub(super) fn next(&self) -> Option<Out> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(out) = state.queue.pop_front() {
                self.changed.notify_all();
                return Some(out);
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes what downstream said to a buffer.
    pub(super) fn set_flow(&self, flow: Result<gst::FlowSuccess, gst::FlowError>) {
        self.lock().flow = flow;
    }

    /// What upstream is told.
    pub(super) fn flow(&self) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.lock().flow
    }

    /// Forgets everything of the epochs before `epoch`, and ends the task.
    pub(super) fn flush_start(&self, epoch: u64) {
        let mut state = self.lock();
        state.queue.clear();
        state.epoch = epoch;
        state.stopped = true;
        self.changed.notify_all();
    }

    /// The task may run again.
    pub(super) fn flush_stop(&self) {
        let mut state = self.lock();
        state.stopped = false;
        state.flow = Ok(gst::FlowSuccess::Ok);
    }

    /// The element stops.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.stopped = true;
        state.queue.clear();
        self.changed.notify_all();
    }
}
