//! `gistsummarizer` on the mock model: what an application sees.

mod ask;
mod busy;
mod end;
mod flush;
mod output;
mod pads;
mod seek;
mod video;
mod vision;

use std::sync::mpsc;
use std::time::Duration;

use gst::prelude::*;
use gst_check::Harness;

use crate::init;

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=48,framerate=0/1";
const S: u64 = 1_000_000_000;
/// No test waits for less; what takes longer hangs.
const WATCHDOG: Duration = Duration::from_secs(60);

/// The element with its video harness, a text harness and the bus its messages go to.
struct Rig {
    element: gst::Element,
    video: Harness,
    text: Harness,
    bus: gst::Bus,
}

impl Rig {
    fn new(script: &str) -> Self {
        Self::with(script, |_| {})
    }

    fn with(script: &str, configure: impl FnOnce(&gst::Element)) -> Self {
        init();
        let element = gst::ElementFactory::make("gistsummarizer")
            .property_from_str("backend", "mock")
            .property("model", script)
            .build()
            .unwrap();
        configure(&element);
        let bus = gst::Bus::new();
        element.set_bus(Some(&bus));
        let mut video = Harness::with_element(&element, Some("sink"), Some("src"));
        let mut text = Harness::with_element(&element, Some("text_0"), None);
        text.set_src_caps_str("text/x-raw,format=utf8");
        video.set_src_caps_str(CAPS);
        video.play();
        Self { element, video, text, bus }
    }

    fn frame(&mut self, at: u64) -> Result<gst::FlowSuccess, gst::FlowError> {
        self.video.push(picture(Some(at)))
    }

    fn say(&mut self, from: u64, to: u64, words: &str) {
        let mut buffer = gst::Buffer::from_slice(words.as_bytes().to_vec());
        let edit = buffer.get_mut().unwrap();
        edit.set_pts(gst::ClockTime::from_nseconds(from));
        edit.set_duration(gst::ClockTime::from_nseconds(to - from));
        self.text.push(buffer).unwrap();
    }

    /// A message of the element with this name and, for chapters, this type.
    fn wait(&self, name: &str, kind: Option<&str>) -> gst::Structure {
        loop {
            let message = self.bus.timed_pop(clock_time(WATCHDOG));
            let message = message.unwrap_or_else(|| panic!("no {name} {kind:?}"));
            if let gst::MessageView::Error(error) = message.view() {
                panic!("{error:?}");
            }
            let Some(structure) = message.structure().filter(|s| s.name() == name) else { continue };
            if kind.is_none_or(|kind| structure.get::<&str>("type") == Ok(kind)) {
                return structure.to_owned();
            }
        }
    }

    fn stat(&self, name: &str) -> u64 {
        self.element.property::<gst::Structure>("stats").get(name).unwrap()
    }

    /// A stream that is gone is followed by another one.
    fn flush(&mut self) {
        self.video.push_event(gst::event::FlushStart::new());
        self.video.push_event(gst::event::FlushStop::new(true));
        self.video.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
    }

    /// A harness on the `chapters` pad.
    fn chapters(&self) -> Harness {
        let mut chapters = Harness::with_element(&self.element, None, Some("chapters"));
        chapters.set_sink_caps_str("application/x-json");
        chapters
    }

    /// Pushes EOS on both pads; returns when it has come through.
    fn end(&mut self) {
        self.text.push_event(gst::event::Eos::new());
        self.video.push_event(gst::event::Eos::new());
    }

    fn closed(&self) -> Vec<serde_json::Value> {
        closed(&self.element)
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

fn clock_time(time: Duration) -> gst::ClockTime {
    time.try_into().unwrap()
}

/// Does what may hang.
fn watched<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (tell, told) = mpsc::channel();
    std::thread::spawn(move || tell.send(work()));
    told.recv_timeout(WATCHDOG).unwrap_or_else(|why| panic!("{what}: {why}"))
}

/// Waits for what has no event of its own.
fn until(what: &str, mut is: impl FnMut() -> bool) {
    for _ in 0..WATCHDOG.as_millis() / 5 {
        if is() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("{what}: it never came");
}

fn launch(line: &str) -> gst::Pipeline {
    gst::parse::launch(line).unwrap().downcast().unwrap()
}

fn reaches(pipeline: &gst::Pipeline, state: gst::State) {
    pipeline.set_state(state).unwrap();
    let (result, reached, _) = pipeline.state(clock_time(WATCHDOG));
    assert_eq!((result.is_ok(), reached), (true, state));
}

/// Waits for EOS.
fn plays_to_its_end(pipeline: &gst::Pipeline) {
    let types = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = pipeline.bus().unwrap().timed_pop_filtered(clock_time(WATCHDOG), &types).expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos, "{message:?}");
}

fn closed(element: &gst::Element) -> Vec<serde_json::Value> {
    serde_json::from_str(&element.property::<String>("chapters-json")).unwrap()
}

fn picture(at: Option<u64>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![90; 64 * 48]);
    buffer.get_mut().unwrap().set_pts(at.map(gst::ClockTime::from_nseconds));
    buffer
}
