//! The baseline that encodes its window anew: after an eviction it is what a fresh context of the rest would be.

use gist_core::model::{Context, ContextConfig, Eviction};

use super::tiny;
use crate::kv::{KvType, Target};
use crate::{QwenContext, QwenModel};

fn open(model: &QwenModel, eviction: Eviction) -> QwenContext {
    let config = ContextConfig {
        system: "be brief".into(),
        context_length: 400,
        memory_length: 60,
        eviction,
        ..Default::default()
    };
    model.open_context(config).unwrap()
}

fn line(i: u64) -> String {
    format!("line {i} of some words that nobody will remember\n")
}

#[test]
fn what_is_left_is_as_if_nothing_else_had_ever_been() {
    let model = tiny::model(KvType::F32);
    let mut context = open(&model, Eviction::Recompute);
    for i in 0..20 {
        context.append(&line(i)).unwrap();
        if i % 7 == 0 {
            context.remember(&format!("chapter {i}\n")).unwrap();
        }
    }
    // The last append evicted: what is left was encoded anew.
    let oldest = context.usage().oldest;
    assert!(oldest > 0);
    let mut fresh = open(&model, Eviction::MovingSinks);
    for i in [0, 7, 14] {
        fresh.remember(&format!("chapter {i}\n")).unwrap();
    }
    // In a fresh context the window would begin before the memory; here it stands behind it.
    let end = fresh.region(Target::Memory).positions().end;
    fresh.begin_window(end);
    for i in oldest..20 {
        fresh.append(&line(i)).unwrap();
    }
    assert_eq!(context.region(Target::Memory).positions(), fresh.region(Target::Memory).positions());
    assert_eq!(context.digest(), fresh.digest());
    let mut rolling = open(&model, Eviction::MovingSinks);
    for i in 0..20 {
        rolling.append(&line(i)).unwrap();
    }
    assert_ne!(rolling.digest(), context.digest(), "what rolls keeps what it saw of what has left");
}
