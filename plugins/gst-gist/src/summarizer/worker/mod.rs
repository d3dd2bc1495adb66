//! The thread that does everything slow: loads the model, reads the screen, encodes, decides, writes.

mod load;
mod look;

use std::fs::File;
use std::io::BufWriter;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use gist_core::Observation;
use gist_core::session::Session;
use gist_screen::ScreenReader;
use gst::glib;
use gst::prelude::*;

use super::CAT;
use super::backend;
use super::busy::{Busy, Stage, Stopwatch};
use super::chapters::Out;
use super::emit::{Emitter, Ways};
use super::intake::{Command, Intake, Item, Turn};
use super::pairs::Pairs;
use super::settings::Settings;

/// Steps of writing between two observations of a live stream.
const STEPS_BETWEEN: usize = 8;
/// When a live stream waits for longer than this, one step has to do, until it is caught up with.
const BEHIND: u64 = 2 * gst::ClockTime::SECOND.nseconds();
/// How often the `chapters` pad is told that nothing happened.
const GAP_INTERVAL: u64 = gst::ClockTime::SECOND.nseconds();

/// What the worker tells the outside, without a lock held for long.
#[derive(Debug, Default)]
pub(super) struct Report {
    pub(super) kv_tokens: AtomicU64,
    pub(super) kv_capacity: AtomicU64,
    pub(super) kv_evicted: AtomicU64,
    pub(super) kv_bytes: AtomicU64,
    pub(super) appended: AtomicU64,
    pub(super) pairs_encoded: AtomicU64,
    pub(super) pairs_known: AtomicU64,
    pub(super) watermark: AtomicU64,
    pub(super) busy: Busy,
    pub(super) frames_looked_at: AtomicU64,
    pub(super) errors: AtomicU64,
    pub(super) model_load_ms: AtomicU64,
    pub(super) last_error: Mutex<String>,
    pub(super) model_state: Mutex<&'static str>,
}

impl Report {
    fn state(&self, state: &'static str) {
        *self.model_state.lock().unwrap_or_else(PoisonError::into_inner) = state;
    }
}

/// One stream's worker.
pub(super) struct Worker {
    pub(super) element: glib::WeakRef<super::GistSummarizer>,
    pub(super) settings: Settings,
    pub(super) source: backend::Source,
    pub(super) intake: Arc<Intake>,
    pub(super) emitter: Emitter,
    pub(super) report: Arc<Report>,
}

/// Starts it.
///
/// # Errors
/// When the system has no thread to give.
pub(super) fn spawn(worker: Worker) -> std::io::Result<std::thread::JoinHandle<()>> {
    std::thread::Builder::new().name("gist-worker".into()).spawn(move || {
        // Video goes first: on Linux niceness is per thread, and the model's own threads inherit it.
        let _ = rustix::process::nice(10);
        let (intake, report, element) =
            (Arc::clone(&worker.intake), Arc::clone(&worker.report), worker.element.clone());
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.run()));
        let (failure, broke) = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(message)) => (message, false),
            Err(panic) => {
                let what = panic.downcast_ref::<String>().cloned();
                let what = what.or_else(|| panic.downcast_ref::<&str>().map(ToString::to_string));
                let what = what.unwrap_or_default();
                (format!("the summarizer broke down ({what}); this is a bug, please report it"), true)
            }
        };
        report.state("failed");
        // The reason first: who waits for the worker ends the stream once it has given up.
        if let Some(element) = element.upgrade() {
            let message = gst::message::Progress::builder(gst::ProgressType::Error, "gist-load", &failure);
            let _ = element.post_message(message.src(&element).build());
            if broke {
                gst::element_error!(element, gst::LibraryError::Failed, ("{failure}"));
            } else {
                gst::element_error!(element, gst::ResourceError::OpenRead, ("{failure}"));
            }
        }
        // Video goes on without us.
        intake.give_up();
    })
}

/// Everything that lives as long as the stream.
struct Live {
    session: Session,
    /// Made for the first picture: a stream of speech needs none, and loading takes some hundred milliseconds.
    reader: Option<ScreenReader>,
    /// For a model that sees.
    pairs: Pairs,
    /// The screen can't be read; said once.
    blind: bool,
    next_gap: u64,
    stopwatch: Stopwatch,
}

impl Worker {
    fn run(mut self) -> Result<(), String> {
        let Some(session) = self.load()? else { return Ok(()) };
        let (pairs, stopwatch) = (Pairs::default(), Stopwatch::start());
        let mut live = Live { session, reader: None, pairs, blind: false, next_gap: 0, stopwatch };
        loop {
            let session = &live.session;
            let busy = if self.is_behind() { session.pending() > 0 } else { session.has_work() };
            let turn = self.intake.next(busy);
            live.stopwatch = Stopwatch::start();
            match turn {
                Turn::Stop => return Ok(()),
                Turn::Work => {}
                Turn::Forget => self.forget(&mut live),
                Turn::Command(command) => self.obey(&mut live, command),
                Turn::Item(time, item) => self.take(&mut live, time, item),
                Turn::Advance(time) => self.reach(&mut live, time),
                Turn::Finish(time) => {
                    self.reach(&mut live, time);
                    self.show_last(&mut live);
                    live.session.count_frames(0, self.intake.take_dropped());
                    live.session.finish(time);
                    self.spent(&mut live, Stage::Probe);
                }
                Turn::Abandon(why) => self.abandon(&mut live, why),
            }
            self.write(&mut live);
            self.tell(&mut live.session);
            self.spent(&mut live, Stage::Other);
            // Last, as the stream may end at once: what is told of it is whole by then.
            if live.session.pending() == 0 {
                self.intake.set_drained();
            }
        }
    }

    /// What was done last was `stage`.
    fn spent(&self, live: &mut Live, stage: Stage) {
        live.stopwatch.lap(&self.report.busy, stage);
    }

    /// One step of the text that is being written; false when there is none.
    fn step(&self, live: &mut Live, position: u64) -> bool {
        self.spent(live, Stage::Other);
        let task = live.session.task();
        let more = live.session.work(position);
        self.spent(live, task.into());
        more
    }

    fn progress(&self, kind: gst::ProgressType, text: &str) {
        self.post_progress(kind, "gist-load", text);
    }

    fn post_progress(&self, kind: gst::ProgressType, code: &str, text: &str) {
        if let Some(element) = self.element.upgrade() {
            let message = gst::message::Progress::builder(kind, code, text).src(&element).build();
            let _ = element.post_message(message);
        }
    }

    fn warn(&self, text: &str) {
        if let Some(element) = self.element.upgrade() {
            gst::element_warning!(element, gst::LibraryError::Init, ("{text}"));
        }
    }

    fn obey(&mut self, live: &mut Live, command: Command) {
        match command {
            Command::Configure(config) => live.session.configure(config),
            Command::Split(title) => {
                let now = live.session.watermark();
                live.session.split_now(now, title);
            }
            Command::Save(path) => self.save(live, &path),
            Command::Ask(question, part) => live.session.ask(&question, part),
            Command::Reset => self.reset(live),
        }
    }

    /// Writes the context beside its place and moves it there when it is whole. Texts that wait are written first: a
    /// chapter without one would be in no memory.
    fn save(&self, live: &mut Live, path: &Path) {
        self.write_all(live);
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let part = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
        let written = File::create(&part).map_err(|e| e.to_string()).and_then(|file| {
            let mut file = BufWriter::with_capacity(1 << 20, file);
            live.session.save(&mut file).map_err(|e| e.to_string())?;
            let file = file.into_inner().map_err(|e| e.to_string())?;
            file.sync_all().and_then(|()| std::fs::rename(&part, path)).map_err(|e| e.to_string())
        });
        if written.is_err() {
            let _ = std::fs::remove_file(part);
        }
        self.emitter.saved(path, written.err().as_deref());
    }

    /// The stream was flushed.
    fn forget(&self, live: &mut Live) {
        live.session.forget();
        if let Some(reader) = &mut live.reader {
            reader.reset();
        }
        live.pairs.reset();
        live.next_gap = 0;
        self.emitter.forget(self.ways());
    }

    /// The user wants what was seen forgotten: the open chapter ends here, and as its text is made of just that, it is
    /// written first.
    fn reset(&mut self, live: &mut Live) {
        let now = live.session.watermark();
        live.session.split_now(now, None);
        self.write_all(live);
        if self.intake.is_over() {
            return;
        }
        live.session.reset();
        if let Some(reader) = &mut live.reader {
            reader.reset();
        }
    }

    /// There is no time left: what waits is counted, what is open ends, and what is not written goes out without text.
    fn abandon(&mut self, live: &mut Live, why: &str) {
        let mut end = live.session.watermark();
        if let Some((time, rest)) = self.intake.take_rest() {
            end = end.max(time);
            for (time, item) in rest {
                match item {
                    Item::Cut(reason) => live.session.cut(time, reason, None),
                    Item::Missed(from) => live.session.missed(from, time),
                    Item::Timeline(timeline) => live.session.set_timeline(timeline),
                    Item::Frame(_) | Item::Text(_) => {
                        let line = matches!(item, Item::Text(_));
                        live.session.begin(time);
                        live.session.count_lines(u64::from(line));
                        live.session.count_frames(0, u64::from(!line));
                    }
                }
            }
            live.session.count_frames(0, self.intake.take_dropped());
            live.session.end(end);
        }
        live.session.abandon(why, end);
    }

    fn take(&mut self, live: &mut Live, time: u64, item: Item) {
        self.reach(live, time);
        match item {
            Item::Frame(picture) => {
                live.session.begin(time);
                self.look(live, time, picture);
            }
            Item::Text(observation) => self.observe(live, observation),
            Item::Cut(reason) => {
                self.show_last(live);
                return live.session.cut(time, reason, None);
            }
            Item::Missed(from) => live.session.missed(from, time),
            Item::Timeline(timeline) => {
                live.session.set_timeline(timeline);
                live.session.begin(time);
            }
        }
        // Now that a chapter is open that can say so.
        live.session.count_frames(0, self.intake.take_dropped());
    }

    /// The stream has reached `time`, and everything up to it is known.
    fn reach(&self, live: &mut Live, time: u64) {
        live.session.advance(time);
        self.spent(live, Stage::Probe);
        if time >= live.next_gap {
            live.next_gap = time + GAP_INTERVAL;
            self.emitter.outbox.chapters(Out::Gap(time));
        }
    }

    fn observe(&mut self, live: &mut Live, observation: Observation) {
        if self.ways().observations {
            self.emitter.observation(&observation);
        }
        let observed = live.session.observe(observation);
        self.spent(live, Stage::Encode);
        if let Err(error) = observed {
            self.warn(&format!("A line could not be encoded: {error}"));
        }
    }

    /// Writes all texts that wait.
    fn write_all(&self, live: &mut Live) {
        let position = self.position(live);
        while !self.intake.is_over() && live.session.pending() > 0 && self.step(live, position) {
            self.deliver(live);
        }
    }

    /// Writes for a while. A file is written to the end of the chapter at once: nothing is lost by waiting, and its
    /// chapters come out while it plays. Live, intake goes on between steps, and while there is time the text of the
    /// chapter that seems to end is begun.
    fn write(&mut self, live: &mut Live) {
        let position = self.position(live);
        let drops = self.intake.drops();
        if drops && !self.is_behind() {
            live.session.write_ahead();
        }
        for step in 0.. {
            self.deliver(live);
            let least = usize::from(live.session.pending() > 0);
            let enough = drops && (step >= STEPS_BETWEEN || (step >= least && self.is_behind()));
            if enough || self.intake.interrupted() || !self.step(live, position) {
                break;
            }
        }
    }

    fn is_behind(&self) -> bool {
        self.intake.counters().queue_time > BEHIND
    }

    /// Running-time that the stream has reached.
    fn position(&self, live: &Live) -> u64 {
        self.intake.counters().position.max(live.session.watermark())
    }

    /// Emits what came of it, unless it is of a stream that is gone.
    fn deliver(&self, live: &mut Live) {
        let (ways, position) = (self.ways(), self.position(live));
        while !self.intake.is_stale()
            && let Some(event) = live.session.events().next()
        {
            self.emitter.emit(&event, position, ways);
        }
        live.session.answers().for_each(|answer| self.emitter.answer(&answer));
    }

    fn ways(&self) -> Ways {
        let set = self.element.upgrade().map(|element| element.ways());
        let ways = set.unwrap_or(Ways { messages: false, observations: false, toc: false, live: false });
        Ways { live: self.intake.is_live(), ..ways }
    }

    fn tell(&self, session: &mut Session) {
        if let Some(element) = self.element.upgrade() {
            session.take_log().iter().for_each(|entry| gst::log!(CAT, obj = element, "{entry}"));
        }
        let (usage, report) = (session.usage(), &self.report);
        report.kv_tokens.store(usage.tokens as u64, Ordering::Relaxed);
        report.kv_capacity.store(usage.capacity as u64, Ordering::Relaxed);
        report.kv_evicted.store(usage.evicted, Ordering::Relaxed);
        report.kv_bytes.store(usage.bytes, Ordering::Relaxed);
        report.appended.store(usage.appended, Ordering::Relaxed);
        report.pairs_encoded.store(usage.pairs_encoded, Ordering::Relaxed);
        report.pairs_known.store(usage.pairs_known, Ordering::Relaxed);
        report.watermark.store(session.watermark(), Ordering::Relaxed);
        let (errors, last) = session.errors();
        report.errors.store(errors, Ordering::Relaxed);
        if let Some(last) = last {
            last.clone_into(&mut report.last_error.lock().unwrap_or_else(PoisonError::into_inner));
        }
    }
}
