//! `gistsummarizer`: chapters while it plays. See `imp` for the element's documentation.

mod backend;
mod busy;
mod chapters;
mod embedder;
mod emit;
mod imp;
mod inputs;
mod intake;
mod outbox;
mod pairs;
mod sampler;
mod settings;
mod signals;
mod stats;
mod text;
mod worker;

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
pub use settings::{
    Attention, Backend, DigestStyle, Eviction, Gate, Granularity, KvType, OverloadPolicy, Preset, Quantize,
    VideoLayout,
};

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("gistsummarizer", gst::DebugColorFlags::empty(), Some("Chapters while it plays"))
});

glib::wrapper! {
    /// The element.
    pub struct GistSummarizer(ObjectSubclass<imp::GistSummarizer>) @extends gst::Element, gst::Object;
}

impl GistSummarizer {
    fn ways(&self) -> emit::Ways {
        self.imp().ways()
    }

    fn gate(&self) -> gist_core::picture::Gate {
        self.imp().gate()
    }
}

/// Registers the element.
///
/// # Errors
/// When GStreamer refuses it.
pub fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "gistsummarizer", gst::Rank::NONE, GistSummarizer::static_type())
}
