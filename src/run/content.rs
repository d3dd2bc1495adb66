//! Whether an input has anything in it at all.
//!
//! A container without a single sample is no error to GStreamer 1.22: of some such files the end never arrives, of
//! others the error is lost on its way (`parsebin` keeps back the errors of an element that it has just plugged). The
//! pipeline would wait for ever, so it is asked from time to time whether anything still works on the input.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;

/// How long nothing may happen to a file that has not yielded anything, before it is taken to be empty. What was read
/// is decoded long before.
const PATIENCE: Duration = Duration::from_secs(5);

/// Watches the element that reads and decodes the input.
pub(super) struct Content {
    source: glib::WeakRef<gst::Element>,
    /// A file: all of it is there. What comes over a network may be late.
    file: bool,
    /// A picture or a piece of sound was decoded.
    found: Arc<AtomicBool>,
    quiet_since: Option<Instant>,
}

impl Content {
    /// `source` is the bin that reads `uri` and decodes it.
    pub(super) fn new(source: &gst::Element, uri: &str) -> Self {
        let found = Arc::new(AtomicBool::new(false));
        let note = Arc::clone(&found);
        source.connect_pad_added(move |_, pad| {
            let note = Arc::clone(&note);
            pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST, move |_, _| {
                note.store(true, Ordering::Relaxed);
                gst::PadProbeReturn::Remove
            });
        });
        Self { source: source.downgrade(), file: uri.starts_with("file://"), found, quiet_since: None }
    }

    /// Whether anything was decoded so far.
    pub(super) fn found(&self) -> bool {
        self.found.load(Ordering::Relaxed)
    }

    /// Whether nothing was and nothing will be. To be asked every now and then.
    pub(super) fn is_empty(&mut self) -> bool {
        if !self.file || self.found() || self.source.upgrade().is_none_or(|source| works(&source)) {
            self.quiet_since = None;
            return false;
        }
        self.quiet_since.get_or_insert_with(Instant::now).elapsed() >= PATIENCE
    }
}

/// Whether any element in `bin` still reads or parses. Queues don't count: their tasks run while they wait.
fn works(bin: &gst::Element) -> bool {
    let Some(bin) = bin.downcast_ref::<gst::Bin>() else { return true };
    let queue = |element: &gst::Element| element.factory().is_some_and(|f| f.name().contains("queue"));
    let running =
        |element: &gst::Element| element.pads().iter().any(|pad| pad.task_state() == gst::TaskState::Started);
    // A list that changes while it is read belongs to a bin at work.
    let mut elements = bin.iterate_recurse();
    loop {
        match elements.next() {
            Ok(Some(element)) if !queue(&element) && running(&element) => return true,
            Ok(Some(_)) => {}
            Ok(None) => return false,
            Err(_) => return true,
        }
    }
}
