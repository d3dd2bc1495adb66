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

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use gst::prelude::*;

use super::content::Content;
use super::input::{Input, Transcript};
use super::{Job, Output, Question};
use crate::cli::exit::Class;

/// Name of the element message by which this module says that an input holds nothing for it; field `why`.
pub(super) const NOTHING_TO_SEE_OR_HEAR: &str = "streamgist-nothing-to-see-or-hear";

/// A pipeline for a job.
pub(super) struct Pipeline {
    pipeline: gst::Pipeline,
    summarizer: gst::Element,
    media: Option<Arc<Media>>,
    content: Option<Content>,
}

/// The branches that depend on what the input holds.
struct Media {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    summarizer: gst::glib::WeakRef<gst::Element>,
    /// Properties of the transcriber; `None` when speech is not to be transcribed.
    transcriber: Option<Vec<(&'static str, String)>>,
    /// Read instead.
    transcript: Option<Transcript>,
    name: String,
    state: Mutex<Branches>,
}

#[derive(Default)]
struct Branches {
    /// Where video goes in.
    video: Option<gst::Pad>,
    /// Where audio goes in.
    audio: Option<gst::Pad>,
    /// Whether the transcript is being read.
    transcript: bool,
    /// A decoded stream, to ask how long it is.
    decoded: Option<gst::Pad>,
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
                let media = Arc::new(Media {
                    pipeline: pipeline.downgrade(),
                    summarizer: summarizer.downgrade(),
                    transcriber: job.transcriber.clone().filter(|_| job.transcript.is_none()),
                    transcript: job.transcript.clone(),
                    name: name.clone(),
                    state: Mutex::default(),
                });
                let source = add_media(&pipeline, &media, uri)?;
                (Some(media), Some(Content::new(&source, uri)))
            }
        };
        Ok(Self { pipeline, summarizer, media, content })
    }

    pub(super) fn element(&self) -> &gst::Pipeline {
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
    pub(super) fn stats(&self) -> gst::Structure {
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

/// Makes an element with properties as on a `gst-launch-1.0` command line.
fn make(factory: &str, properties: &[(&'static str, String)]) -> anyhow::Result<gst::Element> {
    let element = gst::ElementFactory::make(factory).build().map_err(|_| {
        Class::Pipeline.failure(format!(
            "the GStreamer element {factory} is missing (`streamgist doctor` tells what to install)"
        ))
    })?;
    for (name, text) in properties {
        let spec =
            element.find_property(name).with_context(|| format!("{factory} has no property {name}"))?;
        // A text is taken as it is; on a command line of GStreamer, quotation marks around it would be taken off.
        let value = match spec.value_type() == String::static_type() {
            true => text.to_value(),
            false => gst::glib::Value::deserialize_with_pspec(text, &spec)
                .map_err(|_| Class::Usage.failure(format!("{name} can't be {text}")))?,
        };
        element.set_property(name, value);
    }
    Ok(element)
}

/// Starts elements that join a pipeline that runs; from the end to the start, so that nothing flows into what isn't
/// ready. An element that can't start says so on the bus itself.
fn start(chain: &[gst::Element]) {
    for element in chain.iter().rev() {
        let _ = element.sync_state_with_parent();
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

fn add_transcript(
    pipeline: &gst::Pipeline,
    summarizer: &gst::Element,
    transcript: &Transcript,
) -> anyhow::Result<()> {
    let source = make("filesrc", &[])?;
    let path = transcript.path.to_str();
    let path = path.ok_or_else(|| Class::Input.failure("the name of the transcript is not UTF-8"))?;
    source.set_property("location", path);
    let parse = make("subparse", &[("subtitle-encoding", "UTF-8".into())])?;
    pipeline.add_many([&source, &parse])?;
    source.link(&parse)?;
    parse.link_pads(Some("src"), summarizer, Some("text_%u"))?;
    start(&[source, parse]);
    Ok(())
}

fn add_media(pipeline: &gst::Pipeline, media: &Arc<Media>, uri: &str) -> anyhow::Result<gst::Element> {
    let source = make("uridecodebin3", &[])?;
    source.set_property("uri", uri);
    pipeline.add(&source)?;

    let weak = Arc::downgrade(media);
    source.connect("select-stream", false, move |args| {
        let collection = args.get(1)?.get::<gst::StreamCollection>().ok()?;
        let stream = args.get(2)?.get::<gst::Stream>().ok()?;
        Some(i32::from(weak.upgrade()?.wants(&collection, &stream)).to_value())
    });
    let weak = Arc::downgrade(media);
    source.connect_pad_added(move |_, pad| {
        if let Some(media) = weak.upgrade()
            && let Err(error) = media.join(pad)
        {
            media.fail(&error);
        }
    });
    let weak = Arc::downgrade(media);
    pipeline.bus().context("the pipeline has no bus")?.set_sync_handler(move |_, message| {
        if let Some(media) = weak.upgrade()
            && let Err(error) = media.overhear(message)
        {
            media.fail(&error);
        }
        gst::BusSyncReply::Pass
    });
    Ok(source)
}

/// The first stream of a type in a collection.
fn first(collection: &gst::StreamCollection, kind: gst::StreamType) -> Option<gst::Stream> {
    collection.iter().find(|stream| stream.stream_type().contains(kind))
}

impl Media {
    fn branches(&self) -> MutexGuard<'_, Branches> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One picture, one sound. Sound that isn't listened to is taken only when there is nothing else, to drive the
    /// position while a transcript is read.
    fn wants(&self, collection: &gst::StreamCollection, stream: &gst::Stream) -> bool {
        let is = |kind| first(collection, kind).is_some_and(|first| first.stream_id() == stream.stream_id());
        let video = first(collection, gst::StreamType::VIDEO).is_some();
        is(gst::StreamType::VIDEO) || is(gst::StreamType::AUDIO) && (self.transcriber.is_some() || !video)
    }

    /// Reads the messages that tell what the input holds.
    fn overhear(&self, message: &gst::MessageRef) -> anyhow::Result<()> {
        match message.view() {
            gst::MessageView::StreamCollection(found) => self.prepare(&found.stream_collection()),
            gst::MessageView::Element(details) => {
                let missing = details.structure().filter(|s| s.name() == "missing-plugin");
                let caps = missing.and_then(|s| s.get::<gst::Caps>("detail").ok());
                if let Some(kind) = caps.as_ref().and_then(|c| c.structure(0)).map(|s| s.name().as_str()) {
                    self.give_up(kind);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn prepare(&self, collection: &gst::StreamCollection) -> anyhow::Result<()> {
        let video = first(collection, gst::StreamType::VIDEO).is_some();
        let audio = first(collection, gst::StreamType::AUDIO).is_some();
        let words = self.transcript.is_some() || audio && self.transcriber.is_some();
        // A camera may announce its streams one by one; what it never announces shows as an end without chapters.
        if !video && !words && !self.name.starts_with("rtsp") {
            let why = match audio {
                true => format!("{} has no picture, and its sound is not to be listened to", self.name),
                false => format!("{} holds neither video nor audio", self.name),
            };
            let details = gst::Structure::builder(NOTHING_TO_SEE_OR_HEAR).field("why", why).build();
            if let Some(pipeline) = self.pipeline.upgrade() {
                let _ = pipeline.post_message(gst::message::Element::new(details));
            }
            return Ok(());
        }
        if video {
            self.video_branch()?;
        }
        if audio {
            self.audio_branch()?;
        }
        self.transcript_branch()
    }

    /// Reads the transcript, from when it is known whether pictures come with it.
    fn transcript_branch(&self) -> anyhow::Result<()> {
        let (Some(transcript), Some(pipeline), Some(summarizer)) =
            (&self.transcript, self.pipeline.upgrade(), self.summarizer.upgrade())
        else {
            return Ok(());
        };
        if std::mem::replace(&mut self.branches().transcript, true) {
            return Ok(());
        }
        add_transcript(&pipeline, &summarizer, transcript)
    }

    /// The pad that takes video; made when it is first needed.
    fn video_branch(&self) -> anyhow::Result<Option<gst::Pad>> {
        let (Some(pipeline), Some(summarizer)) = (self.pipeline.upgrade(), self.summarizer.upgrade()) else {
            return Ok(None);
        };
        let mut branches = self.branches();
        if branches.video.is_none() {
            let queue = make("queue", &[])?;
            pipeline.add(&queue)?;
            queue.link_pads(Some("src"), &summarizer, Some("sink"))?;
            branches.video = queue.static_pad("sink");
            start(&[queue]);
        }
        Ok(branches.video.clone())
    }

    /// The pad that takes audio; made when it is first needed.
    fn audio_branch(&self) -> anyhow::Result<Option<gst::Pad>> {
        let (Some(properties), Some(pipeline), Some(summarizer)) =
            (&self.transcriber, self.pipeline.upgrade(), self.summarizer.upgrade())
        else {
            return Ok(None);
        };
        let mut branches = self.branches();
        if branches.audio.is_some() {
            return Ok(branches.audio.clone());
        }
        let chain = [
            make("queue", &[])?,
            make("audioconvert", &[])?,
            make("audioresample", &[])?,
            make("gisttranscriber", properties)?,
        ];
        pipeline.add_many(&chain)?;
        gst::Element::link_many(&chain)?;
        let [queue, .., transcriber] = &chain;
        transcriber.link_pads(Some("src"), &summarizer, Some("text_%u"))?;
        branches.audio = queue.static_pad("sink");
        start(&chain);
        Ok(branches.audio.clone())
    }

    /// What can't be decoded never comes; nobody must wait for it. `kind` is a media type.
    fn give_up(&self, kind: &str) {
        let pad = {
            let branches = self.branches();
            if kind.starts_with("audio/") { branches.audio.clone() } else { branches.video.clone() }
        };
        if let Some(pad) = pad.filter(|pad| !pad.is_linked()) {
            pad.send_event(gst::event::StreamStart::new("nothing"));
            pad.send_event(gst::event::Eos::new());
        }
    }

    /// Joins a decoded stream on.
    fn join(&self, pad: &gst::Pad) -> anyhow::Result<()> {
        self.branches().decoded.get_or_insert_with(|| pad.clone());
        let caps = pad.current_caps().unwrap_or_else(|| pad.query_caps(None));
        let sink = match caps.structure(0).map(|s| s.name().as_str()) {
            Some("video/x-raw") => self.video_branch()?,
            Some("audio/x-raw") => self.audio_branch()?,
            _ => None,
        };
        let sink = match sink.filter(|sink| !sink.is_linked()) {
            Some(sink) => sink,
            None => self.nowhere()?,
        };
        pad.link(&sink).with_context(|| format!("{caps} can't be taken"))?;
        Ok(())
    }

    /// A place for a stream nobody asked for.
    fn nowhere(&self) -> anyhow::Result<gst::Pad> {
        let sink = make("fakesink", &[("sync", "false".into()), ("async", "false".into())])?;
        self.pipeline.upgrade().context("the pipeline is gone")?.add(&sink)?;
        sink.sync_state_with_parent()?;
        sink.static_pad("sink").context("no pad")
    }

    /// Errors on a streaming thread travel by the bus like those of elements.
    fn fail(&self, error: &anyhow::Error) {
        if let Some(pipeline) = self.pipeline.upgrade() {
            pipeline.post_error_message(gst::error_msg!(gst::CoreError::Failed, ["{error:#}"]));
        }
    }
}
