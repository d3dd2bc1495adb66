//! `streamgist doctor`: what is missing, and the command that mends it.

use gist_models::{Kind, Store, default_model};
use gist_qwen::{LoadOptions, QwenModel};
use gist_screen::ScreenReader;

use super::exit::Class;
use crate::pull::bytes;
use crate::run::start_gstreamer;

/// The oldest GStreamer the elements work with.
const GSTREAMER: (u32, u32) = (1, 22);

/// An element, the Debian package it is in, and what it is for. What is needed by every use comes first.
struct Part(&'static str, &'static str, &'static str);

const NEEDED: &[Part] = &[
    Part("uridecodebin3", "gstreamer1.0-plugins-base", "opening files and addresses"),
    Part("audioconvert", "gstreamer1.0-plugins-base", "listening"),
    Part("audioresample", "gstreamer1.0-plugins-base", "listening"),
    Part("subparse", "gstreamer1.0-plugins-base", "reading transcripts"),
    Part("matroskademux", "gstreamer1.0-plugins-good", "MKV and WebM files"),
    Part("qtdemux", "gstreamer1.0-plugins-good", "MP4 files"),
    Part("h264parse", "gstreamer1.0-plugins-bad", "H.264 video"),
    Part("avdec_h264", "gstreamer1.0-libav", "H.264 video"),
    Part("avdec_aac", "gstreamer1.0-libav", "AAC sound"),
    Part("rtspsrc", "gstreamer1.0-plugins-good", "RTSP cameras"),
];

const USEFUL: &[Part] = &[
    Part("avdec_h265", "gstreamer1.0-libav", "H.265 video"),
    Part("vp9dec", "gstreamer1.0-plugins-good", "VP9 video"),
    Part("opusdec", "gstreamer1.0-plugins-base", "Opus sound"),
    Part("tsdemux", "gstreamer1.0-plugins-bad", "MPEG transport streams"),
    Part("hlsdemux2", "gstreamer1.0-plugins-good", "HLS"),
    Part("souphttpsrc", "gstreamer1.0-plugins-good", "http:// and https://"),
    Part("v4l2src", "gstreamer1.0-plugins-good", "cameras on this machine"),
    Part("x264enc", "gstreamer1.0-plugins-ugly", "recording and the demo"),
];

/// What was found.
#[derive(Default)]
struct Findings {
    /// Commands that mend what is needed, and those for what is useful.
    mend: Vec<String>,
    also: Vec<String>,
    packages: Vec<&'static str>,
    useful: Vec<&'static str>,
    models: Vec<String>,
}

impl Findings {
    fn good(what: &str) {
        outln!("  ok       {what}");
    }

    fn bad(what: &str) {
        outln!("  MISSING  {what}");
    }

    /// What is not needed for every use.
    fn lacking(what: &str) {
        outln!("  absent   {what}");
    }

    fn commands(mut self) -> (Vec<String>, Vec<String>) {
        let apt = |mut packages: Vec<&'static str>| {
            packages.sort_unstable();
            packages.dedup();
            (!packages.is_empty()).then(|| format!("sudo apt-get install {}", packages.join(" ")))
        };
        self.useful.retain(|package| !self.packages.contains(package));
        let mut mend: Vec<String> = apt(self.packages).into_iter().collect();
        mend.extend(self.mend);
        if !self.models.is_empty() {
            mend.push(format!("streamgist model pull {}", self.models.join(" ")));
        }
        self.also.extend(apt(self.useful));
        (mend, self.also)
    }
}

/// Looks at everything; fails when something needed is missing.
///
/// # Errors
/// [`Class::Pipeline`] or [`Class::Model`], by what is missing.
pub(crate) fn run() -> anyhow::Result<()> {
    let mut findings = Findings::default();
    let elements = gstreamer(&mut findings);
    let readable = screen(&mut findings);
    models(&mut findings);
    let (mend, also) = findings.commands();
    if !also.is_empty() {
        outln!("\nNot needed, but useful:\n  {}", also.join("\n  "));
    }
    if mend.is_empty() {
        outln!("\nEverything needed is there.");
        return Ok(());
    }
    outln!("\nTo mend it:\n  {}", mend.join("\n  "));
    let class = if elements && readable { Class::Model } else { Class::Pipeline };
    Err(class.failure("something needed is missing"))
}

/// Whether all elements are there that are needed.
fn gstreamer(findings: &mut Findings) -> bool {
    outln!("GStreamer");
    if let Err(error) = start_gstreamer() {
        Findings::bad(&error.to_string());
        findings.packages.extend(["libgstreamer1.0-0", "gstreamer1.0-plugins-base"]);
        return false;
    }
    let (major, minor, micro, _) = gst::version();
    if (major, minor) < GSTREAMER {
        Findings::bad(&format!(
            "GStreamer {major}.{minor}.{micro} is older than {}.{}",
            GSTREAMER.0, GSTREAMER.1
        ));
        findings.mend.push("upgrade to a system with a newer GStreamer, such as Debian 12".into());
        return false;
    }
    Findings::good(&format!("GStreamer {major}.{minor}.{micro}"));
    let mut complete = true;
    for name in ["gistsummarizer", "gisttranscriber", "gistchaptersink", "gistwebhooksink"] {
        match gst::ElementFactory::make(name).build() {
            Ok(_) => Findings::good(name),
            Err(error) => {
                Findings::bad(&format!("{name}: {error}"));
                findings.mend.push("make build".into());
                complete = false;
            }
        }
    }
    for Part(element, package, purpose) in NEEDED {
        let what = format!("{element} ({purpose})");
        if gst::ElementFactory::find(element).is_some() {
            Findings::good(&what);
        } else {
            Findings::bad(&format!("{what}: in {package}"));
            findings.packages.push(package);
            complete = false;
        }
    }
    for Part(element, package, purpose) in USEFUL {
        if gst::ElementFactory::find(element).is_none() {
            Findings::lacking(&format!("{element} ({purpose}): in {package}"));
            findings.useful.push(package);
        }
    }
    plugin_for_gst_launch(findings);
    complete
}

/// This program carries its elements; `gst-launch-1.0` has to find them in a file.
fn plugin_for_gst_launch(findings: &mut Findings) {
    // Without a version, 1.0 would be asked for.
    let found = std::process::Command::new("gst-inspect-1.0")
        .args(["--exists", "--atleast-version=0.0.0", "gistsummarizer"])
        .status();
    if found.is_ok_and(|status| status.success()) {
        return Findings::good("gst-launch-1.0 finds the elements");
    }
    Findings::lacking("gst-launch-1.0 does not find the elements (`streamgist` itself does)");
    let built = std::env::current_exe().ok().and_then(|exe| Some(exe.parent()?.to_owned()));
    if let Some(dir) = built.filter(|dir| dir.join("libgstgist.so").exists()) {
        findings.also.push(format!("export GST_PLUGIN_PATH={}", dir.display()));
    }
}

/// Whether Tesseract reads what it should.
fn screen(findings: &mut Findings) -> bool {
    let mut complete = true;
    outln!("Reading text on pictures");
    for (language, package) in [("eng", "tesseract-ocr-eng"), ("chi_sim", "tesseract-ocr-chi-sim")] {
        let options = gist_screen::Options { languages: language.into(), ..Default::default() };
        match ScreenReader::new(options) {
            Ok(_) => Findings::good(&format!("Tesseract reads {language}")),
            Err(error) => {
                Findings::bad(&error.to_string());
                findings.packages.push(package);
                complete = false;
            }
        }
    }
    complete
}

fn models(findings: &mut Findings) {
    let store = Store::default();
    outln!("Models in {}", store.root().display());
    for kind in [Kind::Text, Kind::Speech, Kind::Embedding] {
        let Some(model) = default_model(kind) else { continue };
        match store.verify(model) {
            Ok(()) => Findings::good(&format!("{} ({}, {kind})", model.name, bytes(model.size()))),
            Err(error) if kind == Kind::Embedding => {
                // Without it chapters still begin, by words alone.
                Findings::lacking(&format!("{error}; chapters begin where words alone say so"));
                findings.also.push(format!("streamgist model pull {}", model.name));
            }
            Err(error) => {
                Findings::bad(&error.to_string());
                findings.models.push(model.name.clone());
                continue;
            }
        }
        if kind == Kind::Text {
            memory(&store, model, findings);
        }
    }
}

/// Loads the model as the element would, with the longest context it was trained for.
fn memory(store: &Store, model: &gist_models::Model, findings: &mut Findings) {
    let context_length = model.context.unwrap_or_default() as usize;
    let options = LoadOptions { context_length, ..Default::default() };
    match QwenModel::load(&store.path(model), options) {
        Ok(loaded) => {
            let need = loaded.plan(context_length).total;
            Findings::good(&format!(
                "it loads, and needs {} with its whole context of {context_length} tokens",
                bytes(need)
            ));
        }
        Err(error) => {
            Findings::bad(&error.to_string());
            findings.mend.push("take a smaller --context-length or --model, as said above".into());
        }
    }
}
