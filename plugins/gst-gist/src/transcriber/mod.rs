//! `gisttranscriber`: speech to timed text. See `imp` for the element's documentation.

mod imp;
mod intake;
mod models;
mod outbox;
mod sink;
mod stats;
mod worker;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("gisttranscriber", gst::DebugColorFlags::empty(), Some("Speech to timed text"))
});

glib::wrapper! {
    /// The element.
    pub struct GistTranscriber(ObjectSubclass<imp::GistTranscriber>) @extends gst::Element, gst::Object;
}

/// Registers the element.
///
/// # Errors
/// When GStreamer refuses it.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "gisttranscriber", gst::Rank::NONE, GistTranscriber::static_type())
}
