//! What some properties choose from.

use gst::glib;

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

/// How the digest of a period is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistDigestStyle")]
#[repr(i32)]
pub enum DigestStyle {
    /// Short.
    #[default]
    #[enum_value(name = "Brief: a few sentences and the titles of the chapters", nick = "brief")]
    Brief,
    /// With points.
    #[enum_value(name = "Detailed: more sentences, and the chapters with their points", nick = "detailed")]
    Detailed,
    /// As of a meeting.
    #[enum_value(name = "Minutes: topics, results and open questions, as of a meeting", nick = "minutes")]
    Minutes,
}

impl From<DigestStyle> for gist_core::DigestStyle {
    fn from(style: DigestStyle) -> Self {
        match style {
            DigestStyle::Brief => Self::Brief,
            DigestStyle::Detailed => Self::Detailed,
            DigestStyle::Minutes => Self::Minutes,
        }
    }
}

/// What the texts are to tell of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, glib::Enum)]
#[enum_type(name = "GstGistPreset")]
#[repr(i32)]
pub enum Preset {
    /// What every chapter tells.
    #[default]
    #[enum_value(name = "None: what every chapter tells", nick = "none")]
    None,
    /// For people who study what was said.
    #[enum_value(
        name = "Study: theme, technical details, opinion apart from fact, further study",
        nick = "study"
    )]
    Study,
    /// The same in Chinese.
    #[enum_value(name = "Study, asked for and answered in Chinese", nick = "study-zh")]
    StudyZh,
    /// A lecture or talk.
    #[enum_value(name = "Lecture: what a student would write down", nick = "lecture")]
    Lecture,
    /// News and other programmes.
    #[enum_value(name = "Broadcast: items of a programme, who, what, where and when", nick = "broadcast")]
    Broadcast,
    /// A meeting.
    #[enum_value(name = "Meeting: decisions, tasks and open questions", nick = "meeting")]
    Meeting,
    /// A camera that looks at a place.
    #[enum_value(name = "Camera: what changed in a place", nick = "camera")]
    Camera,
}

impl From<Preset> for gist_core::prompt::preset::Preset {
    fn from(preset: Preset) -> Self {
        match preset {
            Preset::None => Self::None,
            Preset::Study => Self::Study,
            Preset::StudyZh => Self::StudyZh,
            Preset::Lecture => Self::Lecture,
            Preset::Broadcast => Self::Broadcast,
            Preset::Meeting => Self::Meeting,
            Preset::Camera => Self::Camera,
        }
    }
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

impl From<Quantize> for Option<gist_qwen::Quantization> {
    fn from(quantize: Quantize) -> Self {
        match quantize {
            Quantize::None => None,
            Quantize::Q8 => Some(gist_qwen::Quantization::Q8),
            Quantize::Q4 => Some(gist_qwen::Quantization::Q4),
        }
    }
}

impl From<Eviction> for gist_core::model::Eviction {
    fn from(eviction: Eviction) -> Self {
        match eviction {
            Eviction::MovingSinks => Self::MovingSinks,
            Eviction::Keep => Self::Keep,
            Eviction::Recompute => Self::Recompute,
        }
    }
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

impl From<VideoLayout> for gist_qwen::VideoLayout {
    fn from(layout: VideoLayout) -> Self {
        match layout {
            VideoLayout::Stamped => Self::Stamped,
            VideoLayout::Nested => Self::Nested,
        }
    }
}
