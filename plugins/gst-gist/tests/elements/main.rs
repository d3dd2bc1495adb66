//! The elements, each on its own; the transcriber with Whisper tiny.en, the others without a model.

#![allow(clippy::unwrap_used, reason = "a failed unwrap fails the test, helpers included")]

mod chaptersink;
mod contract;
mod films;
mod leaks;
mod nothing;
#[allow(dead_code, reason = "what is not used here the tests of gist-webhook use")]
#[path = "../../../../crates/gist-webhook/tests/webhook/receiver.rs"]
mod receiver;
mod rtsp;
mod scripts;
mod summarizer;
mod ten_minutes;
mod transcriber;
mod webhooksink;

use std::sync::Once;

/// GStreamer with the plugin of this crate.
fn init() {
    static INIT: Once = Once::new();
    INIT.call_once(|| {
        gst::init().expect("GStreamer");
        gstgist::plugin_register_static().expect("the plugin");
    });
}
