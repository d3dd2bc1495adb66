//! Any bytes as `model.safetensors` of a folder whose configs are good.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "scratch.rs"]
mod scratch;

const CONFIG: &str = include_str!("../../crates/gist-qwen/tests/data/qwen3vl/models/tiny-moe/config.json");

fuzz_target!(
    init: std::fs::write(scratch::folder("safetensors").join("config.json"), CONFIG).expect("a file is written"),
    |bytes: &[u8]| {
        let folder = scratch::folder("safetensors");
        std::fs::write(folder.join("model.safetensors"), bytes).expect("a file is written");
        let _ = gist_qwen::fuzzing::open(&folder);
    }
);
