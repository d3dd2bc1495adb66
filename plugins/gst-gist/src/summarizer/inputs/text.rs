//! Text: transcript, captions, notes.

use std::sync::{Arc, Mutex};

use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::session::Timeline;
use gist_core::time::Span;
use gst::prelude::*;
use gst::subclass::prelude::*;

use super::super::imp::{GistSummarizer, lock};
use super::super::intake::Item;
use super::super::sampler::Axis;
use super::super::{CAT, text};
use super::{timeline, track};

/// Events that wait for the worker per second of stream are few; this bounds what a hostile line of text may be.
const MAX_TEXT_BYTES: usize = 64 * 1024;

/// What a text pad knows of its stream.
#[derive(Default)]
struct TextPad {
    segment: gst::FormattedSegment<gst::ClockTime>,
    axis: Axis,
    timeline: Option<Timeline>,
    end: u64,
    markup: bool,
    damaged: bool,
}

impl TextPad {
    /// Running-time and length of what a buffer says; `None` when that lies outside of the segment, as a demuxer may send
    /// what was said before the target of a seek. Without a time it goes on where the last one was.
    fn clip(&self, buffer: &gst::BufferRef) -> Option<(u64, u64)> {
        let duration = buffer.duration().unwrap_or(gst::ClockTime::ZERO);
        let Some(pts) = buffer.pts() else {
            return Some((self.axis.last().saturating_sub(self.axis.offset()), duration.nseconds()));
        };
        let (start, stop) = self.segment.clip(pts, pts + duration)?;
        let running_time = self.segment.to_running_time(start?)?;
        Some((running_time.nseconds(), stop?.saturating_sub(start?).nseconds()))
    }

    /// Places a running-time; with the timeline where that is a new one.
    fn place(&mut self, running_time: u64) -> (u64, Option<Timeline>) {
        let moment = self.axis.place(running_time, false, u64::MAX);
        let timeline = timeline(&self.segment, running_time, self.axis.offset());
        let moved = self.timeline.replace(timeline) != Some(timeline);
        (moment.time, moved.then_some(timeline))
    }
}

impl GistSummarizer {
    pub(in super::super) fn text_pad(&self, template: &gst::PadTemplate, number: u32) -> gst::Pad {
        let state = Arc::new(Mutex::new(TextPad::default()));
        let for_events = Arc::clone(&state);
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
        state: &Mutex<TextPad>,
        buffer: &gst::Buffer,
    ) -> Result<gst::FlowSuccess, gst::FlowError> {
        let Some(run) = self.run() else { return Ok(gst::FlowSuccess::Ok) };
        let alone = self.is_text_alone(&run);
        if alone {
            self.find_out_whether_live(&run, pad);
        }
        let map = buffer.map_readable().map_err(|_| gst::FlowError::Error)?;
        let mut state = lock(state);
        let caption = text::decode(&map[..map.len().min(MAX_TEXT_BYTES)], state.markup);
        let Some((at, length)) = state.clip(buffer) else { return Ok(gst::FlowSuccess::Ok) };
        let offset_before = state.axis.offset();
        let (start, moved) = state.place(at);
        if state.axis.offset() != offset_before {
            gst::info!(CAT, obj = pad, "the text's timestamps began anew");
        }
        let first_damage = caption.as_ref().is_some_and(|caption| caption.damaged) && !state.damaged;
        state.damaged |= first_damage;
        let span = Span::new(start, start + length);
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
        // Without video the times of the text are the stream's.
        if let Some(timeline) = moved.filter(|_| alone) {
            run.intake.push(track, start, Item::Timeline(timeline));
        }
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

    fn text_event(&self, pad: &gst::Pad, state: &Mutex<TextPad>, event: &gst::Event) -> bool {
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
                    let mut state = lock(state);
                    state.segment = segment.clone();
                    let begin = segment.start().and_then(|start| segment.to_running_time(start));
                    let (start, moved) = state.place(begin.map_or(0, gst::ClockTime::nseconds));
                    drop(state);
                    if let Some(timeline) = moved.filter(|_| self.is_text_alone(&run)) {
                        run.intake.push(track, start, Item::Timeline(timeline));
                    }
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
            gst::EventView::FlushStart(_) => self.flush_start(&run, track),
            gst::EventView::FlushStop(flush) => {
                let mut state = lock(state);
                *state = TextPad { markup: state.markup, ..TextPad::default() };
                drop(state);
                self.flush_stop(&run, track, flush.resets_time());
            }
            gst::EventView::Eos(_) => {
                run.intake.advance(track, lock(state).end);
                run.intake.end(track);
                // Without video the text alone drives the end (speech-only streams).
                if self.is_text_alone(&run) && run.intake.ended() && self.drain(&run, track) {
                    run.outbox.end();
                }
            }
            _ => {}
        }
        true
    }
}
