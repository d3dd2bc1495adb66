//! What the sinks have in common: what they take, when, and how it is read.

use std::sync::LazyLock;

use gist_core::{ChapterEvent, event};
use gst::prelude::*;
use gst_base::prelude::*;

/// The one pad of a sink of chapters.
pub(crate) fn sink_templates() -> &'static [gst::PadTemplate] {
    static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
        let caps = gst::Caps::builder("application/x-json").field("format", event::SCHEMA).build();
        let sink = gst::PadTemplate::new("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &caps);
        sink.into_iter().collect()
    });
    &TEMPLATES
}

/// Chapters are sparse and late by nature: no waiting for their time, and none for a first one to preroll.
pub(crate) fn take_as_they_come(sink: &impl IsA<gst_base::BaseSink>) {
    sink.set_sync(false);
    sink.set_async(false);
    sink.set_enable_last_sample(false);
}

/// Reads one line of `gist-chapters-v1`.
///
/// # Errors
/// Why it is none.
pub(crate) fn read(line: &str) -> Result<ChapterEvent, String> {
    let event: ChapterEvent = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if event.schema == event::SCHEMA {
        Ok(event)
    } else {
        Err(format!("its schema is '{}', not '{}'", event.schema, event::SCHEMA))
    }
}
