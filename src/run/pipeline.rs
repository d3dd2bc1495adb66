//! The elements and how they are joined.
//!
//! ```text
//!  uridecodebin3 ─┬─ video ─ queue ────────────────────────────────────▶ gistsummarizer ─ chapters ─ tee ─┬─ gistchaptersink …
//!                 └─ audio ─ queue ─ audioconvert ─ … ─ gisttranscriber ─▶ text_0                         └─ fakesink
//!  filesrc ─ subparse ─────────────────────────────────────────────────────▶ text_0 (instead of the transcriber)
//! ```
//!
//! What the input holds is known when its stream collection arrives, before the first buffer. The branches are joined
//! on then, pictures first, so that the summarizer knows whom to wait for: no picture runs ahead of words that are still
//! to come, and no words to the end of pictures.
//!
//! A pipeline that stands ([`Pipeline::without_input`]) outlives its input: the end of that is told and goes no further, and
//! another may be opened in its place.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use gst::prelude::*;

use super::content::Content;
use super::input::Input;
use super::media::{Media, add_transcript, make, start};
use super::{Job, Output, Question};
use crate::cli::exit::Class;

/// A pipeline for a job.
pub(crate) struct Pipeline {
    pipeline: gst::Pipeline,
    summarizer: gst::Element,
    media: Option<Arc<Media>>,
    content: Option<Content>,
}

impl Pipeline {
    /// Builds it; nothing is opened yet.
    ///
    /// # Errors
    /// [`Class::Pipeline`] when an element is missing.
    pub(super) fn build(job: &Job, outputs: &[Output]) -> anyhow::Result<Self> {
        let pipeline = gst::Pipeline::new();
        let summarizer = make("gistsummarizer", &job.summarizer)?;
        pipeline.add(&summarizer)?;
        add_outputs(&pipeline, &summarizer, outputs)?;
        let (media, content) = match &job.input {
            Input::Transcript(transcript) => {
                add_transcript(&pipeline, &summarizer, transcript)?;
                (None, None)
            }
            Input::Media { uri, name } => {
                let media = Media::new(&pipeline, &summarizer, job, name, false)?;
                let source = media.open(uri)?;
                (Some(media), Some(Content::new(&source, uri)))
            }
        };
        Ok(Self { pipeline, summarizer, media, content })
    }

    /// A pipeline without an input; [`Pipeline::open`] gives it one after the other. When it `stands` the end of an input
    /// is not its own.
    ///
    /// # Errors
    /// [`Class::Pipeline`] when an element is missing.
    pub(crate) fn without_input(job: &Job, stands: bool) -> anyhow::Result<Self> {
        let pipeline = gst::Pipeline::new();
        let summarizer = make("gistsummarizer", &job.summarizer)?;
        pipeline.add(&summarizer)?;
        add_outputs(&pipeline, &summarizer, &[])?;
        let media = Media::new(&pipeline, &summarizer, job, &job.input.name(), stands)?;
        Ok(Self { pipeline, summarizer, media: Some(media), content: None })
    }

    /// Opens an input in the place of the one before.
    ///
    /// # Errors
    /// When GStreamer lacks an element. What else can go wrong comes as a message.
    pub(crate) fn open(&self, uri: &str) -> anyhow::Result<()> {
        let Some(media) = &self.media else { return Ok(()) };
        media.close();
        let source = media.open(uri)?;
        start(&[source]);
        Ok(())
    }

    /// Closes the input; what it gave is worked through.
    pub(crate) fn close(&self) {
        if let Some(media) = &self.media {
            media.close();
        }
    }

    /// Whom an error is of: `None` when that is not in the pipeline any more, else whether it is what reads and decodes
    /// the input, and not what becomes of it.
    pub(crate) fn is_of_input(&self, error: &gst::MessageRef) -> Option<bool> {
        let (Some(media), Some(from)) = (&self.media, error.src()) else { return Some(false) };
        let within = |element: &gst::Object| from == element || from.has_as_ancestor(element);
        let of_input = media.branches().input.iter().any(|input| within(input.upcast_ref()));
        within(self.pipeline.upcast_ref()).then_some(of_input)
    }

    /// Ends the stream of a pipeline that stands; the end arrives when the last chapter is written. False when nothing
    /// ever came, so that there is nothing to end.
    pub(crate) fn finish(&self) -> bool {
        let Some(media) = &self.media else { return false };
        media.stands.store(false, Ordering::SeqCst);
        media.close();
        let branches = media.branches();
        let pads: Vec<_> = branches.video.iter().chain(&branches.audio).cloned().collect();
        drop(branches);
        for pad in &pads {
            // One that never had anything needs a beginning to have an end.
            if pad.sticky_event::<gst::event::StreamStart>(0).is_none() {
                pad.send_event(gst::event::StreamStart::new("nothing"));
            }
            pad.send_event(gst::event::Eos::new());
        }
        !pads.is_empty()
    }

    pub(crate) fn summarizer(&self) -> &gst::Element {
        &self.summarizer
    }

    pub(crate) fn element(&self) -> &gst::Pipeline {
        &self.pipeline
    }

    /// Up to where the stream is worked through.
    pub(super) fn position(&self) -> Option<gst::ClockTime> {
        let watermark = self.stats().get::<u64>("watermark").ok()?;
        (watermark < u64::MAX).then(|| gst::ClockTime::from_nseconds(watermark))
    }

    /// Whether the summarizer has given up; its error message says why.
    pub(super) fn failed(&self) -> bool {
        self.summarizer.property::<Option<String>>("model-state").as_deref() == Some("failed")
    }

    /// Whether the input yielded a picture or a piece of sound; of a transcript it is known before.
    pub(super) fn found_something(&self) -> bool {
        self.content.as_ref().is_none_or(Content::found)
    }

    /// Whether the input yields nothing, and never will.
    pub(super) fn is_empty(&mut self) -> bool {
        self.content.as_mut().is_some_and(Content::is_empty)
    }

    /// How long the input is, where it has an end.
    pub(super) fn duration(&self) -> Option<gst::ClockTime> {
        let pad = self.media.as_ref().and_then(|media| media.branches().decoded.clone())?;
        pad.query_duration()
    }

    /// Counters of the summarizer.
    pub(crate) fn stats(&self) -> gst::Structure {
        let stats = self.summarizer.property::<Option<gst::Structure>>("stats");
        stats.unwrap_or_else(|| gst::Structure::new_empty("no-stats"))
    }

    /// The element that listens, when there is something to listen to.
    pub(super) fn transcriber(&self) -> Option<gst::Element> {
        self.pipeline.iterate_all_by_element_factory_name("gisttranscriber").next().ok().flatten()
    }

    /// Has the context saved; a message tells when it is.
    pub(super) fn save(&self, path: &Path) {
        self.summarizer.emit_by_name::<()>("save-context", &[&path.to_string_lossy().as_ref()]);
    }

    /// Asks about the stream; the answer comes as a message.
    pub(super) fn ask(&self, question: &Question) {
        match question.part {
            None => self.summarizer.emit_by_name::<()>("ask", &[&question.text]),
            Some((from, to)) => {
                self.summarizer.emit_by_name::<()>("ask-about", &[&question.text, &from, &to]);
            }
        }
    }

    /// Lets the input end here; the end of the stream follows when the last chapter is written.
    pub(super) fn stop(&self) {
        let _ = self.pipeline.send_event(gst::event::Eos::new());
    }
}

fn add_outputs(
    pipeline: &gst::Pipeline,
    summarizer: &gst::Element,
    outputs: &[Output],
) -> anyhow::Result<()> {
    let caps = ("caps", format!("application/x-json,format={}", gist_core::event::SCHEMA));
    let filter = make("capsfilter", &[caps])?;
    let tee = make("tee", &[])?;
    pipeline.add_many([&filter, &tee])?;
    summarizer.link_pads(Some("chapters"), &filter, Some("sink"))?;
    filter.link(&tee)?;
    let mut sinks = vec![make("fakesink", &[("sync", "false".into()), ("async", "false".into())])?];
    for output in outputs {
        let path = output.path.to_str();
        let path = path.ok_or_else(|| Class::Output.failure("the name of an output is not UTF-8"))?;
        let sink = make("gistchaptersink", &[("format", output.format.nick().into())])?;
        // Set as a value: a path may hold what the syntax of a pipeline gives a meaning to.
        sink.set_property("location", path);
        sinks.push(sink);
    }
    for sink in sinks {
        let queue = make("queue", &[])?;
        pipeline.add_many([&queue, &sink])?;
        gst::Element::link_many([&tee, &queue, &sink])?;
    }
    Ok(())
}
