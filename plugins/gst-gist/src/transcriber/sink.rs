//! Where the samples that come in lie in time.

use std::time::Instant;

use gist_whisper::SAMPLE_NS;

use super::intake::Mark;

/// Timestamps may be this far off the count of samples: rounding, and clocks that drift.
const JITTER: gst::ClockTime = gst::ClockTime::from_mseconds(40);
/// From this far off, the samples do not continue those before.
pub(super) const BREAK: gst::ClockTime = gst::ClockTime::from_seconds(1);

/// What the sink pad knows; touched by its streaming thread alone, but for flushes.
#[derive(Default)]
pub(super) struct Sink {
    pub(super) segment: Option<gst::FormattedSegment<gst::ClockTime>>,
    /// Samples are 16-bit integers, not floats.
    pub(super) integers: bool,
    /// STREAM_START and CAPS of the text, to be sent again when a flush has swallowed them.
    pub(super) stream_start: Option<gst::Event>,
    pub(super) caps: Option<gst::Event>,
    pub(super) live: Option<bool>,
    /// The PTS the next buffer should have.
    pub(super) expected: Option<gst::ClockTime>,
    /// Samples since `anchor`, the last PTS that was believed.
    pub(super) counted: u64,
    pub(super) anchor: gst::ClockTime,
    pub(super) dropped: u64,
    pub(super) warned: Option<Instant>,
}

pub(super) fn duration_of(samples: u64) -> gst::ClockTime {
    gst::ClockTime::from_nseconds(samples * SAMPLE_NS)
}

impl Sink {
    /// Where `samples` samples with this PTS lie, and the mark to set before them if that needs saying.
    pub(super) fn place(&mut self, pts: Option<gst::ClockTime>, samples: u64) -> Option<Mark> {
        let start = || self.segment.as_ref().and_then(|s| s.start()).unwrap_or_default();
        let pts = pts.or(self.expected).unwrap_or_else(start);
        let mark = match self.expected {
            Some(expected) if pts.absdiff(expected) <= JITTER => None,
            Some(expected) if pts.absdiff(expected) < BREAK => Some(Mark::Time(pts)),
            _ => Some(Mark::Restart(pts)),
        };
        if mark.is_some() {
            (self.anchor, self.counted) = (pts, 0);
        }
        self.counted += samples;
        // A hostile PTS may lie at the end of all time.
        self.expected = Some(self.anchor.saturating_add(duration_of(self.counted)));
        mark
    }

    /// FLUSH_STOP: the next buffer begins anew. Caps and liveness stay. Returns STREAM_START and CAPS.
    pub(super) fn flush(&mut self) -> (Option<gst::Event>, Option<gst::Event>) {
        self.segment = None;
        self.expected = None;
        (self.stream_start.clone(), self.caps.clone())
    }
}

#[cfg(test)]
mod tests {
    use gist_whisper::SAMPLE_RATE;

    use super::*;

    #[test]
    fn sound_that_goes_on_needs_no_mark_after_a_month() {
        let day = 24 * 3600 * SAMPLE_RATE as u64;
        let mut sink = Sink::default();
        assert!(matches!(sink.place(Some(gst::ClockTime::SECOND), 160), Some(Mark::Restart(_))));
        for days in [12, 13, 14, 30] {
            sink.counted = days * day;
            sink.expected = Some(sink.anchor + gst::ClockTime::from_seconds(days * 24 * 3600));
            let pts = sink.expected;
            assert!(sink.place(pts, 160).is_none(), "day {days}");
            let next = pts.map(|pts| pts + gst::ClockTime::from_mseconds(10));
            assert!(sink.place(next, 160).is_none(), "day {days}, the buffer after");
        }
    }

    #[test]
    fn a_pts_at_the_end_of_all_time_is_no_panic() {
        let mut sink = Sink::default();
        sink.place(Some(gst::ClockTime::MAX), 16_000);
        sink.place(None, 16_000);
        assert_eq!(sink.expected, Some(gst::ClockTime::MAX));
    }
}
