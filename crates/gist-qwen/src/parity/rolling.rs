//! Cases in which the context rolls: absolute positions, as masked attention over everything computes them.

use serde_json::Value;

use super::cases::{best, number, steps};
use super::files::{Expected, Result, ids};
use super::input::Input;
use super::rig::{Rig, Taps};
use super::{Check, TOLERANCE};
use crate::kv::{KvType, Layout, SinkPositions};
use crate::rolling::RollingContext;
use crate::sequence::Sequence;

/// A window that rolls token by token behind some sinks.
pub(super) fn window(input: &Input, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let (sinks, window) = (number(about, "sinks"), number(about, "window"));
    let mut run = Run::new(rig, &input.sequence.slice(0..sinks), window)?;
    for token in sinks..input.sequence.len() {
        run.append(&input.sequence.slice(token..token + 1))?;
    }
    let answer = ids(&about["expect"]["tokens"]);
    for token in answer.iter().take(steps(about).saturating_sub(1)) {
        run.append(&Sequence::text(&[*token]))?;
    }
    run.compare(input, &answer, expected)
}

/// A window that rolls by whole segments; the answer is one as well.
pub(super) fn segments(input: &Input, about: &Value, rig: &Rig, expected: &Expected) -> Result<Vec<Check>> {
    let first = input.segments.first().ok_or("the input has no segments")?;
    let mut run = Run::new(rig, &input.sequence.slice(first.clone()), number(about, "capacity"))?;
    let mut tokens = Vec::new();
    for segment in &input.segments[1..] {
        run.append(&input.sequence.slice(segment.clone()))?;
        tokens.push(run.context.usage().tokens - first.len());
    }
    let answer = ids(&about["expect"]["tokens"]);
    run.append(&Sequence::text(&answer))?;
    tokens.push(run.context.usage().tokens - first.len());
    let schedule = about["expect"]["schedule"].as_array();
    let schedule: Vec<usize> =
        schedule.into_iter().flatten().map(|s| s["tokens"].as_u64().unwrap_or_default() as usize).collect();
    let mut checks = run.compare(input, &answer, expected)?;
    checks.push(Check::exact("schedule", !schedule.is_empty() && tokens == schedule));
    Ok(checks)
}

struct Run<'a> {
    rig: &'a Rig,
    context: RollingContext,
}

impl<'a> Run<'a> {
    fn new(rig: &'a Rig, pinned: &Sequence, window: usize) -> Result<Self> {
        rig.taps.replace(Taps::default());
        let layout = Layout::of(rig.decoder.config(), KvType::F32);
        let capacity = pinned.len() + window;
        let context = RollingContext::new(rig, layout, SinkPositions::Keep, pinned, capacity, 0);
        Ok(Self { rig, context: context.map_err(|e| e.to_string())? })
    }

    fn append(&mut self, sequence: &Sequence) -> Result<()> {
        self.context.append(self.rig, sequence).map(|_| ()).map_err(|e| e.to_string())
    }

    /// All logits were told in the order of the tokens.
    fn compare(&self, input: &Input, answer: &[u32], expected: &Expected) -> Result<Vec<Check>> {
        let (taps, vocab) = (self.rig.taps.borrow(), self.rig.decoder.config().vocab);
        let logits = taps.get("text.logits").unwrap_or_default();
        let rows: Vec<&[f32]> = logits.chunks_exact(vocab).collect();
        let pick = |rows_wanted: &mut dyn Iterator<Item = usize>| -> Vec<f32> {
            rows_wanted.filter_map(|row| rows.get(row)).flat_map(|row| row.iter().copied()).collect()
        };
        let listed: Vec<usize> =
            expected.integers("text.logit_rows")?.iter().filter_map(|r| usize::try_from(*r).ok()).collect();
        let last = input.sequence.len().saturating_sub(1);
        let greedy = pick(&mut (last..last + answer.len()));
        let chosen: Vec<u32> = greedy.chunks_exact(vocab).map(best).collect();
        let prompt = pick(&mut listed.iter().copied().filter(|row| *row <= last));
        let positions: Vec<[i64; 3]> = input.sequence.chunk(0..input.sequence.len()).positions(0).collect();
        let flat: Vec<i64> = (0..3).flat_map(|axis| positions.iter().map(move |row| row[axis])).collect();
        let wanted = expected.integers("text.position_ids")?;
        Ok(vec![
            Check::exact("text.position_ids", flat == wanted),
            Check::close("text.logits", &prompt, &expected.floats("text.logits")?, TOLERANCE),
            Check::exact("tokens", chosen == answer),
            Check::close("greedy.logits", &greedy, &expected.floats("greedy.logits")?, TOLERANCE),
        ])
    }
}
