//! What `chapters` and `ask` have in common: the stream, the models and the texts.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{ArgAction, Args, ValueEnum, value_parser};
use gist_models::{Kind, default_model};
use gist_qwen::{ComputeDevice, LoadOptions, QwenModel};

use super::describe::Quantize;
use super::exit::Class;
use crate::run::input::{Input, Transcript};
use crate::run::{Job, Show};

/// A stream and how it is summed up.
#[derive(Args, Debug)]
pub(crate) struct StreamArgs {
    /// A file, an address (rtsp://, http://, …), or a transcript alone (.vtt, .srt)
    #[arg(value_name = "INPUT")]
    input: String,

    /// Timed text to use instead of listening: a WebVTT or SubRip file
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    transcript: Option<PathBuf>,
    /// Doesn't listen: chapters are made of pictures alone
    #[arg(long, help_heading = "Input")]
    no_speech: bool,

    /// Your own instructions for the texts, in any language
    #[arg(long, value_name = "TEXT", help_heading = "Texts")]
    prompt: Option<String>,
    /// Language of the texts by full English name (Chinese); auto is that of the prompt or the talk
    #[arg(long, value_name = "LANGUAGE", default_value = "auto", help_heading = "Texts")]
    language: String,
    /// How many chapters
    #[arg(long, value_enum, default_value_t = Granularity::Normal, help_heading = "Texts")]
    granularity: Granularity,
    /// No chapter but the last is shorter: 90, 90s, 15m, 1h [default: 20s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Texts")]
    min_chapter_duration: Option<u64>,
    /// A chapter this long is ended where that hurts least [default: 15m]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Texts")]
    max_chapter_duration: Option<u64>,
    /// How much is waited for after a possible boundary before it is decided [default: 30s]
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Texts")]
    look_ahead: Option<u64>,

    /// Instructions for a kind of stream, to which --prompt adds [default: none]
    #[arg(long, value_enum, help_heading = "Texts")]
    preset: Option<Preset>,
    /// Writes a digest of every so much of the stream, besides the one at the end: 10m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration, help_heading = "Texts")]
    digest_interval: Option<u64>,
    /// How such a digest is written [default: brief]
    #[arg(long, value_enum, requires = "digest_interval", help_heading = "Texts")]
    digest_style: Option<DigestStyle>,

    /// Language model: a name that `streamgist model list` shows, a repository of the hub that was pulled (OWNER/NAME),
    /// a GGUF file, or a folder with a Qwen3-VL, which sees the pictures themselves
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    model: Option<String>,
    /// The vision part of a model in GGUF files, if it is not in the same folder
    #[arg(long, value_name = "FILE", help_heading = "Models")]
    mmproj: Option<String>,
    /// Quantises the weights of a folder as they are read, to take less memory
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Models")]
    quantize: Option<Quantize>,
    /// What computes: auto, cpu, reference, cuda, metal
    #[arg(long, value_name = "DEVICE", help_heading = "Models")]
    device: Option<String>,
    /// How pictures lie in the prompt of a model that sees [default: stamped]
    #[arg(long, value_enum, help_heading = "Models")]
    video_layout: Option<VideoLayout>,
    /// Keeps encoded pictures in this folder, so that a file that is run again is not encoded again
    #[arg(long, value_name = "DIR", help_heading = "Models")]
    feature_cache: Option<String>,
    /// Bytes of it; what was used longest ago goes first [default: 4 GiB]
    #[arg(long, value_name = "BYTES", requires = "feature_cache", help_heading = "Models")]
    feature_cache_max_bytes: Option<u64>,
    /// What of a picture that did not change a model that sees is given [default: frames]
    #[arg(long, value_enum, help_heading = "Models")]
    gate: Option<Gate>,
    /// Speech model: a name that `streamgist model list` shows, a repository of the hub that was pulled, or a directory
    /// of a Whisper model
    #[arg(long, value_name = "MODEL", help_heading = "Models")]
    speech_model: Option<String>,
    /// Language that is spoken, as a code (en, zh) [default: found out by listening]
    #[arg(long, value_name = "CODE", help_heading = "Models")]
    speech_language: Option<String>,
    /// Tokens of the rolling context; memory grows with it [default: what the model was trained for]
    #[arg(long, value_name = "TOKENS", help_heading = "Models")]
    context_length: Option<u32>,
    /// How the rolling context is stored [default: q8]
    #[arg(long, value_enum, value_name = "TYPE", help_heading = "Models")]
    kv_type: Option<KvType>,
    /// Tokens of it that are kept for the texts of closed chapters [default: 4096]
    #[arg(long, value_name = "TOKENS", help_heading = "Models")]
    memory_length: Option<u32>,
    /// Pictures looked at per second: 1, 1/2, 5/1 [default: 1]
    #[arg(long, value_name = "RATE", value_parser = rate, help_heading = "Models")]
    fps: Option<String>,
    /// A picture is scaled down to at most this many pixels [default: 921600 to be read, 114688 for a model that sees]
    #[arg(long, value_name = "PIXELS", value_parser = value_parser!(u32).range(4096..), help_heading = "Models")]
    max_pixels: Option<u32>,

    /// Goes on with a context that --save-context wrote with the same model
    #[arg(long, value_name = "FILE", help_heading = "Input")]
    restore_context: Option<String>,
    /// What chapters call the stream
    #[arg(long, value_name = "NAME", help_heading = "Texts")]
    stream_name: Option<String>,
    /// At the end tells on standard error what the time was spent on, and how much faster than the input plays it was
    #[arg(long, help_heading = "Output")]
    profile: bool,
    /// What runs the language model; `mock` is for tests
    #[arg(long, hide = true, action = ArgAction::Set)]
    backend: Option<String>,
}

/// How the rolling context is stored.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum KvType {
    /// Half precision
    F16,
    /// 8 bits
    Q8,
    /// 4 bits
    Q4,
}

impl From<KvType> for gist_qwen::KvType {
    fn from(kv_type: KvType) -> Self {
        match kv_type {
            KvType::F16 => Self::F16,
            KvType::Q8 => Self::Q8,
            KvType::Q4 => Self::Q4,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Gate {
    /// All of it
    Off,
    /// Nothing
    Frames,
    /// The parts that changed
    Tokens,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DigestStyle {
    /// A few sentences and the titles of the chapters
    Brief,
    /// More sentences, and the chapters with their points
    Detailed,
    /// Topics, results and open questions, as of a meeting
    Minutes,
}

/// What the texts are to tell of.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum Preset {
    /// What every chapter tells
    None,
    /// Theme, technical details, opinion apart from fact, code and diagrams shown, further study
    Study,
    /// The same, asked for and answered in Chinese
    StudyZh,
    /// What a student would write down
    Lecture,
    /// Items of a programme: who, what, where and when
    Broadcast,
    /// Decisions, tasks and open questions
    Meeting,
    /// What changed in a place
    Camera,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum VideoLayout {
    /// One pair after the other, each behind its time
    Stamped,
    /// The same, with one more mark around the whole video
    Nested,
}

impl From<VideoLayout> for gist_qwen::VideoLayout {
    fn from(layout: VideoLayout) -> Self {
        match layout {
            VideoLayout::Stamped => Self::Stamped,
            VideoLayout::Nested => Self::Nested,
        }
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Granularity {
    /// About 6 an hour
    Coarse,
    /// About 12 to 18 an hour
    Normal,
    /// About 30 an hour
    Fine,
}

impl StreamArgs {
    /// The job without outputs.
    ///
    /// # Errors
    /// One sentence with its class, before anything starts.
    pub(crate) fn job(&self) -> anyhow::Result<Job> {
        let input = Input::new(&self.input)?;
        let transcript = self.transcript.as_deref().map(Transcript::new).transpose()?;
        if transcript.is_some() && matches!(input, Input::Transcript(_)) {
            return Err(
                Class::Usage.failure("the input is a transcript already: --transcript is for a video")
            );
        }
        if let Some(name) = self.model.as_deref().or_else(|| default_name(Kind::Text))
            && self.backend.is_none()
        {
            // Said before anything starts; the element checks again.
            gist_models::locate(name)?;
        }
        if let Some(path) = &self.restore_context {
            File::open(path)
                .map_err(|e| Class::Input.failure(format!("the saved context {path} cannot be read: {e}")))?;
        }
        Ok(Job {
            input,
            transcript,
            outputs: Vec::new(),
            show: Show::Chapters,
            question: None,
            save_context: None,
            summarizer: self.summarizer(),
            transcriber: (!self.no_speech).then(|| self.transcriber()),
            profile: self.profile,
        })
    }

    /// The input, when it is a saved context.
    pub(crate) fn saved_context(&self) -> Option<PathBuf> {
        let mut magic = [0; 7];
        File::open(&self.input).and_then(|mut file| file.read_exact(&mut magic)).ok()?;
        (&magic == b"GISTCTX").then(|| self.input.clone().into())
    }

    /// Whether to tell what the time was spent on.
    pub(crate) fn profile(&self) -> bool {
        self.profile
    }

    /// Language of the texts.
    pub(crate) fn language(&self) -> &str {
        &self.language
    }

    /// The language model alone.
    ///
    /// # Errors
    /// One sentence with its class.
    pub(crate) fn load(&self) -> anyhow::Result<Arc<QwenModel>> {
        let name = self.model.as_deref().or_else(|| default_name(Kind::Text)).unwrap_or_default();
        let path = gist_models::locate(name)?;
        let device = ComputeDevice::named(self.device.as_deref().unwrap_or("auto"));
        let options = LoadOptions {
            device: device.map_err(|e| Class::Usage.failure(e))?,
            mmproj: self.mmproj.clone().map(PathBuf::from),
            quantize: self.quantize.map(Into::into),
            kv_type: self.kv_type.map(Into::into).unwrap_or_default(),
            video_layout: self.video_layout.map(Into::into).unwrap_or_default(),
            // A saved context has its own size, which is checked when it is read.
            context_length: 1,
            ..LoadOptions::default()
        };
        QwenModel::load(&path, options).map_err(|e| Class::Model.failure(e.to_string()))
    }

    /// The files that are read.
    pub(crate) fn files(&self) -> impl Iterator<Item = &Path> {
        [Some(Path::new(&self.input)), self.transcript.as_deref()].into_iter().flatten()
    }

    /// Properties of `gistsummarizer`. What the user did not set is left to the element, so that both have the same
    /// defaults.
    fn summarizer(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u32>| value.map(|n| n.to_string());
        let time = |value: Option<u64>| value.map(|n| n.to_string());
        let granularity = match self.granularity {
            Granularity::Coarse => "coarse",
            Granularity::Normal => "normal",
            Granularity::Fine => "fine",
        };
        let all = [
            ("backend", self.backend.clone()),
            ("model", self.model.clone()),
            ("mmproj", self.mmproj.clone()),
            ("quantize", self.quantize.and_then(|quantize| name_of(&quantize))),
            ("device", self.device.clone()),
            ("video-layout", self.video_layout.and_then(|layout| name_of(&layout))),
            ("feature-cache", self.feature_cache.clone()),
            ("feature-cache-max-bytes", self.feature_cache_max_bytes.map(|n| n.to_string())),
            ("gate", self.gate.and_then(|gate| name_of(&gate))),
            ("kv-type", self.kv_type.and_then(|kv_type| name_of(&kv_type))),
            ("context-length", number(self.context_length)),
            ("memory-length", number(self.memory_length)),
            ("fps", self.fps.clone()),
            ("max-pixels", number(self.max_pixels)),
            ("preset", self.preset.and_then(|preset| name_of(&preset))),
            ("prompt", self.prompt.clone()),
            ("language", Some(self.language.clone())),
            ("granularity", Some(granularity.to_owned())),
            ("min-chapter-duration", time(self.min_chapter_duration)),
            ("max-chapter-duration", time(self.max_chapter_duration)),
            ("look-ahead", time(self.look_ahead)),
            ("digest-interval", time(self.digest_interval)),
            ("digest-style", self.digest_style.and_then(|style| name_of(&style))),
            ("restore-from", self.restore_context.clone()),
            ("stream-name", self.stream_name.clone()),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    fn transcriber(&self) -> Vec<(&'static str, String)> {
        let all = [("model", self.speech_model.clone()), ("language", self.speech_language.clone())];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// What a value is called on the command line, and as a property.
pub(crate) fn name_of(value: &impl ValueEnum) -> Option<String> {
    value.to_possible_value().map(|value| value.get_name().to_owned())
}

fn default_name(kind: Kind) -> Option<&'static str> {
    default_model(kind).map(|model| model.name.as_str())
}

/// `90`, `90s`, `1.5m`, `1h`, and as times are printed `1:30`, `0:01:30`, as nanoseconds.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    if let Some(time) = text.contains(':').then(|| crate::run::input::timestamp(text)).flatten() {
        return Ok(time.nseconds());
    }
    let (number, unit) = match text.char_indices().next_back() {
        Some((at, 's')) => (&text[..at], 1.0),
        Some((at, 'm')) => (&text[..at], 60.0),
        Some((at, 'h')) => (&text[..at], 3600.0),
        _ => (text, 1.0),
    };
    match number.parse::<f64>() {
        Ok(n) if n.is_finite() && (0.0..1e6).contains(&n) => Ok(gist_core::time::nanoseconds(n * unit)),
        _ => Err("a time is a number of seconds, or 90s, 15m, 1h, 1:30, 0:01:30".into()),
    }
}

/// A sampling rate as a fraction.
fn rate(text: &str) -> Result<String, String> {
    let (numerator, denominator) = text.split_once('/').unwrap_or((text, "1"));
    match (numerator.parse::<u16>(), denominator.parse::<u16>()) {
        // What the element takes.
        (Ok(n), Ok(d)) if n > 0 && d > 0 && n.div_ceil(d) <= 60 && d.div_ceil(n) <= 3600 => {
            Ok(format!("{n}/{d}"))
        }
        _ => Err("a rate is a whole number or a fraction, at most 60 and at least 1/3600: 1, 1/2".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        assert_eq!(duration("90"), Ok(90_000_000_000));
        assert_eq!(duration("1.5m"), Ok(90_000_000_000));
        assert_eq!(duration("1h"), Ok(3_600_000_000_000));
        for bad in ["", "s", "-1", "nan", "1d", "1e300", "é"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn rates_are_fractions_above_zero() {
        assert_eq!(rate("1"), Ok("1/1".into()));
        assert_eq!(rate("1/2"), Ok("1/2".into()));
        assert_eq!((rate("60/1"), rate("1/3600")), (Ok("60/1".into()), Ok("1/3600".into())));
        for bad in ["0", "1/0", "x", "61", "1/3601", "65535/1"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
    }
}
