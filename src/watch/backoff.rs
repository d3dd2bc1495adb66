//! How long to wait before the next attempt.

use std::time::Duration;

/// The longest pause.
const MOST: Duration = Duration::from_secs(60);

/// 1, 2, 4 … 60 s, each up to a quarter longer, so that those that failed together don't come back together.
#[derive(Debug, Default)]
pub(super) struct Backoff(u32);

impl Backoff {
    /// The next pause.
    pub(super) fn next(&mut self) -> Duration {
        let pause = Duration::from_secs(1 << self.0.min(6)).min(MOST);
        self.0 = self.0.saturating_add(1);
        pause.mul_f64(1.0 + rand::random::<f64>() / 4.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_minute() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..100).map(|_| backoff.next().as_secs_f64()).collect();
        assert!((1.0..=1.25).contains(&pauses[0]) && (60.0..=75.0).contains(&pauses[99]));
        assert!(pauses.iter().all(|pause| *pause <= 75.0));
    }
}
