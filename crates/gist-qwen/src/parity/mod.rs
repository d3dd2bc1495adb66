//! Every case of a folder of parity fixtures against the numbers of the reference (Hugging Face transformers).
//!
//! A folder has `cases/NAME.json` with `NAME.safetensors`, `inputs/`, `models/`, and optionally `gguf/`;
//! `tools/parity_fixtures.py` writes such folders with any seed.

mod cases;
mod files;
mod input;
mod rig;
mod rolling;

use std::path::Path;

use crate::path::ComputeDevice;
use files::{Expected, Result, json, names};

/// Largest absolute difference that passes, in f32.
pub const TOLERANCE: f64 = 1e-4;

/// What one tensor, or one exact result, of a case came to.
#[derive(Clone, Debug)]
pub struct Check {
    /// Name of the tensor or result.
    pub name: String,
    /// The largest absolute difference; `None` for results that are equal or not.
    pub difference: Option<f64>,
    /// What passes; 0 for results that must be equal.
    pub tolerance: f64,
    /// Whether it passes.
    pub passed: bool,
}

/// What a case came to.
#[derive(Clone, Debug)]
pub struct Case {
    /// Its file's stem, and how its weights were read when there are several ways.
    pub name: String,
    /// What it proves.
    pub proves: String,
    /// Its results.
    pub checks: Vec<Check>,
    /// Why it could not be run.
    pub error: Option<String>,
}

impl Case {
    /// Whether everything in it passes.
    pub fn passed(&self) -> bool {
        self.error.is_none() && !self.checks.is_empty() && self.checks.iter().all(|check| check.passed)
    }
}

/// Runs every case of `folder` and hands each result to `report`.
///
/// # Errors
/// When the folder holds no cases. What is wrong with a single case is part of its result.
pub fn run(folder: &Path, device: &ComputeDevice, report: &mut dyn FnMut(Case)) -> Result<()> {
    let cases = names(&folder.join("cases"), "json")?;
    if cases.is_empty() {
        return Err(format!("{} holds no cases", folder.join("cases").display()));
    }
    let mut rigs = rig::Rigs::new(folder, device);
    for name in &cases {
        let about = json(&folder.join("cases").join(format!("{name}.json")));
        let models = about.as_ref().map_or_else(|_| vec![String::new()], |about| rigs.models(about));
        for model in models {
            let mut run = || -> Result<Vec<Check>> {
                let about = about.clone()?;
                let rig = rigs.get(&model)?;
                let expected = Expected::read(&folder.join("cases").join(format!("{name}.safetensors")))?;
                cases::run(folder, &about, &rig, expected)
            };
            let proves = about.as_ref().ok().and_then(|about| about["proves"].as_str()).unwrap_or_default();
            let gguf = if model.ends_with(".gguf") { " (GGUF)" } else { "" };
            report(case(format!("{name}{gguf}"), proves, run()));
        }
    }
    for name in names(&folder.join("gguf"), "json").unwrap_or_default() {
        let run = cases::quantised(&folder.join("gguf"), &name, device);
        report(case(name, "quantised matrices of GGUF files", run));
    }
    Ok(())
}

fn case(name: String, proves: &str, run: Result<Vec<Check>>) -> Case {
    let (checks, error) = match run {
        Ok(checks) => (checks, None),
        Err(error) => (Vec::new(), Some(error)),
    };
    Case { name, proves: proves.into(), checks, error }
}

impl Check {
    fn exact(name: &str, passed: bool) -> Self {
        Self { name: name.into(), difference: None, tolerance: 0.0, passed }
    }

    /// Compares two tensors of the same number of values.
    fn close(name: &str, got: &[f32], want: &[f32], tolerance: f64) -> Self {
        let differences = got.iter().zip(want).map(|(a, b)| f64::from((a - b).abs()));
        // A difference that is no number must not pass.
        let worst = differences.fold(0.0, |a: f64, b| if b > a || b.is_nan() { b } else { a });
        let passed = got.len() == want.len() && !want.is_empty() && worst <= tolerance;
        Self { name: name.into(), difference: Some(worst), tolerance, passed }
    }
}
