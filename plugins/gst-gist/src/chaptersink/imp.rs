/**
 * SECTION:element-gistchaptersink
 * @title: gistchaptersink
 * @see_also: gistsummarizer
 *
 * Writes the chapters of a `gistsummarizer` to a file, in one of the formats that players, editors and video sites
 * read. The file is complete at any moment: `json-lines` appends each event as it comes; the other formats replace
 * the file in one step whenever a chapter closes, is revised, or a digest arrives, and once more at the end.
 *
 * ## Example pipeline
 * |[
 * gst-launch-1.0 filesrc location=talk.mkv ! decodebin ! videoconvert ! gistsummarizer name=s ! fakesink \
 *   s.chapters ! queue ! gistchaptersink location=talk.vtt format=webvtt
 * ]| Writes a WebVTT chapters track beside the talk, while it plays.
 *
 * Since: 0.1.0
 */
use std::io;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;

use super::Format;
use super::output::{ChapterFile, Refused};
use crate::events;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("gistchaptersink", gst::DebugColorFlags::empty(), Some("Chapters into a file"))
});

/// Times are positions in the source.
const NO_OFFSET: u64 = u64::MAX;

#[derive(Clone, Debug)]
struct Settings {
    location: Option<PathBuf>,
    format: Format,
    offset: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { location: None, format: Format::default(), offset: NO_OFFSET }
    }
}

/// From READY to PAUSED and back.
#[derive(Debug, Default)]
struct State {
    output: Option<ChapterFile>,
    malformed: u64,
}

/// Locking order: `settings` before `state`; neither is held while a message is posted.
#[derive(Debug, Default)]
pub struct ChapterSink {
    settings: Mutex<Settings>,
    state: Mutex<State>,
}

/// A panic elsewhere must not take the recording with it.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl ChapterSink {
    fn location(&self) -> String {
        lock(&self.settings).location.as_ref().map_or(String::new(), |path| path.display().to_string())
    }

    fn open(&self) -> Result<(), gst::ErrorMessage> {
        let settings = lock(&self.settings).clone();
        let Some(location) = settings.location.filter(|location| !location.as_os_str().is_empty()) else {
            return Err(gst::error_msg!(
                gst::ResourceError::NotFound,
                ("No file to write: set 'location', for example location=chapters.vtt.")
            ));
        };
        let origin = (settings.offset != NO_OFFSET).then_some(settings.offset);
        let output = ChapterFile::open(&location, settings.format.into(), origin).map_err(|error| {
            gst::error_msg!(
                gst::ResourceError::OpenWrite,
                ("Could not open '{}' for writing: {error}.", location.display())
            )
        })?;
        gst::info!(CAT, imp = self, "writing {:?} to {}", settings.format, location.display());
        *lock(&self.state) = State { output: Some(output), malformed: 0 };
        Ok(())
    }

    /// Posts the error a failed write deserves.
    fn write_failed(&self, error: &io::Error) {
        let location = self.location();
        if matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            let advice = "Free some space, or set 'location' to a disk that has some.";
            gst::element_imp_error!(
                self,
                gst::ResourceError::NoSpaceLeft,
                ("No space left to write '{location}'. {advice}"),
                ["{error}"]
            );
        } else {
            gst::element_imp_error!(
                self,
                gst::ResourceError::Write,
                ("Could not write '{location}': {error}."),
                ["{error}"]
            );
        }
    }

    /// Counts what could not be read. The bus hears of the 1st, 2nd, 4th, 8th, … so that a broken source cannot
    /// flood it; the log has them all.
    fn skip(&self, why: &str) {
        let malformed = {
            let mut state = lock(&self.state);
            state.malformed += 1;
            state.malformed
        };
        gst::warning!(CAT, imp = self, "skipped an event: {why}");
        if malformed.is_power_of_two() {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Decode,
                ("Skipped what is not a gist-chapters-v1 event ({malformed} so far): {why}.")
            );
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for ChapterSink {
    const NAME: &'static str = "GistChapterSink";
    type Type = super::ChapterSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for ChapterSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            vec![
                glib::ParamSpecString::builder("location")
                    .nick("Location")
                    .blurb("File to write; json-lines appends to one that exists, other formats replace it")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecEnum::builder_with_default("format", Format::default())
                    .nick("Format")
                    .blurb("What is written")
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("offset")
                    .nick("Offset")
                    .blurb(
                        "Running-time in nanoseconds at which the recording began that the chapters belong to; times \
                         count from there and what ended before is left out. Without it times are positions in the \
                         source (stream-time). Not applied to json-lines, which carry every time axis",
                    )
                    .default_value(NO_OFFSET)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecUInt64::builder("malformed")
                    .nick("Malformed")
                    .blurb("Events skipped since READY because they are not gist-chapters-v1")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The types were checked against the ParamSpec.
        match pspec.name() {
            "location" => settings.location = value.get().unwrap_or_default(),
            "format" => settings.format = value.get().unwrap_or_default(),
            "offset" => settings.offset = value.get().unwrap_or(NO_OFFSET),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        match pspec.name() {
            "location" => lock(&self.settings).location.to_value(),
            "format" => lock(&self.settings).format.to_value(),
            "offset" => lock(&self.settings).offset.to_value(),
            _ => lock(&self.state).malformed.to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        events::take_as_they_come(&*self.obj());
    }
}

impl GstObjectImpl for ChapterSink {}

impl ElementImpl for ChapterSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Chapter file sink",
                "Sink/File",
                "Writes chapters to a file in the formats that players, editors and video sites read",
                "The streamgist authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        events::sink_templates()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Not GstBaseSink's start and stop: those belong to NULL and READY, and READY must forget the stream.
        if transition == gst::StateChange::ReadyToPaused {
            self.open().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?;
        }
        let change = self.parent_change_state(transition)?;
        if transition == gst::StateChange::PausedToReady {
            *lock(&self.state) = State::default();
        }
        Ok(change)
    }
}

impl BaseSinkImpl for ChapterSink {
    /// Disk work on a streaming thread is right here: the `chapters` pad upstream has a task of its own, so this
    /// thread carries chapters only and no picture waits for it.
    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Could not read a buffer."));
            gst::FlowError::Error
        })?;
        let Ok(text) = std::str::from_utf8(&map) else {
            self.skip("it is not UTF-8");
            return Ok(gst::FlowSuccess::Ok);
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let taken = match &mut lock(&self.state).output {
                Some(output) => output.take(line),
                None => return Err(gst::FlowError::Flushing),
            };
            match taken {
                Ok(()) => gst::log!(CAT, imp = self, "took {line}"),
                Err(Refused::Malformed(why)) => self.skip(&why),
                Err(Refused::Write(error)) => {
                    self.write_failed(&error);
                    return Err(gst::FlowError::Error);
                }
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        // The file is whole before the bus hears of the end.
        if event.type_() == gst::EventType::Eos {
            let finished = lock(&self.state).output.as_mut().map_or(Ok(()), ChapterFile::finish);
            if let Err(error) = finished {
                self.write_failed(&error);
                return false;
            }
        }
        self.parent_event(event)
    }
}
