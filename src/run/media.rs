//! What depends on what the input holds: the branches that take its streams, and the input itself, which may be opened
//! anew under a pipeline that stands.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::Context;
use gst::prelude::*;

use super::Job;
use super::input::Transcript;
use crate::cli::exit::Class;

/// Name of the element message by which this module says that an input holds nothing for it; field `why`.
pub(crate) const NOTHING_TO_SEE_OR_HEAR: &str = "streamgist-nothing-to-see-or-hear";
/// Name of the element message that the input of a pipeline that stands has ended.
pub(crate) const INPUT_ENDED: &str = "streamgist-input-ended";

/// The branches that depend on what the input holds.
pub(super) struct Media {
    pipeline: gst::glib::WeakRef<gst::Pipeline>,
    summarizer: gst::glib::WeakRef<gst::Element>,
    /// Properties of the transcriber; `None` when speech is not to be transcribed.
    transcriber: Option<Vec<(&'static str, String)>>,
    /// Read instead.
    transcript: Option<Transcript>,
    name: String,
    /// The end of the input is not that of the stream.
    pub(super) stands: AtomicBool,
    state: Mutex<Branches>,
}

#[derive(Default)]
pub(super) struct Branches {
    /// Where video goes in.
    pub(super) video: Option<gst::Pad>,
    /// Where audio goes in.
    pub(super) audio: Option<gst::Pad>,
    /// Whether the transcript is being read.
    transcript: bool,
    /// A decoded stream, to ask how long it is.
    pub(super) decoded: Option<gst::Pad>,
    /// See [`Media::offset`]; of the input that is open.
    offset: Option<i64>,
    /// What reads and decodes the input, and what takes of it what nobody asked for.
    pub(super) input: Vec<gst::Element>,
}

/// Makes an element with properties as on a `gst-launch-1.0` command line.
pub(super) fn make(factory: &str, properties: &[(&'static str, String)]) -> anyhow::Result<gst::Element> {
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
pub(super) fn start(chain: &[gst::Element]) {
    for element in chain.iter().rev() {
        let _ = element.sync_state_with_parent();
    }
}

pub(super) fn add_transcript(
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

/// Whether what comes here is captured as it comes.
fn is_live(pad: &gst::Pad) -> bool {
    let mut latency = gst::query::Latency::new();
    pad.query(&mut latency) && latency.result().0
}

/// The same running-times, and positions that are these: `base + (timestamp - start)` with the least of `base` and
/// `start`. For what plays forwards at its own speed; `None` for other segments.
fn steady(event: &gst::event::Segment) -> Option<gst::Event> {
    let old = event.segment().downcast_ref::<gst::ClockTime>()?;
    if old.rate() != 1.0 || old.applied_rate() != 1.0 {
        return None;
    }
    let start = old.start()? + old.offset().unwrap_or(gst::ClockTime::ZERO);
    let base = old.base().unwrap_or(gst::ClockTime::ZERO);
    let mut new = gst::FormattedSegment::<gst::ClockTime>::new();
    new.set_start(start.saturating_sub(base));
    new.set_base(base.saturating_sub(start));
    new.set_time(new.base());
    Some(gst::event::Segment::builder(&new).seqnum(event.seqnum()).build())
}

/// The first stream of a type in a collection.
fn first(collection: &gst::StreamCollection, kind: gst::StreamType) -> Option<gst::Stream> {
    collection.iter().find(|stream| stream.stream_type().contains(kind))
}

impl Media {
    pub(super) fn new(
        pipeline: &gst::Pipeline,
        summarizer: &gst::Element,
        job: &Job,
        name: &str,
        stands: bool,
    ) -> anyhow::Result<Arc<Self>> {
        let media = Arc::new(Self {
            pipeline: pipeline.downgrade(),
            summarizer: summarizer.downgrade(),
            transcriber: job.transcriber.clone().filter(|_| job.transcript.is_none()),
            transcript: job.transcript.clone(),
            name: name.to_owned(),
            stands: AtomicBool::new(stands),
            state: Mutex::default(),
        });
        let weak = Arc::downgrade(&media);
        pipeline.bus().context("the pipeline has no bus")?.set_sync_handler(move |_, message| {
            if let Some(media) = weak.upgrade()
                && let Err(error) = media.overhear(message)
            {
                media.fail(&error);
            }
            gst::BusSyncReply::Pass
        });
        Ok(media)
    }

    /// Adds what reads and decodes an input.
    pub(super) fn open(self: &Arc<Self>, uri: &str) -> anyhow::Result<gst::Element> {
        let source = make("uridecodebin3", &[])?;
        source.set_property("uri", uri);
        let weak = Arc::downgrade(self);
        source.connect("select-stream", false, move |args| {
            let collection = args.get(1)?.get::<gst::StreamCollection>().ok()?;
            let stream = args.get(2)?.get::<gst::Stream>().ok()?;
            Some(i32::from(weak.upgrade()?.wants(&collection, &stream)).to_value())
        });
        let weak = Arc::downgrade(self);
        source.connect_pad_added(move |_, pad| {
            if let Some(media) = weak.upgrade()
                && let Err(error) = media.join(pad)
            {
                media.fail(&error);
            }
        });
        self.pipeline.upgrade().context("the pipeline is gone")?.add(&source)?;
        self.branches().input.push(source.clone());
        Ok(source)
    }

    /// Takes the input away.
    pub(super) fn close(&self) {
        let elements = {
            let mut branches = self.branches();
            (branches.decoded, branches.offset) = (None, None);
            std::mem::take(&mut branches.input)
        };
        for element in elements {
            let _ = element.set_state(gst::State::Null);
            if let Some(pipeline) = self.pipeline.upgrade() {
                let _ = pipeline.remove(&element);
            }
        }
    }

    /// Keeps the end of an input from being taken for that of the stream, and lets the position in the stream be its
    /// running-time: an input that is opened anew begins at 0.
    fn watch_over(self: &Arc<Self>, pad: &gst::Pad) {
        let weak = Arc::downgrade(self);
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            let Some(media) = weak.upgrade().filter(|media| media.stands.load(Ordering::SeqCst)) else {
                return gst::PadProbeReturn::Ok;
            };
            match info.event().map(|event| event.view()) {
                Some(gst::EventView::Segment(segment)) => {
                    if let Some(steady) = steady(segment) {
                        info.data = Some(gst::PadProbeData::Event(steady));
                    }
                    gst::PadProbeReturn::Ok
                }
                Some(gst::EventView::Eos(_)) => {
                    if let Some(pipeline) = media.pipeline.upgrade() {
                        let ended = gst::Structure::new_empty(INPUT_ENDED);
                        let _ = pipeline.post_message(gst::message::Element::new(ended));
                    }
                    // Its reference with it, which GStreamer counts on with `Handled`.
                    info.data = None;
                    gst::PadProbeReturn::Handled
                }
                _ => gst::PadProbeReturn::Ok,
            }
        });
    }

    pub(super) fn branches(&self) -> MutexGuard<'_, Branches> {
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
    fn overhear(self: &Arc<Self>, message: &gst::MessageRef) -> anyhow::Result<()> {
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

    fn prepare(self: &Arc<Self>, collection: &gst::StreamCollection) -> anyhow::Result<()> {
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
    fn video_branch(self: &Arc<Self>) -> anyhow::Result<Option<gst::Pad>> {
        let (Some(pipeline), Some(summarizer)) = (self.pipeline.upgrade(), self.summarizer.upgrade()) else {
            return Ok(None);
        };
        let mut branches = self.branches();
        if branches.video.is_none() {
            let queue = make("queue", &[])?;
            pipeline.add(&queue)?;
            queue.link_pads(Some("src"), &summarizer, Some("sink"))?;
            branches.video = queue.static_pad("sink");
            branches.video.iter().for_each(|pad| self.watch_over(pad));
            start(&[queue]);
        }
        Ok(branches.video.clone())
    }

    /// The pad that takes audio; made when it is first needed.
    fn audio_branch(self: &Arc<Self>) -> anyhow::Result<Option<gst::Pad>> {
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
        branches.audio.iter().for_each(|pad| self.watch_over(pad));
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
    fn join(self: &Arc<Self>, pad: &gst::Pad) -> anyhow::Result<()> {
        self.branches().decoded.get_or_insert_with(|| pad.clone());
        if self.stands.load(Ordering::SeqCst) && !is_live(pad) {
            pad.set_offset(self.offset());
        }
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

    /// By how much later an input that is not live is to come: it begins at 0 whenever it is opened, and the stream goes
    /// on. The same for its sound as for its pictures.
    fn offset(&self) -> i64 {
        let clock = self.pipeline.upgrade().and_then(|pipeline| pipeline.current_running_time());
        let stats = self.summarizer.upgrade().and_then(|e| e.property::<Option<gst::Structure>>("stats"));
        let position = stats.and_then(|stats| stats.get::<u64>("position").ok()).filter(|at| *at < u64::MAX);
        let now = clock.map_or(0, gst::ClockTime::nseconds).max(position.unwrap_or(0));
        *self.branches().offset.get_or_insert(now.cast_signed())
    }

    /// A place for a stream nobody asked for.
    fn nowhere(&self) -> anyhow::Result<gst::Pad> {
        let sink = make("fakesink", &[("sync", "false".into()), ("async", "false".into())])?;
        self.pipeline.upgrade().context("the pipeline is gone")?.add(&sink)?;
        sink.sync_state_with_parent()?;
        self.branches().input.push(sink.clone());
        sink.static_pad("sink").context("no pad")
    }

    /// Errors on a streaming thread travel by the bus like those of elements.
    fn fail(&self, error: &anyhow::Error) {
        if let Some(pipeline) = self.pipeline.upgrade() {
            pipeline.post_error_message(gst::error_msg!(gst::CoreError::Failed, ["{error:#}"]));
        }
    }
}
