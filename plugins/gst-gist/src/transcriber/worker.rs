//! The thread that listens: samples and marks in, buffers and events out.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;

use gist_whisper::{Error, Options, Output, SAMPLE_NS, Transcriber, WhisperModel};
use gst::glib;
use gst::prelude::*;

use super::intake::{Intake, Item, Mark};
use super::outbox::{Out, Outbox};
use super::stats::Report;
use super::{CAT, GistTranscriber, models};

/// Name of the progress messages.
const PROGRESS: &str = "gist-load";

/// What the thread needs.
pub(super) struct Worker {
    pub(super) element: glib::WeakRef<GistTranscriber>,
    pub(super) model: PathBuf,
    pub(super) language: Option<String>,
    pub(super) intake: Arc<Intake>,
    pub(super) outbox: Arc<Outbox>,
    pub(super) report: Arc<Report>,
}

/// Starts the thread. It ends after [`Intake::stop`].
pub(super) fn spawn(worker: Worker) -> std::io::Result<JoinHandle<()>> {
    std::thread::Builder::new().name("gist-whisper".into()).spawn(move || {
        // Video goes first: on Linux niceness is per thread, and the threads of the model inherit it.
        let _ = rustix::process::nice(10);
        let outcome = catch_unwind(AssertUnwindSafe(|| worker.run()));
        let failure = match outcome {
            Ok(Ok(())) => return,
            Ok(Err(why)) => failure(&why),
            Err(_) => gst::error_msg!(
                gst::LibraryError::Failed,
                ("speech recognition has crashed; this is a bug, please report it")
            ),
        };
        // The reason first: upstream answers the failing flow with an error of its own that says nothing.
        if let Some(element) = worker.element.upgrade() {
            element.post_error_message(failure);
        }
        worker.intake.fail();
    })
}

/// The message of an error. Its code tells programs what is to blame: the model (NOT_FOUND, OPEN_READ), a property
/// (SETTINGS) or what became of the stream.
fn failure(why: &Error) -> gst::ErrorMessage {
    match why {
        Error::Io { source, .. } if source.kind() == std::io::ErrorKind::NotFound => {
            gst::error_msg!(gst::ResourceError::NotFound, ("{why}"))
        }
        Error::Io { .. } | Error::Format { .. } => gst::error_msg!(gst::ResourceError::OpenRead, ("{why}")),
        Error::Language(_) => gst::error_msg!(gst::LibraryError::Settings, ("{why}")),
        Error::Cancelled => gst::error_msg!(gst::StreamError::Failed, ("{why}")),
    }
}

impl Worker {
    fn run(&self) -> Result<(), Error> {
        let model = self.load()?;
        let mut listener = Listener {
            worker: self,
            model,
            epoch: 0,
            cancel: Arc::default(),
            stretch: None,
            next: 0,
            position: None,
        };
        loop {
            let (epoch, cancel, item) = self.intake.next();
            if epoch != listener.epoch {
                listener.forget(epoch);
            }
            listener.cancel = cancel;
            let done = match item {
                Item::Stop => return Ok(()),
                Item::Samples(at, samples) => listener.samples(at, &samples),
                Item::Mark(at, mark) => listener.mark(at, mark),
            };
            match done {
                // Flushed or stopped: the next item says which.
                Err(Error::Cancelled) => {}
                other => other?,
            }
        }
    }

    fn load(&self) -> Result<Arc<WhisperModel>, Error> {
        self.progress(gst::ProgressType::Start, "loading the speech model");
        let clock = std::time::Instant::now();
        let model = models::load(&self.model).and_then(|model| {
            // An unknown language is refused before the stream begins.
            Transcriber::new(Arc::clone(&model), self.options(Arc::default())).map(|_| model)
        });
        match &model {
            Ok(_) => {
                self.report.loaded(clock.elapsed());
                gst::info!(CAT, "{} loaded in {:.1?}", self.model.display(), clock.elapsed());
                self.progress(gst::ProgressType::Complete, "speech model loaded");
            }
            Err(why) => self.progress(gst::ProgressType::Error, &why.to_string()),
        }
        model
    }

    fn progress(&self, kind: gst::ProgressType, text: &str) {
        if let Some(element) = self.element.upgrade() {
            let message = gst::message::Progress::builder(kind, PROGRESS, text).src(&element).build();
            let _ = element.post_message(message);
        }
    }

    fn options(&self, cancel: Arc<AtomicBool>) -> Options {
        Options { language: self.language.clone(), cancel }
    }
}

/// A run of samples without a break, heard as one.
struct Stretch {
    transcriber: Transcriber,
    times: Times,
}

/// Where the samples of a stretch lie in time.
struct Times {
    /// Count of the first sample.
    first: u64,
    /// Nanoseconds from the first sample, and the PTS there. Never empty.
    known: VecDeque<(u64, gst::ClockTime)>,
}

impl Times {
    fn new(first: u64, pts: gst::ClockTime) -> Self {
        Self { first, known: [(0, pts)].into() }
    }

    /// From the sample of this count on, this is the PTS.
    fn push(&mut self, count: u64, pts: gst::ClockTime) {
        self.known.push_back((self.nanoseconds(count), pts));
    }

    /// What lies before is settled; its times are needed no more, but for the last.
    fn settle(&mut self, until: u64) {
        while self.known.get(1).is_some_and(|(at, _)| *at <= until) {
            self.known.pop_front();
        }
    }

    /// The PTS so many nanoseconds from the first sample.
    fn pts(&self, ns: u64) -> gst::ClockTime {
        let known = self.known.iter().rfind(|(at, _)| *at <= ns).or(self.known.front());
        known.map_or(gst::ClockTime::ZERO, |(at, pts)| {
            pts.saturating_add(gst::ClockTime::from_nseconds(ns.saturating_sub(*at)))
        })
    }

    /// Nanoseconds from the first sample to the one of this count.
    fn nanoseconds(&self, count: u64) -> u64 {
        count.saturating_sub(self.first) * SAMPLE_NS
    }
}

/// The state of the thread.
struct Listener<'a> {
    worker: &'a Worker,
    model: Arc<WhisperModel>,
    epoch: u64,
    cancel: Arc<AtomicBool>,
    stretch: Option<Stretch>,
    /// Count of the sample expected next.
    next: u64,
    /// How far the output is.
    position: Option<gst::ClockTime>,
}

impl Listener<'_> {
    /// A flush: nothing of the old epoch counts any more.
    fn forget(&mut self, epoch: u64) {
        self.epoch = epoch;
        self.stretch = None;
        self.position = None;
    }

    fn out(&self, out: Out) {
        self.worker.outbox.push(self.epoch, out);
    }

    fn samples(&mut self, at: u64, samples: &[f32]) -> Result<(), Error> {
        if at != self.next
            && let Some(stretch) = &self.stretch
        {
            // The ring was full and lost what lies between.
            let pts = stretch.times.pts(stretch.times.nanoseconds(at));
            self.restart(at, pts)?;
        }
        self.next = at + samples.len() as u64;
        if let Some(stretch) = &mut self.stretch {
            stretch.transcriber.push(samples);
        }
        self.poll()
    }

    fn mark(&mut self, at: u64, mark: Mark) -> Result<(), Error> {
        match mark {
            Mark::Restart(pts) => self.restart(at, pts),
            Mark::Time(pts) => {
                if let Some(stretch) = &mut self.stretch {
                    stretch.times.push(at, pts);
                }
                Ok(())
            }
            Mark::Event(event) => self.event(event),
        }
    }

    /// Finishes what was said and begins anew at `pts`.
    fn restart(&mut self, at: u64, pts: gst::ClockTime) -> Result<(), Error> {
        self.drain()?;
        let options = self.worker.options(Arc::clone(&self.cancel));
        let transcriber = Transcriber::new(Arc::clone(&self.model), options)?;
        self.stretch = Some(Stretch { transcriber, times: Times::new(at, pts) });
        self.next = at;
        // Times may go backwards at a restart. The GAP lets sinks preroll before the first words are known.
        self.position = Some(pts);
        self.out(Out::Event(gst::event::Gap::builder(pts).duration(gst::ClockTime::ZERO).build()));
        Ok(())
    }

    /// Gets the last words of the stretch out.
    fn drain(&mut self) -> Result<(), Error> {
        if let Some(stretch) = &mut self.stretch {
            stretch.transcriber.finish();
        }
        let done = self.poll();
        self.stretch = None;
        done
    }

    fn poll(&mut self) -> Result<(), Error> {
        while let Some(stretch) = &mut self.stretch {
            let output = stretch.transcriber.poll();
            // Before the line goes out: who has the last one finds its cost counted.
            self.worker.report.add(stretch.transcriber.take_busy());
            let Some(output) = output? else { break };
            match output {
                Output::Line(line) => {
                    let (start, end) = (stretch.times.pts(line.start), stretch.times.pts(line.end));
                    let mut buffer = gst::Buffer::from_slice(line.text);
                    let fields = buffer.make_mut();
                    fields.set_pts(start);
                    fields.set_duration(end.saturating_sub(start));
                    self.position = self.position.max(Some(end));
                    self.out(Out::Buffer(buffer));
                }
                Output::Silence { until } => {
                    stretch.times.settle(until);
                    let until = stretch.times.pts(until);
                    self.gap(until);
                }
            }
        }
        Ok(())
    }

    /// Says that there is nothing up to `until`.
    fn gap(&mut self, until: gst::ClockTime) {
        let from = self.position.unwrap_or(until);
        if until > from {
            self.position = Some(until);
            self.out(Out::Event(gst::event::Gap::builder(from).duration(until - from).build()));
        }
    }

    fn event(&mut self, event: gst::Event) -> Result<(), Error> {
        use gst::EventView;
        // Events between words (tags, say) do not interrupt them; these do.
        let ends = matches!(
            event.view(),
            EventView::StreamStart(_) | EventView::Segment(_) | EventView::Gap(_) | EventView::Eos(_)
        );
        let drained = if ends { self.drain() } else { Ok(()) };
        if let EventView::Gap(gap) = event.view() {
            let (start, duration) = gap.get();
            self.gap(start.saturating_add(duration.unwrap_or_default()));
            return drained;
        }
        let segment = matches!(event.view(), EventView::Segment(_));
        self.out(Out::Event(event));
        if segment {
            self.position = None;
            let latency = Transcriber::latency().as_nanos() as u64;
            let latency = gst::Structure::builder("gist/latency").field("latency", latency).build();
            self.out(Out::Event(gst::event::CustomDownstreamSticky::new(latency)));
        }
        drained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_hold_after_a_month_of_unbroken_sound() {
        const DAY: u64 = 24 * 3600;
        let mut times = Times::new(160, gst::ClockTime::SECOND);
        for days in [13, 14, 30] {
            let count = 160 + days * DAY * gist_whisper::SAMPLE_RATE as u64;
            let pts = times.pts(times.nanoseconds(count));
            assert_eq!(pts, gst::ClockTime::from_seconds(days * DAY + 1), "day {days}");
        }
        times.push(160 + 16_000, gst::ClockTime::from_seconds(10));
        assert_eq!(times.pts(1_500_000_000), gst::ClockTime::from_mseconds(10_500));
        times.settle(1_000_000_000);
        assert_eq!(times.known.len(), 1);
    }

    #[test]
    fn the_end_of_all_time_is_no_panic() {
        let times = Times::new(0, gst::ClockTime::MAX);
        assert_eq!(times.pts(2_000_000_000), gst::ClockTime::MAX);
    }
}
