//! The procedures of the cases.

use std::path::Path;

use serde_json::Value;

use super::files::{Expected, Result, ids, integers, json, sizes};
use super::input::Input;
use super::rig::{Rig, Taps};
use super::{Check, TOLERANCE, rolling};
use crate::kv::{Cache, Target};
use crate::path::ComputeDevice;
use crate::sequence::Sequence;

/// Runs a case.
pub(super) fn run(folder: &Path, about: &Value, rig: &Rig, expected: Expected) -> Result<Vec<Check>> {
    let kind = about["kind"].as_str().unwrap_or_default();
    let read = |name: &Value| Input::read(folder, name.as_str().unwrap_or_default(), rig);
    if kind == "batch" {
        let inputs = about["input"].as_array().into_iter().flatten().map(read).collect::<Result<Vec<_>>>()?;
        return batch(&inputs, rig, &expected);
    }
    if kind == "dropped" {
        let (folder, dropped) = (folder, sizes(&about["parameters"]["dropped"]));
        let input = Input::without(folder, about["input"].as_str().unwrap_or_default(), rig, &dropped)?;
        return prefill(input, about, rig, &expected);
    }
    let input = read(&about["input"])?;
    let parameters = &about["parameters"];
    match kind {
        "prefill" => prefill(input, about, rig, &expected),
        "greedy" => greedy(&input.sequence, about, rig, &expected),
        "chunked" => {
            let cuts: Vec<Vec<usize>> =
                parameters["cuts"].as_array().into_iter().flatten().map(sizes).collect();
            let mut checks = Vec::new();
            for (i, cuts) in cuts.iter().enumerate() {
                let taps = rig.feed(&input.sequence, cuts, &mut rig.cache());
                let found = compare(&expected, &[&taps], rig, 0)?;
                checks.extend(found.into_iter().map(|c| Check { name: format!("cut {i}: {}", c.name), ..c }));
            }
            Ok(checks)
        }
        "append" => append(&input.sequence, about, rig, &expected),
        "fork" => fork(&input.sequence, about, rig, &expected),
        "window" => rolling::window(&input, about, rig, &expected),
        "segments" => rolling::segments(&input, about, rig, &expected),
        other => Err(format!("procedure {other:?} is not known")),
    }
}

fn prefill(mut input: Input, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let parameters = &about["parameters"];
    let mut checks = Vec::new();
    let next = about["expect"]["next_position"].as_i64();
    checks.extend(next.map(|next| {
        Check::exact("next_position", input.sequence.chunk(0..input.sequence.len()).advance() == next)
    }));
    let axes = |key: &str| <[i64; 3]>::try_from(integers(&parameters[key])).ok();
    if let Some(scale) = axes("position_scale") {
        input.sequence.stretch(scale);
    }
    let first = axes("position_offset").map_or(0, |offset| offset[0]);
    let mut cache = rig.cache();
    cache.region_mut(Target::Window).clear(first);
    checks.push(positions(&input.sequence, first, expected, "text.position_ids")?);
    let taps = rig.feed(&input.sequence, &[], &mut cache);
    checks.extend(compare(expected, &[&taps, &input.vision], rig, 0)?);
    Ok(checks)
}

fn positions(sequence: &Sequence, first: i64, expected: &Expected, name: &str) -> Result<Check> {
    let rows: Vec<[i64; 3]> = sequence.chunk(0..sequence.len()).positions(first).collect();
    let got: Vec<i64> = (0..3).flat_map(|axis| rows.iter().map(move |row| row[axis])).collect();
    Ok(Check::exact(name, got == expected.integers(name)?))
}

fn greedy(sequence: &Sequence, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let mut cache = rig.cache();
    let logits = last_row(rig, &rig.feed(sequence, &[], &mut cache));
    let answer = answer(rig, logits, steps(about), &mut cache);
    let expect = &about["expect"];
    Ok(vec![
        Check::exact("tokens", answer.tokens == ids(&expect["tokens"])),
        Check::exact("positions", answer.positions == integers(&expect["positions"])),
        Check::close("greedy.logits", &answer.logits, &expected.floats("greedy.logits")?, TOLERANCE),
    ])
}

fn append(sequence: &Sequence, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let cached = number(about, "cached").min(sequence.len());
    let mut cache = rig.cache();
    rig.feed(&sequence.slice(0..cached), &[], &mut cache);
    let next = |cache: &Cache| cache.region(Target::Window).positions().end;
    let expect = &about["expect"];
    let mut checks = vec![Check::exact(
        "next_position_before",
        Some(next(&cache)) == expect["next_position_before"].as_i64(),
    )];
    let taps = rig.feed(&sequence.slice(cached..sequence.len()), &[], &mut cache);
    checks.push(Check::exact("next_position", Some(next(&cache)) == expect["next_position"].as_i64()));
    checks.extend(compare(expected, &[&taps], rig, cached)?);
    Ok(checks)
}

fn fork(sequence: &Sequence, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let cached = number(about, "cached").min(sequence.len());
    let (expect, steps) = (&about["expect"], steps(about));
    let mut cache = rig.cache();
    rig.feed(&sequence.slice(0..cached), &[], &mut cache);
    let before = cache.digest();
    let mut question = cache.clone();
    let asked_at = question.region(Target::Window).positions().end;
    let asked = rig.feed(&Sequence::text(&ids(&about["parameters"]["question"])), &[], &mut question);
    let asked = answer(rig, last_row(rig, &asked), steps, &mut question);
    let untouched = cache.digest() == before;
    let rest = rig.feed(&sequence.slice(cached..sequence.len()), &[], &mut cache);
    let rest = answer(rig, last_row(rig, &rest), steps, &mut cache);
    Ok(vec![
        Check::exact("position_of_question", Some(asked_at) == expect["position_of_question"].as_i64()),
        Check::exact("question_tokens", asked.tokens == ids(&expect["question_tokens"])),
        Check::close("question.logits", &asked.logits, &expected.floats("question.logits")?, TOLERANCE),
        Check::exact("the context is bit-identical", untouched),
        Check::exact("tokens", rest.tokens == ids(&expect["tokens"])),
        Check::close("greedy.logits", &rest.logits, &expected.floats("greedy.logits")?, TOLERANCE),
    ])
}

fn batch(inputs: &[Input], rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let mut checks = Vec::new();
    for (i, input) in inputs.iter().enumerate() {
        checks.push(positions(&input.sequence, 0, expected, &format!("row{i}.position_ids"))?);
        let taps = rig.feed(&input.sequence, &[], &mut rig.cache());
        let (name, all) = (format!("row{i}.logits"), taps.get("text.logits").unwrap_or_default());
        let want = expected.floats(&name)?;
        // The last rows.
        checks.push(Check::close(&name, &all[all.len().saturating_sub(want.len())..], &want, TOLERANCE));
    }
    Ok(checks)
}

/// A text model with quantised matrices: rows as restored, and logits. Kernels that quantise activations may be off
/// by what that does to the reference.
pub(super) fn quantised(folder: &Path, name: &str, device: &ComputeDevice) -> Result<Vec<Check>> {
    let about = json(&folder.join(format!("{name}.json")))?;
    let expected = Expected::read(&folder.join(format!("{name}.safetensors")))?;
    let rig = Rig::load(&folder.join(format!("{name}.gguf")), None, device)?;
    let taps = rig.feed(&Sequence::text(&ids(&about["input_ids"])), &[], &mut rig.cache());
    let change = about["facts"]["logits_max_abs_change_with_q8_0_activations"].as_f64().unwrap_or(0.0);
    let tolerance = if matches!(device, ComputeDevice::Reference(_)) { TOLERANCE } else { 1.5 * change };
    let got = taps.get("text.logits").unwrap_or_default();
    Ok(vec![Check::close("text.logits", got, &expected.floats("text.logits")?, tolerance)])
}

/// An answer of the largest logits.
pub(super) struct Answer {
    pub(super) tokens: Vec<u32>,
    positions: Vec<i64>,
    pub(super) logits: Vec<f32>,
}

fn answer(rig: &Rig, mut logits: Vec<f32>, steps: usize, cache: &mut Cache) -> Answer {
    let mut answer = Answer { tokens: Vec::new(), positions: Vec::new(), logits: Vec::new() };
    for step in 1..=steps {
        answer.logits.extend_from_slice(&logits);
        let token = best(&logits);
        answer.tokens.push(token);
        if step < steps {
            answer.positions.push(cache.region(Target::Window).positions().end);
            logits = rig.step(token, cache);
        }
    }
    answer
}

/// The token with the largest logit.
pub(super) fn best(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1));
    best.map_or(0, |(token, _)| token as u32)
}

fn last_row(rig: &Rig, taps: &Taps) -> Vec<f32> {
    let logits = taps.get("text.logits").unwrap_or_default();
    logits[logits.len().saturating_sub(rig.decoder.config().vocab)..].to_vec()
}

pub(super) fn number(about: &Value, key: &str) -> usize {
    about["parameters"][key].as_u64().unwrap_or_default() as usize
}

pub(super) fn steps(about: &Value) -> usize {
    number(about, "steps")
}

/// Compares every expected tensor that the taps saw. `first` is the row of the prompt that the taps' first row is.
fn compare(expected: &Expected, taps: &[&Taps], rig: &Rig, first: usize) -> Result<Vec<Check>> {
    let rows = expected.integers("text.logit_rows").unwrap_or_default();
    let mut checks = Vec::new();
    for name in expected.names().filter(|n| !matches!(*n, "text.logit_rows" | "text.position_ids")) {
        let Some(got) = taps.iter().find_map(|taps| taps.get(name)) else {
            checks.push(Check::exact(&format!("{name} was not computed"), false));
            continue;
        };
        let shape = expected.shape(name)?;
        let got = arrange(name, got, &shape, rig, &rows, first);
        if name.ends_with(".experts") {
            checks.push(Check::exact(name, got == expected.floats(name)?));
        } else {
            checks.push(Check::close(name, &got, &expected.floats(name)?, TOLERANCE));
        }
    }
    Ok(checks)
}

/// Brings a tap's values into the layout of the fixture.
fn arrange(name: &str, got: &[f32], shape: &[usize], rig: &Rig, rows: &[i64], first: usize) -> Vec<f32> {
    if name.starts_with("kv.") && shape.len() == 3 {
        // Ours is [tokens, heads, head_dim], theirs [heads, tokens, head_dim].
        let (heads, width) = (shape[0], shape[2]);
        let token = |head: usize| got.chunks_exact(heads * width).map(move |t| &t[head * width..][..width]);
        return (0..heads).flat_map(|head| token(head).flatten().copied()).collect();
    }
    if name.starts_with("text.rope_") && shape.len() == 2 {
        // Theirs has each value for both halves of the head.
        return got.chunks_exact(shape[1] / 2).flat_map(|half| [half, half].concat()).collect();
    }
    if name == "text.logits" && !rows.is_empty() {
        let vocab = rig.decoder.config().vocab;
        let at = |row: &i64| usize::try_from(*row).ok()?.checked_sub(first);
        let row = |row: usize| got.get(row * vocab..(row + 1) * vocab);
        return rows.iter().filter_map(|r| row(at(r)?)).flatten().copied().collect();
    }
    got.to_vec()
}
