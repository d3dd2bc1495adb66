//! `streamgist watch` as an operator sees it: a process, a camera, receivers; and what happens when one of them fails.

mod camera;
mod disk;
mod kills;
mod process;
mod receiver;
mod receivers;
mod rtsp;
mod stop;
mod stored;

use std::fs;
use std::path::PathBuf;

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

fn told(receiver: &Receiver) -> Vec<String> {
    vec![endpoint("team", &receiver.url(), "")]
}
