//! Any text as one of the JSON files of a folder, all others of which are good. The first byte says which.
#![no_main]

use libfuzzer_sys::fuzz_target;

#[path = "scratch.rs"]
mod scratch;

const FILES: [(&str, &str); 5] = [
    ("config.json", include_str!("../../models/nano-vl/config.json")),
    ("tokenizer.json", include_str!("../../models/nano-vl/tokenizer.json")),
    ("preprocessor_config.json", include_str!("../../models/nano-vl/preprocessor_config.json")),
    ("generation_config.json", include_str!("../../models/nano-vl/generation_config.json")),
    ("model.safetensors.index.json", r#"{"weight_map":{"lm_head.weight":"none.safetensors"}}"#),
];

fuzz_target!(|bytes: &[u8]| {
    let Some((which, text)) = bytes.split_first() else { return };
    let folder = scratch::folder("folder");
    for (i, (name, good)) in FILES.iter().enumerate() {
        let content = if i == usize::from(*which) % FILES.len() { text } else { good.as_bytes() };
        std::fs::write(folder.join(name), content).expect("a file is written");
    }
    let _ = gist_qwen::fuzzing::open(&folder);
});
