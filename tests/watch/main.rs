//! `streamgist watch` as an operator sees it: a process, a camera, receivers; and what happens when one of them fails.

mod broken;
mod camera;
mod clock;
mod disk;
mod kills;
mod process;
mod receiver;
mod receivers;
mod rtsp;
mod stop;
mod stored;
mod transport;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;

use camera::{Camera, film};
use receiver::Receiver;

/// A folder with a configuration and a store.
struct Desk {
    folder: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        fs::create_dir(folder.path().join("tmp")).expect("a folder");
        Self { folder }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn store(&self) -> PathBuf {
        self.path("store.db")
    }

    /// Writes the configuration: one stream and its endpoints. `more` are lines of the stream.
    fn configure(&self, source: &str, more: &str, endpoints: &[String]) {
        let text = format!(
            "store = {:?}\nmetrics = \"127.0.0.1:0\"\nallow-networks = [\"127.0.0.0/8\"]\n\n{}{}",
            self.store(),
            stream(source, more),
            endpoints.concat()
        );
        fs::write(self.path("watch.toml"), text).expect("written");
    }
}

/// A camera that is watched, and a receiver that is told all of it.
fn filmed() -> (Desk, Camera, Receiver) {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    desk.configure(&camera.url(), "", &told(&receiver));
    (desk, camera, receiver)
}

/// A stream of which a chapter comes every second or two.
fn stream(source: &str, more: &str) -> String {
    format!(
        "[[stream]]\nname = \"hall\"\nsource = {source:?}\nbackend = \"mock\"\nspeech = false\n\
         min-chapter-duration = \"500ms\"\nmax-chapter-duration = \"1s\"\nlook-ahead = \"500ms\"\n\
         digest-interval = \"2s\"\nstall-timeout = \"3s\"\n{more}\n"
    )
}

/// A receiver that wants everything.
fn endpoint(name: &str, url: &str, more: &str) -> String {
    format!("[[endpoint]]\nname = {name:?}\nurl = {url:?}\nevents = [\"*\"]\n{more}\n")
}

/// What is served under a path: the line of the status, and the page.
fn get(port: u16, path: &str) -> (String, String) {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("connects");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n\r\n").expect("asks");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
    (head.lines().next().expect("a status").to_owned(), body.to_owned())
}

/// The value of the first line of the metrics that begins so.
fn value(page: &str, name: &str) -> Option<f64> {
    page.lines().find(|line| line.starts_with(name))?.rsplit_once(' ')?.1.parse().ok()
}

fn told(receiver: &Receiver) -> Vec<String> {
    vec![endpoint("team", &receiver.url(), "")]
}
