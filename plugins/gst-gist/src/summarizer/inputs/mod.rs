//! What arrives on the pads: [`video`] on `sink`, [`text`] on `text_%u`; and what they have in common, seeks, flushes and
//! the end.

mod text;
mod video;

use std::time::Duration;

use gist_core::reorder::Track;
use gist_core::session::Timeline;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::{GistSummarizer, Run, lock};
use super::intake::{Drained, Scope, VIDEO};

/// The last chapter of a live stream gets this long after its end.
const LIVE_EOS_TIMEOUT: Duration = Duration::from_secs(60);
/// When that is over, the worker gets this long to finish its step and say so.
const ABANDON_TIMEOUT: Duration = Duration::from_secs(5);

/// The track of a pad: 0 is `sink`, 1 `text_0`.
pub(super) fn track(pad: &impl IsA<gst::Object>) -> Track {
    let name = pad.name();
    let number = name.strip_prefix("text_").map(|number| number.parse::<Track>().unwrap_or(Track::MAX));
    number.map_or(VIDEO, |number| number.saturating_add(1))
}

impl GistSummarizer {
    fn find_out_whether_live(&self, run: &Run, pad: &gst::Pad) {
        if std::mem::replace(&mut lock(&self.video).live_known, true) {
            return;
        }
        let mut query = gst::query::Latency::new();
        if pad.peer_query(&mut query) {
            run.intake.set_live(query.result().0);
        }
    }

    /// Whether there is no video, and none is to come: `sink` may be linked only when a decoder has found out what there
    /// is.
    fn is_text_alone(&self, run: &Run) -> bool {
        !self.sinkpad.is_linked() && !run.intake.expects(VIDEO)
    }

    /// The pad was unlinked: nothing more comes, not even the second half of a flush.
    pub(super) fn unlinked(&self, run: &Run, track: Track) {
        if run.intake.flushing(track).is_some() {
            self.flush_stop(run, track, true);
        }
        run.intake.end(track);
    }

    /// A flush of the video is one of the stream; text alone must not throw pictures away, unless there are none.
    fn flush_start(&self, run: &Run, track: Track) {
        let whole = track == VIDEO || self.is_text_alone(run);
        let scope = if whole { Scope::Stream } else { Scope::Pad };
        run.intake.flush_start(track, scope);
        if scope == Scope::Stream {
            run.outbox.flush_start();
        }
    }

    fn flush_stop(&self, run: &Run, track: Track, reset_time: bool) {
        let scope = run.intake.flushing(track).unwrap_or(Scope::Pad);
        if scope == Scope::Stream {
            run.outbox.flush_stop(reset_time);
        }
        run.intake.flush_stop(track, scope);
    }

    pub(super) fn upstream_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        match event.view() {
            gst::EventView::Seek(_) => self.seek(event),
            _ => gst::Pad::event_default(pad, Some(&*self.obj()), event),
        }
    }

    /// Whoever brings text may read another file than whoever brings the video, and has to go along. Where both come
    /// from one demuxer it ignores the second event by its number, as it does for a player with two sinks; and so is it
    /// here, as sources of text may not.
    fn seek(&self, event: gst::Event) -> bool {
        let number = event.seqnum();
        if let Some((last, done)) = *lock(&self.seek)
            && last == number
        {
            return done;
        }
        let flushes = matches!(event.view(), gst::EventView::Seek(seek) if seek.get().1.contains(gst::SeekFlags::FLUSH));
        let run = self.run().filter(|_| flushes);
        if let Some(run) = &run {
            run.intake.hold(true);
        }
        let video = self.sinkpad.is_linked().then(|| self.sinkpad.push_event(event.clone()));
        let pads = self.obj().sink_pads();
        let texts = pads.iter().filter(|pad| *pad != &self.sinkpad);
        let text = texts.filter(|pad| pad.push_event(event.clone())).count() > 0;
        if let Some(run) = &run {
            run.intake.hold(false);
        }
        let done = video.unwrap_or(text);
        *lock(&self.seek) = Some((number, done));
        done
    }

    /// Waits for the last chapter on the thread of a pad; false when that is flushed meanwhile.
    fn drain(&self, run: &Run, track: Track) -> bool {
        let set = lock(&self.settings).eos_timeout;
        let timeout = match set {
            u64::MAX => run.intake.drops().then_some(LIVE_EOS_TIMEOUT),
            set => Some(Duration::from_nanos(set)),
        };
        match run.intake.wait_drained(track, timeout) {
            Drained::Yes => true,
            Drained::Flushed => false,
            Drained::TimedOut => {
                gst::warning!(CAT, imp = self, "eos-timeout: the last chapters go out partial");
                run.intake.abandon("the stream ended before the text was written (eos-timeout)");
                run.intake.wait_drained(track, Some(ABANDON_TIMEOUT)) != Drained::Flushed
            }
        }
    }
}

/// Offsets from the axis to stream-time and timestamps, taken at one moment; the rate is 1 between seeks.
fn timeline(segment: &gst::FormattedSegment<gst::ClockTime>, running_time: u64, offset: u64) -> Timeline {
    let on_axis = running_time.saturating_add(offset) as i64;
    let Some(position) = segment.position_from_running_time(gst::ClockTime::from_nseconds(running_time))
    else {
        return Timeline::default();
    };
    let stream_time = segment.to_stream_time(position).unwrap_or(position);
    Timeline {
        stream_time: stream_time.nseconds() as i64 - on_axis,
        timestamp: position.nseconds() as i64 - on_axis,
    }
}
