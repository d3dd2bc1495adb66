//! Every case of the parity fixtures, through the product's own report.

use std::path::Path;

use gist_qwen::{ComputeDevice, parity};

fn all_pass(device: &ComputeDevice) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/qwen3vl");
    let (mut cases, mut failed) = (0, String::new());
    parity::run(&folder, device, &mut |case| {
        cases += 1;
        if !case.passed() {
            failed += &format!("{}: {:?}\n", case.name, case.error);
            for check in case.checks.iter().filter(|check| !check.passed) {
                failed += &format!("  {check:?}\n");
            }
        }
    })
    .expect("a folder of fixtures");
    assert!(failed.is_empty(), "{failed}");
    assert!(cases >= 26, "only {cases} cases were found");
}

#[test]
fn the_fast_path_matches_the_reference_implementation() {
    all_pass(&ComputeDevice::Cpu);
}

#[test]
fn the_reference_path_matches_the_reference_implementation() {
    all_pass(&ComputeDevice::named("reference").unwrap());
}
