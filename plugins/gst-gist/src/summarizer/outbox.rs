//! What waits to be pushed: events for `src`, which only the streaming thread may push, and buffers for the
//! `chapters` pad, which has a task of its own so that a slow consumer holds nobody up.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use gst::prelude::*;

/// Entries that may wait for a consumer of the `chapters` pad; a day of chapters is a few hundred.
const MAX_WAITING: usize = 10_000;

/// Something for the `chapters` pad.
#[derive(Clone, Debug)]
pub(super) enum Out {
    /// A line: JSON, and the text for consumers that want text.
    Line {
        json: String,
        text: Option<String>,
        position: u64,
    },
    /// Nothing until here.
    Gap(u64),
    /// The stream was flushed.
    Flush,
    Eos,
}

#[derive(Default)]
struct State {
    src: VecDeque<gst::Event>,
    chapters: VecDeque<Out>,
    stopped: bool,
    lost: u64,
}

/// See the module.
#[derive(Default)]
pub(super) struct Outbox {
    state: Mutex<State>,
    bell: Condvar,
}

impl Outbox {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves an event for the streaming thread.
    pub(super) fn src(&self, event: gst::Event) {
        let mut state = self.lock();
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
        let mut state = self.lock();
        if let (Out::Gap(_), Some(Out::Gap(_))) = (&out, state.chapters.back()) {
            state.chapters.pop_back();
        }
        if matches!(out, Out::Flush) {
            state.chapters.clear();
        }
        let room = state.chapters.len() < MAX_WAITING || matches!(out, Out::Eos);
        if room {
            state.chapters.push_back(out);
        } else {
            state.lost += 1;
        }
        self.bell.notify_all();
        room
    }

    /// Waits for the next thing for the `chapters` pad; `None` once stopped.
    fn next(&self) -> Option<Out> {
        let mut state = self.lock();
        loop {
            if state.stopped {
                return None;
            }
            if let Some(out) = state.chapters.pop_front() {
                return Some(out);
            }
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Wakes the task; it ends.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.bell.notify_all();
    }
}

/// Starts the task of the `chapters` pad.
pub(super) fn start_task(pad: &gst::Pad, outbox: std::sync::Arc<Outbox>) -> Result<(), gst::glib::BoolError> {
    let mut stream = Stream::default();
    let weak = pad.downgrade();
    pad.start_task(move || {
        let Some(pad) = weak.upgrade() else { return };
        match outbox.next() {
            Some(out) => stream.push(&pad, out),
            None => {
                let _ = pad.pause_task();
            }
        }
    })
}

/// The state of the stream on the pad: what was announced, and how far it is.
#[derive(Default)]
struct Stream {
    announced: bool,
    json: bool,
    position: u64,
}

impl Stream {
    fn push(&mut self, pad: &gst::Pad, out: Out) {
        if !self.announced {
            self.announce(pad);
        }
        match out {
            Out::Line { json, text, position } => {
                self.position = self.position.max(position);
                let line = if self.json { Some(json + "\n") } else { text };
                let Some(line) = line else { return };
                let mut buffer = gst::Buffer::from_mut_slice(line.into_bytes());
                {
                    let buffer = buffer.get_mut().expect("a new buffer is writable");
                    buffer.set_pts(gst::ClockTime::from_nseconds(self.position));
                    // Ten seconds on the screen for text; JSON lines last no time.
                    buffer.set_duration(if self.json {
                        gst::ClockTime::ZERO
                    } else {
                        10 * gst::ClockTime::SECOND
                    });
                }
                if let Err(error) = pad.push(buffer) {
                    gst::debug!(super::CAT, obj = pad, "chapter not taken: {error}");
                }
            }
            Out::Gap(position) => {
                let from = gst::ClockTime::from_nseconds(self.position);
                self.position = self.position.max(position);
                let duration = gst::ClockTime::from_nseconds(self.position) - from;
                pad.push_event(gst::event::Gap::builder(from).duration(duration).build());
            }
            Out::Flush => {
                pad.push_event(gst::event::FlushStart::new());
                pad.push_event(gst::event::FlushStop::new(true));
                *self = Self::default();
            }
            Out::Eos => {
                pad.push_event(gst::event::Eos::new());
            }
        }
    }

    fn announce(&mut self, pad: &gst::Pad) {
        let name = pad.parent().map_or_else(String::new, |parent| parent.name().to_string());
        let stream = format!("{name}/chapters");
        let start = gst::event::StreamStart::builder(&stream).flags(gst::StreamFlags::SPARSE);
        pad.push_event(start.group_id(gst::GroupId::next()).build());
        let mut caps = pad.allowed_caps().unwrap_or_else(|| pad.pad_template_caps());
        if caps.is_empty() || caps.is_any() {
            caps = pad.pad_template_caps();
        }
        caps.fixate();
        self.json = caps.structure(0).is_none_or(|s| s.name() == "application/x-json");
        pad.push_event(gst::event::Caps::new(&caps));
        pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        self.announced = true;
    }
}
