//! Answers that guess ahead.

use gist_core::model::{Context, ContextConfig, Generation, ModelError, Request, View};
use gist_kernels::DRAFT;
use serde_json::json;

use super::tiny;
use crate::generation::Answer;
use crate::guess::Guesser;
use crate::kv::{KvType, Part, Target};

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
            // Nothing is known, so there are only its own words to guess from.
            let mut plain = context.guess(&request, Guesser::new(Vec::new())).unwrap();
            finish(&mut plain);
            let said = plain.state().0.to_vec();
            assert!(said.len() > 40, "{}", plain.text());
            // All of the answer is known before, but for one token in nine.
            let known = said.iter().enumerate().map(|(i, token)| if i % 9 == 8 { token ^ 1 } else { *token });
            let mut guessing = context.guess(&request, Guesser::new(known.collect())).unwrap();
            finish(&mut guessing);
            let (answer, guesser, fork) = guessing.state();
            assert_eq!(answer, said, "{kv_type:?}: {} and {}", guessing.text(), plain.text());
            assert!(guesser.right > said.len() / 4 && guesser.right < guesser.guessed, "{guesser:?}");
            // What is encoded is the same, too, but for what was guessed last.
            let forks = [fork, plain.state().2].map(|fork| fork.region(Target::Window));
            let rows = forks[0].len().min(forks[1].len());
            assert!(forks[0].len().abs_diff(forks[1].len()) <= DRAFT);
            let [mut a, mut b] = [vec![0.0; tiny::HEAD_DIM], vec![0.0; tiny::HEAD_DIM]];
            for row in 0..rows {
                for (layer, part) in [(0, Part::Key), (1, Part::Key), (1, Part::Value)] {
                    forks[0].read(layer, part, 1, row, &mut a);
                    forks[1].read(layer, part, 1, row, &mut b);
                    let same = a.iter().zip(&b).all(|(a, b)| (a - b).abs() < 1e-3);
                    assert!(same, "{kv_type:?} {part:?} of row {row} in layer {layer}: {a:?}, not {b:?}");
                }
            }
        }
        assert_eq!(context.digest(), before, "the context itself is as it was");
    }
}
