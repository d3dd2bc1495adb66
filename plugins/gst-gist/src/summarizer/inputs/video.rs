//! Video: it passes, and what is due of it is sampled.

use std::time::Instant;

use gist_core::event::Reason;
use gist_core::session::Timeline;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::super::CAT;
use super::super::imp::{GistSummarizer, Run, Video, lock};
use super::super::intake::{Item, VIDEO};
use super::super::sampler::{Camera, Sampled};
use super::super::settings::OverloadPolicy;
use super::timeline;

/// What is known of a frame before it is passed on.
struct Seen {
    time: u64,
    end: u64,
    untimed: bool,
    cut: Option<Reason>,
    missed: Option<u64>,
    timeline: Option<Timeline>,
    /// A reference, if the frame is due; any other frame is passed on unshared.
    frame: Option<gst::Buffer>,
}

impl GistSummarizer {
    pub(in super::super) fn sink_chain(
        &self,
        buffer: gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(run) = self.run() else { return self.srcpad.push(buffer) };
        self.find_out_whether_live(&run, &self.sinkpad);
        for event in run.outbox.take_src() {
            self.srcpad.push_event(event);
        }
        let passthrough = lock(&self.settings).passthrough;
        let seen = if passthrough { None } else { self.see(&run, &buffer) };
        let flow = self.srcpad.push(buffer);
        // An unlinked `src` is no reason to stop: the chapters are what is wanted.
        let flow = match flow {
            Err(gst::FlowError::NotLinked) if !self.srcpad.is_linked() => Ok(gst::FlowSuccess::Ok),
            flow => flow,
        };
        if let (Ok(_), Some(seen)) = (flow, seen) {
            self.sample(&run, seen)?;
        }
        flow
    }

    /// Before a frame is passed on: says when it is and whether it is due, which takes no time; `None` when it lies
    /// outside of the segment and is never shown. A frame of which anybody held a reference would have to be copied by
    /// elements downstream that write on it.
    fn see(&self, run: &Run, buffer: &gst::Buffer) -> Option<Seen> {
        let (interval, gap, policy) = {
            let settings = lock(&self.settings);
            (settings.interval(), settings.gap_threshold, settings.overload_policy)
        };
        let thin = policy == OverloadPolicy::Thin && run.intake.counters().queue_time > gap;
        let clock = || self.obj().current_running_time().map(gst::ClockTime::nseconds);
        let mut video = lock(&self.video);
        let video = &mut *video;
        let length = video.length(buffer);
        let running_time = video.running_time(buffer, length, clock)?;
        video.last = Some((running_time, length));
        let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
        let moment = video.axis.place(running_time, discont, gap);
        let timeline = timeline(&video.segment, running_time, video.axis.offset());
        let due = video.due.take(moment.time, if thin { interval * 2 } else { interval });
        Some(Seen {
            time: moment.time,
            end: moment.time + length.unwrap_or(0),
            untimed: buffer.pts().is_none(),
            cut: video.cut.take().or(moment.broken.then_some(Reason::Gap)),
            missed: moment.missed,
            timeline: (video.timeline.replace(timeline) != Some(timeline)).then_some(timeline),
            frame: due.then(|| buffer.clone()),
        })
    }

    /// After the frame was passed on: leaves what was seen for the worker, and waits if that is behind.
    fn sample(&self, run: &Run, seen: Seen) -> Result<(), gst::FlowError> {
        let max_pixels = lock(&self.settings).max_pixels;
        // What is kept is a copy, so no pool runs dry.
        let start = Instant::now();
        let picture = seen.frame.and_then(|frame| lock(&self.video).picture(&frame, max_pixels, run.sees));
        let sampling = start.elapsed().as_nanos() as u64;
        let missed = seen.missed.map(Item::Missed);
        let items = seen
            .cut
            .map(Item::Cut)
            .into_iter()
            .chain(missed)
            .chain(seen.timeline.map(Item::Timeline))
            .chain(picture.map(Item::Frame));
        let dropped = items.map(|item| run.intake.push(VIDEO, seen.time, item)).sum();
        run.intake.advance(VIDEO, seen.end);
        run.intake.count(|counters| {
            counters.frames_in += 1;
            counters.frames_no_pts += u64::from(seen.untimed);
            counters.sampling += sampling;
        });
        self.overload(run, dropped);
        run.intake.wait_for_room(VIDEO, seen.time).map_err(|_| gst::FlowError::Flushing)
    }

    pub(in super::super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
        let Some(run) = self.run() else { return gst::Pad::event_default(pad, Some(&*self.obj()), event) };
        match event.view() {
            gst::EventView::StreamStart(_) => run.intake.started(VIDEO),
            gst::EventView::Caps(caps) => self.set_video_info(caps.caps()),
            gst::EventView::Segment(segment) => {
                let Some(segment) = segment.segment().downcast_ref::<gst::ClockTime>() else {
                    gst::element_imp_error!(
                        self,
                        gst::StreamError::Format,
                        ("The video has no times: its segment is in {:?}", segment.segment().format())
                    );
                    return false;
                };
                let mut video = lock(&self.video);
                let moved = video.segment.start() != segment.start() && video.axis.last() > 0;
                video.segment = segment.clone();
                if moved {
                    video.cut = Some(Reason::Segment);
                }
            }
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let end = start + duration.unwrap_or(gst::ClockTime::ZERO);
                let mut video = lock(&self.video);
                if let Some(time) = video.segment.to_running_time(end) {
                    let moment = video.axis.place(time.nseconds(), false, u64::MAX);
                    drop(video);
                    run.intake.advance(VIDEO, moment.time);
                }
            }
            gst::EventView::FlushStart(_) => self.flush_start(&run, VIDEO),
            gst::EventView::FlushStop(flush) => {
                {
                    let mut video = lock(&self.video);
                    let (info, live_known) = (video.info.take(), video.live_known);
                    *video = Video { info, live_known, ..Video::default() };
                }
                self.flush_stop(&run, VIDEO, flush.resets_time());
            }
            gst::EventView::Eos(_) => return self.end_of_video(&run, event),
            _ => {}
        }
        self.srcpad.push_event(event) || !self.srcpad.is_linked()
    }

    fn set_video_info(&self, caps: &gst::CapsRef) {
        let info = match gst_video::VideoInfo::from_caps(caps) {
            Ok(info) => info,
            Err(error) => {
                gst::warning!(CAT, imp = self, "pictures of {caps} are not looked at: {error}");
                return;
            }
        };
        let mut video = lock(&self.video);
        let shape = |info: &gst_video::VideoInfo| f64::from(info.width()) / f64::from(info.height().max(1));
        // A new size alone is the same picture; a new shape is another one.
        if video.info.as_ref().is_some_and(|old| (shape(old) - shape(&info)).abs() > 0.05) {
            video.cut = Some(Reason::Caps);
        }
        video.camera = None;
        video.info = Some(info);
    }

    fn end_of_video(&self, run: &Run, event: gst::Event) -> bool {
        let details =
            gst::Structure::builder("gist-eos").field("position", run.intake.counters().position).build();
        let _ = self.obj().post_message(gst::message::Element::builder(details).src(&*self.obj()).build());
        run.intake.end(VIDEO);
        if !self.drain(run, VIDEO) {
            return false;
        }
        for event in run.outbox.take_src() {
            self.srcpad.push_event(event);
        }
        run.outbox.end();
        self.srcpad.push_event(event) || !self.srcpad.is_linked()
    }
}

impl Video {
    /// How long a frame lasts, by itself or by the frame rate.
    fn length(&self, buffer: &gst::BufferRef) -> Option<u64> {
        let by_rate = || {
            // 0/1 is a rate that nobody knows.
            let fps = self.info.as_ref()?.fps();
            gst::ClockTime::SECOND.nseconds().checked_mul(fps.denom() as u64)?.checked_div(fps.numer() as u64)
        };
        buffer.duration().map(gst::ClockTime::nseconds).or_else(by_rate)
    }

    /// Running-time of a frame of this length; without PTS by its DTS, else where the last one ended, else by the clock.
    fn running_time(
        &self,
        buffer: &gst::BufferRef,
        length: Option<u64>,
        clock: impl FnOnce() -> Option<u64>,
    ) -> Option<u64> {
        Some(match (buffer.pts().or(buffer.dts()), self.last) {
            (Some(time), _) => self.segment.to_running_time(time)?.nseconds(),
            (None, Some((at, Some(lasts)))) => at.saturating_add(lasts),
            (None, None) if length.is_some() => 0,
            (None, last) => clock().unwrap_or(0).max(last.map_or(0, |(at, _)| at)),
        })
    }

    /// Copies a frame, in colour for a model that sees.
    fn picture(&mut self, buffer: &gst::BufferRef, max_pixels: u32, colour: bool) -> Option<Sampled> {
        if self.camera.is_none() {
            let info = self.info.as_ref()?;
            let camera = Camera::new(info, max_pixels, colour);
            self.camera =
                camera.inspect_err(|why| gst::warning!(CAT, "{info:?} can't be looked at: {why}")).ok();
        }
        self.camera.as_mut()?.picture(buffer)
    }
}
