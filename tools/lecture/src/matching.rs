//! Pairs of true and found boundaries.

/// Pairs each true time with at most one found time at most `tolerance` away, as many as possible; both ascending.
/// Returns the index of the found time for each true one.
pub(crate) fn pair(truth: &[f64], found: &[f64], tolerance: f64) -> Vec<Option<usize>> {
    // Taking for each true time in order the earliest one within reach leaves the most for those after it.
    let mut next = 0;
    let reach = |t: f64, next: &mut usize| {
        while *next < found.len() && found[*next] < t - tolerance {
            *next += 1;
        }
        (*next < found.len() && found[*next] <= t + tolerance).then(|| {
            *next += 1;
            *next - 1
        })
    };
    truth.iter().map(|&t| reach(t, &mut next)).collect()
}

/// The median; of an even number the mean of the middle two.
pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        n if n % 2 == 1 => Some(values[middle]),
        _ => Some((values[middle - 1] + values[middle]) / 2.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_to_one_and_within_the_tolerance() {
        let truth = [60.0, 120.0, 180.0];
        assert_eq!(pair(&truth, &[65.0, 114.9, 185.1], 5.0), [Some(0), None, None]);
        assert_eq!(
            pair(&truth, &[58.0, 62.0, 119.0], 5.0),
            [Some(0), Some(2), None],
            "two near one count once"
        );
        assert_eq!(pair(&truth, &[], 5.0), [None, None, None]);
        assert_eq!(pair(&[], &[1.0], 5.0), []);
    }

    #[test]
    fn a_found_time_between_two_true_ones_does_not_cost_a_pair() {
        assert_eq!(pair(&[10.0, 16.0], &[13.0, 20.0], 5.0), [Some(0), Some(1)]);
        assert_eq!(pair(&[10.0, 16.0], &[6.0, 13.0], 5.0), [Some(0), Some(1)]);
    }

    #[test]
    fn medians() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0]), Some(2.5));
    }
}
