use proptest::prelude::*;

use super::super::*;
use super::{cases, json, noise, number, picture, tensors};

#[test]
fn pictures_are_resized_as_by_torch_in_every_bit() {
    let tensors = tensors("resize.safetensors");
    let cases = json("resize.json");
    let cases = cases["cases"].as_array().unwrap();
    assert_eq!(cases.len(), 16);
    for case in cases {
        let [height, width] = [0, 1].map(|i| number(&case["to"][i]));
        let input = picture(&tensors[case["input"].as_str().unwrap()]);
        let output = picture(&tensors[case["output"].as_str().unwrap()]);
        assert!(Resizer::new(width, height).unwrap().resize(&input) == output, "{case}");
    }
}

#[test]
fn a_resizer_follows_a_source_that_changes_its_size() {
    let mut resizer = Resizer::new(64, 32).unwrap();
    for (width, height) in [(100, 50), (64, 90), (90, 32), (64, 32), (100, 50), (50, 100)] {
        let frame = noise(width, height, 7);
        let fresh = Resizer::new(64, 32).unwrap().resize(&frame).into_owned();
        assert!(resizer.resize(&frame) == fresh, "{width}x{height}");
    }
    assert!(Resizer::new(0, 32).is_err());
    assert!(Resizer::new(32, 1 << 40).is_err());
}

#[test]
fn the_narrowest_and_the_longest_pictures_keep_their_colour() {
    for (from, to) in [((1, 1), (64, 64)), ((65_535, 1), (32, 32)), ((1, 65_535), (1, 1)), ((3, 2), (999, 1))]
    {
        let frame = Frame::new(from.0, from.1, [250, 130, 3].repeat(from.0 * from.1)).unwrap();
        let resized = Resizer::new(to.0, to.1).unwrap().resize(&frame).into_owned();
        assert_eq!(resized.size(), to);
        for pixel in resized.pixels().chunks(3) {
            let off = pixel.iter().zip([250u8, 130, 3]).map(|(a, b)| a.abs_diff(b)).max();
            assert!(off <= Some(1), "{from:?} to {to:?}: {pixel:?}");
        }
    }
}

/// The same filter along one axis, from its definition, in f64 and without rounding. `line` is one colour.
fn oracle(line: &[f64], to: usize) -> Vec<f64> {
    let scale = line.len() as f64 / to as f64;
    let stretch = scale.max(1.0);
    let cubic = |x: f64| match x.abs() {
        x if x < 1.0 => 1.5 * x.powi(3) - 2.5 * x.powi(2) + 1.0,
        x if x < 2.0 => -0.5 * x.powi(3) + 2.5 * x.powi(2) - 4.0 * x + 2.0,
        _ => 0.0,
    };
    (0..to)
        .map(|i| {
            let center = (i as f64 + 0.5) * scale;
            let weights = line.iter().enumerate().map(|(j, _)| cubic((j as f64 + 0.5 - center) / stretch));
            let total: f64 = weights.clone().sum();
            weights.zip(line).map(|(w, value)| w * value).sum::<f64>() / total
        })
        .collect()
}

proptest! {
    #![proptest_config(cases(64))]

    #[test]
    fn each_pass_is_within_a_level_of_the_filter(from in 1usize..90, to in 1usize..90, seed: u64, upright: bool) {
        let sides = |n: usize| if upright { (1, n) } else { (n, 1) };
        let frame = noise(sides(from).0, sides(from).1, seed);
        let resized = Resizer::new(sides(to).0, sides(to).1).unwrap().resize(&frame).into_owned();
        for c in 0..CHANNELS {
            let line: Vec<f64> = frame.pixels().iter().skip(c).step_by(3).map(|&p| f64::from(p)).collect();
            for (i, exact) in oracle(&line, to).into_iter().enumerate() {
                let off = (f64::from(resized.pixels()[i * 3 + c]) - exact.clamp(0.0, 255.0)).abs();
                prop_assert!(off <= 1.0, "{from} to {to}: off by {off} at {i}");
            }
        }
    }

    #[test]
    fn both_passes_are_one_after_the_other(w in 1usize..60, h in 1usize..60, to_w in 1usize..60, to_h in 1usize..60) {
        let frame = noise(w, h, 3);
        let once = Resizer::new(to_w, to_h).unwrap().resize(&frame).into_owned();
        let across = Resizer::new(to_w, h).unwrap().resize(&frame).into_owned();
        let twice = Resizer::new(to_w, to_h).unwrap().resize(&across).into_owned();
        prop_assert!(once == twice);
    }
}
