//! The `chapters` pad. It has a thread of its own, so that a slow consumer holds nobody up.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

/// Entries that may wait for a consumer; a day of chapters is a few hundred.
pub(super) const MAX_WAITING: usize = 10_000;
/// How long the release of the pad waits for a consumer to take what it is being given.
const PATIENCE: Duration = Duration::from_secs(1);

/// Something for the pad.
#[derive(Clone, Debug)]
pub(super) enum Out {
    /// The stream begins; after a flush, which ends here, it begins anew.
    Begin {
        flushed: Option<bool>,
    },
    /// A line: JSON, and the text for consumers that want text.
    Line {
        json: String,
        text: Option<String>,
        position: u64,
    },
    /// Nothing until here.
    Gap(u64),
    Eos,
}

struct State {
    queue: VecDeque<Out>,
    /// The thread is with the consumer.
    pushing: bool,
    flushing: bool,
    stopped: bool,
}

/// The pad from its activation to its release.
pub(super) struct Chapters {
    pad: glib::WeakRef<gst::Pad>,
    state: Mutex<State>,
    bell: Condvar,
}

impl Chapters {
    /// Activates the pad and starts its thread, which announces a stream at once.
    pub(super) fn start(pad: &gst::Pad) -> Result<Arc<Self>, glib::BoolError> {
        let chapters = Arc::new(Self {
            pad: pad.downgrade(),
            state: Mutex::new(State {
                queue: VecDeque::from([Out::Begin { flushed: None }]),
                pushing: false,
                flushing: false,
                stopped: false,
            }),
            bell: Condvar::new(),
        });
        // Pads are shut until the parent's state change; what an inactive pad is told is lost.
        pad.set_active(true)?;
        let (this, mut stream) = (Arc::clone(&chapters), Stream::default());
        pad.start_task(move || {
            let Some(pad) = this.pad.upgrade() else { return };
            match this.next() {
                Some(out) => stream.push(&pad, out),
                None => {
                    let _ = pad.pause_task();
                }
            }
        })?;
        Ok(chapters)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Leaves something for the thread. Returns false when it had to be dropped for want of room.
    pub(super) fn leave(&self, out: Out) -> bool {
        let mut state = self.lock();
        if state.flushing {
            return true;
        }
        if let (Out::Gap(_), Some(Out::Gap(_))) = (&out, state.queue.back()) {
            state.queue.pop_back();
        }
        let room = state.queue.len() < MAX_WAITING || matches!(out, Out::Eos);
        if room {
            state.queue.push_back(out);
        }
        self.bell.notify_all();
        room
    }

    /// Waits for the next thing to push; `None` once stopped.
    fn next(&self) -> Option<Out> {
        let mut state = self.lock();
        state.pushing = false;
        self.bell.notify_all();
        loop {
            if state.stopped {
                return None;
            }
            if !state.flushing
                && let Some(out) = state.queue.pop_front()
            {
                state.pushing = true;
                return Some(out);
            }
            state = self.bell.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Drops what waits and frees the thread from its consumer. The flush is pushed from here: the thread may be
    /// waiting for it.
    pub(super) fn flush_start(&self) {
        {
            let mut state = self.lock();
            state.flushing = true;
            state.queue.clear();
        }
        self.push_flush_start();
    }

    fn push_flush_start(&self) {
        if let Some(pad) = self.pad.upgrade() {
            pad.push_event(gst::event::FlushStart::new());
        }
    }

    /// The thread ends the flush and announces the stream anew.
    pub(super) fn flush_stop(&self, reset_time: bool) {
        let mut state = self.lock();
        state.flushing = false;
        state.queue = VecDeque::from([Out::Begin { flushed: Some(reset_time) }]);
        self.bell.notify_all();
    }

    /// Tells the thread to end.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.bell.notify_all();
    }

    /// Ends the thread and shuts the pad. A consumer that does not come back (its sink is paused) is flushed.
    pub(super) fn close(&self) {
        self.stop();
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.lock();
        while state.pushing && Instant::now() < deadline {
            state = self.bell.wait_timeout(state, PATIENCE).unwrap_or_else(PoisonError::into_inner).0;
        }
        let stuck = state.pushing;
        drop(state);
        if stuck {
            self.push_flush_start();
        }
        let Some(pad) = self.pad.upgrade() else { return };
        let _ = pad.stop_task();
        if stuck {
            pad.push_event(gst::event::FlushStop::new(false));
        }
        let _ = pad.set_active(false);
    }
}

/// The stream on the pad: what was announced, and how far it is.
#[derive(Default)]
struct Stream {
    announced: bool,
    caps: Option<gst::Caps>,
    position: u64,
}

impl Stream {
    fn push(&mut self, pad: &gst::Pad, out: Out) {
        if let Out::Begin { flushed } = out {
            if let Some(reset_time) = flushed {
                pad.push_event(gst::event::FlushStop::new(reset_time));
            }
            *self = Self::default();
        }
        self.announce(pad);
        match out {
            // Sinks wait for something to begin with, and the first chapter may be far.
            Out::Begin { .. } => self.gap(pad, 0),
            Out::Line { json, text, position } => self.line(pad, json, text, position),
            Out::Gap(position) => self.gap(pad, position),
            Out::Eos => {
                pad.push_event(gst::event::Eos::new());
                // What comes after an end is another stream.
                self.announced = false;
            }
        }
    }

    fn line(&mut self, pad: &gst::Pad, json: String, text: Option<String>, position: u64) {
        self.position = self.position.max(position);
        let is_json = self.is_json();
        let line = if is_json { Some(json + "\n") } else { text };
        let Some(line) = line else { return };
        let mut buffer = gst::Buffer::from_mut_slice(line.into_bytes());
        {
            let buffer = buffer.get_mut().expect("a new buffer is writable");
            buffer.set_pts(gst::ClockTime::from_nseconds(self.position));
            // Ten seconds on the screen for text; JSON lines last no time.
            buffer.set_duration(if is_json { gst::ClockTime::ZERO } else { 10 * gst::ClockTime::SECOND });
        }
        if let Err(error) = pad.push(buffer) {
            gst::debug!(super::CAT, obj = pad, "chapter not taken: {error}");
        }
    }

    fn gap(&mut self, pad: &gst::Pad, position: u64) {
        let from = gst::ClockTime::from_nseconds(self.position);
        self.position = self.position.max(position);
        let duration = gst::ClockTime::from_nseconds(self.position) - from;
        pad.push_event(gst::event::Gap::builder(from).duration(duration).build());
    }

    fn is_json(&self) -> bool {
        let structure = self.caps.as_ref().and_then(|caps| caps.structure(0));
        structure.is_none_or(|structure| structure.name() == "application/x-json")
    }

    /// Says what is new about the stream: all of it, or its caps when the pad was linked anew.
    fn announce(&mut self, pad: &gst::Pad) {
        let relinked = pad.check_reconfigure();
        if self.announced && !relinked {
            return;
        }
        if !self.announced {
            let name = pad.parent().map_or_else(String::new, |parent| parent.name().to_string());
            let stream = format!("{name}/chapters");
            let start = gst::event::StreamStart::builder(&stream).flags(gst::StreamFlags::SPARSE);
            pad.push_event(start.group_id(gst::GroupId::next()).build());
        }
        let mut caps = pad.allowed_caps().unwrap_or_else(|| pad.pad_template_caps());
        if caps.is_empty() || caps.is_any() {
            caps = pad.pad_template_caps();
        }
        caps.fixate();
        if !self.announced || self.caps.as_ref() != Some(&caps) {
            pad.push_event(gst::event::Caps::new(&caps));
        }
        self.caps = Some(caps);
        if !self.announced {
            pad.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        }
        self.announced = true;
    }
}
