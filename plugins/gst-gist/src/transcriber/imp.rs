//! `gisttranscriber`
//!
//! Listens to speech and puts it out as lines of text with their times. Whisper runs on a thread of its own, below
//! the priority of everything else; the streaming thread only copies samples into a ring of 60 s. A file waits when
//! the ring is full, a live stream loses the oldest samples and a warning says how many.
//!
//! A line comes out up to `latency` (15 s), plus the time to compute it, after its first word. **The LATENCY query is
//! answered without it**, on purpose: the pipeline would delay every sink, the video on the screen among them, by the
//! transcript's 15 s. Consumers of the text that want to wait for it find the number in the property `latency` and in
//! the sticky downstream event `gist/latency` (field `latency`, guint64 nanoseconds) behind each SEGMENT; that is how
//! `gistsummarizer` knows. In silence GAP events move the position on at least every second, so sparse-stream aware
//! elements never wait in vain.
//!
//! The text is what a model made of a sound: escape it where it becomes markup.
//!
//! ```text
//! gst-launch-1.0 filesrc location=talk.mp3 ! decodebin ! audioconvert ! audioresample \
//!     ! gisttranscriber language=en ! fakesink dump=true
//! ```

use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gist_whisper::{SAMPLE_NS, SAMPLE_RATE, Transcriber};
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::intake::{Intake, Mark, Refused};
use super::outbox::{Out, Outbox};
use super::sink::{BREAK, Sink, duration_of};
use super::stats::Report;
use super::worker::{self, Worker};

const DEFAULT_MODEL: &str = "whisper-base";
const DEFAULT_LANGUAGE: &str = "auto";
/// How long a stop waits for the worker, which looks up between two tokens.
const JOIN: Duration = Duration::from_secs(5);
/// At most one overload warning in this time.
const WARNING_INTERVAL: Duration = Duration::from_secs(10);

#[derive(Clone)]
struct Settings {
    model: String,
    language: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self { model: DEFAULT_MODEL.into(), language: DEFAULT_LANGUAGE.into() }
    }
}

/// What a stream consists of, from READY→PAUSED to PAUSED→READY.
#[derive(Clone, Default)]
struct Run {
    intake: Arc<Intake>,
    outbox: Arc<Outbox>,
    report: Arc<Report>,
}

/// The element. Lock order: `sink` → `run` → `settings`; none is held while pushing, posting, querying or waiting.
pub struct GistTranscriber {
    sinkpad: gst::Pad,
    srcpad: gst::Pad,
    settings: Mutex<Settings>,
    run: Mutex<Option<Run>>,
    sink: Mutex<Sink>,
    worker: Mutex<Option<JoinHandle<()>>>,
}

/// Data behind these locks is plain: a panic while one was held leaves nothing half-done that could hurt.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GistTranscriber {
    fn run(&self) -> Option<Run> {
        lock(&self.run).clone()
    }

    fn chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let run = self.run().ok_or(gst::FlowError::Flushing)?;
        run.outbox.flow()?;
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        // Not `match lock(…).live`: what is matched on lives on, and with it the lock, while upstream is asked.
        let known = lock(&self.sink).live;
        let live = known.unwrap_or_else(|| self.ask_live());
        let (samples, mark) = {
            let mut sink = lock(&self.sink);
            sink.live = Some(live);
            let samples: Vec<f32> = if sink.integers {
                map.as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect()
            } else {
                map.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect()
            };
            let mark = sink.place(buffer.pts(), samples.len() as u64);
            (samples, mark)
        };
        if let Some(mark) = mark {
            run.intake.mark(mark);
        }
        match run.intake.push(&samples, live) {
            Ok(0) => {}
            Ok(dropped) => self.overload(dropped),
            Err(Refused::Flushing) => return Err(gst::FlowError::Flushing),
            Err(Refused::Failed) => return Err(gst::FlowError::Error),
        }
        Ok(gst::FlowSuccess::Ok)
    }

    /// Whether upstream is live, by its own word.
    fn ask_live(&self) -> bool {
        let mut query = gst::query::Latency::new();
        self.sinkpad.peer_query(&mut query) && query.result().0
    }

    /// Says that samples were lost, at most every ten seconds.
    fn overload(&self, dropped: u64) {
        let total = {
            let mut sink = lock(&self.sink);
            sink.dropped += dropped;
            if sink.warned.is_some_and(|at| at.elapsed() < WARNING_INTERVAL) {
                return;
            }
            sink.warned = Some(Instant::now());
            sink.dropped
        };
        gst::element_imp_warning!(
            self,
            gst::StreamError::Failed,
            ("speech recognition is slower than the stream: {} of sound lost so far", duration_of(total))
        );
    }

    fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        use gst::EventView;
        let Some(run) = self.run() else { return gst::Pad::event_default(pad, Some(&*self.obj()), event) };
        let event = match event.view() {
            EventView::FlushStart(_) => {
                let done = self.srcpad.push_event(event);
                let epoch = run.intake.flush_start();
                run.outbox.flush_start(epoch);
                let _ = self.srcpad.pause_task();
                return done;
            }
            EventView::FlushStop(_) => {
                let done = self.srcpad.push_event(event);
                let (stream_start, caps) = lock(&self.sink).flush();
                run.intake.flush_stop();
                if self.srcpad.sticky_event::<gst::event::StreamStart>(0).is_none() {
                    stream_start.into_iter().for_each(|event| run.intake.mark(Mark::Event(event)));
                }
                if self.srcpad.sticky_event::<gst::event::Caps>(0).is_none() {
                    caps.into_iter().for_each(|event| run.intake.mark(Mark::Event(event)));
                }
                run.outbox.flush_stop();
                self.start_task(&run);
                return done;
            }
            EventView::StreamStart(start) => {
                let id = self.srcpad.create_stream_id(&*self.obj(), Some("transcript"));
                let mut builder = gst::event::StreamStart::builder(&id)
                    .seqnum(event.seqnum())
                    .flags(start.stream_flags() | gst::StreamFlags::SPARSE);
                if let Some(group) = start.group_id() {
                    builder = builder.group_id(group);
                }
                let event = builder.build();
                lock(&self.sink).stream_start = Some(event.clone());
                event
            }
            EventView::Caps(caps) => {
                let Ok(info) = gst_audio::AudioInfo::from_caps(caps.caps()) else { return false };
                let mut sink = lock(&self.sink);
                sink.integers = info.format() == gst_audio::AudioFormat::S16le;
                if sink.caps.is_some() {
                    return true;
                }
                let caps = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
                let event = gst::event::Caps::builder(&caps).seqnum(event.seqnum()).build();
                sink.caps = Some(event.clone());
                event
            }
            EventView::Segment(segment) => {
                let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() else {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Format,
                        ("the sound has no times: its segment is not in TIME format")
                    );
                    return false;
                };
                let mut sink = lock(&self.sink);
                sink.segment = Some(segment.clone());
                sink.expected = None;
                drop(sink);
                event
            }
            EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let duration = duration.unwrap_or_default();
                // A short one is silence in the middle of speech.
                if duration < BREAK {
                    let mut sink = lock(&self.sink);
                    let samples = duration.nseconds() / SAMPLE_NS;
                    let mark = sink.place(Some(start), samples);
                    let live = sink.live.unwrap_or(false);
                    drop(sink);
                    if let Some(mark) = mark {
                        run.intake.mark(mark);
                    }
                    return run.intake.push(&vec![0.0; samples as usize], live).is_ok();
                }
                lock(&self.sink).expected = None;
                event
            }
            _ if !event.is_serialized() => return gst::Pad::event_default(pad, Some(&*self.obj()), event),
            _ => event,
        };
        run.intake.mark(Mark::Event(event));
        true
    }

    fn src_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        // Text is always late; a decoder that heard of it would skip sound.
        if let gst::EventView::Qos(_) = event.view() {
            return true;
        }
        gst::Pad::event_default(pad, Some(&*self.obj()), event)
    }

    fn start_task(&self, run: &Run) {
        let (pad, outbox) = (self.srcpad.clone(), Arc::clone(&run.outbox));
        let started = self.srcpad.start_task(move || match outbox.next() {
            Some(Out::Buffer(buffer)) => {
                let flow = pad.push(buffer);
                outbox.set_flow(flow);
            }
            Some(Out::Event(event)) => {
                pad.push_event(event);
            }
            None => {
                let _ = pad.pause_task();
            }
        });
        if let Err(why) = started {
            gst::error!(CAT, imp = self, "no task for the source pad: {why}");
        }
    }

    /// NULL→READY: the model has to be there; it is loaded later.
    fn locate(&self) -> Result<std::path::PathBuf, gst::ErrorMessage> {
        let model = lock(&self.settings).model.clone();
        if let Ok(known) = gist_models::find(&model)
            && known.kind != gist_models::Kind::Speech
        {
            let kind = known.kind;
            return Err(gst::error_msg!(
                gst::ResourceError::NotFound,
                ("{model} is a {kind} model; set model to one for speech, such as {DEFAULT_MODEL}")
            ));
        }
        gist_models::locate(&model).map_err(|why| gst::error_msg!(gst::ResourceError::NotFound, ("{why}")))
    }

    /// READY→PAUSED: a new stream, a new worker.
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let model = self.locate()?;
        let language = Some(lock(&self.settings).language.clone()).filter(|l| !l.is_empty() && l != "auto");
        let run = Run::default();
        let worker = Worker {
            element: self.obj().downgrade(),
            model,
            language,
            intake: Arc::clone(&run.intake),
            outbox: Arc::clone(&run.outbox),
            report: Arc::clone(&run.report),
        };
        let handle = worker::spawn(worker)
            .map_err(|why| gst::error_msg!(gst::ResourceError::Failed, ("no thread for the model: {why}")))?;
        *lock(&self.worker) = Some(handle);
        *lock(&self.sink) = Sink::default();
        *lock(&self.run) = Some(run);
        Ok(())
    }

    /// PAUSED→READY, before the pads are shut: everyone who waits goes home.
    fn wake(&self) {
        if let Some(run) = self.run() {
            run.intake.stop();
            run.outbox.stop();
        }
    }

    /// PAUSED→READY, after: the stream is forgotten.
    fn stop(&self) {
        let _ = self.srcpad.stop_task();
        lock(&self.run).take();
        *lock(&self.sink) = Sink::default();
        let Some(handle) = lock(&self.worker).take() else { return };
        let deadline = Instant::now() + JOIN;
        while !handle.is_finished() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(2));
        }
        if handle.is_finished() {
            let _ = handle.join();
        } else {
            gst::warning!(CAT, imp = self, "the worker is still busy; it ends by itself");
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for GistTranscriber {
    const NAME: &'static str = "GstGistTranscriber";
    type Type = super::GistTranscriber;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("declared below");
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(parent, || Err(gst::FlowError::Error), |imp| imp.chain(buffer))
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.src_event(pad, event))
            })
            .flags(gst::PadFlags::FIXED_CAPS)
            .build();
        Self {
            sinkpad,
            srcpad,
            settings: Mutex::default(),
            run: Mutex::default(),
            sink: Mutex::default(),
            worker: Mutex::default(),
        }
    }
}

impl ObjectImpl for GistTranscriber {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("model")
                    .nick("Model")
                    .blurb("Whisper model: a name of `streamgist model list`, or a folder with model.bin or model.safetensors")
                    .default_value(Some(DEFAULT_MODEL))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecString::builder("language")
                    .nick("Language")
                    .blurb("Language spoken, by code (en, zh, de, …), or auto to listen for it")
                    .default_value(Some(DEFAULT_LANGUAGE))
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("latency")
                    .nick("Latency")
                    .blurb("How late a line can be after its first word, in ns, computing not included; not part of the LATENCY query")
                    .default_value(Transcriber::latency().as_nanos() as u64)
                    .read_only()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("What time was spent on")
                    .read_only()
                    .build(),
            ]
        });
        PROPERTIES.as_ref()
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        let text = value.get::<Option<String>>().ok().flatten();
        match pspec.name() {
            "model" => settings.model = text.unwrap_or_else(|| DEFAULT_MODEL.into()),
            "language" => settings.language = text.unwrap_or_else(|| DEFAULT_LANGUAGE.into()),
            other => gst::warning!(CAT, imp = self, "no property {other} to set"),
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let run = self.run();
        let settings = lock(&self.settings);
        match pspec.name() {
            "model" => settings.model.to_value(),
            "language" => settings.language.to_value(),
            "stats" => run.map(|run| run.report.stats()).to_value(),
            _ => (Transcriber::latency().as_nanos() as u64).to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.add_pad(&self.sinkpad).expect("new pad");
        obj.add_pad(&self.srcpad).expect("new pad");
    }
}

impl GstObjectImpl for GistTranscriber {}

impl ElementImpl for GistTranscriber {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Gist transcriber",
                "Converter/Audio/Text",
                "Turns speech into lines of text with their times (Whisper)",
                "streamgist",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let audio = gst_audio::AudioCapsBuilder::new_interleaved()
                .format_list([gst_audio::AudioFormat::F32le, gst_audio::AudioFormat::S16le])
                .rate(SAMPLE_RATE as i32)
                .channels(1)
                .build();
            let text = gst::Caps::builder("text/x-raw").field("format", "utf8").build();
            let pad = |name, direction, caps| {
                gst::PadTemplate::new(name, direction, gst::PadPresence::Always, caps)
                    .expect("valid template")
            };
            vec![pad("sink", gst::PadDirection::Sink, &audio), pad("src", gst::PadDirection::Src, &text)]
        });
        TEMPLATES.as_ref()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        let prepared = match transition {
            gst::StateChange::NullToReady => self.locate().map(|_| ()),
            gst::StateChange::ReadyToPaused => self.start(),
            gst::StateChange::PausedToReady => {
                self.wake();
                Ok(())
            }
            _ => Ok(()),
        };
        if let Err(why) = prepared {
            self.post_error_message(why);
            return Err(gst::StateChangeError);
        }
        if transition == gst::StateChange::ReadyToPaused
            && let Some(run) = self.run()
        {
            self.start_task(&run);
        }
        let done = self.parent_change_state(transition);
        if transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && done.is_err())
        {
            self.wake();
            self.stop();
        }
        done
    }
}
