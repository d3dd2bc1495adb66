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
    items: BTreeMap<(u64, u64), (Track, T)>,
    tracks: BTreeMap<Track, Watermark>,
    pushed: u64,
    released: u64,
}

impl<T> Default for Reorder<T> {
    fn default() -> Self {
        Self { items: BTreeMap::new(), tracks: BTreeMap::new(), pushed: 0, released: 0 }
    }
}

impl<T> Reorder<T> {
    /// Adds a track at time 0, or lets one that has ended go on at the time it had reached; everything waits for it
    /// from now on.
    pub fn add(&mut self, track: Track) {
        self.tracks.entry(track).or_insert(Watermark { time: 0, ended: false }).ended = false;
    }

    /// Removes a track; what it has pushed stays.
    pub fn remove(&mut self, track: Track) {
        self.tracks.remove(&track);
    }

    /// Puts an item in and moves its track's watermark to `time`. Returns whether it is late: a later one has been
    /// handed out already.
    pub fn push(&mut self, track: Track, time: u64, item: T) -> bool {
        self.items.insert((time, self.pushed), (track, item));
        self.pushed += 1;
        self.advance(track, time);
        time < self.released
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

    /// The track begins anew at time 0: what it has pushed is taken out, other tracks keep theirs.
    pub fn flush(&mut self, track: Track) -> Vec<T> {
        if let Some(mark) = self.tracks.get_mut(&track) {
            *mark = Watermark { time: 0, ended: false };
        }
        self.items.extract_if(.., |_, (owner, _)| *owner == track).map(|(_, (_, item))| item).collect()
    }

    /// Time begins anew: nothing that was handed out so far makes an item late.
    pub fn restart(&mut self) {
        self.released = 0;
    }

    /// Whether the track is there and not at its end.
    pub fn is_open(&self, track: Track) -> bool {
        self.tracks.get(&track).is_some_and(|mark| !mark.ended)
    }

    /// Whether every track is at its end.
    pub fn ended(&self) -> bool {
        self.tracks.values().all(|mark| mark.ended)
    }

    /// The time up to which everything is known, `latency` being the longest wait (live streams only).
    pub fn watermark(&self, latency: Option<u64>) -> u64 {
        let furthest = self.furthest();
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
        self.items.remove(&key).map(|(_, item)| (key.0, item))
    }

    /// Time of the item that is next in order.
    pub fn first(&self) -> Option<u64> {
        self.items.keys().next().map(|key| key.0)
    }

    /// Time of the item that [`Reorder::pop`] would hand out.
    pub fn ready(&self, latency: Option<u64>) -> Option<u64> {
        self.first().filter(|first| self.ended() || *first <= self.watermark(latency))
    }

    /// The time that the track which is furthest ahead has reached.
    pub fn furthest(&self) -> u64 {
        self.tracks.values().map(|mark| mark.time).max().unwrap_or(0)
    }

    /// Takes out the first item that `matches`, to make room.
    pub fn drop_first(&mut self, matches: impl Fn(&T) -> bool) -> Option<T> {
        let key = *self.items.iter().find(|(_, (_, item))| matches(item))?.0;
        self.items.remove(&key).map(|(_, item)| item)
    }

    /// Takes out the item that `matches` whose neighbours of its kind are closest to each other: what stays is spread
    /// evenly over the time that waits. The first and the last of the kind stay.
    pub fn drop_densest(&mut self, matches: impl Fn(&T) -> bool) -> Option<T> {
        let keys: Vec<_> =
            self.items.iter().filter(|(_, (_, item))| matches(item)).map(|(key, _)| *key).collect();
        let (_, key) = keys.windows(3).map(|near| (near[2].0 - near[0].0, near[1])).min()?;
        self.items.remove(&key).map(|(_, item)| item)
    }

    /// Takes out everything, in order.
    pub fn take_all(&mut self) -> impl Iterator<Item = (u64, T)> + use<T> {
        std::mem::take(&mut self.items).into_iter().map(|(key, (_, item))| (key.0, item))
    }

    /// Items that wait.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
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
        assert!(r.push(1, 3, "late text"));
        assert!(!r.push(1, 15, "text in time"));
        assert_eq!(order(&mut r, Some(20)), ["late text", "text in time"]);
        assert_eq!(r.watermark(Some(20)), 20);
    }

    #[test]
    fn a_flush_of_one_track_leaves_the_others_alone() {
        let mut r = Reorder::default();
        r.add(0);
        r.add(1);
        r.push(0, 50, "old frame");
        r.push(1, 60, "text 60");
        r.end(0);
        r.end(1);
        assert_eq!(r.flush(0), ["old frame"]);
        assert!(!r.ended(), "it will come again");
        r.push(0, 1, "new frame");
        assert_eq!(order(&mut r, None), ["new frame"]);
        r.end(0);
        assert!(r.ended(), "text 1 has not been flushed and will not come again");
        assert_eq!(order(&mut r, None), ["text 60"]);
        r.restart();
        assert!(!r.push(0, 2, "not late: time began anew"));
    }

    #[test]
    fn a_track_that_has_ended_goes_on_where_it_was() {
        let mut r = Reorder::default();
        r.add(0);
        r.push(0, 50, "first film");
        r.end(0);
        r.add(0);
        assert!(!r.ended() && r.watermark(None) == 50);
    }

    #[test]
    fn thinning_leaves_the_rest_spread_evenly() {
        let mut r = Reorder::default();
        r.add(0);
        for time in 0..=32 {
            r.push(0, time, if time == 7 { "text" } else { "frame" });
        }
        for _ in 0..23 {
            r.drop_densest(|item| *item == "frame").unwrap();
        }
        let (text, frames): (Vec<_>, Vec<_>) = r.take_all().partition(|(_, item)| *item == "text");
        assert_eq!(text, [(7, "text")]);
        let times: Vec<_> = frames.iter().map(|(time, _)| *time).collect();
        assert_eq!((times.len(), times[0], times[8]), (9, 0, 32));
        assert!(times.windows(2).all(|near| near[1] - near[0] <= 8), "no hole: {times:?}");
    }
}
