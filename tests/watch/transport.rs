//! MPEG-TS by UDP, whose clock wraps after 26.5 hours and begins anew with every sender.

use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command};

use crate::camera::film;
use crate::process::Run;
use crate::receiver::Receiver;
use crate::stored::Stored;
use crate::{Desk, told};

/// What 33 bits count at 90 kHz, in seconds.
const WRAP: f64 = (1_u64 << 33) as f64 / 90_000.0;

/// Sends a film in real time.
struct Sender(Child);

impl Sender {
    /// From `first` seconds on by its own clock.
    fn start(film: &Path, port: u16, first: f64) -> Self {
        let mut command = Command::new("ffmpeg");
        command.args(["-v", "error", "-nostdin", "-re", "-stream_loop", "-1", "-i"]).arg(film);
        command.args([
            "-c",
            "copy",
            "-output_ts_offset",
            &first.to_string(),
            "-muxdelay",
            "0",
            "-f",
            "mpegts",
        ]);
        command.arg(format!("udp://127.0.0.1:{port}?pkt_size=1316"));
        Self(command.spawn().expect("ffmpeg runs; install it with: apt-get install ffmpeg"))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn free_port() -> u16 {
    UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a port").port()
}

/// What must hold after all of them.
fn holds(desk: &Desk, receiver: &Receiver, run: Run) {
    let ended = run.stop();
    let stored = Stored::read(desk);
    assert_eq!(stored.sessions.len(), 1, "the session goes on");
    assert_eq!(ended.out, stored.lines);
    stored.is_in_order();
    stored.was_delivered(&receiver.got());
    let last = stored.events().last().expect("events")["emitted-at"].as_u64().expect("a time");
    assert!(last < 3_600_000_000_000, "time has jumped: {last}");
}

#[test]
fn timestamps_that_wrap_keep_the_order_of_chapters() {
    let desk = Desk::new();
    let receiver = Receiver::good();
    let port = free_port();
    let _sender = Sender::start(&film(desk.folder.path()), port, WRAP - 6.0);
    desk.configure(&format!("udp://127.0.0.1:{port}"), "", &told(&receiver));
    let mut run = desk.watch();
    run.chapters(10);
    holds(&desk, &receiver, run);
}

#[test]
fn timestamps_that_begin_anew_keep_the_order_of_chapters() {
    let desk = Desk::new();
    let receiver = Receiver::good();
    let port = free_port();
    let film = film(desk.folder.path());
    desk.configure(&format!("udp://127.0.0.1:{port}"), "", &told(&receiver));
    let sender = Sender::start(&film, port, 5000.0);
    let mut run = desk.watch();
    run.chapters(2);
    drop(sender);
    // Back, and then far ahead.
    let sender = Sender::start(&film, port, 0.0);
    run.chapters(3);
    drop(sender);
    let _sender = Sender::start(&film, port, 80_000.0);
    run.chapters(3);
    holds(&desk, &receiver, run);
}
