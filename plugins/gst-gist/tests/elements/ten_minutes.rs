//! Ten minutes of video through `gst-launch-1.0` into a Qwen3-VL of random weights: what the model was given, told by
//! the token log.

use std::collections::VecDeque;
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::leaks::plugin_dir;

const CONTEXT: usize = 3_000;
const MEMORY: usize = 400;
/// Of a picture of 320x192 pixels.
const PADS: usize = 60;
const PAIRS: usize = 300;

/// The shape and the tokenizer of nano-vl, all matrices random; without `gist.json` it is asked like any chat model.
fn random_model(folder: &Path) {
    let nano = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano-vl");
    for file in
        ["config.json", "tokenizer.json", "preprocessor_config.json", "video_preprocessor_config.json"]
    {
        std::fs::copy(nano.join(file), folder.join(file)).unwrap();
    }
    let trained = std::fs::read(nano.join("model.safetensors")).unwrap();
    let header = 8 + u64::from_le_bytes(trained[..8].try_into().unwrap()) as usize;
    let mut file = std::fs::File::create(folder.join("model.safetensors")).unwrap();
    file.write_all(&trained[..header]).unwrap();
    let mut state = 1u64;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 40) as f32 / (1u64 << 23) as f32 - 1.0) * 0.1
    };
    let values: Vec<u8> = (header..trained.len()).step_by(4).flat_map(|_| random().to_le_bytes()).collect();
    file.write_all(&values).unwrap();
}

fn kib(child: &Child, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap_or_default();
    line.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Runs `gst-launch-1.0`; the token log, and the memory held each tenth of a second in KiB.
fn run(dir: &Path, line: &str) -> (Vec<String>, Vec<u64>) {
    let log = dir.join("log");
    let mut child = Command::new("gst-launch-1.0")
        .args(line.split_whitespace())
        .env("GST_PLUGIN_PATH", plugin_dir())
        .env("GST_REGISTRY", dir.join("registry.bin"))
        .env("GST_DEBUG", "gistsummarizer:LOG")
        .env("GST_DEBUG_FILE", &log)
        .env("GST_DEBUG_NO_COLOR", "1")
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut held = Vec::new();
    let status = loop {
        held.push(kib(&child, "VmRSS:"));
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    let log = std::fs::read_to_string(log).unwrap();
    assert!(status.success(), "{log}");
    held.retain(|kib| *kib > 0);
    let entries = ["pinned: ", "segment ", "the memory ", "window and memory "];
    let told = |line: &str| {
        let at = entries.iter().filter_map(|entry| line.find(&format!("> {entry}"))).min()?;
        Some(line[at + 2..].to_owned())
    };
    (log.lines().filter_map(told).collect(), held)
}

/// The numbers in a text, in order.
fn numbers(text: &str) -> Vec<i64> {
    text.split(|c: char| !c.is_ascii_digit()).filter_map(|n| n.parse().ok()).collect()
}

#[test]
fn ten_minutes_are_given_to_the_model_in_order_and_let_go_of_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("random-vl");
    std::fs::create_dir(&model).unwrap();
    random_model(&model);
    let film = dir.path().join("film.mkv");
    let shot = Command::new("gst-launch-1.0")
        .args(["videotestsrc", "pattern=ball", "num-buffers=6000", "!"])
        .args(["video/x-raw,width=320,height=192,framerate=10/1", "!", "x264enc", "speed-preset=ultrafast"])
        .args(["!", "matroskamux", "!", "filesink", &format!("location={}", film.display())])
        .stdout(Stdio::null())
        .status();
    assert!(shot.unwrap().success());
    let (log, held) = run(
        dir.path(),
        &format!(
            "filesrc location={} ! matroskademux ! h264parse ! avdec_h264 ! videoconvert ! queue \
             ! gistsummarizer name=g model={} gate=off granularity=coarse \
             min-chapter-duration=150000000000 context-length={CONTEXT} memory-length={MEMORY} \
             ! fakesink sync=false g.chapters ! application/x-json ! gistchaptersink location={}",
            film.display(),
            model.display(),
            dir.path().join("chapters.jsonl").display()
        ),
    );

    // What is in the context now, as the log tells it.
    let pinned = numbers(&log[0])[0] as usize;
    assert!(log[0].starts_with("pinned: ") && log[0].contains("experienced editor"), "{}", log[0]);
    let (mut memory, mut window, mut next, mut position) = (0, VecDeque::new(), 0, None);
    let (mut evicted, mut let_go) = (0, 0);
    for entry in &log[1..] {
        if let Some(text) = entry.strip_prefix("the memory gets ") {
            let [tokens, dropped, ..] = numbers(text)[..] else { panic!("{entry}") };
            memory += tokens as usize - dropped as usize;
            assert!(memory <= MEMORY, "{entry}");
        } else if let Some(merged) = entry.strip_prefix("the memory lets ") {
            memory -= numbers(merged)[1] as usize;
        } else if entry.contains(" leaves: ") {
            let [segment, tokens] = numbers(entry)[..] else { panic!("{entry}") };
            assert_eq!(
                window.pop_front(),
                Some((segment, tokens as usize)),
                "the oldest goes first: {entry}"
            );
            evicted += 1;
            let_go = tokens as usize;
        } else {
            let [segment, tokens, from, to, ..] = numbers(entry)[..] else { panic!("{entry}") };
            assert_eq!(segment, next, "{entry}");
            next += 1;
            // A pair every two seconds, stamped with the mean of its two pictures' times.
            let stamp = format!(
                "[{segment}] <{}.5 seconds><|vision_start|><|video_pad|>*{PADS}<|vision_end|>",
                2 * segment
            );
            assert!(entry.ends_with(&stamp), "{entry}");
            // A picture of 10 x 6 tokens moves the position by 10.
            assert_eq!(to - from, tokens - PADS as i64 + 10, "{entry}");
            assert!(position.is_none_or(|position| position == from), "no gap and no overlap: {entry}");
            position = Some(to);
            window.push_back((segment, tokens as usize));
        }
        let held = pinned + memory + window.iter().map(|(_, tokens)| tokens).sum::<usize>();
        assert!(held <= CONTEXT, "{held} tokens after {entry}");
        if entry.contains(" leaves: ") {
            assert!(held + let_go + MEMORY.max(2 * PADS) > CONTEXT, "nothing goes before it has to: {entry}");
        }
    }
    assert_eq!(next as usize, PAIRS);
    assert_eq!(window.back().map(|(segment, _)| *segment), Some(PAIRS as i64 - 1));
    assert!(evicted > 200, "the window turned over several times: {evicted} left");
    // Once the window is full nothing grows. What loading took for a moment lies before that.
    let full = &held[held.len() / 3..];
    let (third, most) = (full[0], full.iter().max().unwrap());
    assert!(*most < third + 24 * 1024, "{third} KiB after a third, {most} KiB at most from there");
    let chapters = std::fs::read_to_string(dir.path().join("chapters.jsonl")).unwrap();
    assert!(chapters.contains("\"closed\""), "{chapters}");
}
