//! What waits to be pushed: events for `src`, which only the streaming thread may push, and what goes to the `chapters`
//! pad, if there is one.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use gst::glib;

use super::chapters::{Chapters, MAX_WAITING, Out};

#[derive(Default)]
struct State {
    src: VecDeque<gst::Event>,
    chapters: Option<Arc<Chapters>>,
    /// From a flush until the worker has forgotten the stream, whatever it brings is of before.
    muted: bool,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pad(&self) -> Option<Arc<Chapters>> {
        self.lock().chapters.clone()
    }

    /// Leaves an event for the streaming thread.
    pub(super) fn src(&self, event: gst::Event) {
        let mut state = self.lock();
        if state.muted {
            return;
        }
        state.src.push_back(event);
        // Nobody collects while no video flows; a table of contents replaces the former anyway.
        if state.src.len() > MAX_WAITING {
            state.src.pop_front();
        }
    }

    /// Takes the events for `src`.
    pub(super) fn take_src(&self) -> VecDeque<gst::Event> {
        std::mem::take(&mut self.lock().src)
    }

    /// Leaves something for the `chapters` pad. Returns false when it had to be dropped for want of room.
    pub(super) fn chapters(&self, out: Out) -> bool {
        let state = self.lock();
        state.muted || state.chapters.as_ref().is_none_or(|chapters| chapters.leave(out))
    }

    /// The stream is at its end.
    pub(super) fn end(&self) {
        if let Some(chapters) = self.pad() {
            chapters.leave(Out::Eos);
        }
    }

    /// Whatever waits is dropped, and the consumer of the `chapters` pad goes home.
    pub(super) fn flush_start(&self) {
        let chapters = {
            let mut state = self.lock();
            state.muted = true;
            state.src.clear();
            state.chapters.clone()
        };
        if let Some(chapters) = chapters {
            chapters.flush_start();
        }
    }

    /// The `chapters` pad begins anew.
    pub(super) fn flush_stop(&self, reset_time: bool) {
        if let Some(chapters) = self.pad() {
            chapters.flush_stop(reset_time);
        }
    }

    /// The worker has forgotten what was before the flush.
    pub(super) fn resume(&self) {
        self.lock().muted = false;
    }

    /// Activates a `chapters` pad and starts its thread.
    pub(super) fn open(&self, pad: &gst::Pad) -> Result<(), glib::BoolError> {
        let chapters = Chapters::start(pad)?;
        self.lock().chapters = Some(chapters);
        Ok(())
    }

    /// The `chapters` pad is released: its thread ends, whatever its consumer is doing.
    pub(super) fn close(&self) {
        let chapters = self.lock().chapters.take();
        if let Some(chapters) = chapters {
            chapters.close();
        }
    }

    /// Tells the thread of the `chapters` pad to end; it does when its consumer lets it.
    pub(super) fn stop(&self) {
        if let Some(chapters) = self.pad() {
            chapters.stop();
        }
    }
}
