//! The folder, and what may happen to it.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::SystemTime;

use gist_webhook::spool::{LIMIT, MAX_MESSAGE, SpoolError};
use gist_webhook::{Attempt, EventType, Next, Outbox, Spool};

use super::receiver::{OK, Receiver};
use super::rig::{Rig, endpoint};

fn open(path: &Path) -> Spool {
    Spool::open(path, LIMIT).unwrap()
}

fn push(spool: &Spool, body: &str) -> String {
    spool.push(EventType::ChapterClosed, body.as_bytes()).unwrap()
}

fn due(spool: &Spool) -> Vec<String> {
    let due = spool.due(Spool::ENDPOINT, SystemTime::now(), 100).unwrap();
    due.into_iter().map(|delivery| String::from_utf8(delivery.body).unwrap()).collect()
}

#[test]
fn what_was_stored_is_there_for_the_next_run() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("made/when/needed");
    let bodies = ["{\"a\":\"ü\n\"}", "", "{}"];
    let spool = open(&path);
    bodies.iter().for_each(|body| drop(push(&spool, body)));
    assert_eq!(due(&spool), bodies);
    drop(spool);
    let spool = open(&path);
    assert_eq!((due(&spool), spool.warnings().len()), (bodies.map(String::from).to_vec(), 0));
    let delivery = spool.due(Spool::ENDPOINT, SystemTime::now(), 1).unwrap().remove(0);
    assert_eq!(delivery.event_type, "chapter.closed");
    assert!(spool.due("another", SystemTime::now(), 9).unwrap().is_empty());
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&path), 0o700);
        for file in fs::read_dir(path.join("pending")).unwrap() {
            assert_eq!(mode(&file.unwrap().path()), 0o600, "what a stream says is nobody else's business");
        }
    }
}

#[test]
fn a_full_spool_takes_no_more_and_says_what_to_do() {
    let dir = tempfile::tempdir().unwrap();
    let spool = Spool::open(dir.path(), 64 << 10).unwrap();
    let mut stored = 0;
    let error = loop {
        match spool.push(EventType::DigestCreated, &[b'x'; 5000]) {
            Ok(_) => stored += 1,
            Err(error) => break error,
        }
    };
    assert!(matches!(error, SpoolError::Full { .. }) && error.to_string().contains("dead"), "{error}");
    assert_eq!((stored, due(&spool).len()), (5, 5), "counted in blocks of the disk");
    let attempt = Attempt {
        at: SystemTime::now(),
        latency: Default::default(),
        status: None,
        answer: String::new(),
        error: None,
    };
    let first = spool.due(Spool::ENDPOINT, SystemTime::now(), 1).unwrap().remove(0);
    spool.record(&first, &attempt, &Next::Delivered).unwrap();
    spool.record(&first, &attempt, &Next::Delivered).unwrap();
    push(&spool, "there is room again");
    let huge = vec![b'x'; MAX_MESSAGE as usize + 1];
    assert!(matches!(spool.push(EventType::DigestCreated, &huge), Err(SpoolError::TooLarge(_))));
}

#[test]
fn two_cannot_share_a_folder() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    assert!(matches!(Spool::open(dir.path(), LIMIT), Err(SpoolError::InUse(_))));
    drop(spool);
    open(dir.path());
}

#[test]
fn files_of_others_are_left_alone_and_never_sent() {
    let dir = tempfile::tempdir().unwrap();
    let (id, kept) = {
        let spool = open(dir.path());
        (push(&spool, "mine"), push(&spool, "kept"))
    };
    let pending = dir.path().join("pending");
    let secret = dir.path().join("secret");
    fs::write(&secret, "{\"event\":\"chapter.closed\",\"created\":1}\nsecret").unwrap();
    let name = |digit: char| pending.join(format!("01ARZ3NDEKTSV4RRFFQ69G5FA{digit}.message"));
    std::os::unix::fs::symlink(&secret, name('0')).unwrap();
    fs::create_dir(name('1')).unwrap();
    fs::write(name('2'), "no header").unwrap();
    fs::write(name('3'), "{\"event\":\"chapter.closed\"}\nx").unwrap();
    fs::write(name('4'), "{\"event\":\"rm -rf\",\"created\":1}\nx").unwrap();
    fs::write(name('5'), vec![b'x'; 3 << 20]).unwrap();
    fs::write(name('6'), "").unwrap();
    assert!(Command::new("mkfifo").arg(name('7')).status().unwrap().success());
    fs::write(pending.join("notes.txt"), "x").unwrap();
    fs::write(pending.join("8ZZZZZZZZZZZZZZZZZZZZZZZZZ.message"), "x").unwrap();
    fs::write(pending.join(format!("{id}.draft")), "half").unwrap();
    fs::write(pending.join(format!("{kept}.state")), "{\"attempts\":\"many\"}").unwrap();
    let spool = open(dir.path());
    assert_eq!(due(&spool), ["mine", "kept"]);
    assert_eq!(spool.warnings().len(), 10, "{:?}", spool.warnings());
    assert!(!pending.join(format!("{id}.draft")).exists());
    fs::remove_file(pending.join(format!("{id}.message"))).unwrap();
    spool.due(Spool::ENDPOINT, SystemTime::now(), 9).unwrap_err();
    assert_eq!(due(&spool), ["kept"]);
}

#[test]
fn the_order_holds_when_the_clock_is_set_back() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir_all(dir.path().join("pending")).unwrap();
    let future = dir.path().join("pending/7ZZZZZZZZZ0000000000000000.message");
    fs::write(future, "{\"event\":\"chapter.closed\",\"created\":1}\nfirst").unwrap();
    let spool = open(dir.path());
    push(&spool, "second");
    push(&spool, "third");
    assert_eq!(due(&spool), ["first", "second", "third"]);
}

#[test]
fn a_dead_letter_moved_back_and_an_endpoint_enabled_go_on() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    {
        let spool = open(dir.path());
        push(&spool, "{}");
        spool.disable(Spool::ENDPOINT, "gone").unwrap();
        assert!(
            due(&spool).is_empty() && spool.next_due(Spool::ENDPOINT, SystemTime::now()).unwrap().is_none()
        );
    }
    let spool = open(dir.path());
    assert_eq!(spool.disabled().as_deref(), Some("gone"));
    drop(spool);
    fs::remove_file(dir.path().join("disabled")).unwrap();
    let spool = open(dir.path());
    let delivery = spool.due(Spool::ENDPOINT, SystemTime::now(), 1).unwrap().remove(0);
    let attempt = Attempt {
        at: SystemTime::now(),
        latency: Default::default(),
        status: None,
        answer: String::new(),
        error: None,
    };
    spool.record(&delivery, &attempt, &Next::Dead { reason: "enough".into() }).unwrap();
    drop(spool);
    assert_eq!(open(dir.path()).dead(), 1);
    let file = format!("{}.message", delivery.webhook_id);
    fs::rename(dir.path().join("dead").join(&file), dir.path().join("pending").join(&file)).unwrap();
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    assert_eq!(rig.attempted().0, delivery);
    assert_eq!(rig.spool.dead(), 0);
}

#[test]
fn a_disk_that_cannot_be_written_is_an_error_and_stores_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let spool = open(dir.path());
    fs::remove_dir(dir.path().join("pending")).unwrap();
    assert!(matches!(spool.push(EventType::DigestCreated, b"x"), Err(SpoolError::Io { .. })));
    fs::create_dir(dir.path().join("pending")).unwrap();
    push(&spool, "again");
    assert_eq!(due(&spool), ["again"]);
    fs::write(dir.path().join("file"), "").unwrap();
    let error = Spool::open(&dir.path().join("file"), LIMIT).unwrap_err();
    assert!(error.to_string().contains("file"), "{error}");
}

#[test]
fn every_address_has_a_folder_of_its_own_that_does_not_tell_it() {
    let path = |url: &str| Spool::default_path(&url.parse().unwrap());
    let one = path("https://receiver.example/hunter2?key=hunter2");
    let name = one.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("receiver.example-") && !name.contains("hunter2"), "{name}");
    assert_ne!(one, path("https://receiver.example/hunter3"));
    assert!(one.parent().unwrap().ends_with("streamgist/spool"));
    assert!(path("http://[::1]:80/").file_name().unwrap().to_str().unwrap().starts_with("-"));
}
