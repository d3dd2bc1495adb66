//! `gistsummarizer` on the mock model: what an application sees.

use std::time::Duration;

use gst::prelude::*;
use gst_check::Harness;

use crate::init;

const CAPS: &str = "video/x-raw,format=GRAY8,width=64,height=48,framerate=0/1";
const S: u64 = 1_000_000_000;

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
            let message = self.bus.timed_pop(gst::ClockTime::from_seconds(20));
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

    /// Pushes EOS on both pads; returns when it has come through.
    fn end(&mut self) {
        self.text.push_event(gst::event::Eos::new());
        self.video.push_event(gst::event::Eos::new());
    }

    fn closed(&self) -> Vec<serde_json::Value> {
        serde_json::from_str(&self.element.property::<String>("chapters-json")).unwrap()
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        let _ = self.element.set_state(gst::State::Null);
    }
}

fn picture(at: Option<u64>) -> gst::Buffer {
    let mut buffer = gst::Buffer::from_mut_slice(vec![90; 64 * 48]);
    buffer.get_mut().unwrap().set_pts(at.map(gst::ClockTime::from_nseconds));
    buffer
}

#[test]
fn video_passes_untouched_while_the_model_is_stuck() {
    let mut rig = Rig::with("delay-ms=600000", |element| {
        element.set_property_from_str("overload-policy", "drop-oldest");
        element.set_property("eos-timeout", 0u64);
    });
    rig.say(0, S, "the model will think about this for ten minutes");
    for i in 0..100 {
        let buffer = picture(Some(i * S));
        let address = buffer.as_ptr();
        rig.video.push(buffer).unwrap();
        let out = rig.video.pull().unwrap();
        assert_eq!(out.as_ptr(), address, "the very same buffer");
    }
    assert!(rig.stat("frames-dropped") > 0);
    assert!(rig.stat("frames-looked-at") == 0, "the worker has not moved");
    let overload = rig.wait("gist-overload", None);
    assert!(overload.get::<u64>("dropped").unwrap() > 0);
}

#[test]
fn sampling_goes_by_running_time_even_without_a_frame_rate() {
    let mut rig = Rig::new("");
    for i in 0..50 {
        rig.frame(i * S / 5).unwrap();
    }
    assert_eq!((rig.stat("frames-in"), rig.stat("frames-sampled")), (50, 10));
}

#[test]
fn frames_without_a_time_pass_and_are_counted() {
    let mut rig = Rig::new("");
    for _ in 0..3 {
        rig.video.push(picture(None)).unwrap();
        assert!(rig.video.pull().unwrap().pts().is_none());
    }
    assert_eq!(rig.stat("frames-no-pts"), 3);
}

#[test]
fn the_last_chapter_comes_before_the_end() {
    let mut rig = Rig::new("");
    rig.frame(0).unwrap();
    rig.say(S, 3 * S, "blocks are fetched in parallel");
    rig.frame(4 * S).unwrap();
    rig.end();
    let names = std::iter::from_fn(|| rig.video.try_pull_event()).map(|event| {
        event
            .structure()
            .filter(|s| s.name() == "gist/chapter")
            .map_or_else(|| format!("{:?}", event.type_()), |s| s.get::<String>("type").unwrap())
    });
    let names: Vec<_> = names.collect();
    let at =
        |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    assert!(at("opened") < at("closed") && at("closed") < at("Eos"), "{names:?}");
    assert!(names.contains(&"Toc".to_owned()));

    let closed = rig.wait("gist-chapter", Some("closed"));
    assert!(closed.get::<&str>("title").unwrap().contains("blocks are fetched"));
    assert_eq!(closed.get::<&str>("reason"), Ok("eos"));
    assert_eq!(closed.get::<u64>("running-time"), Ok(0));
    assert_eq!(closed.get::<&str>("schema"), Ok("gist-chapters-v1"));
    let points = closed.get::<gst::Array>("points").unwrap();
    let point = points.first().unwrap().get::<gst::Structure>().unwrap();
    assert_eq!((point.get::<f64>("start"), point.get::<f64>("end")), (Ok(1.0), Ok(3.0)));
    assert!(rig.wait("gist-digest", None).get::<bool>("final").unwrap());
}

#[test]
fn text_that_comes_late_still_belongs_to_its_chapter() {
    let mut rig = Rig::new("");
    // A file: the video is far ahead of its transcript.
    for i in 0..40 {
        rig.frame(i * S).unwrap();
    }
    rig.say(2 * S, 5 * S, "first words");
    rig.say(35 * S, 38 * S, "last words");
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["coverage"]["text-lines"], 2);
    assert_eq!(rig.stat("text-late"), 0);
}

#[test]
fn a_flush_forgets_what_was_being_written() {
    let mut rig = Rig::new("delay-ms=20,steps=100000");
    rig.frame(0).unwrap();
    rig.say(0, S, "old words");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(2 * S).unwrap();
    rig.element.emit_by_name::<()>("split-now", &[&Some("Old title")]);
    rig.video.push_event(gst::event::FlushStart::new());
    rig.video.push_event(gst::event::FlushStop::new(true));
    let segment = gst::FormattedSegment::<gst::ClockTime>::new();
    rig.video.push_event(gst::event::Segment::new(&segment));
    rig.element.set_property("eos-timeout", 200_000_000u64);
    rig.frame(0).unwrap();
    rig.end();
    let titles: Vec<_> = rig.closed().iter().map(|c| c["title"].to_string()).collect();
    assert!(titles.iter().all(|title| !title.contains("Old")), "{titles:?}");
    assert_eq!(rig.closed().last().unwrap()["partial"], true);
}

#[test]
fn a_restart_of_the_timestamps_goes_on_in_order() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    for at in [100, 101, 102, 0, 1, 2] {
        rig.frame(at * S).unwrap();
    }
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed.len(), 2, "{closed:#?}");
    assert_eq!(closed[0]["reason"], "gap");
    assert!(closed[1]["running-time"].as_u64() >= closed[0]["end-running-time"].as_u64());
    assert_eq!(closed[1]["end-running-time"].as_u64().unwrap() / S, 104);
}

#[test]
fn a_seek_without_flush_ends_the_chapter() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(S).unwrap();
    rig.frame(2 * S).unwrap();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(60));
    segment.set_time(gst::ClockTime::from_seconds(60));
    segment.set_base(gst::ClockTime::from_seconds(3));
    rig.video.push_event(gst::event::Segment::new(&segment));
    rig.frame(60 * S).unwrap();
    rig.frame(61 * S).unwrap();
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed[0]["reason"], "segment");
    assert_eq!((closed[1]["running-time"].as_u64(), closed[1]["start"].as_f64()), (Some(3 * S), Some(60.0)));
}

#[test]
fn another_shape_of_picture_ends_the_chapter_another_size_does_not() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    for (caps, size, at) in [
        ("video/x-raw,format=GRAY8,width=128,height=96,framerate=25/1", 128 * 96, 1),
        ("video/x-raw,format=GRAY8,width=48,height=64,framerate=25/1", 48 * 64, 2),
    ] {
        rig.video.push_event(gst::event::Caps::new(&caps.parse().unwrap()));
        let mut buffer = gst::Buffer::from_mut_slice(vec![0; size]);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_seconds(at));
        rig.video.push(buffer).unwrap();
    }
    rig.end();
    let reasons: Vec<_> = rig.closed().iter().map(|c| c["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["caps", "eos"]);
}

#[test]
fn settings_change_while_playing() {
    let mut rig = Rig::new("");
    rig.frame(0).unwrap();
    rig.element.set_property("prompt", "请用中文写");
    rig.element.set_property("fps", gst::Fraction::new(1, 4));
    for i in 1..=8 {
        rig.frame(i * S).unwrap();
    }
    rig.say(S, 2 * S, "some words");
    rig.end();
    assert!(rig.stat("frames-sampled") <= 4);
    let closed = rig.closed();
    assert_eq!(
        (closed[0]["prompt-revision"].as_u64(), closed[0]["language"].as_str()),
        (Some(1), Some("Chinese"))
    );
}

#[test]
fn a_broken_model_stops_itself_and_not_the_video() {
    let mut rig = Rig::new("panic-at=1");
    rig.say(0, S, "boom");
    rig.text.push_event(gst::event::Eos::new());
    let mut flow = rig.frame(0);
    let error = loop {
        let message = rig.bus.timed_pop(gst::ClockTime::from_seconds(20)).expect("an error");
        if let gst::MessageView::Error(error) = message.view() {
            break error.error().to_string();
        }
    };
    assert!(error.contains("bug"), "{error}");
    assert_eq!(rig.element.property::<String>("model-state"), "failed");
    for i in 1..20 {
        flow = rig.frame(i * S).and(flow);
    }
    flow.expect("video goes on");
    rig.end();
}

#[test]
fn a_wrong_model_name_is_said_before_anything_starts() {
    init();
    let element =
        gst::ElementFactory::make("gistsummarizer").property("model", "qwen2.5-coder-15b").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Ready).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("qwen2.5-coder-1.5b") && text.contains("streamgist model list"), "{text}");
}

/// Without video the text alone drives position and end, and chapters come as JSON lines.
#[test]
fn speech_alone_is_enough() {
    init();
    let lines = pull_lines("application/x-json", "caption");
    let events: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "closed", "digest"]);
    assert_eq!(events[1]["end"].as_f64(), Some(7.0));
    assert!(lines.iter().all(|line| line.ends_with('\n') && line.matches('\n').count() == 1));
}

#[test]
fn who_wants_text_gets_titles() {
    init();
    let lines = pull_lines("text/x-raw", "caption");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("0:00 ") && lines[0].contains("caption"), "{lines:?}");
}

fn pull_lines(caps: &str, words: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.srt");
    std::fs::write(&file, format!("1\n00:00:01,000 --> 00:00:03,000\n{words} one\n\n2\n00:00:05,000 --> 00:00:07,000\nand {words} two\n")).unwrap();
    let line = format!(
        "filesrc location={} ! subparse ! gistsummarizer name=g backend=mock  g.chapters ! {caps} ! appsink name=out sync=false",
        file.display()
    );
    let pipeline = gst::parse::launch(&line).unwrap().downcast::<gst::Pipeline>().unwrap();
    let out = pipeline.by_name("out").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut lines = Vec::new();
    while let Some(sample) = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&(20 * S)]) {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        lines.push(String::from_utf8(map.to_vec()).unwrap());
    }
    assert!(out.property::<bool>("eos"), "the end comes through");
    pipeline.set_state(gst::State::Null).unwrap();
    lines
}

#[test]
fn a_hundred_cycles_leave_nothing_behind() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! gistsummarizer name=g backend=mock ! fakesink \
         g.chapters ! application/x-json ! fakesink",
    )
    .unwrap();
    let weak = pipeline.downgrade();
    let bus = pipeline.bus().unwrap();
    for _ in 0..100 {
        pipeline.set_state(gst::State::Playing).unwrap();
        pipeline.state(gst::ClockTime::from_seconds(20)).0.unwrap();
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
    drop(bus);
    drop(pipeline);
    // The last worker may hold its element for the blink of an eye.
    for _ in 0..500 {
        if weak.upgrade().is_none() {
            return;
        }
        std::thread::yield_now();
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("the pipeline is still referenced");
}

/// A real source: negotiated caps, a frame rate, a format that needs converting, and all pads linked.
#[test]
fn pictures_of_a_real_source_are_looked_at() {
    init();
    let pipeline = gst::parse::launch(
        "videotestsrc num-buffers=75 pattern=black ! video/x-raw,format=NV12,width=320,height=240,framerate=25/1 \
         ! gistsummarizer name=g backend=mock ! fakesink sync=false  g.chapters ! application/x-json ! fakesink",
    )
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let element = pipeline.by_name("g").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let end = [gst::MessageType::Eos, gst::MessageType::Error];
    let message = bus.timed_pop_filtered(gst::ClockTime::from_seconds(30), &end).expect("an end");
    assert_eq!(message.type_(), gst::MessageType::Eos);
    let chapters: Vec<serde_json::Value> =
        serde_json::from_str(&element.property::<String>("chapters-json")).unwrap();
    assert_eq!(chapters[0]["coverage"]["frames"], 3);
    pipeline.set_state(gst::State::Null).unwrap();
}
