//! A disk that takes no more, and then does again.

use std::process::Command;
use std::sync::Arc;

use gist_store::{Entry, Error, Filter, Journal, Report, Store};
use rustix::process::{Resource, Rlimit, setrlimit};

use super::*;

fn entry(sequence: u64) -> Entry {
    Entry {
        json: json(sequence),
        outgoing: vec![outgoing(&format!("m{sequence}"), &["a"])],
        at: at(sequence),
    }
}

/// The numbers that a report says are published, and what else it says.
fn told(reports: Vec<Report>) -> Vec<String> {
    let tell = |report| match report {
        Report::Published(entry, _) => format!("published {}", entry.outgoing[0].webhook_id),
        Report::Refused(entry, _) => format!("refused {}", entry.outgoing[0].webhook_id),
        Report::Failing(_) => "failing".into(),
        Report::Working => "working".into(),
    };
    reports.into_iter().map(tell).collect()
}

#[test]
fn child_whose_files_may_not_grow() {
    let Some(path) = child_path() else { return };
    let store = Arc::new(begun(&path));
    let mut journal = Journal::new(store.clone());
    // Less than the log has already.
    setrlimit(Resource::Fsize, Rlimit { current: Some(4096), maximum: None }).expect("set");
    journal.push(entry(0)).expect("room");
    let reports = journal.flush();
    let [Report::Failing(error)] = &reports[..] else { panic!("{reports:?}") };
    assert!(matches!(error, Error::Disk { .. } | Error::Full { .. }), "{error}");
    journal.push(entry(1)).expect("room");
    assert!(journal.flush().is_empty(), "said once");
    assert_eq!(journal.len(), 2);
    assert!(store.events("s", 0, 9).expect("it can be read").is_empty());
    assert!(store.deliveries(&Filter::default(), None, 9).expect("it can be read").is_empty());

    setrlimit(Resource::Fsize, Rlimit { current: None, maximum: None }).expect("set");
    journal.push(entry(2)).expect("room");
    let expected = ["working", "published m0", "published m1", "published m2"];
    assert_eq!(told(journal.flush()), expected);
    drop((journal, store));
    let store = Store::open(&path).expect("intact");
    assert_eq!(store.events("s", 0, 9).expect("events"), [json(0), json(1), json(2)]);
}

#[test]
fn what_the_disk_does_not_take_waits_and_then_goes_in_its_order() {
    let place = place();
    // A write beyond the limit shall fail and not end the process.
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""]).arg(this());
    command.args(["full::child_whose_files_may_not_grow", "--exact", "--nocapture"]);
    let output = command.env(CHILD, &place.path).output().expect("runs");
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn an_event_that_never_fits_does_not_hold_up_the_next() {
    let place = place();
    let mut journal = Journal::new(Arc::new(begun(&place.path)));
    let other = Entry { json: json(0).replace("Größen", "Sizes"), ..entry(0) };
    for entry in [entry(0), other, entry(0), entry(1)] {
        journal.push(entry).expect("room");
    }
    let expected = ["published m0", "refused m0", "published m0", "published m1"];
    assert_eq!(told(journal.flush()), expected);
}

#[test]
fn a_full_queue_gives_the_event_back() {
    let place = place();
    let mut journal = Journal::new(Arc::new(begun(&place.path)));
    let large = Entry { json: " ".repeat(Journal::MAX_BYTES), ..entry(0) };
    assert_eq!(*journal.push(large.clone()).expect_err("too large"), large);
    for sequence in 0..Journal::MAX_EVENTS as u64 {
        journal.push(Entry { outgoing: Vec::new(), ..entry(sequence) }).expect("room");
    }
    journal.push(entry(9999)).expect_err("too many");
}
