//! The properties that can be set, with their defaults and their place in the core's [`Config`](gist_core::Config).

mod kinds;
mod spec;

use gist_core::config::Granularity as CoreGranularity;
use gist_qwen::FeatureFolder;
use gst::glib;
use gst::prelude::*;

use super::intake::Limits;
pub use kinds::{
    Attention, Backend, DigestStyle, Eviction, Gate, Granularity, KvType, OverloadPolicy, Preset, Quantize,
    VideoLayout,
};
pub(super) use spec::PROPERTIES;

const SECOND: u64 = gst::ClockTime::SECOND.nseconds();

/// Everything that can be set.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) backend: Backend,
    pub(super) model: String,
    pub(super) embed_model: String,
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
    pub(super) digest_style: DigestStyle,
    pub(super) preset: Preset,
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
    pub(super) resume_from: String,
    pub(super) post_messages: bool,
    pub(super) post_observations: bool,
    pub(super) emit_toc: bool,
    pub(super) passthrough: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            backend: Backend::Candle,
            model: gist_models::default_model(gist_models::Kind::Text)
                .map_or_else(String::new, |m| m.name.clone()),
            embed_model: gist_models::default_model(gist_models::Kind::Embedding)
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
            digest_style: DigestStyle::Brief,
            preset: Preset::None,
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
            resume_from: String::new(),
            post_messages: true,
            post_observations: false,
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

    pub(super) fn attention_budget(&self) -> Option<usize> {
        (self.attention == Attention::Sparse).then_some(self.attention_budget as usize)
    }

    /// The saved context to go on with.
    pub(super) fn restore_from(&self) -> Option<std::path::PathBuf> {
        (!self.restore_from.is_empty()).then(|| self.restore_from.clone().into())
    }

    /// The events to go on with.
    pub(super) fn resume_from(&self) -> Option<std::path::PathBuf> {
        (!self.resume_from.is_empty()).then(|| self.resume_from.clone().into())
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
            "embed-model" => self.embed_model = text().unwrap_or_else(|| Self::default().embed_model),
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
            "preset" => {
                self.preset = value.get().unwrap_or_default();
                self.core.preset = self.preset.into();
            }
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
            "digest-interval" => self.core.digest_interval = time(),
            "digest-style" => {
                self.digest_style = value.get().unwrap_or_default();
                self.core.digest_style = self.digest_style.into();
            }
            "overload-policy" => self.overload_policy = value.get().unwrap_or_default(),
            "max-queue-time" => self.max_queue_time = time(),
            "text-latency" => self.text_latency = time(),
            "gap-threshold" => self.gap_threshold = time(),
            "eos-timeout" => self.eos_timeout = time(),
            "stream-name" => self.stream_name = text().unwrap_or_default(),
            "session-id" => self.session_id = text().unwrap_or_default(),
            "first-index" => self.first_index = time(),
            "restore-from" => self.restore_from = text().unwrap_or_default(),
            "resume-from" => self.resume_from = text().unwrap_or_default(),
            "post-messages" => self.post_messages = flag(),
            "post-observations" => self.post_observations = flag(),
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
            "embed-model" => self.embed_model.to_value(),
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
            "preset" => self.preset.to_value(),
            "prompt" => self.core.prompt.to_value(),
            "language" => self.core.language.to_value(),
            "granularity" => self.granularity.to_value(),
            "min-chapter-duration" => self.core.min_chapter_duration.to_value(),
            "max-chapter-duration" => self.core.max_chapter_duration.to_value(),
            "look-ahead" => self.core.look_ahead.to_value(),
            "digest-interval" => self.core.digest_interval.to_value(),
            "digest-style" => self.digest_style.to_value(),
            "overload-policy" => self.overload_policy.to_value(),
            "max-queue-time" => self.max_queue_time.to_value(),
            "text-latency" => self.text_latency.to_value(),
            "gap-threshold" => self.gap_threshold.to_value(),
            "eos-timeout" => self.eos_timeout.to_value(),
            "stream-name" => self.stream_name.to_value(),
            "session-id" => self.session_id.to_value(),
            "first-index" => self.first_index.to_value(),
            "restore-from" => self.restore_from.to_value(),
            "resume-from" => self.resume_from.to_value(),
            "post-messages" => self.post_messages.to_value(),
            "post-observations" => self.post_observations.to_value(),
            "emit-toc" => self.emit_toc.to_value(),
            "passthrough" => self.passthrough.to_value(),
            _ => return None,
        })
    }
}
