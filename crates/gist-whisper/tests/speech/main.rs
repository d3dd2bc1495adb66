//! Whisper tiny.en on synthetic speech, and on all that is none.
//!
//! The model is the one on disk (`streamgist model pull whisper-tiny.en`); espeak-ng speaks.

#![allow(clippy::unwrap_used)]

mod hostile;
mod safetensors;
mod sounds;
mod stream;

use std::path::PathBuf;
use std::sync::{Arc, LazyLock};

use gist_whisper::{Line, Options, Output, Transcriber, WhisperModel};

/// The folder of the test model.
fn folder() -> PathBuf {
    let root = std::env::var_os("STREAMGIST_MODELS").map(PathBuf::from).unwrap_or_else(|| {
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let home = std::env::var_os("HOME").map(PathBuf::from).expect("HOME");
        cache.unwrap_or_else(|| home.join(".cache")).join("streamgist/models")
    });
    let folder = root.join("whisper-tiny.en");
    assert!(folder.join("model.bin").exists(), "run `streamgist model pull whisper-tiny.en` first");
    folder
}

/// The test model, loaded once.
fn model() -> Arc<WhisperModel> {
    static MODEL: LazyLock<Arc<WhisperModel>> =
        LazyLock::new(|| Arc::new(WhisperModel::load(&folder()).expect("the test model")));
    Arc::clone(&MODEL)
}

/// Everything that comes out for `samples` pushed `chunk` at a time.
fn run(samples: &[f32], chunk: usize) -> Vec<Output> {
    let mut transcriber = Transcriber::new(model(), Options::default()).unwrap();
    let mut outputs = Vec::new();
    for chunk in samples.chunks(chunk) {
        transcriber.push(chunk);
        while let Some(output) = transcriber.poll().unwrap() {
            outputs.push(output);
        }
    }
    transcriber.finish();
    while let Some(output) = transcriber.poll().unwrap() {
        outputs.push(output);
    }
    outputs
}

fn lines(outputs: &[Output]) -> Vec<Line> {
    outputs
        .iter()
        .filter_map(|o| match o {
            Output::Line(line) => Some(line.clone()),
            Output::Silence { .. } => None,
        })
        .collect()
}
