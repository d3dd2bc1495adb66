//! A model that sees: nano-vl, a tiny trained Qwen3-VL, on slides whose titles it is known to read.

use std::path::{Path, PathBuf};

use gst::prelude::*;
use gst_check::Harness;

use super::S;
use crate::init;

fn model() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano-vl")
}

/// A slide and the title that the model is known to read on it.
fn slides() -> Vec<(Vec<u8>, String)> {
    let known: serde_json::Value =
        serde_json::from_slice(&std::fs::read(model().join("eval.json")).unwrap()).unwrap();
    let examples = known["examples"].as_array().unwrap();
    let large = examples.iter().filter(|e| e["width"] == 320 && e["height"] == 192);
    large
        .map(|example| {
            let file = model().join(example["file"].as_str().unwrap());
            let answer: serde_json::Value =
                serde_json::from_str(example["answer"].as_str().unwrap()).unwrap();
            let pixels = image::open(file).unwrap().into_rgb8().into_raw();
            (pixels, answer["title"].as_str().unwrap().to_owned())
        })
        .collect()
}

/// Shows each slide for ten seconds.
fn watch(properties: &[(&str, &str)]) -> (Vec<serde_json::Value>, gst::Structure) {
    show(slides().into_iter().map(|(pixels, _)| pixels), properties)
}

/// Shows each picture for ten seconds at two frames a second; returns the closed chapters and the statistics.
fn show(
    pictures: impl Iterator<Item = Vec<u8>>,
    properties: &[(&str, &str)],
) -> (Vec<serde_json::Value>, gst::Structure) {
    init();
    let element = gst::ElementFactory::make("gistsummarizer")
        .property("model", model().to_str().unwrap())
        .property("min-chapter-duration", 5 * S)
        .property("look-ahead", 2 * S)
        // A harness says that it is live; a test is as fast as it can be.
        .property_from_str("overload-policy", "block")
        .build()
        .unwrap();
    for (name, value) in properties {
        element.set_property_from_str(name, value);
    }
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    let mut video = Harness::with_element(&element, Some("sink"), Some("src"));
    video.set_src_caps_str("video/x-raw,format=RGB,width=320,height=192,framerate=2/1");
    video.play();
    for (i, pixels) in pictures.enumerate() {
        for half in 0..20 {
            let mut buffer = gst::Buffer::from_slice(pixels.clone());
            let at = gst::ClockTime::from_mseconds((i * 20 + half) as u64 * 500);
            let edit = buffer.get_mut().unwrap();
            edit.set_pts(at);
            edit.set_duration(gst::ClockTime::from_mseconds(500));
            video.push(buffer).unwrap();
        }
    }
    video.push_event(gst::event::Eos::new());
    let faults = [gst::MessageType::Error, gst::MessageType::Warning];
    let fault = bus.pop_filtered(&faults);
    assert!(fault.is_none(), "{fault:?}");
    let chapters: Vec<serde_json::Value> =
        serde_json::from_str(&element.property::<String>("chapters-json")).unwrap();
    let stats = element.property::<gst::Structure>("stats");
    element.set_state(gst::State::Null).unwrap();
    (chapters, stats)
}

#[test]
fn pixels_become_titled_chapters_at_the_right_times() {
    let (chapters, stats) = watch(&[]);
    for used in ["busy-vision", "busy-encode", "busy-probe", "busy-chapter"] {
        assert!(stats.get::<u64>(used).unwrap() > 0, "{used}: {stats}");
    }
    let titles: Vec<_> = chapters.iter().map(|c| c["title"].as_str().unwrap().to_owned()).collect();
    let shown: Vec<_> = slides().into_iter().map(|(_, title)| title).collect();
    assert_eq!(titles.len(), shown.len(), "{titles:?}");
    // The answers are known for other stamps; the model reads three titles in four.
    let right = titles.iter().zip(&shown).filter(|(read, shown)| read == shown).count();
    assert!(right + 1 >= shown.len(), "{titles:?} of {shown:?}");
    for (i, chapter) in chapters.iter().enumerate() {
        let start = chapter["start"].as_f64().unwrap();
        assert!((start - 10.0 * i as f64).abs() <= 1.0, "chapter {i} begins at {start}");
        assert_ne!(chapter["partial"], true, "{chapter:#}");
    }
}

#[test]
fn what_does_not_change_costs_nothing() {
    let tokens = |gate: &str| watch(&[("gate", gate)]).1.get::<u64>("tokens-appended").unwrap();
    let (off, frames, kept) = (tokens("off"), tokens("frames"), tokens("tokens"));
    // One pair in five shows something new.
    assert!(frames * 4 < off, "{frames} of {off}");
    assert!(kept <= frames, "{kept} of {frames}");
}

#[test]
fn a_picture_that_stands_costs_one_pair() {
    let tokens = |gate: &str| {
        let (pixels, _) = slides().swap_remove(0);
        let standing = std::iter::repeat_n(pixels, 6);
        show(standing, &[("gate", gate)]).1.get::<u64>("tokens-appended").unwrap()
    };
    let off = tokens("off");
    for gate in ["frames", "tokens"] {
        let gated = tokens(gate);
        assert!(gated * 20 <= off, "{gate}: {gated} of {off}");
    }
}

/// `stats` of a run, and its chapters without what is another in every run.
fn outcome(properties: &[(&str, &str)]) -> (u64, u64, Vec<String>) {
    let (chapters, stats) = watch(properties);
    let count = |name: &str| stats.get::<u64>(name).unwrap();
    let told = |c: serde_json::Value| format!("{} {} {}", c["start"], c["end"], c["title"]);
    (count("pairs-encoded"), count("pairs-known"), chapters.into_iter().map(told).collect())
}

#[test]
fn a_second_run_of_the_same_film_makes_no_vision_call() {
    let dir = tempfile::tempdir().unwrap();
    let cache = [("feature-cache", dir.path().to_str().unwrap())];
    let (encoded, known, chapters) = outcome(&cache);
    assert!(encoded > 0 && known == 0, "{encoded} {known}");
    assert_eq!(outcome(&cache), (0, encoded, chapters.clone()));
    // What is kept was made by this tower alone.
    let (again, known, _) = outcome(&[cache[0], ("quantize", "q8")]);
    assert_eq!((again, known), (encoded, 0));
    // And a folder that was tampered with changes nothing.
    for file in std::fs::read_dir(dir.path()).unwrap() {
        std::fs::write(file.unwrap().path(), "no pair").unwrap();
    }
    assert_eq!(outcome(&cache), (encoded, 0, chapters));
}

#[test]
fn the_reference_path_sees_the_same() {
    let titles = |device: &str| {
        let (chapters, _) = watch(&[("device", device)]);
        chapters.iter().map(|c| c["title"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(titles("reference"), titles("cpu"));
}

#[test]
fn a_device_that_is_not_there_is_refused_in_words() {
    init();
    let element = gst::ElementFactory::make("gistsummarizer")
        .property("model", model().to_str().unwrap())
        .property("device", "abacus")
        .build()
        .unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Paused).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
    assert!(error.error().to_string().contains("there is no device abacus"), "{error:?}");
    element.set_state(gst::State::Null).unwrap();
}
