//! The properties that can be set, with their defaults and their place in the core's [`Config`].

use std::sync::LazyLock;

use gist_core::config::Granularity as CoreGranularity;
use gst::glib;
use gst::prelude::*;

use gist_qwen::FeatureFolder;

use super::intake::Limits;

const SECOND: u64 = gst::ClockTime::SECOND.nseconds();

/// What runs the model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistBackend")]
#[repr(i32)]
pub enum Backend {
    /// The model named by `model`, on candle.
    #[default]
    #[enum_value(name = "Candle: the model named by `model`", nick = "candle")]
    Candle,
    /// A model without weights, for tests; `model` holds its script.
    #[enum_value(name = "Mock: no weights, for tests", nick = "mock")]
    Mock,
}

/// How many chapters an hour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistGranularity")]
#[repr(i32)]
pub enum Granularity {
    /// Few chapters.
    #[enum_value(name = "Coarse: about 6 chapters an hour", nick = "coarse")]
    Coarse,
    /// As people would.
    #[default]
    #[enum_value(name = "Normal: about 12 to 18 chapters an hour", nick = "normal")]
    Normal,
    /// Many chapters.
    #[enum_value(name = "Fine: about 30 chapters an hour", nick = "fine")]
    Fine,
}

/// What happens when the model is slower than the stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistOverloadPolicy")]
#[repr(i32)]
pub enum OverloadPolicy {
    /// By what upstream says of itself.
    #[default]
    #[enum_value(name = "Auto: live streams drop-oldest, files block", nick = "auto")]
    Auto,
    /// Wait.
    #[enum_value(name = "Block: the stream waits, nothing is lost", nick = "block")]
    Block,
    /// Drop sampled frames.
    #[enum_value(
        name = "Drop oldest: the oldest sampled frames are dropped, never text",
        nick = "drop-oldest"
    )]
    DropOldest,
    /// Sample less.
    #[enum_value(name = "Thin: sample at half the rate while behind, then drop oldest", nick = "thin")]
    Thin,
}

/// What of a picture that did not change a model that sees is given.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistGate")]
#[repr(i32)]
pub enum Gate {
    /// All of it.
    #[enum_value(name = "Off: every sampled picture is encoded", nick = "off")]
    Off,
    /// Nothing.
    #[default]
    #[enum_value(name = "Frames: a picture that shows nothing new is left out", nick = "frames")]
    Frames,
    /// The parts that changed.
    #[enum_value(name = "Tokens: only the parts that changed are encoded", nick = "tokens")]
    Tokens,
}

impl From<Gate> for gist_core::picture::Gate {
    fn from(gate: Gate) -> Self {
        match gate {
            Gate::Off => Self::Off,
            Gate::Frames => Self::Frames,
            Gate::Tokens => Self::Tokens,
        }
    }
}

/// How weights of floats are held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstGistQuantize")]
#[repr(i32)]
pub enum Quantize {
    /// As in the file.
    #[default]
    #[enum_value(name = "None: as they are in the file", nick = "none")]
    None,
    /// 8 bits.
    #[enum_value(name = "Q8: 8 bits", nick = "q8")]
    Q8,
    /// 4 bits.
    #[enum_value(name = "Q4: 4 bits", nick = "q4")]
    Q4,
}

/// How much of the window an answer reads.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistAttention")]
#[repr(i32)]
pub enum Attention {
    /// All of it.
    #[default]
    #[enum_value(name = "Exact: all of the window", nick = "exact")]
    Exact,
    /// The pages that matter most.
    #[enum_value(
        name = "Sparse: the pages that matter most, as many as attention-budget says",
        nick = "sparse"
    )]
    Sparse,
}

/// What becomes of the rest when the oldest segments are evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistEviction")]
#[repr(i32)]
pub enum Eviction {
    /// Nothing is touched.
    #[default]
    #[enum_value(
        name = "Moving sinks: nothing is touched, the prompt stands right before the window",
        nick = "moving-sinks"
    )]
    MovingSinks,
    /// Nothing is touched.
    #[enum_value(name = "Keep: nothing is touched, the prompt stays where it was", nick = "keep")]
    Keep,
    /// All is encoded anew.
    #[enum_value(name = "Recompute: the window is encoded anew, slow, to compare with", nick = "recompute")]
    Recompute,
}

/// How the rolling context is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstGistKvType")]
#[repr(i32)]
pub enum KvType {
    /// Half precision.
    #[enum_value(name = "F16: half precision", nick = "f16")]
    F16,
    /// 8 bits.
    #[default]
    #[enum_value(name = "Q8: 8 bits and half a bit of scales", nick = "q8")]
    Q8,
    /// 4 bits.
    #[enum_value(name = "Q4: 4 bits and half a bit of scales", nick = "q4")]
    Q4,
}

/// How pictures lie in the prompt.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, glib::Enum)]
#[enum_type(name = "GstGistVideoLayout")]
#[repr(i32)]
pub enum VideoLayout {
    /// One after the other.
    #[default]
    #[enum_value(name = "Stamped: one pair after the other, each behind its time", nick = "stamped")]
    Stamped,
    /// One more mark around all of them.
    #[enum_value(name = "Nested: the same, with one more mark around the whole video", nick = "nested")]
    Nested,
}

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) backend: Backend,
    pub(super) model: String,
    pub(super) mmproj: String,
    pub(super) device: String,
    pub(super) quantize: Quantize,
    pub(super) video_layout: VideoLayout,
    pub(super) feature_cache: String,
    pub(super) feature_cache_max_bytes: u64,
    pub(super) kv_type: KvType,
    pub(super) eviction: Eviction,
    pub(super) attention: Attention,
    pub(super) attention_budget: u32,
    pub(super) context_length: u32,
    pub(super) memory_length: u32,
    pub(super) fps: gst::Fraction,
    pub(super) max_pixels: u32,
    pub(super) gate: Gate,
    pub(super) granularity: Granularity,
    pub(super) core: gist_core::Config,
    pub(super) overload_policy: OverloadPolicy,
    pub(super) max_queue_time: u64,
    pub(super) text_latency: u64,
    pub(super) gap_threshold: u64,
    pub(super) eos_timeout: u64,
    pub(super) stream_name: String,
    pub(super) session_id: String,
    pub(super) first_index: u64,
    pub(super) restore_from: String,
    pub(super) post_messages: bool,
    pub(super) emit_toc: bool,
    pub(super) passthrough: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::Candle,
            model: gist_models::default_model(gist_models::Kind::Text)
                .map_or_else(String::new, |m| m.name.clone()),
            mmproj: String::new(),
            device: "auto".into(),
            quantize: Quantize::None,
            video_layout: VideoLayout::Stamped,
            feature_cache: String::new(),
            feature_cache_max_bytes: 4 << 30,
            kv_type: KvType::Q8,
            eviction: Eviction::MovingSinks,
            attention: Attention::Exact,
            attention_budget: 4096,
            context_length: 0,
            memory_length: 4096,
            fps: gst::Fraction::new(1, 1),
            max_pixels: 0,
            gate: Gate::Frames,
            granularity: Granularity::Normal,
            core: gist_core::Config::default(),
            overload_policy: OverloadPolicy::Auto,
            max_queue_time: 10 * SECOND,
            text_latency: 20 * SECOND,
            gap_threshold: 5 * SECOND,
            eos_timeout: u64::MAX,
            stream_name: String::new(),
            session_id: String::new(),
            first_index: 0,
            restore_from: String::new(),
            post_messages: true,
            emit_toc: true,
            passthrough: false,
        }
    }
}

impl Settings {
    pub(super) fn limits(&self) -> Limits {
        let block = match self.overload_policy {
            OverloadPolicy::Auto => None,
            OverloadPolicy::Block => Some(true),
            OverloadPolicy::DropOldest | OverloadPolicy::Thin => Some(false),
        };
        Limits { max_queue_time: self.max_queue_time, text_latency: self.text_latency, block }
    }

    /// The file with the vision part of the model, if one is named.
    pub(super) fn mmproj(&self) -> Option<std::path::PathBuf> {
        (!self.mmproj.is_empty()).then(|| self.mmproj.clone().into())
    }

    pub(super) fn eviction(&self) -> gist_core::model::Eviction {
        match self.eviction {
            Eviction::MovingSinks => gist_core::model::Eviction::MovingSinks,
            Eviction::Keep => gist_core::model::Eviction::Keep,
            Eviction::Recompute => gist_core::model::Eviction::Recompute,
        }
    }

    pub(super) fn attention_budget(&self) -> Option<usize> {
        (self.attention == Attention::Sparse).then_some(self.attention_budget as usize)
    }

    /// The saved context to go on with.
    pub(super) fn restore_from(&self) -> Option<std::path::PathBuf> {
        (!self.restore_from.is_empty()).then(|| self.restore_from.clone().into())
    }

    /// Where encoded pairs are kept, if anywhere.
    pub(super) fn features(&self) -> Option<FeatureFolder> {
        let folder = || FeatureFolder {
            path: self.feature_cache.clone().into(),
            max_bytes: self.feature_cache_max_bytes,
        };
        (!self.feature_cache.is_empty()).then(folder)
    }

    /// Nanoseconds between two samples.
    pub(super) fn interval(&self) -> u64 {
        let (numer, denom) = (self.fps.numer().max(1) as u64, self.fps.denom().max(1) as u64);
        SECOND.saturating_mul(denom) / numer
    }

    /// Sets a property; the spec list below says which there are.
    pub(super) fn set(&mut self, name: &str, value: &glib::Value) {
        let text = || value.get::<Option<String>>().ok().flatten();
        let time = || value.get::<u64>().unwrap_or_default();
        let flag = || value.get::<bool>().unwrap_or_default();
        let count = || value.get::<u32>().unwrap_or_default();
        match name {
            "backend" => self.backend = value.get().unwrap_or_default(),
            "model" => self.model = text().unwrap_or_else(|| Self::default().model),
            "mmproj" => self.mmproj = text().unwrap_or_default(),
            "device" => self.device = text().unwrap_or_else(|| "auto".into()),
            "quantize" => self.quantize = value.get().unwrap_or_default(),
            "video-layout" => self.video_layout = value.get().unwrap_or_default(),
            "feature-cache" => self.feature_cache = text().unwrap_or_default(),
            "feature-cache-max-bytes" => self.feature_cache_max_bytes = time(),
            "kv-type" => self.kv_type = value.get().unwrap_or_default(),
            "eviction" => self.eviction = value.get().unwrap_or_default(),
            "attention" => self.attention = value.get().unwrap_or_default(),
            "attention-budget" => self.attention_budget = count(),
            "context-length" => self.context_length = count(),
            "memory-length" => self.memory_length = count(),
            "fps" => self.fps = value.get().unwrap_or(gst::Fraction::new(1, 1)),
            "max-pixels" => self.max_pixels = count(),
            "gate" => self.gate = value.get().unwrap_or_default(),
            "prompt" => self.core.prompt = text().filter(|prompt| !prompt.trim().is_empty()),
            "language" => self.core.language = text().unwrap_or_else(|| "auto".into()),
            "granularity" => {
                self.granularity = value.get().unwrap_or_default();
                self.core.granularity = match self.granularity {
                    Granularity::Coarse => CoreGranularity::Coarse,
                    Granularity::Normal => CoreGranularity::Normal,
                    Granularity::Fine => CoreGranularity::Fine,
                };
            }
            "min-chapter-duration" => self.core.min_chapter_duration = time(),
            "max-chapter-duration" => self.core.max_chapter_duration = time(),
            "look-ahead" => self.core.look_ahead = time(),
            "overload-policy" => self.overload_policy = value.get().unwrap_or_default(),
            "max-queue-time" => self.max_queue_time = time(),
            "text-latency" => self.text_latency = time(),
            "gap-threshold" => self.gap_threshold = time(),
            "eos-timeout" => self.eos_timeout = time(),
            "stream-name" => self.stream_name = text().unwrap_or_default(),
            "session-id" => self.session_id = text().unwrap_or_default(),
            "first-index" => self.first_index = time(),
            "restore-from" => self.restore_from = text().unwrap_or_default(),
            "post-messages" => self.post_messages = flag(),
            "emit-toc" => self.emit_toc = flag(),
            "passthrough" => self.passthrough = flag(),
            _ => {}
        }
    }

    /// Reads a property back; `None` for those that are not settings.
    pub(super) fn get(&self, name: &str) -> Option<glib::Value> {
        Some(match name {
            "backend" => self.backend.to_value(),
            "model" => self.model.to_value(),
            "mmproj" => self.mmproj.to_value(),
            "device" => self.device.to_value(),
            "quantize" => self.quantize.to_value(),
            "video-layout" => self.video_layout.to_value(),
            "feature-cache" => self.feature_cache.to_value(),
            "feature-cache-max-bytes" => self.feature_cache_max_bytes.to_value(),
            "kv-type" => self.kv_type.to_value(),
            "eviction" => self.eviction.to_value(),
            "attention" => self.attention.to_value(),
            "attention-budget" => self.attention_budget.to_value(),
            "context-length" => self.context_length.to_value(),
            "memory-length" => self.memory_length.to_value(),
            "fps" => self.fps.to_value(),
            "max-pixels" => self.max_pixels.to_value(),
            "gate" => self.gate.to_value(),
            "prompt" => self.core.prompt.to_value(),
            "language" => self.core.language.to_value(),
            "granularity" => self.granularity.to_value(),
            "min-chapter-duration" => self.core.min_chapter_duration.to_value(),
            "max-chapter-duration" => self.core.max_chapter_duration.to_value(),
            "look-ahead" => self.core.look_ahead.to_value(),
            "overload-policy" => self.overload_policy.to_value(),
            "max-queue-time" => self.max_queue_time.to_value(),
            "text-latency" => self.text_latency.to_value(),
            "gap-threshold" => self.gap_threshold.to_value(),
            "eos-timeout" => self.eos_timeout.to_value(),
            "stream-name" => self.stream_name.to_value(),
            "session-id" => self.session_id.to_value(),
            "first-index" => self.first_index.to_value(),
            "restore-from" => self.restore_from.to_value(),
            "post-messages" => self.post_messages.to_value(),
            "emit-toc" => self.emit_toc.to_value(),
            "passthrough" => self.passthrough.to_value(),
            _ => return None,
        })
    }
}

fn text(name: &str, nick: &str, blurb: &str, default: Option<&str>, playing: bool) -> glib::ParamSpec {
    let spec = glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).default_value(default);
    if playing { spec.mutable_playing().build() } else { spec.mutable_ready().build() }
}

fn time(name: &str, nick: &str, blurb: &str, default: u64) -> glib::ParamSpec {
    glib::ParamSpecUInt64::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_playing()
        .build()
}

fn flag(name: &str, nick: &str, blurb: &str, default: bool) -> glib::ParamSpec {
    glib::ParamSpecBoolean::builder(name)
        .nick(nick)
        .blurb(blurb)
        .default_value(default)
        .mutable_playing()
        .build()
}

fn count(name: &str, nick: &str, blurb: &str, minimum: u32, default: u32) -> glib::ParamSpec {
    let spec = glib::ParamSpecUInt::builder(name).nick(nick).blurb(blurb).minimum(minimum);
    spec.default_value(default).mutable_ready().build()
}

/// Every property of the element, those that are only read included.
pub(super) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
    let d = Settings::default();
    vec![
        glib::ParamSpecEnum::builder_with_default("backend", d.backend)
            .nick("Backend")
            .blurb("What runs the model")
            .mutable_ready()
            .build(),
        text(
            "model",
            "Model",
            "Name of a model that `streamgist model list` shows, a repository of the hub that `streamgist model pull` fetched (OWNER/NAME), or a path: a GGUF file, or a folder in Hugging Face's layout (Qwen3-VL sees the pictures themselves); with backend=mock a script (delay-ms=50,steps=3)",
            Some(&d.model),
            false,
        ),
        text(
            "mmproj",
            "Vision part",
            "GGUF file with the vision part of the model, if it is not in the same folder",
            None,
            false,
        ),
        text(
            "device",
            "Device",
            "What computes: auto or cpu (own kernels), reference (candle on the CPU), cuda or metal where this build has them",
            Some(&d.device),
            false,
        ),
        glib::ParamSpecEnum::builder_with_default("quantize", d.quantize)
            .nick("Quantize")
            .blurb("Quantises the weights of a folder as they are read, to take less memory")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("video-layout", d.video_layout)
            .nick("Video layout")
            .blurb("How pictures lie in the prompt of a model that sees: as transformers 4.57 has it, or as transformers 5")
            .mutable_ready()
            .build(),
        text(
            "feature-cache",
            "Feature cache",
            "Folder in which encoded pictures are kept, so that a file that is run again is not encoded again; empty for none. Whoever can read the folder can tell what was shown",
            None,
            false,
        ),
        glib::ParamSpecUInt64::builder("feature-cache-max-bytes")
            .nick("Feature cache bytes")
            .blurb("The pictures used longest ago are removed from the folder when it holds more")
            .default_value(d.feature_cache_max_bytes)
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("kv-type", d.kv_type)
            .nick("Key-value type")
            .blurb("How the rolling context is stored: what takes less memory is less exact")
            .mutable_ready()
            .build(),
        glib::ParamSpecEnum::builder_with_default("attention", d.attention)
            .nick("Attention")
            .blurb("How much of the window an answer reads; what is appended is always encoded exactly")
            .mutable_ready()
            .build(),
        count(
            "attention-budget",
            "Attention budget",
            "Tokens of the window that an answer reads with attention=sparse, in pages of 64",
            64,
            d.attention_budget,
        ),
        glib::ParamSpecEnum::builder_with_default("eviction", d.eviction)
            .nick("Eviction")
            .blurb("What becomes of the rest of the context when its oldest lines leave")
            .mutable_ready()
            .build(),
        count(
            "context-length",
            "Context length",
            "Tokens of the rolling context, 0 for what the model was trained for; memory grows with it",
            0,
            d.context_length,
        ),
        count(
            "memory-length",
            "Memory length",
            "Of these, tokens for the texts of closed chapters",
            0,
            d.memory_length,
        ),
        gst::ParamSpecFraction::builder("fps")
            .nick("Sampling rate")
            .blurb("Pictures looked at per second of running-time")
            .minimum(gst::Fraction::new(1, 3600))
            .maximum(gst::Fraction::new(60, 1))
            .default_value(d.fps)
            .mutable_playing()
            .build(),
        count(
            "max-pixels",
            "Maximum pixels",
            "A sampled picture is scaled down to at most this many pixels, 0 for the default: 921600 where its text is read, 114688 for a model that sees",
            0,
            d.max_pixels,
        ),
        glib::ParamSpecEnum::builder_with_default("gate", d.gate)
            .nick("Gate")
            .blurb("What of a picture that did not change is given to a model that sees")
            .mutable_playing()
            .build(),
        text("prompt", "Prompt", "Your own instructions for the chapter texts, in any language", None, true),
        text(
            "language",
            "Language",
            "Language of the texts by full English name (Chinese), or auto: that of the prompt or the talk",
            Some("auto"),
            true,
        ),
        glib::ParamSpecEnum::builder_with_default("granularity", d.granularity)
            .nick("Granularity")
            .blurb("How many chapters an hour")
            .mutable_playing()
            .build(),
        time(
            "min-chapter-duration",
            "Minimum chapter duration",
            "No chapter but the last is shorter (ns)",
            d.core.min_chapter_duration,
        ),
        time(
            "max-chapter-duration",
            "Maximum chapter duration",
            "A chapter this long is ended where that hurts least (ns)",
            d.core.max_chapter_duration,
        ),
        time(
            "look-ahead",
            "Look-ahead",
            "How much of the stream after a possible boundary is seen before it is decided (ns)",
            d.core.look_ahead,
        ),
        glib::ParamSpecEnum::builder_with_default("overload-policy", d.overload_policy)
            .nick("Overload policy")
            .blurb("What happens when the model is slower than the stream; text is never dropped")
            .mutable_playing()
            .build(),
        time(
            "max-queue-time",
            "Maximum queue time",
            "How far the model may fall behind before the overload policy acts (ns)",
            d.max_queue_time,
        ),
        time(
            "text-latency",
            "Text latency",
            "Live: how long a picture waits for the words spoken with it (ns)",
            d.text_latency,
        ),
        time(
            "gap-threshold",
            "Gap threshold",
            "A break in the picture longer than this ends the chapter (ns)",
            d.gap_threshold,
        ),
        time(
            "eos-timeout",
            "EOS timeout",
            "How long the end of the stream waits for the last chapter; then it goes out partial (ns). The default is no limit for files and 60 s live",
            d.eos_timeout,
        ),
        text("stream-name", "Stream name", "Goes into chapter ids and the `stream` field", None, false),
        text("session-id", "Session id", "Goes into chapter ids; empty for a new one", None, false),
        glib::ParamSpecUInt64::builder("first-index")
            .nick("First index")
            .blurb("Index of the first chapter, to go on with an earlier session")
            .mutable_ready()
            .build(),
        text(
            "restore-from",
            "Restore from",
            "A context that `save-context` wrote with the same model: its sizes, its session and its chapters go on",
            None,
            false,
        ),
        flag(
            "post-messages",
            "Post messages",
            "Post gist-chapter and gist-digest element messages",
            d.post_messages,
        ),
        flag("emit-toc", "Emit TOC", "Send the chapters as a table of contents downstream", d.emit_toc),
        flag("passthrough", "Passthrough", "Pass video on and do nothing else", d.passthrough),
        glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
            .nick("Statistics")
            .blurb("Counters, lag, real-time factor and how full the context is")
            .read_only()
            .build(),
        glib::ParamSpecBoxed::builder::<gst::Structure>("current-chapter")
            .nick("Current chapter")
            .blurb("The chapter that is open")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("chapters-json")
            .nick("Chapters")
            .blurb("The closed chapters, newest 1000, as a JSON array of gist-chapters-v1 objects")
            .read_only()
            .build(),
        glib::ParamSpecString::builder("model-state")
            .nick("Model state")
            .blurb("unloaded, loading, ready or failed")
            .read_only()
            .default_value(Some("unloaded"))
            .build(),
    ]
});
