//! The pad functions: what arrives on `sink` and `text_%u`.

use std::time::Duration;

use gist_core::Observation;
use gist_core::event::Reason;
use gist_core::observation::Source;
use gist_core::reorder::Track;
use gist_core::session::Timeline;
use gist_core::time::Span;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::CAT;
use super::imp::{GistSummarizer, Run, Video, lock};
use super::intake::{Command, Drained, Item, VIDEO};
use super::outbox::Out;
use super::sampler::{Axis, Grey};
use super::settings::OverloadPolicy;
use super::text;

/// The last chapter of a live stream gets this long after its end.
const LIVE_EOS_TIMEOUT: Duration = Duration::from_secs(60);
/// Events that wait for the worker per second of stream are few; this bounds what a hostile line of text may be.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// The track of a text pad: `text_0` is 1.
pub(super) fn track(pad: &impl IsA<gst::Object>) -> Track {
    let name = pad.name();
    let number = name.strip_prefix("text_").and_then(|number| number.parse::<Track>().ok());
    number.map_or(Track::MAX, |number| number.saturating_add(1))
}

/// What a text pad knows of its stream.
#[derive(Default)]
struct TextPad {
    segment: gst::FormattedSegment<gst::ClockTime>,
    axis: Axis,
    end: u64,
    markup: bool,
    damaged: bool,
}

impl GistSummarizer {
    // ---- video ----

    pub(super) fn sink_chain(&self, buffer: gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(run) = self.run() else { return self.srcpad.push(buffer) };
        self.find_out_whether_live(&run);
        for event in run.outbox.take_src() {
            self.srcpad.push_event(event);
        }
        // A reference only; what is kept is a copy, and only of sampled frames, so no pool runs dry.
        let copy = buffer.clone();
        let flow = self.srcpad.push(buffer);
        // An unlinked `src` is no reason to stop: the chapters are what is wanted.
        let flow = match flow {
            Err(gst::FlowError::NotLinked) if !self.srcpad.is_linked() => Ok(gst::FlowSuccess::Ok),
            flow => flow,
        };
        if flow.is_ok() && !lock(&self.settings).passthrough {
            self.sample(&run, &copy)?;
        }
        flow
    }

    fn find_out_whether_live(&self, run: &Run) {
        if std::mem::replace(&mut lock(&self.video).live_known, true) {
            return;
        }
        let mut query = gst::query::Latency::new();
        if self.sinkpad.peer_query(&mut query) {
            run.intake.set_live(query.result().0);
        }
    }

    fn sample(&self, run: &Run, buffer: &gst::Buffer) -> Result<(), gst::FlowError> {
        let (interval, max_pixels, gap, policy) = {
            let settings = lock(&self.settings);
            (settings.interval(), settings.max_pixels, settings.gap_threshold, settings.overload_policy)
        };
        let counters = run.intake.counters();
        let thin = policy == OverloadPolicy::Thin && counters.queue_time > gap;
        let (time, end, items) = {
            let mut video = lock(&self.video);
            let video = &mut *video;
            let running_time = video.running_time(buffer, run);
            let discont = buffer.flags().contains(gst::BufferFlags::DISCONT);
            let moment = video.axis.place(running_time, discont, gap);
            let end = moment.time + buffer.duration().map_or(0, gst::ClockTime::nseconds);
            let mut items = Vec::new();
            if let Some(reason) = video.cut.take().or(moment.broken.then_some(Reason::Gap)) {
                items.push(Item::Cut(reason));
            }
            let timeline = timeline(&video.segment, running_time, video.axis.offset());
            if video.timeline.replace(timeline) != Some(timeline) {
                items.push(Item::Timeline(timeline));
            }
            if video.due.take(moment.time, if thin { interval * 2 } else { interval }) {
                items.extend(video.picture(buffer, max_pixels).map(Item::Frame));
            }
            (moment.time, end, items)
        };
        let dropped = items.into_iter().map(|item| run.intake.push(VIDEO, time, item)).sum();
        run.intake.advance(VIDEO, end);
        run.intake.count(|counters| counters.frames_in += 1);
        self.overload(run, dropped);
        run.intake.wait_for_room(VIDEO, time).map_err(|_| gst::FlowError::Flushing)
    }

    pub(super) fn sink_event(&self, pad: &gst::Pad, event: gst::Event) -> bool {
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
            gst::EventView::FlushStart(_) => run.intake.flush_start(),
            gst::EventView::FlushStop(_) => self.flush_stop(&run),
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
        video.grey = None;
        video.info = Some(info);
    }

    fn flush_stop(&self, run: &Run) {
        {
            let mut video = lock(&self.video);
            let (info, live_known) = (video.info.take(), video.live_known);
            *video = Video { info, live_known, ..Video::default() };
        }
        run.outbox.take_src();
        run.outbox.chapters(Out::Flush);
        run.intake.flush_stop();
    }

    fn end_of_video(&self, run: &Run, event: gst::Event) -> bool {
        let details =
            gst::Structure::builder("gist-eos").field("position", run.intake.counters().position).build();
        let _ = self.obj().post_message(gst::message::Element::builder(details).src(&*self.obj()).build());
        run.intake.end(VIDEO);
        if !self.drain(run) {
            return false;
        }
        for event in run.outbox.take_src() {
            self.srcpad.push_event(event);
        }
        run.outbox.chapters(Out::Eos);
        self.srcpad.push_event(event) || !self.srcpad.is_linked()
    }

    /// Waits for the last chapter; false when flushed meanwhile.
    fn drain(&self, run: &Run) -> bool {
        let set = lock(&self.settings).eos_timeout;
        let timeout = match set {
            u64::MAX => run.intake.drops().then_some(LIVE_EOS_TIMEOUT),
            set => Some(Duration::from_nanos(set)),
        };
        match run.intake.wait_drained(timeout) {
            Drained::Yes => true,
            Drained::Flushed => false,
            Drained::TimedOut => {
                gst::warning!(CAT, imp = self, "eos-timeout: the last chapters go out partial");
                run.intake
                    .command(Command::Abandon("the stream ended before the text was written (eos-timeout)"));
                run.intake.wait_drained(Some(Duration::from_secs(5))) != Drained::Flushed
            }
        }
    }

    // ---- text ----

    pub(super) fn text_pad(&self, template: &gst::PadTemplate, number: u32) -> gst::Pad {
        let state = std::sync::Arc::new(std::sync::Mutex::new(TextPad::default()));
        let for_events = std::sync::Arc::clone(&state);
        gst::Pad::builder_from_template(template)
            .name(format!("text_{number}"))
            .chain_function(move |pad, parent, buffer| {
                let failed = || Err(gst::FlowError::Error);
                Self::catch_panic_pad_function(parent, failed, |imp| imp.text_chain(pad, &state, &buffer))
            })
            .event_function(move |pad, parent, event| {
                Self::catch_panic_pad_function(
                    parent,
                    || false,
                    |imp| imp.text_event(pad, &for_events, &event),
                )
            })
            .build()
    }

    fn text_chain(
        &self,
        pad: &gst::Pad,
        state: &std::sync::Mutex<TextPad>,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(run) = self.run() else { return Ok(gst::FlowSuccess::Ok) };
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut state = lock(state);
        let caption = text::decode(&map[..map.len().min(MAX_TEXT_BYTES)], state.markup);
        let running_time = buffer.pts().and_then(|pts| state.segment.to_running_time(pts));
        let at = running_time.map_or(state.axis.last(), gst::ClockTime::nseconds);
        let offset_before = state.axis.offset();
        let moment = state.axis.place(at, false, u64::MAX);
        if state.axis.offset() != offset_before {
            gst::info!(CAT, obj = pad, "the text's timestamps began anew");
        }
        let first_damage = caption.as_ref().is_some_and(|caption| caption.damaged) && !state.damaged;
        state.damaged |= first_damage;
        let start = moment.time;
        let span = Span::new(start, start + buffer.duration().map_or(0, gst::ClockTime::nseconds));
        state.end = state.end.max(span.end);
        drop(state);
        if first_damage {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Decode,
                (
                    "The text on {} is not UTF-8; what could not be read was replaced. Convert it with `iconv -t utf-8`",
                    pad.name()
                )
            );
        }
        let track = track(pad);
        match caption.filter(|_| !lock(&self.settings).passthrough) {
            Some(caption) => {
                let observation =
                    Observation { source: Source::Speech, span, text: caption.text, turn: caption.turn };
                run.intake.push(track, start, Item::Text(observation));
            }
            None => run.intake.advance(track, start),
        }
        if run.intake.is_sequential(track) {
            // Our transcriber's sentences never overlap: nothing comes that begins before the end of this one.
            run.intake.advance(track, span.end);
        }
        run.intake.wait_for_room(track, start).map_err(|_| gst::FlowError::Flushing)?;
        Ok(gst::FlowSuccess::Ok)
    }

    fn text_event(&self, pad: &gst::Pad, state: &std::sync::Mutex<TextPad>, event: &gst::Event) -> bool {
        let Some(run) = self.run() else { return true };
        let track = track(pad);
        match event.view() {
            gst::EventView::StreamStart(_) => run.intake.started(track),
            gst::EventView::Caps(caps) => {
                let format =
                    caps.caps().structure(0).and_then(|s| s.get::<&str>("format").ok().map(str::to_owned));
                lock(state).markup = format.as_deref() == Some("pango-markup");
            }
            gst::EventView::Segment(segment) => match segment.segment().downcast_ref::<gst::ClockTime>() {
                Some(segment) => {
                    lock(state).segment = segment.clone();
                    self.follow_text(&run, segment);
                }
                None => return false,
            },
            gst::EventView::Gap(gap) => {
                let (start, duration) = gap.get();
                let mut state = lock(state);
                if let Some(time) =
                    state.segment.to_running_time(start + duration.unwrap_or(gst::ClockTime::ZERO))
                {
                    let moment = state.axis.place(time.nseconds(), false, u64::MAX);
                    drop(state);
                    run.intake.advance(track, moment.time);
                }
            }
            gst::EventView::CustomDownstreamSticky(custom) => {
                let latency = custom
                    .structure()
                    .filter(|s| s.name() == "gist/latency")
                    .and_then(|s| s.get("latency").ok());
                if let Some(latency) = latency {
                    run.intake.set_latency(track, latency);
                }
            }
            // The video flushes by itself; text alone must not throw its pictures away.
            gst::EventView::FlushStart(_) if !self.sinkpad.is_linked() => run.intake.flush_start(),
            gst::EventView::FlushStop(_) => {
                let mut state = lock(state);
                *state = TextPad { markup: state.markup, ..TextPad::default() };
                drop(state);
                if !self.sinkpad.is_linked() {
                    self.flush_stop(&run);
                }
            }
            gst::EventView::Eos(_) => {
                run.intake.advance(track, lock(state).end);
                run.intake.end(track);
                // Without video the text alone drives the end (speech-only streams).
                if !self.sinkpad.is_linked() && run.intake.ended() && self.drain(&run) {
                    run.outbox.chapters(Out::Eos);
                }
            }
            _ => {}
        }
        true
    }

    /// Without video the times of the text are the stream's.
    fn follow_text(&self, run: &Run, segment: &gst::FormattedSegment<gst::ClockTime>) {
        if !self.sinkpad.is_linked() {
            run.intake.push(Track::MAX - 1, 0, Item::Timeline(timeline(segment, 0, 0)));
        }
    }
}

impl Video {
    /// Running-time of a buffer; without PTS by its DTS, else where the last one ended.
    fn running_time(&mut self, buffer: &gst::BufferRef, run: &Run) -> u64 {
        if buffer.pts().is_none() {
            run.intake.count(|counters| counters.frames_no_pts += 1);
        }
        let time = buffer.pts().or(buffer.dts()).and_then(|time| self.segment.to_running_time(time));
        time.map_or_else(|| self.axis.last().saturating_sub(self.axis.offset()), gst::ClockTime::nseconds)
    }

    fn picture(&mut self, buffer: &gst::BufferRef, max_pixels: u32) -> Option<gist_screen::Picture> {
        if self.grey.is_none() {
            let info = self.info.as_ref()?;
            let grey = Grey::new(info, max_pixels);
            self.grey = grey.inspect_err(|why| gst::warning!(CAT, "{info:?} can't be looked at: {why}")).ok();
        }
        self.grey.as_mut()?.picture(buffer)
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
