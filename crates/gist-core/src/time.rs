//! Times are integer nanoseconds of running-time; seconds appear only where people read them.

use serde::{Deserialize, Serialize};

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A stretch of running-time, `start <= end`, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Span {
    /// First nanosecond.
    pub start: u64,
    /// First nanosecond after.
    pub end: u64,
}

impl Span {
    /// A span; an end before the start (hostile captions have them) becomes the start.
    pub fn new(start: u64, end: u64) -> Self {
        Self { start, end: end.max(start) }
    }

    /// Whether both have a moment in common; a span of no length is its start.
    pub fn overlaps(self, other: Self) -> bool {
        let end = |span: Self| span.end.max(span.start.saturating_add(1));
        self.start < end(other) && other.start < end(self)
    }

    /// Length in nanoseconds.
    pub fn duration(self) -> u64 {
        self.end - self.start
    }
}

/// Nanoseconds as float seconds.
pub fn seconds(ns: u64) -> f64 {
    ns as f64 / SECOND as f64
}

/// Float seconds as nanoseconds; negative and non-finite values become 0.
pub fn nanoseconds(seconds: f64) -> u64 {
    (seconds * SECOND as f64).round().max(0.0) as u64
}

/// `M:SS` below an hour, `H:MM:SS` from there on.
pub fn clock(ns: u64) -> String {
    let s = ns / SECOND;
    let (h, m, s) = (s / 3600, s / 60 % 60, s % 60);
    if h > 0 { format!("{h}:{m:02}:{s:02}") } else { format!("{m}:{s:02}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_never_ends_before_it_starts() {
        assert_eq!(Span::new(5, 3), Span { start: 5, end: 5 });
    }

    #[test]
    fn clock_grows_an_hour_field_only_when_needed() {
        assert_eq!(clock(59 * SECOND), "0:59");
        assert_eq!(clock(3599 * SECOND), "59:59");
        assert_eq!(clock(3661 * SECOND), "1:01:01");
    }

    #[test]
    fn nonsense_seconds_are_zero() {
        assert_eq!(nanoseconds(f64::NAN), 0);
        assert_eq!(nanoseconds(-3.0), 0);
        assert_eq!(nanoseconds(1.5), 1_500_000_000);
    }
}
