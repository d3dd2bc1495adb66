//! The elements, each on its own; the transcriber with Whisper tiny.en, the others without a model.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, helpers included")]

mod chaptersink;
mod contract;
mod films;
mod leaks;
mod rtsp;
mod scripts;
mod summarizer;
mod ten_minutes;
mod transcriber;

use std::sync::Once;

/// GStreamer with the plugin of this crate.
fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer");
        gstgist::plugin_register_static().expect("the plugin");
    });
}
