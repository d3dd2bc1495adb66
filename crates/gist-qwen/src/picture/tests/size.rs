use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use super::{cases, json, number};

fn budget(table: &Value) -> PixelBudget {
    let pixels = |key: &str| table[key].as_u64().unwrap();
    PixelBudget { min_pixels: pixels("min_pixels"), max_pixels: pixels("max_pixels") }
}

/// The fixtures say `[height, width]`, and null where the reference refuses.
fn expected(value: &Value) -> Option<(usize, usize)> {
    value.as_array().map(|size| (number(&size[1]), number(&size[0])))
}

#[test]
fn images_get_the_size_of_the_reference() {
    let mut rows = 0;
    for table in json("smart_resize.json")["image"].as_array().unwrap() {
        for row in table["rows"].as_array().unwrap() {
            let size = smart_resize_image(number(&row[1]), number(&row[0]), budget(table));
            assert_eq!(size.ok(), expected(&row[2]), "{row}");
            rows += 1;
        }
    }
    assert_eq!(rows, 882);
}

#[test]
fn videos_get_the_size_of_the_reference() {
    let mut rows = 0;
    let table = &json("smart_resize.json")["video"];
    for row in table["rows"].as_array().unwrap() {
        for (cap, column) in [(false, 3), (true, 4)] {
            let [frames, height, width] = [0, 1, 2].map(|i| number(&row[i]));
            let size = smart_resize_video(frames, width, height, budget(table), cap);
            assert_eq!(size.ok(), expected(&row[column]), "{row}");
            rows += 1;
        }
    }
    assert_eq!(rows, 312);
}

#[test]
fn what_has_no_size_is_refused_with_a_reason() {
    let reason =
        |width, height| smart_resize_image(width, height, PixelBudget::IMAGE).unwrap_err().to_string();
    assert_eq!(reason(0, 5), "a picture of 0x5 pixels has nothing in it");
    assert!(reason(70_000, 500).contains("at most 65535 pixels"));
    assert!(reason(201, 1).contains("too narrow"));
    let video = |frames, width, height| smart_resize_video(frames, width, height, PixelBudget::VIDEO, true);
    assert_eq!(
        video(1, 640, 360).unwrap_err().to_string(),
        "a video of 1 frames is too short: it needs at least 2"
    );
    assert!(video(2, 0, 0).is_err());
    assert_eq!(video(usize::MAX, 640, 360), Ok((32, 32)));
}

#[test]
fn a_stream_has_the_size_that_its_budget_allows() {
    let tokens = |count: u64| count * 1024;
    assert_eq!(fit(1920, 1080, u64::MAX), (1920, 1088));
    assert_eq!(fit(1280, 720, tokens(256)), (672, 384));
    assert_eq!(fit(1280, 720, tokens(220)), (640, 352));
    assert_eq!(fit(720, 1280, tokens(220)), (352, 640));
    assert_eq!(fit(640, 360, tokens(1000)), (640, 352), "not enlarged");
    assert_eq!(fit(1000, 1000, tokens(100)), (320, 320));
    assert_eq!(fit(20, 20, tokens(100)), (32, 32));
    assert_eq!(fit(1280, 720, 0), (32, 32));
    assert_eq!(fit(0, 0, 0), (32, 32));
    assert_eq!(fit(usize::MAX, 1, tokens(4)), (128, 32));
}

proptest! {
    #![proptest_config(cases(512))]

    #[test]
    fn a_stream_fits_its_budget_and_keeps_its_aspect(
        width in 1usize..5000, height in 1usize..5000, blocks in 1usize..4000,
    ) {
        let (w, h) = fit(width, height, (blocks * BLOCK * BLOCK) as u64);
        prop_assert!(w > 0 && h > 0 && w % BLOCK == 0 && h % BLOCK == 0);
        prop_assert!(w * h <= blocks * BLOCK * BLOCK);
        if let Ok((most_w, most_h)) = smart_resize_image(width, height, PixelBudget::IMAGE) {
            prop_assert!(w * h <= most_w * most_h);
        }
        // Some scale of the picture is within half a block on both axes, unless one axis is the least there is.
        let scales = |side: usize, size: usize| {
            let half = BLOCK as f64 / 2.0;
            let low = if size == BLOCK { 0.0 } else { (size as f64 - half) / side as f64 };
            (low, (size as f64 + half) / side as f64)
        };
        let ((low_w, high_w), (low_h, high_h)) = (scales(width, w), scales(height, h));
        prop_assert!(low_w.max(low_h) <= high_w.min(high_h) * (1.0 + 1e-12), "{w}x{h}");
        prop_assert!(low_w.max(low_h) <= 1.0);
    }

    #[test]
    fn a_larger_budget_never_gives_a_smaller_picture(
        width in 1usize..3000, height in 1usize..3000, blocks in 1u64..2000,
    ) {
        let area = |blocks: u64| { let (w, h) = fit(width, height, blocks * 1024); w * h };
        prop_assert!(area(blocks) <= area(blocks + 1));
    }
}
