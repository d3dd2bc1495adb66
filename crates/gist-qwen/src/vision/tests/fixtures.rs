//! Both towers against every stage of the reference run of Hugging Face transformers.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use serde_json::Value;

use crate::checkpoint::Checkpoint;
use crate::vision::layers::Gelu;
use crate::vision::{Encoded, ReferenceTower, VisionConfig, VisionTower};
use crate::weights::Weights;

/// Absolute, and for every stage: see the README of the fixtures.
const TOLERANCE: f32 = 1e-4;

const CASES: [&str; 6] = ["02_image", "03_two_images", "04a_video", "05_mixed", "10a_tied", "10c_moe"];

/// A picture or a pair: its rows of pixels and its grid.
struct Picture {
    patches: Vec<f32>,
    grid: (usize, usize),
}

struct Case {
    model: String,
    /// By what stands in the names of the expected tensors, `image` and `video`.
    pictures: BTreeMap<&'static str, Vec<Picture>>,
    expected: HashMap<String, Vec<f32>>,
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/qwen3vl")
}

/// The vision tower of a fixture checkpoint.
fn checkpoint(model: &str) -> (Arc<dyn Weights>, VisionConfig) {
    let found = Checkpoint::open(&fixtures().join("models").join(model), None).unwrap();
    (found.pictures.unwrap(), found.vision.unwrap())
}

fn json(path: &str) -> Value {
    let text = std::fs::read_to_string(fixtures().join(format!("{path}.json"))).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn tensors(path: &str) -> HashMap<String, Tensor> {
    let path = fixtures().join(format!("{path}.safetensors"));
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn case(name: &str) -> Case {
    let facts = json(&format!("cases/{name}"));
    let input = format!("inputs/{}", facts["input"].as_str().unwrap());
    let (layout, pixels) = (json(&input), tensors(&input));
    let mut pictures = BTreeMap::new();
    for (kind, rows) in [("image", "image_rows"), ("video", "pair_rows")] {
        let grids: Vec<Vec<usize>> =
            serde_json::from_value(layout[format!("{kind}_grid_thw")].clone()).unwrap();
        let grids = grids.iter().flat_map(|g| vec![(g[1], g[2]); g[0]]);
        let rows: Vec<(usize, usize)> = serde_json::from_value(layout[rows].clone()).unwrap();
        let found = grids.zip(rows).map(|(grid, (first, n))| {
            assert_eq!(n, grid.0 * grid.1);
            let bytes = pixels[&format!("{kind}_rows_u8")].narrow(0, first, n).unwrap();
            let bytes = bytes.to_dtype(DType::F32).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
            Picture { patches: bytes.iter().map(|p| (p - 127.5) / 127.5).collect(), grid }
        });
        pictures.insert(kind, found.collect());
    }
    let expected = tensors(&format!("cases/{name}"))
        .into_iter()
        .filter(|(name, _)| name.starts_with("vit."))
        .map(|(name, tensor)| (name, tensor.flatten_all().unwrap().to_vec1().unwrap()))
        .collect();
    Case { model: facts["model"].as_str().unwrap().into(), pictures, expected }
}

/// The largest differences to what the case expects, by stage. `encode` takes a picture and a tap.
fn differences(
    case: &Case,
    mut encode: impl FnMut(&Picture, &mut dyn FnMut(&str, &[f32])) -> Encoded,
) -> BTreeMap<String, f32> {
    let mut found: HashMap<String, Vec<f32>> = HashMap::new();
    for (kind, pictures) in &case.pictures {
        for picture in pictures {
            let mut seen = HashMap::new();
            let encoded = encode(picture, &mut |stage, values| {
                seen.insert(stage.to_owned(), values.to_vec());
                found.entry(format!("vit.{kind}.{stage}")).or_default().extend(values);
            });
            assert_eq!(encoded.grid, (picture.grid.0 / 2, picture.grid.1 / 2));
            assert_eq!(encoded.rows, seen["merger"]);
            for (j, features) in encoded.deepstack.iter().enumerate() {
                assert_eq!(features, &seen[&format!("deepstack{j}")]);
            }
        }
    }
    case.expected
        .iter()
        .map(|(name, expected)| {
            let found = &found[name];
            assert_eq!(found.len(), expected.len(), "{name}");
            let off = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
            // A value that is no number must not be taken for a small difference.
            (name.clone(), off.fold(0.0, |a: f32, b| if b <= a { a } else { b }))
        })
        .collect()
}

fn fast(model: &str) -> VisionTower {
    let (weights, config) = checkpoint(model);
    VisionTower::read(&*weights, config, &mut |_| ()).unwrap()
}

fn compare_fast(case: &Case, tower: &VisionTower) -> BTreeMap<String, f32> {
    differences(case, |picture, tap| tower.encode(&picture.patches, picture.grid, Some(tap)))
}

fn worst(differences: &BTreeMap<String, f32>) -> f32 {
    differences.values().fold(0.0, |a, b| if *b <= a { a } else { *b })
}

fn listed(differences: &BTreeMap<String, f32>) -> String {
    let each =
        differences.iter().map(|(stage, off)| format!("{} {off:.0e}", stage.trim_start_matches("vit.")));
    format!("{:.1e} at most: {}", worst(differences), each.collect::<Vec<_>>().join(", "))
}

#[test]
fn the_fast_tower_agrees_with_transformers_stage_by_stage() {
    for name in CASES {
        let case = case(name);
        assert!(case.expected.len() >= 4, "{name}");
        let found = compare_fast(&case, &fast(&case.model));
        println!("{name}: {}", listed(&found));
        assert!(worst(&found) < TOLERANCE, "{name}: {found:?}");
    }
}

#[test]
fn the_reference_tower_agrees_with_transformers_stage_by_stage() {
    for name in CASES {
        let case = case(name);
        let (weights, config) = checkpoint(&case.model);
        let tower = ReferenceTower::read(&*weights, config, &Device::Cpu).unwrap();
        let found = differences(&case, |picture, tap| {
            tower.encode(&picture.patches, picture.grid, Some(tap)).unwrap()
        });
        println!("{name}: {}", listed(&found));
        assert!(worst(&found) < TOLERANCE, "{name}: {found:?}");
    }
}

#[test]
fn an_mmproj_file_holds_the_same_tower() {
    let gguf = |name: &str| fixtures().join("gguf").join(name);
    let found =
        Checkpoint::open(&gguf("tiny-tied-f16.gguf"), Some(&gguf("mmproj-tiny-tied-f16.gguf"))).unwrap();
    let (weights, config) = (found.pictures.unwrap(), found.vision.unwrap());
    assert_eq!(config, checkpoint("tiny-tied").1);
    let tower = VisionTower::read(&*weights, config, &mut |_| ()).unwrap();
    let found = compare_fast(&case("10a_tied"), &tower);
    println!("{}", listed(&found));
    assert!(worst(&found) < TOLERANCE, "{found:?}");
}

#[test]
fn the_tolerance_finds_the_mistakes_that_other_implementations_make() {
    let case = case("02_image");
    let sound = worst(&compare_fast(&case, &fast(&case.model)));
    let off_by = |what: &str, spoil: &dyn Fn(&mut VisionTower), stage: &str| {
        let mut tower = fast(&case.model);
        spoil(&mut tower);
        let found = compare_fast(&case, &tower)[&format!("vit.image.{stage}")];
        println!("{what}: {stage} off by {found:.1e}");
        assert!(found > TOLERANCE, "{what} stays unseen: {found:.1e} (sound: {sound:.1e})");
    };
    off_by("tanh in the merger", &|t| t.merger.feed.gelu = Gelu::Tanh, "merger");
    off_by("tanh in a deepstack merger", &|t| t.deepstack[1].feed.gelu = Gelu::Tanh, "deepstack1");
    off_by("erf in a block", &|t| t.blocks[0].feed.gelu = Gelu::Erf, "block0");
    off_by("no learned positions", &|t| t.positions.fill(0.0), "with_pos_embed");
    let nearest = |t: &mut VisionTower| {
        // Positions cut off instead of stretched: the table's corner, as if the picture were as large as the table.
        let (side, hidden) = (t.config.side, t.config.hidden);
        let cut: Vec<f32> = (0..side * side)
            .flat_map(|i| {
                let (y, x) = (i / side, i % side);
                let from = (y * 5 / 6) * side + x * 3 / 6;
                t.positions[from * hidden..][..hidden].to_vec()
            })
            .collect();
        t.positions = cut;
    };
    off_by("positions without interpolation", &nearest, "with_pos_embed");
    off_by("deepstack mergers swapped", &|t| t.deepstack.swap(0, 2), "deepstack0");
}
