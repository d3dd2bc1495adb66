//! Answers that guess ahead.

use gist_core::model::{Context, ContextConfig, Generation, ModelError, Request, View};
use serde_json::json;

use super::tiny;
use crate::generation::Answer;
use crate::guess::Guesser;
use crate::kv::KvType;

/// Steps to the end; how many that took.
fn finish(answer: &mut Answer) -> usize {
    for steps in 1.. {
        match answer.step() {
            Ok(gist_core::model::Step::Running) => {}
            Ok(gist_core::model::Step::Done { .. }) | Err(ModelError::Truncated(_)) => return steps,
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("an answer ends")
}

#[test]
fn guesses_change_nothing_whether_right_or_wrong() {
    for kv_type in [KvType::F32, KvType::Q8] {
        let model = tiny::model(kv_type);
        let config = ContextConfig { context_length: 900, memory_length: 60, ..ContextConfig::default() };
        let mut context = model.open_context(config).unwrap();
        for i in 0..6 {
            context.append(&format!("line {i} of some words that somebody says\n")).unwrap();
        }
        let before = context.digest();
        let words = json!({"type": "object", "properties": {"words": {"type": "string", "minLength": 40, "maxLength": 60},
            "more": {"type": "array", "items": {"type": "string", "minLength": 8, "maxLength": 9}, "minItems": 4, "maxItems": 4}},
            "required": ["words", "more"], "additionalProperties": false});
        for schema in [None, Some(words)] {
            let request = Request {
                view: View { segments: 0..u64::MAX, memory: true },
                prompt: "what was said?".into(),
                schema,
                max_tokens: 250,
                temperature: 0.0,
                seed: 1,
            };
            // Nothing known, so nothing but its own words to guess from.
            let mut plain = context.guess(&request, Guesser::new(Vec::new())).unwrap();
            finish(&mut plain);
            let said = plain.tokens().0.to_vec();
            assert!(said.len() > 40, "{}", plain.text());
            // All of the answer is known before, but for one token in nine.
            let known: Vec<u32> =
                said.iter().enumerate().map(|(i, t)| if i % 9 == 8 { t ^ 1 } else { *t }).collect();
            let mut guessing = context.guess(&request, Guesser::new(known)).unwrap();
            finish(&mut guessing);
            let (answer, guesser) = guessing.tokens();
            assert_eq!(answer, said, "{kv_type:?}: {} and {}", guessing.text(), plain.text());
            assert!(guesser.right > said.len() / 4 && guesser.right < guesser.guessed, "{guesser:?}");
        }
        assert_eq!(context.digest(), before, "the context itself is as it was");
    }
}
