//! How well found boundaries fit the true ones. All times in seconds; the start of the stream is no boundary.

/// Segments of a stream: between 0, the boundaries and the end.
pub(crate) fn segments(boundaries: &[f64], duration: f64) -> Vec<(f64, f64)> {
    let mut marks: Vec<f64> = boundaries.iter().copied().filter(|&b| b > 0.0 && b < duration).collect();
    marks.sort_by(f64::total_cmp);
    marks.dedup();
    let starts = std::iter::once(0.0).chain(marks.iter().copied());
    let ends = marks.iter().copied().chain(std::iter::once(duration));
    starts.zip(ends).collect()
}

/// F1 of segments as Chapter-Llama counts it: the share of predicted segments that overlap some true one with an IoU
/// of at least `threshold` is the precision, the reverse is the recall.
pub(crate) fn segment_f1(found: &[f64], truth: &[f64], duration: f64, threshold: f64) -> f64 {
    let (found, truth) = (segments(found, duration), segments(truth, duration));
    let iou = |a: &(f64, f64), b: &(f64, f64)| {
        let both = (a.1.min(b.1) - a.0.max(b.0)).max(0.0);
        let either = (a.1 - a.0) + (b.1 - b.0) - both;
        if either > 0.0 { both / either } else { 0.0 }
    };
    let share = |of: &[(f64, f64)], among: &[(f64, f64)]| {
        let hit = of.iter().filter(|a| among.iter().any(|b| iou(a, b) >= threshold)).count();
        hit as f64 / of.len() as f64
    };
    harmonic(share(&found, &truth), share(&truth, &found))
}

/// Mean of [`segment_f1`] over IoU .50, .55, … .95.
pub(crate) fn segment_f1_mean(found: &[f64], truth: &[f64], duration: f64) -> f64 {
    (0..10).map(|i| segment_f1(found, truth, duration, 0.5 + 0.05 * f64::from(i))).sum::<f64>() / 10.0
}

/// How many boundaries pair up one to one within `tolerance`. Both sorted; taking pairs from the left is optimal.
pub(crate) fn matches(found: &[f64], truth: &[f64], tolerance: f64) -> usize {
    let (mut i, mut j, mut pairs) = (0, 0, 0);
    while let (Some(a), Some(b)) = (found.get(i), truth.get(j)) {
        if (a - b).abs() <= tolerance {
            (i, j, pairs) = (i + 1, j + 1, pairs + 1);
        } else if a < b {
            i += 1;
        } else {
            j += 1;
        }
    }
    pairs
}

/// F1 of boundaries paired one to one within `tolerance`; 1 when there are none and none were found.
pub(crate) fn boundary_f1(found: &[f64], truth: &[f64], tolerance: f64) -> f64 {
    match found.len() + truth.len() {
        0 => 1.0,
        both => 2.0 * matches(found, truth, tolerance) as f64 / both as f64,
    }
}

/// WindowDiff and Pk on a grid of 1 s with windows of half the mean true segment; 0 is best.
pub(crate) fn window_diff_and_pk(found: &[f64], truth: &[f64], duration: f64) -> (f64, f64) {
    let n = duration.ceil().max(1.0) as usize;
    let k = ((duration / (truth.len() + 1) as f64 / 2.0).round() as usize).clamp(1, n.max(2) - 1);
    let passed = |marks: &[f64]| -> Vec<usize> {
        (0..n).map(|second| marks.partition_point(|&mark| mark <= second as f64)).collect()
    };
    let (found, truth) = (passed(found), passed(truth));
    let windows = n.saturating_sub(k).max(1);
    let (mut differ, mut split) = (0, 0);
    for i in 0..n.saturating_sub(k) {
        let (f, t) = (found[i + k] - found[i], truth[i + k] - truth[i]);
        differ += usize::from(f != t);
        split += usize::from((f == 0) != (t == 0));
    }
    (differ as f64 / windows as f64, split as f64 / windows as f64)
}

/// How well a value tells what is from what is not: the area under its ROC curve, .5 for not at all.
pub(crate) fn area_under_roc(values: &mut [(f64, bool)]) -> f64 {
    values.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut area, mut hits) = (0.0, 0.0, 0.0);
    for same in values.chunk_by(|a, b| a.0 == b.0) {
        let hit = same.iter().filter(|v| v.1).count() as f64;
        let miss = same.len() as f64 - hit;
        area += hit * (below + miss / 2.0);
        (below, hits) = (below + miss, hits + hit);
    }
    if below * hits > 0.0 { area / (below * hits) } else { 0.5 }
}

/// How many found boundaries have no true one within `tolerance`.
pub(crate) fn strays(found: &[f64], truth: &[f64], tolerance: f64) -> usize {
    found.iter().filter(|f| truth.iter().all(|t| (*f - t).abs() > tolerance)).count()
}

/// The middle value, the mean of the two middle ones of an even number; `None` of nothing.
pub(crate) fn median(values: &mut [f64]) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let n = values.len();
    (n > 0).then(|| (values[(n - 1) / 2] + values[n / 2]) / 2.0)
}

fn harmonic(a: f64, b: f64) -> f64 {
    if a + b > 0.0 { 2.0 * a * b / (a + b) } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_perfect_result_scores_full() {
        let truth = [100.0, 250.0];
        assert_eq!(segment_f1_mean(&truth, &truth, 400.0), 1.0);
        assert_eq!(boundary_f1(&truth, &truth, 5.0), 1.0);
        assert_eq!(window_diff_and_pk(&truth, &truth, 400.0), (0.0, 0.0));
        assert_eq!(strays(&truth, &truth, 30.0), 0);
    }

    #[test]
    fn segments_match_many_to_many() {
        // Found 0-100, 100-200; true 0-120, 120-200: IoU 100/120 and 80/100.
        assert_eq!(segment_f1(&[100.0], &[120.0], 200.0, 0.8), 1.0);
        assert_eq!(segment_f1(&[100.0], &[120.0], 200.0, 0.82), 0.5);
        // One found segment over two equal true ones overlaps both with IoU .5: precision 1, recall 1.
        assert_eq!(segment_f1(&[], &[100.0], 200.0, 0.5), 1.0);
        assert_eq!(segment_f1(&[], &[100.0], 200.0, 0.55), 0.0);
    }

    #[test]
    fn boundaries_match_one_to_one() {
        assert_eq!(matches(&[98.0, 102.0], &[100.0], 5.0), 1);
        assert_eq!(boundary_f1(&[98.0, 102.0], &[100.0], 5.0), 2.0 / 3.0);
        assert_eq!(boundary_f1(&[], &[], 5.0), 1.0);
        assert_eq!(boundary_f1(&[10.0], &[], 5.0), 0.0);
    }

    #[test]
    fn window_diff_counts_windows_that_differ() {
        // 100 s, one true boundary at 50: k = 25, 75 windows, of which 25 hold the missed boundary.
        let (window_diff, pk) = window_diff_and_pk(&[], &[50.0], 100.0);
        assert!((window_diff - 25.0 / 75.0).abs() < 1e-9);
        assert_eq!(window_diff, pk);
        // Two found for one true: WindowDiff sees it, Pk hardly.
        let (window_diff, pk) = window_diff_and_pk(&[50.0, 51.0], &[50.0], 100.0);
        assert!(window_diff > pk);
    }

    #[test]
    fn a_stream_shorter_than_a_second_is_no_panic() {
        window_diff_and_pk(&[], &[], 0.2);
        window_diff_and_pk(&[0.1], &[], 0.2);
        assert_eq!(segments(&[0.0, 5.0], 2.0), [(0.0, 2.0)]);
    }

    #[test]
    fn the_area_is_the_share_of_pairs_in_the_right_order() {
        let area = |values: &[(f64, bool)]| area_under_roc(&mut values.to_vec());
        assert_eq!(area(&[(3.0, true), (1.0, false), (2.0, false)]), 1.0);
        assert_eq!(
            area(&[(2.0, true), (1.0, false), (2.0, false), (3.0, false)]),
            0.5,
            "a tie is half a pair"
        );
        assert_eq!(area(&[(1.0, true)]), 0.5);
    }

    #[test]
    fn the_median_of_an_even_number_is_between() {
        assert_eq!(median(&mut [3.0, 1.0]), Some(2.0));
        assert_eq!(median(&mut []), None);
    }
}
