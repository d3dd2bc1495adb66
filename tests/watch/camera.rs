//! A camera that shows another slide every three seconds, by RTSP.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;

/// What its password is. It must be seen nowhere.
pub(crate) const PASSWORD: &str = "xyzzy-4711";

/// Films slides: a minute of H.264 in Matroska.
pub(crate) fn film(folder: &Path) -> PathBuf {
    film_of(folder, 60)
}

/// The same, of another length.
pub(crate) fn film_of(folder: &Path, seconds: usize) -> PathBuf {
    let path = folder.join("film.mkv");
    let topics = ["Rivers", "Bridges", "Harvest", "Copper", "Lanterns", "Weather", "Glaciers", "Clocks"];
    let things =
        ["of the north", "and trade", "in winter", "at night", "for beginners", "under ground", "in use"];
    let slides = (0..seconds.div_ceil(3)).map(|i| {
        let text = format!("{} {}", topics[i % topics.len()], things[i % things.len()]);
        format!("drawtext=font=DejaVu Sans:text='{text}':fontsize=40:x=20:y=100:enable='eq(floor(t/3),{i})'")
    });
    let slides = slides.collect::<Vec<_>>().join(",");
    let white = format!("color=white:s=640x240:r=4:d={seconds}");
    let status = Command::new("ffmpeg")
        .args(["-v", "error", "-f", "lavfi", "-i", &white, "-vf", &slides])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "0",
            "-threads",
            "1",
            "-g",
            "2",
            "-pix_fmt",
            "yuv420p",
        ])
        .arg(&path)
        .status()
        .expect("ffmpeg runs; install it with: apt-get install ffmpeg");
    assert!(status.success());
    path
}

/// What it does at the moment.
#[derive(Default)]
struct Mood {
    paused: AtomicBool,
    /// What is taken off the timestamps: 0 for nothing yet.
    shift: AtomicU32,
    reset: AtomicBool,
}

pub(crate) struct Camera {
    port: i32,
    mood: Arc<Mood>,
    main_loop: glib::MainLoop,
    thread: Option<JoinHandle<()>>,
}

impl Camera {
    pub(crate) fn start(film: &Path) -> Self {
        Self::start_at(film, 0)
    }

    /// The same on a port; 0 is any that is free.
    pub(crate) fn start_at(film: &Path, port: i32) -> Self {
        gst::init().expect("GStreamer");
        let mood = Arc::new(Mood::default());
        let factory = gst_rtsp_server::RTSPMediaFactory::new();
        factory.set_launch(&format!(
            "( filesrc location={} ! matroskademux ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 )",
            film.display()
        ));
        let moody = Arc::clone(&mood);
        factory.connect_media_configure(move |_, media| {
            let bin = media.element().downcast::<gst::Bin>().expect("a bin");
            let pad = bin.by_name("pay0").and_then(|pay| pay.static_pad("src")).expect("a pad");
            let moody = Arc::clone(&moody);
            let kinds = gst::PadProbeType::BUFFER | gst::PadProbeType::BUFFER_LIST;
            pad.add_probe(kinds, move |_, info| moody.pass(info));
        });
        let server = gst_rtsp_server::RTSPServer::new();
        server.set_address("127.0.0.1");
        server.set_service(&port.to_string());
        server.mount_points().expect("mount points").add_factory("/camera", factory.clone());
        guard(&server, &factory);
        let context = glib::MainContext::new();
        let main_loop = glib::MainLoop::new(Some(&context), false);
        let source = (0..100).find_map(|_| {
            // The port of a server before it may be taken for a while.
            server.attach(Some(&context)).inspect_err(|_| thread::sleep(Duration::from_millis(100))).ok()
        });
        source.expect("a port");
        let port = server.bound_port();
        let running = main_loop.clone();
        let thread = thread::spawn(move || {
            context.with_thread_default(|| running.run()).expect("runs");
            server.client_filter(Some(&mut |_, _| gst_rtsp_server::RTSPFilterResult::Remove));
        });
        Self { port, mood, main_loop, thread: Some(thread) }
    }

    pub(crate) fn port(&self) -> i32 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("rtsp://viewer:{PASSWORD}@127.0.0.1:{}/camera", self.port)
    }

    /// Stops sending, or goes on.
    pub(crate) fn pause(&self, paused: bool) {
        self.mood.paused.store(paused, Ordering::SeqCst);
    }

    /// From now on its timestamps count from 0 again, in the same connection.
    pub(crate) fn reset_time(&self) {
        self.mood.reset.store(true, Ordering::SeqCst);
    }
}

impl Drop for Camera {
    fn drop(&mut self) {
        self.pause(false);
        self.main_loop.quit();
        let _ = self.thread.take().map(JoinHandle::join);
    }
}

impl Mood {
    fn pass(&self, info: &mut gst::PadProbeInfo<'_>) -> gst::PadProbeReturn {
        while self.paused.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(20));
        }
        if let Some(buffer) = info.buffer_mut() {
            self.stamp(buffer);
        } else if let Some(list) = info.buffer_list_mut() {
            list.make_mut().foreach_mut(|mut buffer, _| {
                self.stamp(&mut buffer);
                std::ops::ControlFlow::Continue(Some(buffer))
            });
        }
        gst::PadProbeReturn::Ok
    }

    /// Bytes 4 to 8 of an RTP packet are its timestamp.
    fn stamp(&self, buffer: &mut gst::Buffer) {
        let buffer = buffer.make_mut();
        let mut time = [0; 4];
        buffer.copy_to_slice(4, &mut time).expect("a packet");
        let time = u32::from_be_bytes(time);
        if self.reset.swap(false, Ordering::SeqCst) {
            self.shift.store(time, Ordering::SeqCst);
        }
        let time = time.wrapping_sub(self.shift.load(Ordering::SeqCst)).to_be_bytes();
        buffer.copy_from_slice(4, &time).expect("a packet");
    }
}

/// Lets in only who knows the password.
fn guard(server: &gst_rtsp_server::RTSPServer, factory: &gst_rtsp_server::RTSPMediaFactory) {
    let auth = gst_rtsp_server::RTSPAuth::new();
    let token = gst_rtsp_server::RTSPToken::builder().field("media.factory.role", "viewer").build();
    let basic = gst_rtsp_server::RTSPAuth::make_basic("viewer", PASSWORD);
    auth.add_basic(&basic, &token);
    server.set_auth(Some(&auth));
    let permissions = gst::Structure::builder("viewer")
        .field("media.factory.access", true)
        .field("media.factory.construct", true)
        .build();
    factory.add_role_from_structure(&permissions);
}
