//! Joins the change test, the reading and the comparison with what was shown before.

use crate::ocr::Ocr;
use crate::page::{self, Shown};
use crate::scale::for_reading;
use crate::texture::has_text_like_edges;
use crate::watch::{Thumbnail, Verdict, Watch};
use crate::{Error, Picture};
use std::time::Instant;

const SECOND: u64 = 1_000_000_000;
/// Two readings of a film that has edges like text are at least this far apart.
const FILM: u64 = 10 * SECOND;
/// Each reading that finds nothing new doubles the time to the next: at most so often for pictures that settle, and
/// for films.
const SETTLED_DOUBLINGS: u32 = 2;
const FILM_DOUBLINGS: u32 = 4;
/// Pictures less wide or high have no readable text.
const MIN_SIDE: usize = 32;

/// Settings of a [`ScreenReader`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// Tesseract's codes, joined by `+`.
    pub languages: String,
    /// Two readings are at least this far apart, in nanoseconds, and up to four times as far after readings that
    /// found nothing new; what settles between waits.
    pub min_interval: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { languages: "eng+chi_sim".into(), min_interval: 3 * SECOND }
    }
}

/// New text on the screen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScreenText {
    /// When the picture changed: running-time of the first look that showed it, nanoseconds.
    pub since: u64,
    /// When it was found to have settled, nanoseconds.
    pub settled: u64,
    /// The largest line, near the top, whether new or not.
    pub heading: Option<String>,
    /// What was not on the screen before, one line per line, never empty.
    pub text: String,
    /// A new slide, not just added lines.
    pub full: bool,
}

/// Reads the screen of one stream.
pub struct ScreenReader {
    ocr: Ocr,
    min_interval: u64,
    stream: Stream,
    readings: u64,
}

/// What is forgotten on [`ScreenReader::reset`].
#[derive(Default)]
struct Stream {
    watch: Watch,
    shown: Shown,
    /// The latest picture of a change that has not settled, and its time.
    pending: Option<(u64, Picture)>,
    read_at: Option<u64>,
    /// Readings in a row that found nothing new.
    fruitless: u32,
}

impl ScreenReader {
    /// Loads Tesseract; takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`Error::Language`] with the package to install when the data of a language is missing.
    pub fn new(options: Options) -> Result<Self, Error> {
        let ocr = Ocr::new(&options.languages)?;
        Ok(Self { ocr, min_interval: options.min_interval, stream: Stream::default(), readings: 0 })
    }

    /// Looks at the picture of running-time `time`, in nanoseconds. Mostly this is the change test alone; when a
    /// change has settled the picture is read, which takes some hundred milliseconds.
    ///
    /// # Errors
    /// [`Error::Length`] when the picture's length is not its size, [`Error::Ocr`] when Tesseract fails. The next
    /// look goes on as if this picture had no text.
    pub fn look(&mut self, time: u64, picture: &Picture) -> Result<Option<ScreenText>, Error> {
        picture.check()?;
        if picture.width < MIN_SIDE || picture.height < MIN_SIDE {
            return Ok(None);
        }
        let stream = &mut self.stream;
        let elapsed = stream.read_at.map_or(u64::MAX, |at| time.saturating_sub(at));
        let due = |interval: u64, doublings: u32| {
            elapsed >= interval.saturating_mul(1 << stream.fruitless.min(doublings))
        };
        match stream.watch.look(time, Thumbnail::of(picture)) {
            Verdict::Settled { since } if due(self.min_interval, SETTLED_DOUBLINGS) => {
                self.read(since, time, &for_reading(picture))
            }
            Verdict::Settled { .. } | Verdict::Changing => {
                stream.pending = Some((time, for_reading(picture)));
                Ok(None)
            }
            Verdict::Film if due(FILM, FILM_DOUBLINGS) => self.read(time, time, &for_reading(picture)),
            Verdict::Film | Verdict::Same => {
                stream.pending = None;
                Ok(None)
            }
        }
    }

    /// The stream has ended: reads a change that had no time to settle.
    ///
    /// # Errors
    /// As [`ScreenReader::look`].
    pub fn flush(&mut self) -> Result<Option<ScreenText>, Error> {
        match (self.stream.pending.take(), self.stream.watch.pending()) {
            (Some((time, picture)), Some(since)) => self.read(since, time, &picture),
            _ => Ok(None),
        }
    }

    /// Forgets the stream: what is shown next is new.
    pub fn reset(&mut self) {
        self.stream = Stream::default();
    }

    /// How often a picture was read by OCR since this was made.
    pub fn readings(&self) -> u64 {
        self.readings
    }

    /// `picture` is scaled for reading.
    fn read(&mut self, since: u64, settled: u64, picture: &Picture) -> Result<Option<ScreenText>, Error> {
        let stream = &mut self.stream;
        stream.watch.accept();
        stream.pending = None;
        if !has_text_like_edges(picture) {
            return Ok(None);
        }
        stream.read_at = Some(settled);
        stream.fruitless += 1;
        self.readings += 1;
        let started = Instant::now();
        let lines = page::clean(self.ocr.read(picture)?);
        tracing::debug!(lines = lines.len(), milliseconds = started.elapsed().as_millis(), "read the screen");
        let news = stream.shown.update(&lines);
        if news.fresh.is_empty() {
            return Ok(None);
        }
        stream.fruitless = 0;
        let fresh: Vec<&str> = news.fresh.iter().map(|&i| lines[i].text.as_str()).collect();
        let heading = page::heading(&lines);
        Ok(Some(ScreenText { since, settled, heading, text: fresh.join("\n"), full: news.full }))
    }
}
