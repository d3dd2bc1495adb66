use super::super::*;
use super::{json, number, times};

#[test]
fn frames_times_and_stamps_are_those_of_the_reference() {
    let rows = json("sampling.json");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 14);
    for (row, expected_times) in rows.iter().zip(times("sampling.json")) {
        let fps = row["fps"].as_f64().unwrap();
        let count = row["num_frames"].as_u64();
        let count = count.map_or(FrameCount::PerSecond(2.0), |count| FrameCount::Exactly(count as usize));
        let total = number(&row["total_frames"]);
        let indices = sample_indices(total, fps, count);
        let expected: Vec<usize> = row["indices"].as_array().unwrap().iter().map(number).collect();
        assert_eq!(indices, expected, "{total} frames at {fps}");
        let times = pair_times(&indices, fps);
        assert_eq!(times, expected_times, "{total} frames at {fps}");
        for (&time, expected) in times.iter().zip(row["stamps"].as_array().unwrap()) {
            assert_eq!(stamp(time), expected.as_str().unwrap());
        }
    }
}

#[test]
fn stamps_are_rounded_as_in_the_reference() {
    let rows = json("stamps.json");
    let rows = rows.as_array().unwrap();
    assert_eq!(rows.len(), 22);
    for row in rows {
        assert_eq!(stamp(row[0].as_f64().unwrap()), row[1].as_str().unwrap());
    }
}

#[test]
fn odd_recordings_give_some_frames_or_none() {
    let two = FrameCount::PerSecond(2.0);
    assert!(sample_indices(0, 25.0, two).is_empty());
    assert!(sample_indices(9, 25.0, FrameCount::Exactly(0)).is_empty());
    assert_eq!(sample_indices(9, 25.0, FrameCount::Exactly(1)), [0]);
    assert_eq!(sample_indices(9, 0.0, two).len(), 9);
    assert_eq!(sample_indices(9, f64::NAN, two).len(), 4);
    assert_eq!(sample_indices(usize::MAX, 1.0, two).len(), 768);
    assert!(pair_times(&[], 25.0).is_empty());
}
