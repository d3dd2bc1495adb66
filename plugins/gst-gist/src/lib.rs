//! GStreamer elements that write chapters while a video plays.
//!
//! A thin skin over the crates: pads, properties, messages and threads are here, what a chapter is and how it is found
//! and written is not.
//!
//! # Layout
//!
//! * [`summarizer`]: `gistsummarizer`, chapters while it plays
//! * [`transcriber`]: `gisttranscriber`, speech to timed text
//! * [`chaptersink`]: `gistchaptersink`, chapters into a file
//! * [`webhooksink`]: `gistwebhooksink`, chapters to a webhook

pub mod chaptersink;
mod events;
pub mod summarizer;
pub mod transcriber;
pub mod webhooksink;

pub use chaptersink::{ChapterFile, Refused};
pub use plugin::plugin_register_static;

// The items the macro makes have no docs of their own.
#[allow(missing_docs)]
mod plugin {
    fn plugin_init(plugin: &gst::Plugin) -> Result<(), gst::glib::BoolError> {
        crate::chaptersink::register(plugin)?;
        crate::summarizer::register(plugin)?;
        crate::transcriber::register(plugin)?;
        crate::webhooksink::register(plugin)?;
        Ok(())
    }

    gst::plugin_define!(
        gist,
        env!("CARGO_PKG_DESCRIPTION"),
        plugin_init,
        env!("CARGO_PKG_VERSION"),
        "MIT/X11",
        env!("CARGO_PKG_NAME"),
        "streamgist",
        env!("CARGO_PKG_REPOSITORY"),
        "2026-11-22"
    );
}
