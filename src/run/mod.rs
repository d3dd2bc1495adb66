//! Builds a pipeline for an input and drives it to its end.
//!
//! * [`input`]: what the user named, checked before anything starts
//! * [`pipeline`]: the elements and how they are joined
//! * [`media`]: those that depend on what the input holds
//! * [`content`]: whether there is anything in it
//! * [`failure`]: what an error message of a pipeline means to the user
//! * [`screen`]: what the user sees meanwhile
//! * [`profile`]: what the time was spent on

mod content;
pub(crate) mod failure;
pub(crate) mod input;
pub(crate) mod media;
pub(crate) mod pipeline;
mod profile;
pub(crate) mod screen;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use anyhow::Context;
use gist_core::ChapterEvent;
use gist_core::event::Kind;
use gist_core::export::Format;
use gst::prelude::*;
use gst::{MessageView, glib};

use crate::cli::exit::Class;
use input::{Input, Transcript, redact};
use pipeline::Pipeline;
use screen::Screen;

/// How often the progress bar moves.
const TICK: gst::ClockTime = gst::ClockTime::from_mseconds(200);

/// A file chapters are written to.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) path: PathBuf,
    pub(crate) format: Format,
}

/// What is to be done.
#[derive(Debug)]
pub(crate) struct Job {
    pub(crate) input: Input,
    /// Instead of transcribing the speech.
    pub(crate) transcript: Option<Transcript>,
    pub(crate) outputs: Vec<Output>,
    pub(crate) show: Show,
    /// Asked when the stream has ended.
    pub(crate) question: Option<Question>,
    /// Where the context is saved when the stream has ended.
    pub(crate) save_context: Option<PathBuf>,
    /// Properties of `gistsummarizer`, as on a `gst-launch-1.0` command line.
    pub(crate) summarizer: Vec<(&'static str, String)>,
    /// Properties of `gisttranscriber`; `None` leaves speech alone.
    pub(crate) transcriber: Option<Vec<(&'static str, String)>>,
    /// Whether to tell what the time was spent on.
    pub(crate) profile: bool,
}

/// What goes to standard output meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Show {
    /// Chapters and digest, for people.
    Chapters,
    /// JSON lines.
    Json,
    /// Nothing.
    Nothing,
}

/// A question about the stream.
#[derive(Debug)]
pub(crate) struct Question {
    pub(crate) text: String,
    /// A part of stream-time, in nanoseconds.
    pub(crate) part: Option<(u64, u64)>,
    /// The answer is wanted as a JSON object.
    pub(crate) json: bool,
}

/// Does the job: chapters are shown as they close and written to the outputs.
///
/// # Errors
/// One sentence with its class.
pub(crate) fn run(job: &Job) -> anyhow::Result<()> {
    start_gstreamer()?;
    input::check_scheme(&job.input)?;
    let outputs = job.outputs.iter().map(open).collect::<anyhow::Result<Vec<_>>>()?;
    let mut pipeline = Pipeline::build(job, &outputs)?;
    let interrupts = interrupts()?;
    let mut screen = Screen::new(job.show);
    screen.length(job.known_length());
    let start = Instant::now();
    let outcome = drive(&mut pipeline, &mut screen, &interrupts, job);
    let stats = pipeline.stats();
    let profile = job.profile.then(|| profile::of(&pipeline, start.elapsed()));
    // An outcome is there; what the elements say while they stop changes nothing.
    let _ = pipeline.element().set_state(gst::State::Null);
    screen.finish();
    outcome?;
    if screen.chapters() == 0 && job.question.is_none() {
        eprintln!("No chapters: nothing was said, written or shown that could be summed up.");
    }
    for output in outputs {
        eprintln!("{} ({})", output.path.display(), output.format);
    }
    if let Some(profile) = profile {
        eprintln!("{profile}");
    }
    tracing::info!("{stats}");
    Ok(())
}

/// GStreamer with our elements in it.
///
/// # Errors
/// [`Class::Pipeline`].
pub(crate) fn start_gstreamer() -> anyhow::Result<()> {
    // What libraries warn of among themselves, a pipeline that is stopped amid data say, is for the log.
    glib::log_set_default_handler(|domain, level, text| {
        let domain = domain.unwrap_or_default();
        match level {
            glib::LogLevel::Error | glib::LogLevel::Critical => tracing::error!("{domain}: {}", redact(text)),
            glib::LogLevel::Warning => tracing::warn!("{domain}: {}", redact(text)),
            _ => tracing::debug!("{domain}: {}", redact(text)),
        }
    });
    gst::init().map_err(|e| Class::Pipeline.failure(format!("GStreamer can't be started: {e}")))?;
    gstgist::plugin_register_static()
        .map_err(|e| Class::Pipeline.failure(format!("the elements of streamgist can't be registered: {e}")))
}

/// Makes sure an output can be written before an hour is spent on it. JSON lines begin anew: the element that
/// writes them would append, which is right for a service and not for a command that is run again.
fn open(output: &Output) -> anyhow::Result<Output> {
    let fail =
        |e: std::io::Error| Class::Output.failure(format!("can't write {}: {e}", output.path.display()));
    let is_special = output.path.metadata().is_ok_and(|m| !m.is_file() && !m.is_dir());
    if output.format == Format::JsonLines && !is_special {
        std::fs::File::create(&output.path).map_err(fail)?;
    }
    Ok(output.clone())
}

/// Counts Ctrl-C. The second one ends the process where it stands.
fn interrupts() -> anyhow::Result<Arc<AtomicUsize>> {
    let count = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&count);
    ctrlc::set_handler(move || {
        if counter.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    })
    .context("signals can't be handled")?;
    Ok(count)
}

impl Job {
    /// Of a transcript alone the length is known from its last line.
    fn known_length(&self) -> Option<gst::ClockTime> {
        match &self.input {
            Input::Transcript(transcript) => Some(transcript.length),
            Input::Media { .. } => None,
        }
    }
}

/// Runs the pipeline until its end.
fn drive(
    pipeline: &mut Pipeline,
    screen: &mut Screen,
    interrupts: &AtomicUsize,
    job: &Job,
) -> anyhow::Result<()> {
    let element = pipeline.element().clone();
    let bus = element.bus().context("the pipeline has no bus")?;
    // When this fails there is a message on the bus that says why.
    let started = element.set_state(gst::State::Playing);
    let mut stopping = false;
    let mut missing = None;
    loop {
        if interrupts.load(Ordering::SeqCst) > 0 && !stopping {
            stopping = true;
            screen.say("Stopping: the last chapter is being written. Ctrl-C again stops at once.");
            pipeline.stop();
        }
        match bus.timed_pop(TICK) {
            None if started.is_err() => {
                return Err(Class::Pipeline.failure("the pipeline did not start and did not say why"));
            }
            None if pipeline.is_empty() => return Err(failure::nothing_in_it(missing.as_deref(), job)),
            None => screen.progress(pipeline.position(), pipeline.duration()),
            Some(message) => match message.view() {
                // The stream may end before the message of a worker that broke down is here.
                MessageView::Eos(_) if pipeline.failed() => {}
                MessageView::Eos(_) if !stopping && !pipeline.found_something() => {
                    return Err(failure::nothing_in_it(missing.as_deref(), job));
                }
                MessageView::Eos(_) => {
                    if let Some(what) = missing.take() {
                        screen.say(&format!(
                            "Left out, for want of a plugin: {what} (see `streamgist doctor`)"
                        ));
                    }
                    timed(&pipeline.stats(), screen, job)?;
                    // The element obeys until it is stopped; what it answers is one more message.
                    match (&job.question, &job.save_context) {
                        (Some(question), _) => pipeline.ask(question),
                        (None, Some(path)) => pipeline.save(path),
                        (None, None) => return Ok(()),
                    }
                }
                MessageView::Element(details) if details.has_name("gist-context-saved") => {
                    return saved(details, screen);
                }
                MessageView::Element(details) if details.has_name("gist-answer") => {
                    return answered(details, screen, job);
                }
                MessageView::Error(error) => return Err(failure::explain(error, missing.as_deref(), job)),
                MessageView::Warning(warning) => screen.say(&failure::warning(warning, job)),
                MessageView::Progress(progress) => {
                    let (_, code, text) = progress.get();
                    match code {
                        "gist-load" => screen.loading(text),
                        // Worth a line that stays.
                        "gist-memory" => screen.say(text),
                        _ => {}
                    }
                }
                MessageView::Latency(_) => {
                    let _ = element.recalculate_latency();
                }
                MessageView::Element(details) => {
                    missing = failure::missing(details).or(missing);
                    told(details, screen)?;
                }
                _ => {}
            },
        }
    }
}

/// Pictures without times can't be divided into chapters; words beside them can.
fn timed(stats: &gst::Structure, screen: &Screen, job: &Job) -> anyhow::Result<()> {
    let count = |name| stats.get::<u64>(name).unwrap_or_default();
    // The first one has the time at which the stream begins.
    if count("frames-no-pts") == 0 || count("frames-no-pts") + 1 < count("frames-in") {
        return Ok(());
    }
    let name = job.input.name();
    let why =
        format!("the pictures of {name} have no times (PTS); put it into a container that gives them some");
    if count("text-lines") == 0 {
        return Err(Class::Input.failure(format!("{why}, for example: ffmpeg -i {name} {name}.mkv")));
    }
    screen.say(&format!("Warning: {why}"));
    Ok(())
}

/// Tells where the context is.
fn saved(message: &gst::message::Element, screen: &Screen) -> anyhow::Result<()> {
    let details = message.structure().context("a saved context without a place")?;
    let field = |name: &str| details.get::<String>(name).unwrap_or_default();
    let (location, error) = (field("location"), field("error"));
    if !error.is_empty() {
        return Err(Class::Output.failure(format!("the context cannot be saved to {location}: {error}")));
    }
    screen.say(&format!("{location} (saved context)"));
    Ok(())
}

/// Prints the answer.
fn answered(message: &gst::message::Element, screen: &Screen, job: &Job) -> anyhow::Result<()> {
    let details = message.structure().context("an answer without words")?;
    let field = |name: &str| details.get::<String>(name).unwrap_or_default();
    let (text, error) = (field("text"), field("error"));
    if !error.is_empty() {
        return Err(Class::Other.failure(format!("there is no answer: {error}")));
    }
    if job.question.as_ref().is_some_and(|question| question.json) {
        let statements: serde_json::Value = serde_json::from_str(&field("statements"))?;
        let answer = serde_json::json!({"question": field("question"), "statements": statements});
        screen.answer(&answer.to_string());
    } else {
        screen.answer(&text);
    }
    Ok(())
}

/// What our own elements, and this module's own watch over the pipeline, tell.
fn told(message: &gst::message::Element, screen: &mut Screen) -> anyhow::Result<()> {
    let Some(details) = message.structure() else { return Ok(()) };
    match details.name().as_str() {
        "gist-chapter" | "gist-digest" => {
            let json: String = details.get("json").unwrap_or_default();
            let event: ChapterEvent =
                serde_json::from_str(&json).context("the summarizer sent something that is no chapter")?;
            screen.line(&json);
            match event.kind {
                Kind::Closed | Kind::Revised => screen.chapter(&event),
                Kind::Digest => screen.digest(&event),
                Kind::Opened | Kind::Updated => {}
            }
        }
        "gist-overload" => {
            let dropped: u64 = details.get("dropped").unwrap_or_default();
            screen.say(&format!(
                "This machine is slower than the stream: {dropped} sampled pictures were left out."
            ));
        }
        media::NOTHING_TO_SEE_OR_HEAR => {
            let why: String = details.get("why").unwrap_or_default();
            return Err(Class::Input.failure(why));
        }
        _ => {}
    }
    Ok(())
}
