//! How unexpected lines are.

use super::tiny;
use crate::bench::surprise;
use crate::kv::KvType;

#[test]
fn a_line_is_as_unexpected_as_what_was_said_before_it_makes_it() {
    let model = tiny::model(KvType::F16);
    // More than one chunk of tokens, so that a line lies across two.
    let lines: Vec<String> = (0..6).map(|i| format!("line {i} of words that somebody says\n")).collect();
    let all = surprise(&model, &lines);
    assert!(all.iter().all(|nats| nats.is_finite() && *nats > 0.0), "{all:?}");
    assert_eq!(surprise(&model, &lines[..5]), all[..5], "what comes later changes nothing");
    let apart: f64 = all.iter().zip(&lines).map(|(nats, line)| nats * line.len() as f64).sum();
    let whole = surprise(&model, &[lines.concat()]);
    assert!((apart / lines.concat().len() as f64 - whole[0]).abs() < 1e-9, "{apart} {whole:?}");
    let other = [lines[5].clone(), lines[1].clone()];
    assert!((surprise(&model, &other)[1] - all[1]).abs() > 1e-6, "and what came before does");
}
