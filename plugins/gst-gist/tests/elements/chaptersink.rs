//! `gistchaptersink`.

use std::fs;
use std::path::Path;

use gst::prelude::*;
use serde_json::json;

const CAPS: &str = "application/x-json,format=gist-chapters-v1";

fn line(kind: &str, index: u64, start: u64, title: &str) -> String {
    let (from, length) = (start * 1_000_000_000, 60_000_000_000_u64);
    let mut event = json!({
        "schema": "gist-chapters-v1", "sequence": index, "type": kind, "id": format!("s-{index}"), "index": index,
        "revision": 0, "running-time": from, "stream-time": from, "start": start as f64, "emitted-at": 0,
        "prompt-revision": 0, "unknown-field": 1,
    });
    if kind == "closed" {
        event["title"] = title.into();
        event["duration"] = length.into();
        event["end"] = ((start + 60) as f64).into();
    }
    event.to_string()
}

fn sink(location: &Path, format: &str) -> gst::Element {
    super::init();
    let sink = gst::ElementFactory::make("gistchaptersink").build().expect("the element");
    sink.set_property("location", location.to_str());
    sink.set_property_from_str("format", format);
    sink
}

/// A started harness around the sink.
fn harness(sink: &gst::Element) -> gst_check::Harness {
    let mut harness = gst_check::Harness::with_element(sink, Some("sink"), None);
    harness.set_src_caps_str(CAPS);
    harness.play();
    harness
}

fn push(harness: &mut gst_check::Harness, text: impl Into<Vec<u8>>) {
    assert_eq!(harness.push(gst::Buffer::from_slice(text.into())), Ok(gst::FlowSuccess::Ok));
}

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a directory");
    entries.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect()
}

/// The first error or warning on the bus.
fn complaint(bus: &gst::Bus) -> gst::Message {
    let kinds = [gst::MessageType::Error, gst::MessageType::Warning];
    bus.pop_filtered(&kinds).expect("an error or a warning on the bus")
}

#[test]
fn json_lines_are_appended_as_they_come_and_never_joined_to_a_broken_line() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.jsonl");
    fs::write(&file, "{\"cut off").expect("written");
    let mut harness = harness(&sink(&file, "json-lines"));
    let lines = [line("opened", 0, 0, ""), line("closed", 0, 0, "A\nB"), line("opened", 1, 60, "")];
    let mut expected = String::from("{\"cut off\n");
    for line in &lines {
        push(&mut harness, line.clone());
        expected += &format!("{line}\n");
        assert_eq!(fs::read_to_string(&file).expect("the file"), expected);
    }
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!(fs::read_to_string(&file).expect("the file"), expected);
}

#[test]
fn other_formats_are_whole_after_every_closed_chapter_and_leave_nothing_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.vtt");
    let mut harness = harness(&sink(&file, "webvtt"));
    assert!(!file.exists(), "nothing is written before there is a chapter");
    push(&mut harness, line("opened", 0, 0, ""));
    push(&mut harness, line("closed", 0, 0, "First"));
    let first = "WEBVTT\n\n1\n00:00:00.000 --> 00:01:00.000\nFirst\n";
    assert_eq!(fs::read_to_string(&file).expect("the file"), first);
    push(&mut harness, line("closed", 1, 60, "Second"));
    let both = format!("{first}\n2\n00:01:00.000 --> 00:02:00.000\nSecond\n");
    assert_eq!(fs::read_to_string(&file).expect("the file"), both);
    assert!(harness.push_event(gst::event::Eos::new()));
    assert_eq!(fs::read_to_string(&file).expect("the file"), both);
    assert_eq!(names(dir.path()), ["chapters.vtt"]);
}

#[test]
fn a_link_keeps_pointing_at_the_file_that_is_rewritten() {
    let dir = tempfile::tempdir().expect("a directory");
    let (file, link) = (dir.path().join("real.vtt"), dir.path().join("link.vtt"));
    fs::write(&file, "old").expect("written");
    std::os::unix::fs::symlink(&file, &link).expect("a link");
    let mut harness = harness(&sink(&link, "webvtt"));
    push(&mut harness, line("closed", 0, 0, "First"));
    assert!(fs::symlink_metadata(&link).expect("the link").is_symlink());
    assert!(fs::read_to_string(&file).expect("the file").contains("First"));
}

#[test]
fn offset_makes_times_positions_in_the_recording() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.ffmeta");
    let sink = sink(&file, "ffmetadata");
    sink.set_property("offset", 60_000_000_000_u64);
    let mut harness = harness(&sink);
    push(&mut harness, [line("closed", 0, 0, "Before"), line("closed", 1, 60, "Inside")].join("\n"));
    let text = fs::read_to_string(&file).expect("the file");
    assert_eq!(text, ";FFMETADATA1\n\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=60000\ntitle=Inside\n");
}

#[test]
fn every_format_is_written_at_the_end_even_without_a_chapter() {
    for format in gist_core::export::Format::ALL {
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("out");
        let mut harness = harness(&sink(&file, format.nick()));
        assert!(harness.push_event(gst::event::Eos::new()), "{format}");
        assert!(file.exists(), "{format}");
    }
}

#[test]
fn malformed_events_are_counted_and_skipped() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.vtt");
    let sink = sink(&file, "webvtt");
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    let mut harness = harness(&sink);
    push(&mut harness, "not JSON");
    push(&mut harness, vec![0xff, 0xfe]);
    push(&mut harness, line("closed", 0, 0, "").replace("gist-chapters-v1", "gist-chapters-v9"));
    push(&mut harness, line("closed", 0, 0, "Good"));
    assert_eq!(sink.property::<u64>("malformed"), 3);
    assert!(fs::read_to_string(&file).expect("the file").contains("Good"));
    let message = complaint(&bus);
    let gst::MessageView::Warning(warning) = message.view() else { panic!("a warning") };
    assert!(warning.error().matches(gst::StreamError::Decode));
}

#[test]
fn a_place_that_cannot_be_written_is_refused_at_the_start() {
    for (format, location) in [
        ("webvtt", "/nowhere/at/all.vtt"),
        ("json-lines", "/nowhere/at/all.jsonl"),
        ("markdown", "/dev/null"),
    ] {
        let sink = sink(Path::new(location), format);
        let bus = gst::Bus::new();
        sink.set_bus(Some(&bus));
        assert!(sink.set_state(gst::State::Paused).is_err(), "{location}");
        let message = complaint(&bus);
        let gst::MessageView::Error(error) = message.view() else { panic!("an error") };
        assert!(error.error().matches(gst::ResourceError::OpenWrite));
        assert!(error.error().message().contains(location), "{}", error.error());
        sink.set_state(gst::State::Null).expect("stops");
    }
}

#[test]
fn a_full_disk_is_an_error_that_says_so() {
    let sink = sink(Path::new("/dev/full"), "json-lines");
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    let mut harness = harness(&sink);
    let pushed = harness.push(gst::Buffer::from_slice(line("closed", 0, 0, "A").into_bytes()));
    assert_eq!(pushed, Err(gst::FlowError::Error));
    let message = complaint(&bus);
    let gst::MessageView::Error(error) = message.view() else { panic!("an error") };
    assert!(error.error().matches(gst::ResourceError::NoSpaceLeft), "{}", error.error());
}

#[test]
fn without_a_location_it_says_what_to_set() {
    super::init();
    let sink = gst::ElementFactory::make("gistchaptersink").build().expect("the element");
    let bus = gst::Bus::new();
    sink.set_bus(Some(&bus));
    assert!(sink.set_state(gst::State::Paused).is_err());
    let message = complaint(&bus);
    let gst::MessageView::Error(error) = message.view() else { panic!("an error") };
    assert!(error.error().message().contains("location"));
    sink.set_state(gst::State::Null).expect("stops");
}

#[test]
fn a_pipeline_starts_without_waiting_for_a_chapter_and_ends_with_a_whole_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("chapters.md");
    let sink = sink(&file, "markdown");
    let source =
        gst::ElementFactory::make("appsrc").property("caps", CAPS.parse::<gst::Caps>().expect("caps"));
    let source = source.property_from_str("format", "time").build().expect("appsrc");
    let pipeline = gst::Pipeline::new();
    pipeline.add_many([&source, &sink]).expect("added");
    source.link(&sink).expect("linked");
    for _ in 0..5 {
        let change = pipeline.set_state(gst::State::Playing).expect("starts");
        assert_ne!(change, gst::StateChangeSuccess::Async);
        pipeline.set_state(gst::State::Null).expect("stops");
    }
    pipeline.set_state(gst::State::Playing).expect("starts");
    for text in [line("closed", 0, 0, "First"), line("opened", 1, 60, "")] {
        let buffer = gst::Buffer::from_slice(text.into_bytes());
        let pushed = source.emit_by_name::<gst::FlowReturn>("push-buffer", &[&buffer]);
        assert_eq!(pushed, gst::FlowReturn::Ok);
    }
    let ended = source.emit_by_name::<gst::FlowReturn>("end-of-stream", &[]);
    assert_eq!(ended, gst::FlowReturn::Ok);
    let bus = pipeline.bus().expect("a bus");
    let kinds = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(10), &kinds).expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos);
    let page = fs::read_to_string(&file).expect("the file");
    assert!(page.contains("## [0:00–1:00](#t=0,60) First\n"), "{page}");
    assert!(page.contains("## [1:00–…](#t=60) In progress\n"), "{page}");
    pipeline.set_state(gst::State::Null).expect("stops");
}
