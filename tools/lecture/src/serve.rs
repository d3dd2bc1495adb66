//! `lecture serve`: the file as an RTSP stream in real time, by gst-rtsp-server.

use anyhow::{Context, Result, ensure};
use gst::glib;
use gst::prelude::*;
use gst_rtsp_server::prelude::*;
use std::path::Path;
use std::time::Duration;

/// How long a client may take to leave after the file has ended: its last chapter is being written.
const GRACE: Duration = Duration::from_secs(180);

/// Serves until the process ends, or `once`: until the client has left or the file has ended.
pub(crate) fn serve(file: &Path, port: u16, once: bool) -> Result<()> {
    gst::init()?;
    ensure!(file.is_file(), "no such file: {}", file.display());
    let file = file.canonicalize()?;
    let location = file.to_str().context("the path is not UTF-8")?.replace('\\', "\\\\").replace('"', "\\\"");
    let factory = gst_rtsp_server::RTSPMediaFactory::new();
    // The streams are passed on as they are; the sinks of the server keep the pace of the clock.
    factory.set_launch(&format!(
        "( filesrc location=\"{location}\" ! matroskademux name=demux \
         demux.video_0 ! queue ! h264parse ! rtph264pay name=pay0 pt=96 config-interval=-1 \
         demux.audio_0 ! queue ! aacparse ! rtpmp4gpay name=pay1 pt=97 )"
    ));
    factory.set_shared(false);

    let server = gst_rtsp_server::RTSPServer::new();
    server.set_address("127.0.0.1");
    server.set_service(&port.to_string());
    server.mount_points().context("the server has no mount points")?.add_factory("/lecture", factory.clone());
    let main_loop = glib::MainLoop::new(None, false);
    if once {
        quit_after_the_first_client(&server, &factory, &main_loop);
    }
    let source =
        server.attach(None).with_context(|| format!("cannot listen on port {port}; is it taken?"))?;
    println!("rtsp://127.0.0.1:{}/lecture", server.bound_port());
    main_loop.run();
    source.remove();
    Ok(())
}

fn quit_after_the_first_client(
    server: &gst_rtsp_server::RTSPServer,
    factory: &gst_rtsp_server::RTSPMediaFactory,
    main_loop: &glib::MainLoop,
) {
    let quit = main_loop.clone();
    server.connect_client_connected(move |_, client| {
        let (quit, played) = (quit.clone(), std::sync::atomic::AtomicBool::new(false));
        let played = std::sync::Arc::new(played);
        let playing = played.clone();
        client.connect_play_request(move |_, _| playing.store(true, std::sync::atomic::Ordering::Relaxed));
        // A client that only asks (a probe, or UDP refused and tried again over TCP) is not the one.
        client.connect_closed(move |_| {
            if played.load(std::sync::atomic::Ordering::Relaxed) {
                quit.quit();
            }
        });
    });
    let quit = main_loop.clone();
    factory.connect_media_configure(move |_, media| {
        let element = media.element();
        let Some(pay) = element.downcast_ref::<gst::Bin>().and_then(|bin| bin.by_name("pay0")) else {
            return;
        };
        let Some(pad) = pay.static_pad("src") else { return };
        let quit = quit.clone();
        pad.add_probe(gst::PadProbeType::EVENT_DOWNSTREAM, move |_, info| {
            if info.event().is_some_and(|event| event.type_() == gst::EventType::Eos) {
                let quit = quit.clone();
                glib::timeout_add_once(GRACE, move || quit.quit());
            }
            gst::PadProbeReturn::Ok
        });
    });
}
