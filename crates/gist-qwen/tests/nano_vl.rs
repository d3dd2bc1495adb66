//! nano-vl: a tiny, really trained Qwen3-VL. Pictures in, the right title at the right time out.

#![allow(clippy::unwrap_used, reason = "a test may")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use gist_core::model::{Context, ContextConfig, Request, Step, View};
use gist_core::picture::{Gate, Pair};
use gist_qwen::{LoadOptions, QwenContext, QwenModel};
use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano-vl")
}

fn model() -> Arc<QwenModel> {
    static MODEL: OnceLock<Arc<QwenModel>> = OnceLock::new();
    MODEL.get_or_init(|| QwenModel::load(&folder(), LoadOptions::default()).unwrap()).clone()
}

fn context(capacity: usize) -> QwenContext {
    let config = ContextConfig { context_length: capacity, max_pixels: 320 * 192, ..Default::default() };
    model().open_context(config).unwrap()
}

/// The same picture twice, as the slides of its training.
fn picture(file: &str) -> Pair {
    let picture = image::open(folder().join(file)).unwrap().into_rgb8();
    let (width, height) = (picture.width() as usize, picture.height() as usize);
    let pixels: Arc<[u8]> = picture.into_raw().into();
    Pair { width, height, frames: [pixels.clone(), pixels] }
}

fn ask(context: &mut QwenContext, question: &str) -> String {
    let view = View { segments: 0..u64::MAX, memory: false };
    let request =
        Request { view, prompt: question.into(), schema: None, max_tokens: 60, temperature: 0.0, seed: 0 };
    let mut answer = context.generate(request).unwrap();
    loop {
        if let Step::Done { text, .. } = answer.step().unwrap() {
            return text;
        }
    }
}

fn seconds(stamp: &str) -> f64 {
    stamp.trim_start_matches('<').split(' ').next().unwrap().parse().unwrap()
}

fn known_answers() -> Value {
    serde_json::from_slice(&std::fs::read(folder().join("eval.json")).unwrap()).unwrap()
}

#[test]
fn every_example_slide_is_read() {
    for example in known_answers()["examples"].as_array().unwrap() {
        let mut context = context(4096);
        let pair = picture(example["file"].as_str().unwrap());
        context.append_pair("", &pair, seconds(example["stamp"].as_str().unwrap()), Gate::Off).unwrap();
        let answer = ask(&mut context, example["question"].as_str().unwrap());
        assert_eq!(answer, example["answer"].as_str().unwrap(), "{}", example["file"]);
    }
}

#[test]
fn every_example_stream_is_remembered_in_time() {
    for stream in known_answers()["streams"].as_array().unwrap() {
        let mut context = context(4096);
        let files = stream["files"].as_array().unwrap().iter().map(|f| f.as_str().unwrap());
        for (file, stamp) in files.zip(stream["stamps"].as_array().unwrap()) {
            context.append_pair("", &picture(file), seconds(stamp.as_str().unwrap()), Gate::Off).unwrap();
        }
        for qa in stream["qa"].as_array().unwrap() {
            let question = qa[0].as_str().unwrap();
            assert_eq!(
                ask(&mut context, question),
                qa[1].as_str().unwrap(),
                "{question} of {}",
                stream["files"]
            );
        }
    }
}
