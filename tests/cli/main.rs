//! The program as a user starts it: what it prints, what it writes, what it ends with.

mod ask;
mod bad_hub;
mod bad_input;
mod describe;
mod loopback;
mod pull;
mod receiver;
mod watched;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use gst::prelude::*;

/// An empty directory and a model store that is empty too.
struct Desk {
    dir: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().expect("tempdir") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        fs::write(self.path(name), content).expect("write");
        self.path(name)
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamgist"));
        command.args(args).current_dir(self.dir.path()).env("STREAMGIST_MODELS", self.path("models"));
        command.env_remove("RUST_LOG").env_remove("GST_DEBUG").env("HF_HUB_OFFLINE", "1");
        command
    }

    /// Runs with the model of the tests, which needs no weights.
    fn chapters(&self, args: &[&str]) -> Output {
        let mut all = vec!["chapters", "--backend", "mock"];
        all.extend(args);
        self.command(&all).output().expect("runs")
    }

    /// The sentence with which it fails, with that exit code.
    fn fails(&self, code: i32, args: &[&str]) -> String {
        sentence(code, args, &self.chapters(args))
    }

    /// The same for a whole command line.
    fn ends(&self, code: i32, args: &[&str]) -> String {
        sentence(code, args, &self.command(args).output().expect("runs"))
    }
}

fn sentence(code: i32, args: &[&str], output: &Output) -> String {
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    assert_eq!(stderr.trim().lines().count(), 1, "one sentence: {stderr}");
    stderr
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A talk of some minutes.
fn talk() -> String {
    let lines = (0..60).map(|i| {
        let at = |s: usize| format!("00:{:02}:{:02},000", s / 60, s % 60);
        format!(
            "{}\n{} --> {}\nSentence {i} of a talk about rivers, fish and boats.\n\n",
            i + 1,
            at(5 * i),
            at(5 * i + 4)
        )
    });
    lines.collect()
}

/// Runs a pipeline that makes a file.
fn make(description: &str) {
    gst::init().expect("GStreamer");
    let pipeline = gst::parse::launch(description).expect("pipeline");
    pipeline.set_state(gst::State::Playing).expect("plays");
    let bus = pipeline.bus().expect("bus");
    let message =
        bus.timed_pop_filtered(None, &[gst::MessageType::Eos, gst::MessageType::Error]).expect("ends");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
    pipeline.set_state(gst::State::Null).expect("stops");
}

fn events(path: &Path) -> Vec<serde_json::Value> {
    let lines = fs::read_to_string(path).expect("written");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn a_transcript_alone_becomes_chapters_in_every_format_asked_for() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let args = [
        "talk.srt",
        "--json",
        "all.jsonl",
        "-o",
        "chapters.vtt",
        "-o",
        "youtube",
        "-f",
        "webvtt",
        "-f",
        "youtube",
    ];
    let output =
        desk.chapters(&[&args[..], &["--markdown", "talk.md", "--max-chapter-duration", "2m"]].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));

    let events = events(&desk.path("all.jsonl"));
    let closed: Vec<_> = events.iter().filter(|e| e["type"] == "closed").collect();
    assert!(closed.len() >= 2, "{events:?}");
    assert!(closed.iter().all(|e| e["schema"] == "gist-chapters-v1"));
    let last = closed.last().expect("chapters");
    let end = last["end"].as_f64().expect("an end");
    assert!((294.0..=300.0).contains(&end), "the last chapter ends with the talk: {last}");

    let shown = text(&output.stdout);
    for event in &closed {
        assert!(shown.contains(event["title"].as_str().expect("title")), "{shown}");
    }
    assert!(fs::read_to_string(desk.path("chapters.vtt")).expect("written").starts_with("WEBVTT"));
    assert!(desk.path("youtube").exists() && desk.path("talk.md").exists());
    assert!(text(&output.stderr).contains("chapters.vtt (webvtt)"));
}

#[test]
fn a_profile_tells_what_the_time_was_spent_on() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let output = desk.chapters(&["talk.srt", "--model", "delay-ms=1,steps=3", "--profile"]);
    let told = text(&output.stderr);
    assert!(output.status.success(), "{told}");
    for stage in
        ["lines and pictures encoded", "boundaries asked about", "chapter texts", "digest", "waiting"]
    {
        assert!(told.contains(&format!("  {stage} ")), "{told}");
    }
    assert!(
        !told.contains("Whisper") && !told.contains("questions"),
        "what was not done is not told: {told}"
    );
    let shares =
        told.lines().filter_map(|line| line.strip_suffix(" %")?.rsplit(' ').next()?.parse::<f64>().ok());
    let sum: f64 = shares.sum();
    assert!((98.0..102.0).contains(&sum), "one thread, the whole of it: {sum} % of {told}");
    assert!(told.contains(" s for 4:59 of input, ") && told.contains(" x real time\nCPU time: "), "{told}");
    assert!(!text(&output.stdout).contains("real time"), "{told}");
}

#[test]
fn json_on_standard_output_is_nothing_but_json() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let output = desk.chapters(&["talk.srt", "--json", "-"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let kinds: Vec<String> = text(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["type"].to_string())
        .collect();
    assert!(
        kinds.contains(&"\"opened\"".to_owned()) && kinds.contains(&"\"closed\"".to_owned()),
        "{kinds:?}"
    );
}

#[test]
fn a_second_run_replaces_the_json_of_the_first() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let count = || {
        assert!(desk.chapters(&["talk.srt", "--json", "all.jsonl"]).status.success());
        events(&desk.path("all.jsonl")).len()
    };
    assert_eq!(count(), count());
}

#[test]
fn a_video_with_a_transcript_is_not_listened_to() {
    let desk = Desk::new();
    desk.file("talk.srt", talk());
    let video = desk.path("talk.mkv");
    make(&format!(
        "videotestsrc num-buffers=20 pattern=black ! video/x-raw,framerate=1/1,width=64,height=48 ! jpegenc ! m.  \
         audiotestsrc num-buffers=20 samplesperbuffer=8000 wave=silence ! audio/x-raw,rate=8000 ! m.  \
         matroskamux name=m ! filesink location={}",
        video.display()
    ));
    // No speech model is there: it would be missed.
    let output = desk.chapters(&["talk.mkv", "--transcript", "talk.srt", "--json", "all.jsonl"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events = events(&desk.path("all.jsonl"));
    let closed = events.iter().find(|e| e["type"] == "closed").expect("a chapter");
    assert!(closed["coverage"]["text-lines"].as_u64() > Some(0), "{closed}");
    assert!(closed["coverage"]["frames"].as_u64() > Some(0), "{closed}");
}

#[test]
fn a_silent_video_is_watched_to_its_end() {
    let desk = Desk::new();
    let video = desk.path("silent.mkv");
    make(&format!(
        "videotestsrc num-buffers=10 ! video/x-raw,framerate=1/1,width=64,height=48 ! jpegenc ! matroskamux ! \
         filesink location={}",
        video.display()
    ));
    let output = desk.chapters(&["silent.mkv"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[test]
fn what_a_model_takes_is_told_without_it() {
    let desk = Desk::new();
    let plan = |args: &[&str]| {
        let mut all = vec!["plan", "--model", "qwen3-vl-2b"];
        all.extend(args);
        let output = desk.command(&all).output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let told = plan(&["--context-length", "65536"]);
    assert!(told.contains("not on this machine") && told.contains("\n*          65536  q8 "), "{told}");
    let json = |args: &[&str]| -> serde_json::Value {
        let mut all = vec!["--json"];
        all.extend(args);
        serde_json::from_str(&plan(&all)).expect("JSON")
    };
    let whole = json(&[]);
    assert_eq!((&whole["context_length"], &whole["kv_type"]), (&262_144.into(), &"q8".into()));
    let total = |plan: &serde_json::Value| plan["total_bytes"].as_u64().expect("bytes");
    // 28 layers of 8 heads of 128, keys and values: 57,344 numbers a token, in 8 bits and some more.
    let kv = whole["kv_bytes"].as_u64().expect("bytes");
    assert!((57_344..64_000).contains(&(kv / 262_144)), "{kv}");
    assert!(total(&json(&["--quantize", "q4"])) < total(&whole) - 2_000_000_000);
    assert!(total(&json(&["--kv-type", "q4"])) < total(&whole) - 5_000_000_000);
    assert!(desk.ends(4, &["plan", "--model", "no-such-model"]).contains("no-such-model"));
}
