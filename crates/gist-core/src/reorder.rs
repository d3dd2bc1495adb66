//! Brings frames and late text into running-time order.
//!
//! A transcript is 10–30 s late, and in a file video runs far ahead of it. An item waits here until every track has
//! reached its time; in a live stream at most `latency` behind the track that is furthest ahead. What comes later
//! still is handed out at once and counted as late: text is never dropped.

use std::collections::BTreeMap;

/// Names a track of a [`Reorder`].
pub type Track = u32;

#[derive(Clone, Copy, Debug)]
struct Watermark {
    time: u64,
    ended: bool,
}

/// Items of several tracks, handed out in order of time.
#[derive(Debug)]
pub struct Reorder<T> {
    items: BTreeMap<(u64, u64), T>,
    tracks: BTreeMap<Track, Watermark>,
    pushed: u64,
    late: u64,
    released: u64,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), tracks: BTreeMap::new(), pushed: 0, late: 0, released: 0 }
    }
}

impl<T> Reorder<T> {
    /// Adds a track at time 0; everything waits for it from now on.
    pub fn add(&mut self, track: Track) {
        self.tracks.insert(track, Watermark { time: 0, ended: false });
    }

    /// Removes a track; what it has pushed stays.
    pub fn remove(&mut self, track: Track) {
        self.tracks.remove(&track);
    }

    /// Puts an item in and moves its track's watermark to `time`.
    pub fn push(&mut self, track: Track, time: u64, item: T) {
        if time < self.released {
            self.late += 1;
        }
        self.items.insert((time, self.pushed), item);
        self.pushed += 1;
        self.advance(track, time);
    }

    /// The track has reached `time` (by a buffer or a GAP): nothing earlier is expected from it.
    pub fn advance(&mut self, track: Track, time: u64) {
        if let Some(mark) = self.tracks.get_mut(&track) {
            mark.time = mark.time.max(time);
        }
    }

    /// The track is at its end; nothing waits for it any more.
    pub fn end(&mut self, track: Track) {
        if let Some(mark) = self.tracks.get_mut(&track) {
            mark.ended = true;
        }
    }

    /// Whether every track is at its end.
    pub fn ended(&self) -> bool {
        self.tracks.values().all(|mark| mark.ended)
    }

    /// The time up to which everything is known, `latency` being the longest wait (live streams only).
    pub fn watermark(&self, latency: Option<u64>) -> u64 {
        let furthest = self.tracks.values().map(|mark| mark.time).max().unwrap_or(0);
        let Some(slowest) = self.tracks.values().filter(|mark| !mark.ended).map(|mark| mark.time).min()
        else {
            return furthest;
        };
        latency.map_or(slowest, |latency| slowest.max(furthest.saturating_sub(latency)))
    }

    /// The next item whose time every track has reached, with its time.
    pub fn pop(&mut self, latency: Option<u64>) -> Option<(u64, T)> {
        self.ready(latency)?;
        let key = *self.items.keys().next()?;
        self.released = self.released.max(key.0);
        self.items.remove(&key).map(|item| (key.0, item))
    }

    /// Time of the item that is next in order.
    pub fn first(&self) -> Option<u64> {
        self.items.keys().next().map(|key| key.0)
    }

    /// Time of the item that [`Reorder::pop`] would hand out.
    pub fn ready(&self, latency: Option<u64>) -> Option<u64> {
        self.first().filter(|first| self.ended() || *first <= self.watermark(latency))
    }

    /// Whether the track is there.
    pub fn has(&self, track: Track) -> bool {
        self.tracks.contains_key(&track)
    }

    /// Takes out the first item that `matches`, to make room.
    pub fn drop_first(&mut self, matches: impl Fn(&T) -> bool) -> Option<T> {
        let key = *self.items.iter().find(|(_, item)| matches(item))?.0;
        self.items.remove(&key)
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Items that came after their time had been handed out.
    pub fn late(&self) -> u64 {
        self.late
    }

    /// Forgets items and times; the tracks stay and begin again at 0.
    pub fn reset(&mut self) {
        let tracks = std::mem::take(&mut self.tracks);
        *self = Self {
            tracks: tracks.into_keys().map(|t| (t, Watermark { time: 0, ended: false })).collect(),
            ..Self::default()
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(reorder: &mut Reorder<&'static str>, latency: Option<u64>) -> Vec<&'static str> {
        std::iter::from_fn(|| reorder.pop(latency)).map(|(_, item)| item).collect()
    }

    #[test]
    fn frames_wait_for_the_transcript() {
        let mut r = Reorder::default();
        r.add(0);
        r.add(1);
        r.push(0, 10, "frame 10");
        r.push(0, 20, "frame 20");
        assert!(order(&mut r, None).is_empty(), "the transcript has not spoken yet");
        r.push(1, 5, "text 5");
        assert_eq!(order(&mut r, None), ["text 5"]);
        r.advance(1, 15);
        assert_eq!(order(&mut r, None), ["frame 10"]);
        r.end(1);
        assert_eq!(order(&mut r, None), ["frame 20"]);
    }

    #[test]
    fn a_caption_file_read_at_once_waits_for_the_video() {
        let mut r = Reorder::default();
        r.add(0);
        r.add(1);
        for (time, text) in [(1, "text 1"), (30, "text 30")] {
            r.push(1, time, text);
        }
        r.end(1);
        r.push(0, 2, "frame 2");
        assert_eq!(order(&mut r, None), ["text 1", "frame 2"]);
        r.end(0);
        assert_eq!(order(&mut r, None), ["text 30"]);
    }

    #[test]
    fn live_waits_no_longer_than_the_latency_and_keeps_late_text() {
        let mut r = Reorder::default();
        r.add(0);
        r.add(1);
        r.push(0, 10, "frame 10");
        r.push(0, 40, "frame 40");
        assert_eq!(order(&mut r, Some(20)), ["frame 10"]);
        r.push(1, 3, "late text");
        assert_eq!(order(&mut r, Some(20)), ["late text"]);
        assert_eq!(r.late(), 1);
        assert_eq!(r.watermark(Some(20)), 20);
    }

    #[test]
    fn reset_forgets_times_but_not_tracks() {
        let mut r = Reorder::default();
        r.add(0);
        r.push(0, 50, "old");
        r.end(0);
        r.reset();
        assert!(r.is_empty() && !r.ended());
        r.push(0, 1, "new");
        assert_eq!(order(&mut r, None), ["new"]);
        assert_eq!(r.late(), 0);
    }
}
