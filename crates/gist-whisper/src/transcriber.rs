//! The stream: samples in, timed lines out.
//!
//! Speech is cut into windows, at a pause wherever there is one. A pause of a second always ends a window; from seven
//! seconds on a short one does; at fourteen seconds the window is cut at its longest pause, or, when nobody draws
//! breath, after Whisper's last complete sentence, and the rest is heard again with the next window. Each window sees
//! the last words of the one before as its prompt, unless these are in doubt or long past.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use gist_kernels::team::on_one_core;

use crate::decode::{Decoded, Language, MAX_PROMPT, Window};
use crate::gate::{self, Gate};
use crate::mel::{FRAMES_PER_SECOND, HOP, MelStream, SAMPLE_NS};
use crate::{Error, WhisperModel, sentences};

/// The longest window, in frames.
const MAX_WINDOW: usize = 14 * FRAMES_PER_SECOND;
/// From this length on a short pause ends the window.
const GOOD_WINDOW: usize = 7 * FRAMES_PER_SECOND;
/// A pause that ends any window.
const LONG_PAUSE: usize = FRAMES_PER_SECOND;
/// A pause that ends a window of [`GOOD_WINDOW`].
const SHORT_PAUSE: usize = FRAMES_PER_SECOND * 4 / 10;
/// The shortest pause a full window is cut at.
const BREATH: usize = FRAMES_PER_SECOND * 15 / 100;
/// Kept before and after what the gate found: soft consonants are below its margin.
const PAD: usize = FRAMES_PER_SECOND * 3 / 10;
/// After a silence of this length the words before are no help any more.
const FORGET: usize = 5 * FRAMES_PER_SECOND;
/// Silence is reported at least this often.
const REPORT: usize = FRAMES_PER_SECOND;
const FRAME_NS: u64 = SAMPLE_NS * HOP as u64;

/// How to transcribe.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Language code (`en`, `zh`, `de-AT`), or `None` to listen for it.
    pub language: Option<String>,
    /// Set it to interrupt [`Transcriber::poll`], which then fails with [`Error::Cancelled`] within about 0.1 s.
    pub cancel: Arc<AtomicBool>,
}

/// A piece of text, a sentence as a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Nanoseconds from the first sample of the stream.
    pub start: u64,
    /// Nanoseconds from the first sample of the stream, after `start`.
    pub end: u64,
    /// The text, trimmed, never empty. Model output: not to be trusted, escape it where it leaves.
    pub text: String,
}

/// What became known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Something was said.
    Line(Line),
    /// Everything said before `until` (nanoseconds from the first sample) has been handed out.
    Silence {
        /// Grows from one to the next.
        until: u64,
    },
}

/// What time was spent on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Busy {
    /// Spectra, the voice activity gate, cutting into windows and lines.
    pub gate: Duration,
    /// Whisper's encoder, once a window.
    pub encoder: Duration,
    /// Whisper's decoder, token by token.
    pub decoder: Duration,
}

/// One stream's speech recognition.
///
/// What comes out depends on the samples alone, not on how they were cut into pushes.
pub struct Transcriber {
    model: Arc<WhisperModel>,
    language: Language,
    cancel: Arc<AtomicBool>,
    mel: MelStream,
    gate: Gate,
    /// log10-mel from frame `base` on.
    frames: Vec<f32>,
    /// What the gate says about these, as far as it is decided.
    active: Vec<bool>,
    /// Index of the first frame still held.
    base: usize,
    /// First frame of the window that is growing.
    window: Option<usize>,
    /// Frame after the last active one.
    spoken: usize,
    /// Everything before this frame is handed out.
    settled: usize,
    prompt: Vec<u32>,
    /// The last line, to notice when it comes again.
    last: String,
    queue: VecDeque<Output>,
    samples: u64,
    finished: bool,
    /// The end has been handed out.
    ended: bool,
    busy: Busy,
}

impl Transcriber {
    /// A new stream on a loaded model.
    ///
    /// # Errors
    /// When the model does not know the language.
    pub fn new(model: Arc<WhisperModel>, options: Options) -> Result<Self, Error> {
        let language = match options.language {
            Some(code) => match model.tokenizer.language(&code) {
                Some(_) if !model.multilingual() && !code.to_ascii_lowercase().starts_with("en") => {
                    return Err(Error::Language(code));
                }
                Some(token) => Language::Fixed(model.multilingual().then_some(token)),
                None => return Err(Error::Language(code)),
            },
            None if model.multilingual() => Language::Heard(Vec::new()),
            None => Language::Fixed(None),
        };
        Ok(Self {
            mel: MelStream::new(model.mels),
            model,
            language,
            cancel: options.cancel,
            gate: Gate::default(),
            frames: Vec::new(),
            active: Vec::new(),
            base: 0,
            window: None,
            spoken: 0,
            settled: 0,
            prompt: Vec::new(),
            last: String::new(),
            queue: VecDeque::new(),
            samples: 0,
            finished: false,
            ended: false,
            busy: Busy::default(),
        })
    }

    /// How late a line can come after its first word, computing not included: 15 s.
    pub fn latency() -> Duration {
        Duration::from_secs(((MAX_WINDOW + gate::LOOK_AHEAD) / FRAMES_PER_SECOND) as u64)
    }

    /// What time was spent on since the last call.
    pub fn take_busy(&mut self) -> Busy {
        std::mem::take(&mut self.busy)
    }

    /// Takes in 16 kHz mono samples within -1 to 1. Cheap; the work is done in [`Transcriber::poll`].
    pub fn push(&mut self, samples: &[f32]) {
        if self.finished {
            return;
        }
        let start = Instant::now();
        self.samples += samples.len() as u64;
        let before = self.frames.len();
        self.mel.push(samples, &mut self.frames);
        self.frames[before..].chunks_exact(self.model.mels).for_each(|f| self.gate.push(f));
        self.busy.gate += start.elapsed();
    }

    /// Says that no more samples come, so that the last words are not held back.
    pub fn finish(&mut self) {
        if self.finished {
            return;
        }
        self.finished = true;
        let before = self.frames.len();
        self.mel.finish(&mut self.frames);
        self.frames[before..].chunks_exact(self.model.mels).for_each(|f| self.gate.push(f));
    }

    /// The next thing known, in order of time; `None` when more samples are needed, or at the end.
    ///
    /// Computes one window at most. Call it until it returns `None`.
    ///
    /// # Errors
    /// When the network cannot be evaluated, or was interrupted; the window is then lost and the next call goes on
    /// behind it.
    pub fn poll(&mut self) -> Result<Option<Output>, Error> {
        let (start, Busy { encoder, decoder, .. }) = (Instant::now(), self.busy);
        let output = self.next();
        let whisper = self.busy.encoder + self.busy.decoder - encoder - decoder;
        self.busy.gate += start.elapsed().saturating_sub(whisper);
        output
    }

    fn next(&mut self) -> Result<Option<Output>, Error> {
        loop {
            if let Some(output) = self.queue.pop_front() {
                return Ok(Some(output));
            }
            if !self.step()? {
                return Ok(None);
            }
        }
    }

    /// Judges one frame and does what follows from it; false when there is nothing to judge.
    fn step(&mut self) -> Result<bool, Error> {
        let now = self.base + self.active.len();
        let Some(active) = self.gate.judge(self.finished) else {
            if !self.finished {
                return Ok(false);
            }
            if let Some(start) = self.window.take() {
                self.transcribe(start, now, false)?;
                return Ok(true);
            }
            let until = self.nanoseconds(usize::MAX);
            let more = !std::mem::replace(&mut self.ended, true) && self.nanoseconds(self.settled) < until;
            if more {
                self.queue.push_back(Output::Silence { until });
            }
            return Ok(more);
        };
        self.active.push(active);
        let now = now + 1;
        if active {
            self.spoken = now;
        }
        match self.window {
            None if active => self.window = Some(self.settled.max(now.saturating_sub(1 + PAD))),
            None => {
                let quiet = now.saturating_sub(PAD);
                if quiet >= self.settled + REPORT {
                    self.settle(quiet);
                }
            }
            Some(start) => {
                let (length, pause) = (now - start, now - self.spoken);
                if pause >= LONG_PAUSE || length >= GOOD_WINDOW && pause >= SHORT_PAUSE {
                    self.window = None;
                    self.transcribe(start, self.spoken + PAD, false)?;
                } else if length >= MAX_WINDOW {
                    let cut = self.breath(start + MAX_WINDOW / 3, now);
                    let end = self.transcribe(start, cut.unwrap_or(now), cut.is_none())?;
                    self.window = Some(end);
                }
            }
        }
        Ok(true)
    }

    /// The middle of the longest pause from `from` to `to`, when it is worth the name.
    fn breath(&self, from: usize, to: usize) -> Option<usize> {
        let active = &self.active[from - self.base..to - self.base];
        let mut best = (BREATH - 1, None);
        let mut start = 0;
        for (i, a) in active.iter().enumerate() {
            if *a {
                start = i + 1;
            } else if i + 1 - start > best.0 {
                best = (i + 1 - start, Some(from + (start + i) / 2));
            }
        }
        best.1
    }

    /// Decodes the frames from `start` to `end` and queues the lines. With `open` the window was cut through speech:
    /// its last sentence is left for the next one when there are others. Returns where the next window starts.
    fn transcribe(&mut self, start: usize, end: usize, open: bool) -> Result<usize, Error> {
        let mels = self.model.mels;
        let end = end.min(self.base + self.active.len());
        let frames = &self.frames[(start - self.base) * mels..(end - self.base) * mels];
        let active = self.active[start - self.base..end - self.base].to_vec();
        let (Some(first), Some(last)) = (active.iter().position(|a| *a), active.iter().rposition(|a| *a))
        else {
            self.settle(end);
            return Ok(end);
        };
        if !gate::speech_like(frames, mels, &active) {
            self.prompt.clear();
            self.settle(end);
            return Ok(end);
        }
        if start + first > self.settled + FORGET {
            self.prompt.clear();
        }
        let (model, cancel) = (Arc::clone(&self.model), Arc::clone(&self.cancel));
        let clock = Instant::now();
        let window = on_one_core(|| Window::new(&model, frames, &cancel));
        self.busy.encoder += clock.elapsed();
        let clock = Instant::now();
        let decoded = window.and_then(|mut window| on_one_core(|| self.decode(&mut window)));
        self.busy.decoder += clock.elapsed();
        let mut segments = match decoded {
            Ok(decoded) => decoded.segments,
            Err(e) => {
                self.settle(end);
                return Err(e);
            }
        };
        let mut next = end;
        if open
            && let [.., before, rest] = &segments[..]
            && rest.start >= before.end
            && rest.start > MAX_WINDOW / 4
        {
            next = start + rest.start;
            segments.pop();
        }
        for segment in segments {
            let text = model.tokenizer.text(&segment.tokens);
            let text = text.trim();
            if text.is_empty() || segment.start > last {
                continue;
            }
            self.prompt.extend(&segment.tokens);
            self.last = text.to_owned();
            // Whisper's times include the padding; the gate knows better where sound begins and ends.
            let (from, to) = (segment.start.max(first), segment.end.min(last + 1));
            for sentence in sentences::split(text, from, to.max(from + 1), &active) {
                let (from, to) = (start + sentence.start, start + sentence.end.max(sentence.start + 1));
                self.queue.push_back(Output::Line(Line {
                    start: self.nanoseconds(from),
                    end: self.nanoseconds(to),
                    text: sentence.text.to_owned(),
                }));
            }
        }
        self.prompt.drain(..self.prompt.len().saturating_sub(MAX_PROMPT));
        self.settle(next);
        Ok(next)
    }

    fn decode(&mut self, window: &mut Window<'_>) -> Result<Decoded, Error> {
        let mut decoded = window.decode(&self.prompt, &mut self.language)?;
        // The line before once more is the prompt leaking into the text, or a loop across windows.
        let again =
            |d: &Decoded| d.segments.iter().any(|s| self.model.tokenizer.text(&s.tokens).trim() == self.last);
        if !self.prompt.is_empty() && again(&decoded) {
            decoded = window.decode(&[], &mut self.language)?;
            decoded.doubtful = true;
        }
        if decoded.doubtful {
            self.prompt.clear();
        }
        Ok(decoded)
    }

    /// The time of a frame. The last ones reach beyond the last sample; no time does.
    fn nanoseconds(&self, frame: usize) -> u64 {
        (frame as u64).saturating_mul(FRAME_NS).min(self.samples * SAMPLE_NS)
    }

    /// Everything before frame `end` is handed out: says so and lets go of it.
    fn settle(&mut self, end: usize) {
        self.settled = end;
        self.queue.push_back(Output::Silence { until: self.nanoseconds(end) });
        let done = (end - self.base).min(self.active.len());
        self.frames.drain(..done * self.model.mels);
        self.active.drain(..done);
        self.base += done;
    }
}
