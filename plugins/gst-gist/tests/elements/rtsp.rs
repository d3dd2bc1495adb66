//! A live stream from a real RTSP server on this machine, picture and sound, from its beginning to its end.

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;

use super::transcriber::speak;

/// Serves a file, in the pace of the clock, to whoever asks.
struct Camera {
    url: String,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    fn start(file: &Path) -> Self {
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(&format!(
            "( filesrc location={} ! matroskademux name=d \
             d.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 \
             d.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )",
            file.display()
        ));
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        // Any port that is free.
        server.set_service("0");
        server.mount_points().unwrap().add_factory("/camera", factory);
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        server.attach(Some(&context)).unwrap();
        let url = format!("rtsp://127.0.0.1:{}/camera", server.bound_port());
        let running = main_loop.clone();
        let thread = std::thread::spawn(move || {
            context.with_thread_default(|| running.run()).unwrap();
            drop(server);
        });
        Self { url, main_loop, thread: Some(thread) }
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.main_loop.quit();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

/// H.264 and AAC of some spoken words.
fn record(dir: &Path) -> std::path::PathBuf {
    let (words, file) = (dir.join("words.wav"), dir.join("camera.mkv"));
    speak("When the table is full, the oldest entry is thrown away.", &words);
    let pipeline = gst::parse::launch(&format!(
        "matroskamux name=m ! filesink location={} \
         videotestsrc num-buffers=100 ! video/x-raw,width=160,height=120,framerate=25/1 \
         ! x264enc tune=zerolatency key-int-max=25 ! h264parse ! queue ! m. \
         filesrc location={} ! wavparse ! audioconvert ! audioresample ! audio/x-raw,rate=44100 ! avenc_aac \
         ! aacparse ! queue ! m.",
        file.display(),
        words.display()
    ))
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let ends = [gst::MessageType::Eos, gst::MessageType::Error];
    let end = pipeline.bus().unwrap().timed_pop_filtered(gst::ClockTime::from_seconds(60), &ends);
    assert_eq!(end.expect("an end").type_(), gst::MessageType::Eos);
    pipeline.set_state(gst::State::Null).unwrap();
    file
}

/// What passes a pad: buffers are counted, events kept by their names, those of chapters with their type.
#[derive(Default)]
struct Passed {
    buffers: u64,
    events: Vec<String>,
}

fn watch(pad: &gst::Pad) -> Arc<Mutex<Passed>> {
    let passed = Arc::new(Mutex::new(Passed::default()));
    let note = Arc::clone(&passed);
    pad.add_probe(gst::PadProbeType::BUFFER | gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
        let mut note = note.lock().unwrap();
        if let Some(event) = info.event() {
            let chapter = event.structure().filter(|s| s.name() == "gist/chapter");
            let kind = chapter.and_then(|s| s.get::<String>("type").ok());
            note.events.push(kind.unwrap_or_else(|| event.type_().name().to_string()));
        } else {
            note.buffers += 1;
        }
        gst::PadProbeReturn::Ok
    });
    passed
}

#[test]
fn a_camera_that_ends_loses_no_frame_and_closes_its_last_chapter_first() {
    super::init();
    let dir = tempfile::tempdir().unwrap();
    let camera = Camera::start(&record(dir.path()));
    let pipeline = gst::parse::launch(&format!(
        "rtspsrc location={} protocols=tcp latency=100 name=s \
         s. ! rtph264depay ! h264parse ! avdec_h264 ! queue \
         ! gistsummarizer name=g backend=mock ! fakesink sync=false \
         s. ! rtpmp4gdepay ! aacparse ! avdec_aac ! audioconvert ! audioresample \
         ! gisttranscriber model=whisper-tiny.en ! queue ! g.text_0",
        camera.url
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    let summarizer = pipeline.by_name("g").unwrap();
    let [into, out] = ["sink", "src"].map(|name| watch(&summarizer.static_pad(name).unwrap()));
    pipeline.set_state(gst::State::Playing).unwrap();

    let bus = pipeline.bus().unwrap();
    let mut closed = Vec::new();
    loop {
        // A watchdog: the stream takes four seconds.
        let message = bus.timed_pop(gst::ClockTime::from_seconds(120)).expect("the end of the stream");
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            gst::MessageView::Element(element) => {
                let details = element.structure().unwrap();
                if details.name() == "gist-chapter" && details.get::<&str>("type") == Ok("closed") {
                    closed.push(details.to_owned());
                }
            }
            _ => {}
        }
    }
    let stats = summarizer.property::<gst::Structure>("stats");
    pipeline.set_state(gst::State::Null).unwrap();

    let (into, out) = (into.lock().unwrap(), out.lock().unwrap());
    let count = |name| stats.get::<u64>(name).unwrap();
    assert!(into.buffers > 50, "the picture came through: {}", into.buffers);
    assert_eq!(out.buffers, into.buffers, "every frame leaves the element");
    assert_eq!((count("frames-in"), count("frames-dropped")), (into.buffers, 0), "{stats}");
    assert!(count("text-lines") > 0, "the sound came through: {stats}");

    let last = closed.last().expect("a closed chapter before the end");
    assert_eq!(last.get::<&str>("reason"), Ok("eos"), "{last}");
    assert!(last.get::<&str>("title").is_ok_and(|title| !title.is_empty()), "{last}");
    let at = |name: &str| out.events.iter().rposition(|event| event == name);
    assert!(at("closed").is_some() && at("closed") < at("eos"), "{:?}", out.events);

    // A live stream has a time of day, by the clock of this machine.
    assert_eq!(last.get::<&str>("wallclock-source"), Ok("clock"), "{last}");
    for field in ["wallclock-start", "wallclock-end"] {
        let time = last.get::<&str>(field).unwrap();
        assert!(time.len() == "2000-01-01T00:00:00.000Z".len() && time.ends_with('Z'), "{time}");
    }
}
