//! What there is to set, for `gst-inspect-1.0` and for whoever sets it.

use std::sync::LazyLock;

use gst::glib;
use gst::prelude::*;

use super::Settings;

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
pub(in crate::summarizer) static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
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
            "embed-model",
            "Embedding model",
            "Name or folder of the sentence embedding model by which chapters also begin; empty, or the default one not on this machine: by words alone",
            Some(&d.embed_model),
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
        glib::ParamSpecEnum::builder_with_default("preset", d.preset)
            .nick("Preset")
            .blurb("Instructions for a kind of stream, to which the prompt adds")
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
        time(
            "digest-interval",
            "Digest interval",
            "How much of the stream a digest sums up (ns), 0 for none but the one at the end",
            d.core.digest_interval,
        ),
        glib::ParamSpecEnum::builder_with_default("digest-style", d.digest_style)
            .nick("Digest style")
            .blurb("How the digest of a period is written")
            .mutable_playing()
            .build(),
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
        text(
            "resume-from",
            "Resume from",
            "What is left of an earlier run as JSON lines (`streamgist sessions export` writes them): its numbers and digests go on, what its chapters tell is remembered, the chapter that was open goes on. Together with restore-from: what came after the context was saved",
            None,
            false,
        ),
        flag(
            "post-messages",
            "Post messages",
            "Post gist-chapter and gist-digest element messages",
            d.post_messages,
        ),
        flag(
            "post-observations",
            "Post observations",
            "Post a gist-observation element message for each line that was said, noted or read off the picture",
            d.post_observations,
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
