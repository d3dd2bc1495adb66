//! A disk that is full, read-only or damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};

use rustix::process::{Resource, Rlimit, prlimit};

use crate::process::Run;
use crate::stored::Stored;
use crate::{Desk, filmed, get, value};

/// Lets no file of a process grow beyond so many bytes: to it the disk is full.
fn limit(run: &Run, bytes: Option<u64>) {
    prlimit(Some(run.pid()), Resource::Fsize, Rlimit { current: bytes, maximum: None }).expect("set");
}

#[test]
fn a_full_disk_stops_nothing_and_what_waited_is_stored_when_there_is_room() {
    let (desk, _camera, receiver) = filmed();
    let mut run = desk.watch();
    run.chapters(1);
    limit(&run, Some(1));
    let port = {
        run.until("a word of it", |run| run.err().contains("The stream goes on"));
        run.port()
    };
    let shown = run.events().len();
    // It goes on: events wait, and none is shown before it is stored.
    run.until("events that wait", |_| waiting(port) >= 5.0);
    assert_eq!(run.events().len(), shown, "shown, but not stored");
    assert_eq!(get(port, "/readyz").0, "HTTP/1.1 503 Service Unavailable");
    limit(&run, None);
    run.until("that it is over", |run| run.err().contains("the store takes events again"));
    assert_eq!(get(port, "/readyz").0, "HTTP/1.1 200 OK");
    run.chapters(1);
    let ended = run.stop();
    let stored = Stored::read(&desk);
    assert_eq!(ended.out, stored.lines);
    stored.is_in_order();
    stored.holds_delivered(&receiver.got());
    stored.was_delivered(&receiver.got());
    assert!(!ended.err.contains("lost"), "{}", ended.err);
}

fn waiting(port: u16) -> f64 {
    value(&get(port, "/metrics").1, "streamgist_store_waiting_events").unwrap_or(0.0)
}

/// Lets nobody write a file, not even who has it open; false where that can't be had.
fn immutable(path: &Path, immutable: bool) -> bool {
    let flag = if immutable { "+i" } else { "-i" };
    let changed = Command::new("chattr").arg(flag).arg(path).stderr(Stdio::null()).status();
    changed.is_ok_and(|status| status.success())
}

/// A disk that was remounted read-only refuses writes to files that are open, and so does a file that is immutable;
/// a mount can't be changed so by its own user while somebody writes on it.
#[test]
fn a_store_that_becomes_read_only_stops_nothing_and_is_told_by_readyz() {
    let (desk, _camera, receiver) = filmed();
    let mut run = desk.watch();
    run.chapters(1);
    let port = run.port();
    assert_eq!(get(port, "/readyz").0, "HTTP/1.1 200 OK");
    let files = [desk.store(), desk.path("store.db-wal")];
    let all = |on| files.iter().all(|file| immutable(file, on));
    if !all(true) {
        all(false);
        // Who is not root may not, and not every file system can.
        return;
    }
    run.until("a word of it", |run| run.err().contains("The stream goes on"));
    let shown = run.events().len();
    run.until("events that wait", |_| waiting(port) >= 5.0);
    let (status, page) = get(port, "/readyz");
    assert_eq!(status, "HTTP/1.1 503 Service Unavailable");
    assert!(page.starts_with("not ready: ") && page.contains("store.db"), "{page}");
    assert_eq!(get(port, "/livez").0, "HTTP/1.1 200 OK", "no reason to start it again");
    assert_eq!(run.events().len(), shown, "shown, but not stored");
    all(false);
    run.until("that it is over", |run| run.err().contains("the store takes events again"));
    run.chapters(1);
    assert_eq!(get(port, "/readyz").0, "HTTP/1.1 200 OK");
    let ended = run.stop();
    let stored = Stored::read(&desk);
    assert_eq!(ended.out, stored.lines);
    stored.is_in_order();
    stored.was_delivered(&receiver.got());
    assert!(!ended.err.contains("lost"), "{}", ended.err);
}

#[test]
fn a_store_that_cannot_be_written_is_said_at_the_start() {
    let desk = Desk::new();
    // A folder in the place of the file: nobody can write that, not even root.
    fs::create_dir(desk.store()).expect("a folder");
    desk.configure("rtsp://127.0.0.1:9/none", "", &[]);
    let ended = desk.watch().ended();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.err);
    assert!(ended.err.contains("store.db") && ended.err.lines().count() == 1, "{}", ended.err);
}

#[test]
fn a_store_without_the_right_to_write_is_said_at_the_start() {
    if rustix::process::geteuid().is_root() {
        // Who may do everything is refused nothing.
        return;
    }
    let desk = Desk::new();
    let folder = desk.path("mine");
    fs::create_dir(&folder).expect("a folder");
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o500)).expect("set");
    desk.configure("rtsp://127.0.0.1:9/none", "", &[]);
    let text = fs::read_to_string(desk.path("watch.toml")).expect("written");
    fs::write(desk.path("watch.toml"), text.replace("store.db", "mine/store.db")).expect("written");
    let ended = desk.watch().ended();
    assert_eq!(ended.status.code(), Some(6), "{}", ended.err);
    assert!(ended.err.contains("can't be written"), "{}", ended.err);
}

#[test]
fn a_corrupt_store_is_set_aside_and_told_of() {
    let (desk, _camera, receiver) = filmed();
    let garbage = vec![0x5a; 20_000];
    fs::write(desk.store(), &garbage).expect("written");
    let mut run = desk.watch();
    run.chapters(1);
    run.until("an alert", |_| !receiver.of("alert.raised").is_empty());
    let ended = run.stop();
    let aside = desk.path("store.db.corrupt-1");
    assert_eq!(fs::read(&aside).expect("kept"), garbage, "nothing of it is changed");
    let why = receiver.of("alert.raised")[0]["reason"].as_str().expect("a reason").to_owned();
    assert!(why.contains("store.db.corrupt-1") && ended.err.contains(&why), "{why}: {}", ended.err);
    let stored = Stored::read(&desk);
    assert_eq!(ended.out, stored.lines);
    stored.was_delivered(&receiver.got());
}
