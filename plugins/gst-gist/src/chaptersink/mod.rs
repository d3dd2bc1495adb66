//! `gistchaptersink`: chapters into a file.

mod imp;
mod output;

pub use output::{ChapterFile, Refused};

use gist_core::export;
use gst::glib;
use gst::prelude::*;

glib::wrapper! {
    /// Writes `gist-chapters-v1` to a file in one of the formats other programs read.
    pub struct ChapterSink(ObjectSubclass<imp::ChapterSink>)
        @extends gst_base::BaseSink, gst::Element, gst::Object;
}

/// The `format` property; see [`export::Format`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[repr(i32)]
#[enum_type(name = "GistChapterSinkFormat")]
pub enum Format {
    /// One event a line, appended as it comes.
    #[default]
    #[enum_value(name = "JSON lines: every event, appended as it comes", nick = "json-lines")]
    JsonLines,
    /// WebVTT chapters.
    #[enum_value(name = "WebVTT chapters", nick = "webvtt")]
    WebVtt,
    /// FFmpeg metadata.
    #[enum_value(name = "FFmpeg metadata, for ffmpeg -map_chapters", nick = "ffmetadata")]
    FfMetadata,
    /// Lines for a YouTube description.
    #[enum_value(name = "Lines for a YouTube description", nick = "youtube")]
    YouTube,
    /// Podcasting 2.0 JSON chapters.
    #[enum_value(name = "Podcasting 2.0 JSON chapters", nick = "podcast-json")]
    PodcastJson,
    /// Matroska chapters.
    #[enum_value(name = "Matroska chapters, for mkvmerge --chapters", nick = "matroska-xml")]
    MatroskaXml,
    /// A page for people.
    #[enum_value(name = "Markdown: chapters with points and the digest", nick = "markdown")]
    Markdown,
}

impl From<Format> for export::Format {
    fn from(format: Format) -> Self {
        match format {
            Format::JsonLines => Self::JsonLines,
            Format::WebVtt => Self::WebVtt,
            Format::FfMetadata => Self::FfMetadata,
            Format::YouTube => Self::YouTube,
            Format::PodcastJson => Self::PodcastJson,
            Format::MatroskaXml => Self::MatroskaXml,
            Format::Markdown => Self::Markdown,
        }
    }
}

pub(crate) fn register(plugin: &gst::Plugin) -> Result<(), glib::BoolError> {
    gst::Element::register(Some(plugin), "gistchaptersink", gst::Rank::NONE, ChapterSink::static_type())
}
