//! `gistsummarizer`
//!
//! Video passes from `sink` to `src` untouched and undelayed. Beside it, sampled pictures and the text of the
//! `text_%u` pads (transcript, captions, notes) are encoded step by step into the rolling context of a language
//! model, and a chapter comes out as soon as it ends: as element message `gist-chapter`, downstream event
//! `gist/chapter`, table of contents, and JSON line or text on the `chapters` pad.
//!
//! ```text
//! gst-launch-1.0 -m -c filesrc location=talk.mkv ! decodebin3 name=d \
//!     d. ! queue ! gistsummarizer name=g ! fakesink sync=false \
//!     d. ! queue ! audioconvert ! audioresample ! gisttranscriber ! queue ! g.text_0
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::emit::{Emitter, Ledger, Ways};
use super::inputs::track;
use super::intake::{Command, Intake, Scope, VIDEO};
use super::outbox::Outbox;
use super::sampler::{Axis, Camera, Due};
use super::settings::{PROPERTIES, Settings};
use super::signals::SIGNALS;
use super::worker::{self, Report, Worker};
use super::{CAT, backend};

/// How long a stop waits for the worker; a step of the model takes less.
const JOIN: Duration = Duration::from_secs(5);
/// Video passes: what is asked of one side is answered by the other.
const PROXY: gst::PadFlags =
    gst::PadFlags::PROXY_CAPS.union(gst::PadFlags::PROXY_ALLOCATION).union(gst::PadFlags::PROXY_SCHEDULING);
/// At most one overload message in this time.
const OVERLOAD_INTERVAL: Duration = Duration::from_secs(10);

/// What a stream consists of, from READY→PAUSED to PAUSED→READY.
#[derive(Clone)]
pub(super) struct Run {
    pub(super) intake: Arc<Intake>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) ledger: Arc<Mutex<Ledger>>,
    pub(super) report: Arc<Report>,
    pub(super) started: Instant,
    /// The model is given pictures, not the text on them.
    pub(super) sees: bool,
}

/// What the video pad knows; touched by its streaming thread alone, but for flushes.
#[derive(Default)]
pub(super) struct Video {
    pub(super) segment: gst::FormattedSegment<gst::ClockTime>,
    pub(super) info: Option<gst_video::VideoInfo>,
    pub(super) camera: Option<Camera>,
    pub(super) axis: Axis,
    /// Running-time of the last frame, and how long it lasts if that is known.
    pub(super) last: Option<(u64, Option<u64>)>,
    pub(super) due: Due,
    pub(super) timeline: Option<gist_core::session::Timeline>,
    pub(super) live_known: bool,
    pub(super) cut: Option<gist_core::event::Reason>,
    pub(super) overload: Option<Instant>,
    pub(super) unreported: u64,
}

/// The element. Lock order: `video` → `run` → `settings`; none is held while pushing, posting or querying.
pub struct GistSummarizer {
    pub(super) sinkpad: gst::Pad,
    pub(super) srcpad: gst::Pad,
    pub(super) chapters: Mutex<Option<gst::Pad>>,
    pub(super) settings: Mutex<Settings>,
    pub(super) run: Mutex<Option<Run>>,
    pub(super) video: Mutex<Video>,
    /// The seek that was passed on last, and what came of it.
    pub(super) seek: Mutex<Option<(gst::Seqnum, bool)>>,
    worker: Mutex<Option<JoinHandle<()>>>,
    next_pad: AtomicU32,
}

/// Data behind these locks is plain: a panic while one was held leaves nothing half-done that could hurt.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl GistSummarizer {
    pub(super) fn ways(&self) -> Ways {
        let settings = lock(&self.settings);
        Ways {
            messages: settings.post_messages,
            observations: settings.post_observations,
            toc: settings.emit_toc,
            live: false,
        }
    }

    pub(super) fn gate(&self) -> gist_core::picture::Gate {
        lock(&self.settings).gate.into()
    }

    pub(super) fn run(&self) -> Option<Run> {
        lock(&self.run).clone()
    }

    /// READY→PAUSED: a new stream, a new worker.
    fn start(&self) -> Result<(), gst::ErrorMessage> {
        let mut settings = lock(&self.settings).clone();
        // A saved context brings its own.
        if settings.session_id.is_empty() && settings.restore_from.is_empty() {
            settings.session_id = glib::uuid_string_random().chars().filter(|c| *c != '-').take(16).collect();
        }
        let source = backend::locate(&settings)
            .map_err(|why| gst::error_msg!(gst::ResourceError::NotFound, ("{why}")))?;
        let run = Run {
            intake: Arc::new(Intake::new(settings.limits())),
            outbox: Arc::default(),
            ledger: Arc::default(),
            report: Arc::default(),
            started: Instant::now(),
            sees: source.sees(),
        };
        for pad in self.obj().sink_pads().iter().filter(|pad| pad.is_linked()) {
            run.intake.add(track(pad));
        }
        if self.srcpad.is_linked() {
            // Whoever wants video gets some, even if what brings it is still finding out what it is.
            run.intake.add(VIDEO);
        }
        if let Some(pad) = &*lock(&self.chapters) {
            run.outbox.open(pad).map_err(|why| gst::error_msg!(gst::CoreError::Pad, ("{why}")))?;
        }
        let worker = Worker {
            element: self.obj().downgrade(),
            settings,
            source,
            intake: Arc::clone(&run.intake),
            emitter: Emitter {
                element: self.obj().downgrade(),
                outbox: Arc::clone(&run.outbox),
                ledger: Arc::clone(&run.ledger),
            },
            report: Arc::clone(&run.report),
        };
        let handle = worker::spawn(worker)
            .map_err(|why| gst::error_msg!(gst::ResourceError::Failed, ("no thread for the model: {why}")))?;
        *lock(&self.worker) = Some(handle);
        *lock(&self.video) = Video::default();
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
        if let Some(pad) = lock(&self.chapters).clone() {
            let _ = pad.stop_task();
        }
        lock(&self.run).take();
        *lock(&self.video) = Video::default();
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

    /// Only a linked pad is waited for.
    fn watch_links(&self, pad: &gst::Pad) {
        let weak = self.obj().downgrade();
        pad.connect_linked(move |pad, _| {
            if let Some(run) = weak.upgrade().and_then(|element| element.imp().run()) {
                run.intake.add(track(pad));
            }
        });
        let weak = self.obj().downgrade();
        pad.connect_unlinked(move |pad, _| {
            let Some(element) = weak.upgrade() else { return };
            if let Some(run) = element.imp().run() {
                element.imp().unlinked(&run, track(pad));
            }
        });
    }

    /// `sink` and `src` belong together; text and chapters have nothing to do with the video's caps.
    fn link(pad: &gst::Pad) -> gst::Iterator<gst::Pad> {
        gst::Iterator::from_vec(vec![pad.clone()])
    }

    fn no_links() -> gst::Iterator<gst::Pad> {
        gst::Iterator::from_vec(Vec::new())
    }

    /// Says that frames were dropped, at most every ten seconds.
    pub(super) fn overload(&self, run: &Run, dropped: u64) {
        let total = {
            let mut video = lock(&self.video);
            video.unreported += dropped;
            if video.unreported == 0 || video.overload.is_some_and(|at| at.elapsed() < OVERLOAD_INTERVAL) {
                return;
            }
            video.overload = Some(Instant::now());
            std::mem::take(&mut video.unreported)
        };
        let counters = run.intake.counters();
        let policy = lock(&self.settings).overload_policy;
        let details = gst::Structure::builder("gist-overload")
            .field("dropped", total)
            .field("dropped-total", counters.frames_dropped)
            .field("lag", counters.queue_time)
            .field("policy", policy)
            .build();
        gst::info!(CAT, imp = self, "{total} sampled frames dropped: the model is slower than the stream");
        let _ = self.obj().post_message(gst::message::Element::builder(details).src(&*self.obj()).build());
    }
}

#[glib::object_subclass]
impl ObjectSubclass for GistSummarizer {
    const NAME: &'static str = "GstGistSummarizer";
    type Type = super::GistSummarizer;
    type ParentType = gst::Element;

    fn with_class(class: &Self::Class) -> Self {
        let template = |name| class.pad_template(name).expect("declared below");
        let sinkpad = gst::Pad::builder_from_template(&template("sink"))
            .chain_function(|_, parent, buffer| {
                Self::catch_panic_pad_function(
                    parent,
                    || Err(gst::FlowError::Error),
                    |imp| imp.sink_chain(buffer),
                )
            })
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.sink_event(pad, event))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(parent, Self::no_links, |imp| Self::link(&imp.srcpad))
            })
            .flags(PROXY)
            .build();
        let srcpad = gst::Pad::builder_from_template(&template("src"))
            .event_function(|pad, parent, event| {
                Self::catch_panic_pad_function(parent, || false, |imp| imp.upstream_event(pad, event))
            })
            .iterate_internal_links_function(|_, parent| {
                Self::catch_panic_pad_function(parent, Self::no_links, |imp| Self::link(&imp.sinkpad))
            })
            .flags(PROXY)
            .build();
        Self {
            sinkpad,
            srcpad,
            chapters: Mutex::default(),
            settings: Mutex::default(),
            run: Mutex::default(),
            video: Mutex::default(),
            seek: Mutex::default(),
            worker: Mutex::default(),
            next_pad: AtomicU32::new(0),
        }
    }
}

impl ObjectImpl for GistSummarizer {
    fn properties() -> &'static [glib::ParamSpec] {
        PROPERTIES.as_ref()
    }

    fn signals() -> &'static [glib::subclass::Signal] {
        SIGNALS.as_ref()
    }

    fn constructed(&self) {
        self.parent_constructed();
        let obj = self.obj();
        obj.add_pad(&self.sinkpad).expect("new pad");
        obj.add_pad(&self.srcpad).expect("new pad");
        self.watch_links(&self.sinkpad);
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let (core, limits) = {
            let mut settings = lock(&self.settings);
            let before = settings.core.clone();
            settings.set(pspec.name(), value);
            ((settings.core != before).then(|| settings.core.clone()), settings.limits())
        };
        if let Some(run) = self.run() {
            run.intake.set_limits(limits);
            if let Some(core) = core {
                run.intake.command(Command::Configure(core));
            }
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        let settings = lock(&self.settings).get(pspec.name());
        settings.unwrap_or_else(|| self.read_only(pspec.name()))
    }
}

impl GstObjectImpl for GistSummarizer {}

impl ElementImpl for GistSummarizer {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Gist summarizer",
                "Filter/Analyzer/Video",
                "Writes chapters with timestamps, titles and summaries while the stream plays",
                "streamgist",
            )
        });
        Some(&*METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        static TEMPLATES: LazyLock<Vec<gst::PadTemplate>> = LazyLock::new(|| {
            let video = gst::Caps::builder("video/x-raw").build();
            let text = gst::Caps::builder("text/x-raw")
                .field("format", gst::List::new(["utf8", "pango-markup"]))
                .build();
            let chapters = gst::Caps::builder_full()
                .structure(
                    gst::Structure::builder("application/x-json")
                        .field("format", gist_core::event::SCHEMA)
                        .build(),
                )
                .structure(gst::Structure::builder("text/x-raw").field("format", "utf8").build())
                .build();
            let template = |name, direction, presence, caps: &gst::Caps| {
                gst::PadTemplate::new(name, direction, presence, caps).expect("valid template")
            };
            vec![
                template("sink", gst::PadDirection::Sink, gst::PadPresence::Always, &video),
                template("src", gst::PadDirection::Src, gst::PadPresence::Always, &video),
                template("text_%u", gst::PadDirection::Sink, gst::PadPresence::Request, &text),
                template("chapters", gst::PadDirection::Src, gst::PadPresence::Request, &chapters),
            ]
        });
        TEMPLATES.as_ref()
    }

    fn request_new_pad(
        &self,
        template: &gst::PadTemplate,
        name: Option<&str>,
        _caps: Option<&gst::Caps>,
    ) -> Option<gst::Pad> {
        if template.direction() == gst::PadDirection::Src {
            let mut chapters = lock(&self.chapters);
            if chapters.is_some() {
                return None;
            }
            let pad = gst::Pad::builder_from_template(template).name("chapters").event_function(
                |pad, parent, event| {
                    Self::catch_panic_pad_function(parent, || false, |imp| imp.upstream_event(pad, event))
                },
            );
            let pad = pad.build();
            if let Some(run) = self.run() {
                run.outbox.open(&pad).ok()?;
            }
            *chapters = Some(pad.clone());
            drop(chapters);
            self.obj().add_pad(&pad).ok()?;
            return Some(pad);
        }
        let number = name.and_then(|name| name.strip_prefix("text_")?.parse().ok());
        let number = number.unwrap_or_else(|| self.next_pad.load(Ordering::Relaxed));
        self.next_pad.fetch_max(number.saturating_add(1), Ordering::Relaxed);
        let pad = self.text_pad(template, number);
        self.watch_links(&pad);
        if self.run().is_some() {
            let _ = pad.set_active(true);
        }
        self.obj().add_pad(&pad).ok()?;
        Some(pad)
    }

    fn release_pad(&self, pad: &gst::Pad) {
        // To shut a pad is to wait for its thread: that one goes home first.
        let (run, track) = (self.run(), track(pad));
        if pad.direction() == gst::PadDirection::Src {
            *lock(&self.chapters) = None;
            if let Some(run) = run {
                run.outbox.close();
            }
            let _ = pad.set_active(false);
        } else if let Some(run) = run {
            run.intake.flush_start(track, Scope::Pad);
            let _ = pad.set_active(false);
            run.intake.remove(track);
        }
        let _ = self.obj().remove_pad(pad);
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        match transition {
            gst::StateChange::NullToReady => {
                let settings = lock(&self.settings).clone();
                if let Err(why) = backend::locate(&settings) {
                    gst::element_imp_error!(self, gst::ResourceError::NotFound, ("{why}"));
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::ReadyToPaused => {
                if let Err(error) = self.start() {
                    self.post_error_message(error);
                    return Err(gst::StateChangeError);
                }
            }
            gst::StateChange::PausedToReady => self.wake(),
            _ => {}
        }
        let success = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            self.stop();
        }
        Ok(success)
    }
}
