use proptest::prelude::*;

use super::super::*;
use super::{cases, noise};

const WIDE: usize = 4;
const HIGH: usize = 3;

fn grey(level: u8) -> Frame<'static> {
    Frame::new(WIDE * BLOCK, HIGH * BLOCK, vec![level; WIDE * HIGH * BLOCK * BLOCK * 3]).unwrap()
}

/// `frame` with a rectangle of another level.
fn painted(frame: &Frame<'_>, x: usize, y: usize, width: usize, height: usize, level: u8) -> Frame<'static> {
    let (all, mut pixels) = (frame.width(), frame.pixels().to_vec());
    for row in y..y + height {
        pixels[(row * all + x) * 3..(row * all + x + width) * 3].fill(level);
    }
    Frame::new(frame.width(), frame.height(), pixels).unwrap()
}

#[test]
fn a_small_letter_is_seen_and_a_little_noise_is_not() {
    let mut tokens = TokenGate::default();
    let page = grey(230);
    tokens.keep(&page, &page).unwrap();
    // Where four spots meet, which is where a letter counts least.
    let letter = painted(&page, 32 + 5, 64 + 4, 6, 8, 20);
    assert_eq!(tokens.keep(&page, &letter).unwrap(), [WIDE * 2 + 1]);
    let brighter = grey(234);
    let mut tokens = TokenGate::default();
    tokens.keep(&page, &page).unwrap();
    assert!(tokens.keep(&brighter, &brighter).unwrap().is_empty());
}

#[test]
fn a_change_inside_a_pair_is_kept_once_more_when_it_is_over() {
    let (before, after) = (grey(0), grey(200));
    let mut tokens = TokenGate::default();
    for (first, second, kept) in [
        (&before, &before, true),
        (&before, &after, true),
        (&after, &after, true),
        (&after, &after, false),
        (&after, &before, true),
        // Blinks in step.
        (&after, &before, false),
        // And goes out of step.
        (&before, &after, true),
        (&before, &after, false),
        (&after, &after, true),
    ] {
        assert_eq!(tokens.keep(first, second).unwrap().len(), if kept { WIDE * HIGH } else { 0 });
    }
}

#[test]
fn what_is_back_as_it_was_before_is_a_change() {
    let (before, after) = (grey(0), grey(200));
    let mut gate = TokenGate::default();
    gate.keep(&before, &after).unwrap();
    assert_eq!(
        gate.keep(&before, &before).unwrap().len(),
        WIDE * HIGH,
        "the model believes in the second frame"
    );
}

#[test]
fn a_reset_and_a_new_size_keep_all() {
    let page = grey(9);
    let mut tokens = TokenGate::default();
    for _ in 0..2 {
        assert_eq!(tokens.keep(&page, &page).unwrap().len(), WIDE * HIGH);
        assert!(tokens.keep(&page, &page).unwrap().is_empty());
        tokens.reset();
    }
    // As many pixels in another shape.
    let (wide, tall) = (noise(64, 32, 1), noise(32, 64, 1));
    for frame in [&wide, &tall, &wide] {
        assert_eq!(tokens.keep(frame, frame).unwrap(), [0, 1]);
    }
    assert!(tokens.keep(&wide, &tall).is_err());
    assert!(tokens.keep(&wide, &wide).unwrap().is_empty(), "an error changes nothing");
}

#[test]
fn without_tolerance_a_single_level_counts() {
    let none = Tolerance { block: 0.0, spot: f32::NAN };
    let page = grey(100);
    let mut gate = TokenGate::new(none);
    gate.keep(&page, &page).unwrap();
    assert!(gate.keep(&page, &page).unwrap().is_empty());
    assert_eq!(gate.keep(&painted(&page, 0, 0, 1, 1, 101), &page).unwrap(), [0]);
}

proptest! {
    #![proptest_config(cases(48))]

    #[test]
    fn a_static_stream_keeps_nothing_after_the_first(seed: u64, pairs in 1usize..6) {
        let frame = noise(WIDE * BLOCK, HIGH * BLOCK, seed);
        let mut tokens = TokenGate::default();
        prop_assert!(tokens.keep(&frame, &frame).unwrap().into_iter().eq(0..WIDE * HIGH));
        for _ in 0..pairs {
            prop_assert!(tokens.keep(&frame, &frame).unwrap().is_empty());
        }
    }

    #[test]
    fn a_change_of_one_block_keeps_that_token(token in 0..WIDE * HIGH, seed: u64, only_second: bool) {
        let frame = noise(WIDE * BLOCK, HIGH * BLOCK, seed);
        let other = painted(&frame, token % WIDE * BLOCK, token / WIDE * BLOCK, BLOCK, BLOCK, 255);
        let mut tokens = TokenGate::default();
        tokens.keep(&frame, &frame).unwrap();
        let first = if only_second { &frame } else { &other };
        prop_assert_eq!(tokens.keep(first, &other).unwrap(), [token]);
        // Seen only mixed with what was before.
        let again = if only_second { vec![token] } else { Vec::new() };
        prop_assert_eq!(tokens.keep(&other, &other).unwrap(), again);
        prop_assert!(tokens.keep(&other, &other).unwrap().is_empty());
    }

    #[test]
    fn slow_drift_is_caught_each_time_it_has_gone_far_enough(step in 1u8..=5, start in 0u8..50) {
        let mut tokens = TokenGate::default();
        let mut kept = start;
        for i in 0..20 {
            let level = start + i * step;
            let frame = grey(level);
            let far = i == 0 || level.abs_diff(kept) > 5;
            prop_assert_eq!(tokens.keep(&frame, &frame).unwrap().len(), if far { WIDE * HIGH } else { 0 });
            kept = if far { level } else { kept };
        }
        prop_assert!(kept != start, "a level at a time is caught too");
    }
}
