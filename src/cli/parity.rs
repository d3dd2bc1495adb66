//! `streamgist parity`: our numbers against those of the reference implementation.

use std::path::PathBuf;

use clap::Args;
use gist_qwen::ComputeDevice;
use gist_qwen::parity::{self, Case};

use super::exit::Class;

/// Compares this build's Qwen3-VL with the numbers of Hugging Face transformers
///
/// Runs every case of a folder of fixtures (`tools/parity_fixtures.py` makes them) and prints the largest absolute difference of
/// each tensor. Ends with 1 when a case fails.
#[derive(Args, Debug)]
pub(crate) struct ParityArgs {
    /// A folder with cases/, inputs/ and models/
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// What computes: cpu, reference (candle on the CPU), cuda or metal
    #[arg(long, default_value = "cpu", value_name = "DEVICE")]
    device: String,
}

pub(crate) fn run(args: &ParityArgs) -> anyhow::Result<()> {
    let device = ComputeDevice::named(&args.device).map_err(|why| Class::Usage.failure(why))?;
    let (mut cases, mut failed) = (0, 0);
    parity::run(&args.folder, &device, &mut |case| {
        cases += 1;
        failed += usize::from(!case.passed());
        print(&case);
    })
    .map_err(|why| Class::Input.failure(why))?;
    println!("{} of {cases} cases pass", cases - failed);
    if failed > 0 { Err(Class::Other.failure(format!("{failed} of {cases} cases fail"))) } else { Ok(()) }
}

fn print(case: &Case) {
    println!("{} {}: {}", if case.passed() { "pass" } else { "FAIL" }, case.name, case.proves);
    if let Some(error) = &case.error {
        println!("     {error}");
    }
    for check in &case.checks {
        let verdict = if check.passed { "" } else { "  FAIL" };
        match check.difference {
            Some(difference) => {
                println!("     {:<34} {difference:9.2e} of {:.0e}{verdict}", check.name, check.tolerance);
            }
            None => println!(
                "     {:<34} {:>9}{verdict}",
                check.name,
                if check.passed { "equal" } else { "differs" }
            ),
        }
    }
}
