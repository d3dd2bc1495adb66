use std::collections::HashMap;

use candle_core::Tensor;
use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::{bytes, cases, json, noise, number, picture, tensors, times};

fn value(p: u8) -> f32 {
    (f32::from(p) - 127.5) / 127.5
}

/// The rows of all pairs, after resizing.
fn rows(frames: &[Frame<'_>], size: (usize, usize)) -> (Vec<f32>, [usize; 2]) {
    let mut resizer = Resizer::new(size.0, size.1).unwrap();
    let frames: Vec<Frame<'_>> = frames.iter().map(|frame| resizer.resize(frame)).collect();
    let mut rows = Vec::new();
    let grids: Vec<_> = frames
        .chunks(2)
        .map(|pair| patchify_into(&pair[0], pair.last().unwrap(), &mut rows).unwrap())
        .collect();
    (rows, grids[0])
}

fn check(name: &str, case: &Value, tensors: &HashMap<String, Tensor>, rows: &[f32], grid: [usize; 3]) {
    let expected: Vec<usize> = case["grid_thw"].as_array().unwrap().iter().map(number).collect();
    assert_eq!(grid[..], expected);
    let expected: Vec<f32> = bytes(&tensors[&format!("{name}.rows_u8")]).into_iter().map(value).collect();
    assert_eq!(rows.len(), expected.len());
    assert!(rows == expected, "{name}");
    let first: Vec<f32> =
        tensors[&format!("{name}.first_rows_f32")].flatten_all().unwrap().to_vec1().unwrap();
    assert_eq!(rows[..first.len()], first);
}

#[test]
fn an_image_and_clips_become_the_rows_of_the_reference() {
    let (cases, tensors) = (json("pixels.json"), tensors("pixels.safetensors"));
    let image = picture(&tensors["image.input"]);
    let size = smart_resize_image(image.width(), image.height(), PixelBudget::IMAGE).unwrap();
    let (image_rows, [h, w]) = rows(&[image], size);
    check("image", &cases["image"], &tensors, &image_rows, [1, h, w]);

    for (name, expected_times) in ["clip", "sampled"].into_iter().zip(times("pixels.json")) {
        let (case, input) = (&cases[name], &tensors[&format!("{name}.input")]);
        let (total, fps) = (input.dims()[0], case["fps"].as_f64().unwrap());
        let count =
            if case["sampled"] == true { FrameCount::PerSecond(2.0) } else { FrameCount::Exactly(total) };
        let indices = sample_indices(total, fps, count);
        assert!(case["indices"].as_array().unwrap().iter().map(number).eq(indices.iter().copied()));
        let times = pair_times(&indices, fps);
        assert_eq!(times, expected_times);

        let frames: Vec<Frame<'_>> = indices.iter().map(|&i| picture(&input.get(i).unwrap())).collect();
        let (width, height) = frames[0].size();
        let size = smart_resize_video(frames.len(), width, height, PixelBudget::VIDEO, false).unwrap();
        let (clip_rows, [h, w]) = rows(&frames, size);
        check(name, case, &tensors, &clip_rows, [times.len(), h, w]);
    }
}

#[test]
fn frames_that_do_not_make_a_pair_are_refused_and_the_buffer_is_kept() {
    let mut rows = vec![1.0];
    let error = patchify_into(&noise(64, 32, 1), &noise(32, 64, 1), &mut rows).unwrap_err();
    assert_eq!(error, PictureError::SizesDiffer { first: (64, 32), second: (32, 64) });
    let error = patchify_into(&noise(64, 48, 1), &noise(64, 48, 1), &mut rows).unwrap_err();
    assert_eq!(error, PictureError::NotBlocks { width: 64, height: 48 });
    assert_eq!(rows, [1.0]);
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn every_value_is_where_the_formula_says(wide in 1usize..5, high in 1usize..5, seed: u64) {
        let frames = [seed, !seed].map(|seed| noise(wide * BLOCK, high * BLOCK, seed));
        let Patches { rows, grid_hw } = patchify(&frames[0], &frames[1]).unwrap();
        prop_assert_eq!(grid_hw, [high * 2, wide * 2]);
        prop_assert_eq!(rows.len(), wide * high * 4 * 1536);
        for (i, &found) in rows.iter().enumerate() {
            let (row, column) = (i / 1536, i % 1536);
            let (block, iy, ix) = (row / 4, row / 2 % 2, row % 2);
            let (c, tau, py, px) = (column / 512, column / 256 % 2, column / 16 % 16, column % 16);
            let (y, x) = (((block / wide) * 2 + iy) * 16 + py, ((block % wide) * 2 + ix) * 16 + px);
            prop_assert_eq!(found, value(frames[tau].row(y)[x * 3 + c]));
        }
    }
}
