//! Any bytes as a GGUF file, with the text part of a model or its vision part.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "scratch.rs"]
mod scratch;

fuzz_target!(|bytes: &[u8]| {
    let file = scratch::folder("gguf").join("model.gguf");
    std::fs::write(&file, bytes).expect("a file is written");
    let _ = gist_qwen::fuzzing::open(&file);
    let _ = gist_qwen::fuzzing::mmproj(&file);
});
