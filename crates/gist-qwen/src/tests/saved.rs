//! Contexts to a file and back.

use gist_core::model::{Context, ContextConfig, View};

use super::tiny;
use crate::kv::KvType;
use crate::model::QwenModel;

const ALL: View = View { segments: 0..u64::MAX, memory: true };

fn config() -> ContextConfig {
    ContextConfig { system: "be brief".into(), context_length: 400, memory_length: 60, ..Default::default() }
}

/// A context that has rolled: it has let go of some segments and some texts.
fn rolled(model: &QwenModel) -> crate::QwenContext {
    let mut context = model.open_context(config()).unwrap();
    for i in 0..20 {
        context.append(&format!("line {i} of some words that nobody will remember\n")).unwrap();
        if i % 4 == 0 {
            context.remember(&format!("chapter {i}\n")).unwrap();
        }
    }
    assert!(context.usage().evicted > 0);
    context
}

fn save(context: &crate::QwenContext) -> Vec<u8> {
    let mut saved = Vec::new();
    context.save(&serde_json::json!({"who": "me"}), &mut saved).unwrap();
    saved
}

#[test]
fn what_is_taken_up_again_goes_on_bit_by_bit_the_same() {
    for kv_type in [KvType::F32, KvType::F16, KvType::Q8, KvType::Q4] {
        let model = tiny::model(kv_type);
        let mut context = rolled(&model);
        let (mut again, note) = model.restore_context(&mut &save(&context)[..], &config()).unwrap();
        assert_eq!(note["who"], "me");
        assert_eq!((again.digest(), again.usage()), (context.digest(), context.usage()));
        for i in 0..15 {
            let line = format!("and then line {i} of the rest\n");
            assert_eq!(again.append(&line).unwrap(), context.append(&line).unwrap());
            again.remember("more\n").unwrap();
            context.remember("more\n").unwrap();
        }
        assert_eq!((again.digest(), again.usage()), (context.digest(), context.usage()));
        let [a, b] = [&again, &context].map(|c| c.logits(&ALL, "well?").unwrap());
        assert_eq!(a, b);
    }
}

#[test]
fn what_belongs_elsewhere_or_was_changed_is_refused() {
    let model = tiny::model(KvType::Q8);
    let saved = save(&rolled(&model));
    let refused = |model: &QwenModel, bytes: &[u8]| {
        let error = model.restore_context(&mut &*bytes, &config()).err().expect("refused");
        error.to_string()
    };
    assert!(refused(&tiny::model(KvType::F16), &saved).contains("set kv-type"));
    let mut metadata = tiny::metadata();
    metadata.retain(|(key, _)| *key != "qwen2.rope.freq_base");
    metadata.push(("qwen2.rope.freq_base", candle_core::quantized::gguf_file::Value::F32(500.0)));
    let other = tiny::load(&tiny::gguf(&metadata), KvType::Q8).unwrap();
    assert!(refused(&other, &saved).contains("another model"));
    let mut version = saved.clone();
    version[7] = b'0';
    assert!(refused(&model, &version).contains("another version"));
    assert!(refused(&model, b"not a context at all").contains("it is none"));
    for cut in (0..saved.len()).step_by(997).chain([saved.len() - 1]) {
        refused(&model, &saved[..cut]);
    }
    for at in (8..saved.len()).step_by(1009) {
        let mut changed = saved.clone();
        changed[at] ^= 1;
        refused(&model, &changed);
    }
}
