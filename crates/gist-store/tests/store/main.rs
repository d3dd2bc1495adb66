//! The store from outside: what it holds after kills, full disks, damage and jumps of the clock.

mod beside;
mod clock;
mod crash;
mod damage;
mod full;
mod outbox;
mod retention;
mod session;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, SystemTime};

use gist_core::ChapterEvent;
use gist_core::event::Kind;
use gist_core::time::SECOND;
use gist_store::{Outgoing, Session, Store};
use gist_webhook::{Attempt, Delivery, Next, Outbox};
use tempfile::TempDir;

/// Set for the tests that are the child of another: where its store lies.
const CHILD: &str = "GIST_STORE_TEST_CHILD";

struct Place {
    folder: TempDir,
    path: PathBuf,
}

fn place() -> Place {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("state/streamgist.db");
    Place { folder, path }
}

/// A store with the session `s`.
fn begun(path: &Path) -> Store {
    let store = Store::open(path).expect("opens");
    store.begin(&session("s")).expect("begins");
    store
}

fn session(id: &str) -> Session {
    Session {
        id: id.into(),
        stream: "hall-1".into(),
        source: "rtsp://***@camera/1".into(),
        model: "mock".into(),
        language: "English".into(),
        started: at(0),
        ..Session::default()
    }
}

/// A moment of the tests' own clock.
fn at(seconds: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
}

fn event(kind: Kind, index: u64, sequence: u64) -> ChapterEvent {
    ChapterEvent {
        session: "s".into(),
        title: "Größen & <Maße>".into(),
        emitted_at: sequence * SECOND,
        ..ChapterEvent::new(kind, &format!("s-{index}"), index, sequence)
    }
}

/// The event of that number, in the text that it always has.
fn json(sequence: u64) -> String {
    event(Kind::Closed, sequence, sequence).to_json()
}

fn outgoing(webhook_id: &str, endpoints: &[&str]) -> Outgoing {
    Outgoing {
        webhook_id: webhook_id.into(),
        event_type: "chapter.closed".into(),
        body: format!("{{\"of\":\"{webhook_id}\"}}\n\0").into_bytes(),
        endpoints: endpoints.iter().map(|&name| name.into()).collect(),
    }
}

/// Publishes event `sequence` with message `m{sequence}` to `a`.
fn publish(store: &Store, sequence: u64, now: SystemTime) {
    store.publish(&json(sequence), &[outgoing(&format!("m{sequence}"), &["a"])], now).expect("published");
}

fn attempt(at: SystemTime, status: u16) -> Attempt {
    Attempt {
        at,
        latency: Duration::from_millis(12),
        status: Some(status),
        answer: "answer".into(),
        error: None,
    }
}

fn due(store: &Store, endpoint: &str, now: SystemTime) -> Vec<Delivery> {
    store.due(endpoint, now, usize::MAX).expect("due")
}

fn ids(deliveries: &[Delivery]) -> Vec<&str> {
    deliveries.iter().map(|delivery| delivery.webhook_id.as_str()).collect()
}

/// Delivers all that is due to an endpoint.
fn deliver(store: &Store, endpoint: &str, now: SystemTime) {
    for delivery in due(store, endpoint, now) {
        store.record(&delivery, &attempt(now, 200), &Next::Delivered).expect("recorded");
    }
}

/// Another process that runs the test `name` of this binary on the store at `path`.
fn child(program: &Path, name: &str, path: &Path) -> Command {
    let mut command = Command::new(program);
    command.args([name, "--exact", "--nocapture"]).env(CHILD, path);
    command
}

fn this() -> PathBuf {
    std::env::current_exe().expect("this program")
}

/// In a child: the path of its store. Else the test has nothing to do.
fn child_path() -> Option<PathBuf> {
    std::env::var_os(CHILD).map(PathBuf::from)
}

/// A random number below `limit`, other ones at each run.
fn random(limit: u64) -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish() % limit
}
