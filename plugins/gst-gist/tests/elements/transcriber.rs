//! `gisttranscriber` with Whisper tiny.en on real pipelines. espeak-ng speaks.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

use gst::prelude::*;

const MODEL: &str = "whisper-tiny.en";
const FIRST: &str = "Welcome to the third lecture on computer networks.";
const SECOND: &str = "When the table is full, the oldest entry is thrown away.";

/// Has espeak-ng speak into a WAV file.
pub(crate) fn speak(text: &str, file: &Path) {
    let status =
        Command::new("espeak-ng").args(["-v", "en-us", "-s", "150", "-w"]).arg(file).arg(text).status();
    assert!(status.expect("espeak-ng is needed: apt install espeak-ng").success());
}

/// `text` as 16 kHz mono S16LE buffers of 20 ms, from `start`.
fn spoken(text: &str, start: gst::ClockTime) -> Vec<gst::Buffer> {
    super::init();
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("speech.wav");
    speak(text, &file);
    let pipeline = gst::parse::launch(&format!(
        "filesrc location={} ! wavparse ! audioconvert ! audioresample ! \
         audio/x-raw,format=S16LE,rate=16000,channels=1 ! fakesink name=out sync=false signal-handoffs=true",
        file.display()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let bytes = Arc::new(Mutex::new(Vec::new()));
    let collect = Arc::clone(&bytes);
    pipeline.by_name("out").unwrap().connect("handoff", false, move |args| {
        let buffer = args[1].get::<gst::Buffer>().unwrap();
        collect.lock().unwrap().extend_from_slice(&buffer.map_readable().unwrap());
        None
    });
    play(&pipeline);
    let bytes = bytes.lock().unwrap();
    bytes
        .chunks(640)
        .enumerate()
        .map(|(i, chunk)| {
            let mut buffer = gst::Buffer::from_slice(chunk.to_vec());
            buffer.get_mut().unwrap().set_pts(start + gst::ClockTime::from_mseconds(20) * i as u64);
            buffer
        })
        .collect()
}

/// Plays to the end; an error message is a panic.
fn play(pipeline: &gst::Pipeline) {
    pipeline.set_state(gst::State::Playing).unwrap();
    let end = pipeline.bus().unwrap().timed_pop_filtered(
        gst::ClockTime::from_seconds(120),
        &[gst::MessageType::Eos, gst::MessageType::Error],
    );
    match end.expect("an end within two minutes").view() {
        gst::MessageView::Eos(_) => {}
        other => panic!("{other:?}"),
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

/// What a pad pushed.
#[derive(Debug)]
enum Seen {
    /// PTS and running-time in milliseconds.
    Line(u64, u64, String),
    Event(gst::Event),
}

type Log = Arc<Mutex<Vec<Seen>>>;

/// Writes down everything that leaves `pad`.
fn watch(pad: &gst::Pad) -> Log {
    let log = Log::default();
    let write = Arc::clone(&log);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |pad, info| {
        let seen = match &info.data {
            Some(gst::PadProbeData::Buffer(buffer)) => {
                let text = String::from_utf8(buffer.map_readable().unwrap().to_vec()).unwrap();
                assert!(!text.trim().is_empty() && buffer.duration() > Some(gst::ClockTime::ZERO));
                let segment = pad.sticky_event::<gst::event::Segment>(0).unwrap();
                let segment = segment.segment().downcast_ref::<gst::ClockTime>().unwrap();
                let pts = buffer.pts().unwrap();
                Seen::Line(pts.mseconds(), segment.to_running_time(pts).unwrap().mseconds(), text)
            }
            Some(gst::PadProbeData::Event(event)) => Seen::Event(event.clone()),
            _ => return gst::PadProbeReturn::Ok,
        };
        write.lock().unwrap().push(seen);
        gst::PadProbeReturn::Ok
    });
    log
}

fn lines(log: &Log) -> Vec<(u64, u64, String)> {
    let lines = log.lock().unwrap();
    lines
        .iter()
        .filter_map(|s| match s {
            Seen::Line(pts, running, text) => Some((*pts, *running, text.clone())),
            Seen::Event(_) => None,
        })
        .collect()
}

/// End in milliseconds of each GAP.
fn gaps(log: &Log) -> Vec<u64> {
    let log = log.lock().unwrap();
    log.iter()
        .filter_map(|s| match s {
            Seen::Event(event) => match event.view() {
                gst::EventView::Gap(gap) => Some((gap.get().0 + gap.get().1.unwrap_or_default()).mseconds()),
                _ => None,
            },
            Seen::Line(..) => None,
        })
        .collect()
}

/// How many of the longer words of `text` were heard, of how many.
fn heard(text: &str, lines: &[(u64, u64, String)]) -> (usize, usize) {
    let all = lines.iter().map(|l| l.2.to_lowercase()).collect::<Vec<_>>().join(" ");
    let plain = text.to_lowercase().replace(['.', ','], "");
    let words: Vec<_> = plain.split(' ').filter(|w| w.len() > 4).collect();
    (words.iter().filter(|w| all.contains(**w)).count(), words.len())
}

fn transcriber(model: &str) -> gst::Element {
    super::init();
    gst::ElementFactory::make("gisttranscriber").property("model", model).build().unwrap()
}

fn harness(element: &gst::Element) -> gst_check::Harness {
    let mut harness = gst_check::Harness::with_element(element, Some("sink"), Some("src"));
    harness.set_src_caps_str("audio/x-raw,format=S16LE,rate=16000,channels=1,layout=interleaved");
    harness.play();
    harness
}

/// Waits for an event of this type to leave the element.
fn wait_for(harness: &mut gst_check::Harness, kind: gst::EventType) {
    while harness.pull_event().expect("an event within a minute").type_() != kind {}
}

#[test]
fn a_wav_file_becomes_lines_with_their_times() {
    super::init();
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1.wav"), dir.path().join("2.wav"));
    speak(FIRST, &one);
    speak(SECOND, &two);
    let pipeline = gst::parse::launch(&format!(
        "concat name=c ! audioconvert ! audioresample ! gisttranscriber name=t model={MODEL} ! fakesink sync=false \
         audiotestsrc wave=silence samplesperbuffer=2205 num-buffers=30 ! audio/x-raw,rate=22050,channels=1 ! c. \
         filesrc location={} ! decodebin ! audioconvert ! c. \
         audiotestsrc wave=silence samplesperbuffer=2205 num-buffers=20 ! audio/x-raw,rate=22050,channels=1 ! c. \
         filesrc location={} ! decodebin ! audioconvert ! c.",
        one.display(),
        two.display()
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let log = watch(&pipeline.by_name("t").unwrap().static_pad("src").unwrap());
    play(&pipeline);

    let lines = lines(&log);
    assert!(lines[0].1.abs_diff(3000) < 1500, "{lines:?}");
    assert!(lines.windows(2).all(|w| w[0].1 < w[1].1), "{lines:?}");
    for sentence in [FIRST, SECOND] {
        let (found, all) = heard(sentence, &lines);
        assert!(found * 4 >= all * 3, "{found} of {all}: {lines:?}");
    }
    let gaps = gaps(&log);
    assert!(
        gaps.iter().any(|end| (1000..=3000).contains(end)),
        "the silence before is known early: {gaps:?}"
    );

    // Elements behind expect the events in this order.
    let log = log.lock().unwrap();
    let names: Vec<String> = log
        .iter()
        .filter_map(|s| match s {
            Seen::Event(e) => Some(
                e.structure()
                    .filter(|s| s.name().contains('/'))
                    .map_or_else(|| e.type_().name().to_string(), |s| s.name().to_string()),
            ),
            Seen::Line(..) => None,
        })
        .filter(|name| name != "gap" && name != "tag" && name != "stream-collection")
        .collect();
    assert_eq!(names[..4], ["stream-start", "caps", "segment", "gist/latency"], "{names:?}");
    assert!(matches!(log.last(), Some(Seen::Event(e)) if e.type_() == gst::EventType::Eos));
    let start = log.iter().find_map(|s| match s {
        Seen::Event(e) => match e.view() {
            gst::EventView::StreamStart(start) => Some(start.stream_flags()),
            _ => None,
        },
        Seen::Line(..) => None,
    });
    assert!(start.unwrap().contains(gst::StreamFlags::SPARSE));
}

#[test]
fn silence_gives_gaps_and_no_text() {
    super::init();
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc wave=silence samplesperbuffer=1600 num-buffers=200 ! audio/x-raw,rate=16000 \
         ! gisttranscriber name=t model={MODEL} ! fakesink sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let log = watch(&pipeline.by_name("t").unwrap().static_pad("src").unwrap());
    play(&pipeline);
    assert_eq!(lines(&log), []);
    let gaps = gaps(&log);
    assert_eq!(gaps.last(), Some(&20_000));
    assert!(
        gaps.windows(2).all(|w| w[0] < w[1] && w[1] <= w[0] + 2500),
        "a step at least every second: {gaps:?}"
    );
}

#[test]
fn a_flush_drops_what_was_said_before_it() {
    let begin = std::time::Instant::now();
    let element = transcriber(MODEL);
    let mut harness = harness(&element);
    let log = watch(&element.static_pad("src").unwrap());
    for buffer in spoken(&format!("{FIRST} {FIRST} {FIRST}"), gst::ClockTime::ZERO) {
        harness.push(buffer).unwrap();
    }
    // The words are in the ring or in the model now.
    assert!(harness.push_event(gst::event::FlushStart::new()));
    assert!(harness.push_event(gst::event::FlushStop::new(true)));
    let flushed = log.lock().unwrap().len();
    let start = gst::ClockTime::from_seconds(100);
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(start);
    harness.push_event(gst::event::Segment::new(&segment));
    for buffer in spoken(SECOND, start) {
        harness.push(buffer).unwrap();
    }
    harness.push_event(gst::event::Eos::new());
    wait_for(&mut harness, gst::EventType::Eos);
    let pad = element.static_pad("src").unwrap();
    assert!(pad.sticky_event::<gst::event::StreamStart>(0).is_some() && pad.current_caps().is_some());
    let stats = element.property::<gst::Structure>("stats");
    let time = |name: &str| stats.get::<u64>(name).unwrap();
    let stages = ["busy-gate", "busy-encoder", "busy-decoder"].map(time);
    assert!(stages.iter().all(|time| *time > 0), "{stats}");
    assert_eq!(stages.iter().sum::<u64>(), time("busy"), "{stats}");
    assert!(time("busy") + 1_000_000 * time("model-load-ms") <= begin.elapsed().as_nanos() as u64, "{stats}");
    log.lock().unwrap().drain(..flushed);
    let lines = lines(&log);
    let (found, all) = heard(SECOND, &lines);
    assert!(found * 4 >= all * 3, "{lines:?}");
    assert!(lines.iter().all(|(start, ..)| *start >= 100_000), "{lines:?}");
}

#[test]
fn a_jump_in_time_moves_the_lines_along() {
    let element = transcriber(MODEL);
    let mut harness = harness(&element);
    let log = watch(&element.static_pad("src").unwrap());
    for start in [10, 60] {
        for buffer in spoken(SECOND, gst::ClockTime::from_seconds(start)) {
            harness.push(buffer).unwrap();
        }
    }
    harness.push_event(gst::event::Eos::new());
    wait_for(&mut harness, gst::EventType::Eos);
    let starts: Vec<u64> = lines(&log).iter().map(|l| l.0 / 1000).collect();
    assert!(
        starts.iter().any(|s| (10..12).contains(s)) && starts.iter().any(|s| (60..62).contains(s)),
        "{starts:?}"
    );
}

#[test]
fn it_goes_up_and_down_twenty_times() {
    super::init();
    let pipeline = gst::parse::launch(&format!(
        "audiotestsrc wave=pink-noise ! audio/x-raw,rate=16000 ! gisttranscriber model={MODEL} ! fakesink sync=false"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    for cycle in 0..20 {
        pipeline.set_state(gst::State::Playing).unwrap();
        // Some are stopped while the model loads, some in full flight.
        if cycle % 4 == 0 {
            let (result, ..) = pipeline.state(gst::ClockTime::from_seconds(60));
            result.unwrap();
        }
        pipeline.set_state(gst::State::Null).unwrap();
    }
    let error = pipeline.bus().unwrap().pop_filtered(&[gst::MessageType::Error]);
    assert!(error.is_none(), "{error:?}");
}

/// The text of the error that starting `element` ends in.
fn failure(element: &gst::Element) -> String {
    error(element).to_string()
}

/// The error that starting `element` ends in.
fn error(element: &gst::Element) -> gst::glib::Error {
    let pipeline = gst::Pipeline::new();
    let source = gst::ElementFactory::make("audiotestsrc").build().unwrap();
    let sink = gst::ElementFactory::make("fakesink").build().unwrap();
    pipeline.add_many([&source, element, &sink]).unwrap();
    gst::Element::link_many([&source, element, &sink]).unwrap();
    let _ = pipeline.set_state(gst::State::Playing);
    let message = pipeline
        .bus()
        .unwrap()
        .timed_pop_filtered(gst::ClockTime::from_seconds(60), &[gst::MessageType::Error])
        .expect("an error message");
    let gst::MessageView::Error(error) = message.view() else { panic!("{message:?}") };
    pipeline.set_state(gst::State::Null).unwrap();
    error.error()
}

#[test]
fn a_model_that_is_not_there_says_how_to_get_it() {
    // The folder of the models is the process's: the test calls itself with an empty one.
    const CHILD: &str = "GIST_TEST_WITHOUT_MODELS";
    if std::env::var_os(CHILD).is_some() {
        let why = failure(&transcriber("whisper-base"));
        assert!(why.contains("run `streamgist model pull whisper-base`"), "{why}");
        return;
    }
    let empty = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "transcriber::a_model_that_is_not_there_says_how_to_get_it"])
        .env("STREAMGIST_MODELS", empty.path())
        .env(CHILD, "1")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn what_cannot_work_is_refused_in_plain_words() {
    let why = failure(&transcriber("qwen2.5-coder-0.5b"));
    assert!(why.contains("text model") && why.contains("whisper-base"), "{why}");

    let empty = tempfile::tempdir().unwrap();
    let why = failure(&transcriber(empty.path().to_str().unwrap()));
    assert!(why.contains("no Whisper model here"), "{why}");

    let element = transcriber(MODEL);
    element.set_property("language", "de");
    let error = error(&element);
    assert!(error.to_string().contains("language"), "an English model asked for German");
    assert!(error.matches(gst::LibraryError::Settings), "a property is to blame: {error:?}");
}

/// A corrupt model was once reported with the code of a library that could not be initialised.
#[test]
fn a_corrupt_model_is_told_from_a_fault_of_the_element() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("model.bin"), "this is no model").unwrap();
    let error = error(&transcriber(dir.path().to_str().unwrap()));
    assert!(error.matches(gst::ResourceError::OpenRead), "{error:?}");
    assert!(error.to_string().contains("model.bin"), "{error}");
}

/// The query once went out with a lock held that every event needs: upstream that answers by sending one hung.
#[test]
fn upstream_may_send_events_while_it_is_asked_whether_it_is_live() {
    let element = transcriber(MODEL);
    let sink = element.static_pad("sink").unwrap();
    let asked = Arc::new(Mutex::new(0));
    let count = Arc::clone(&asked);
    let source = gst::Pad::builder(gst::PadDirection::Src)
        .query_function(move |pad, parent, query| {
            if query.type_() == gst::QueryType::Latency {
                *count.lock().unwrap() += 1;
                return pad.peer().unwrap().send_event(gst::event::Caps::new(&audio_caps()));
            }
            gst::Pad::query_default(pad, parent, query)
        })
        .build();
    source.link(&sink).unwrap();
    source.set_active(true).unwrap();
    element.set_state(gst::State::Paused).unwrap();
    let (done, end) = std::sync::mpsc::channel();
    let pushing = source.clone();
    std::thread::spawn(move || {
        pushing.push_event(gst::event::StreamStart::new("a"));
        pushing.push_event(gst::event::Caps::new(&audio_caps()));
        pushing.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        let mut buffer = gst::Buffer::from_slice(vec![0; 640]);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
        done.send(pushing.push(buffer)).unwrap();
    });
    let flow = end.recv_timeout(std::time::Duration::from_secs(120)).expect("the buffer is taken in");
    assert_eq!(flow, Ok(gst::FlowSuccess::Ok));
    assert_eq!(*asked.lock().unwrap(), 1);
    element.set_state(gst::State::Null).unwrap();
}

fn audio_caps() -> gst::Caps {
    gst::Caps::builder("audio/x-raw")
        .field("format", "S16LE")
        .field("rate", 16_000)
        .field("channels", 1)
        .field("layout", "interleaved")
        .build()
}

#[test]
fn the_latency_is_told_but_not_imposed() {
    let element = transcriber(MODEL);
    assert_eq!(element.property::<u64>("latency"), 15_000_000_000);
    let harness = harness(&element);
    let pipeline_latency = harness.query_latency();
    assert_eq!(pipeline_latency, Some(gst::ClockTime::ZERO), "the query is answered without it");
}
