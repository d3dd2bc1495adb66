//! Kills at random moments: what was said is kept.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Duration;

use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::time::Span;
use gist_store::{Filter, Published, Retention, Store};

use super::*;

/// Publishes, delivers and retains for ever, and says what it has published.
#[test]
fn child_that_publishes() {
    let Some(path) = child_path() else { return };
    let store = Store::open(path).expect("opens");
    let mut said = std::io::stdout().lock();
    writeln!(said).expect("said");
    let first = store.resume("s").expect("resumes").next_sequence;
    for sequence in first.saturating_sub(1).. {
        // The same event again, as after a restart, with messages that were made anew.
        let id = format!("{sequence}-{}", random(u64::MAX));
        let published = store.publish(&json(sequence), &[outgoing(&id, &["a", "b"])], at(sequence));
        assert_eq!(published.expect("published") == Published::Known, sequence < first);
        writeln!(said, "published {sequence}").expect("said");
        if let Some(delivery) = store.due("a", at(sequence), 1).expect("due").pop() {
            store.record(&delivery, &attempt(at(sequence), 200), &Next::Delivered).expect("recorded");
            writeln!(said, "delivered {}", delivery.webhook_id).expect("said");
        }
        let line = Observation {
            source: Source::Speech,
            span: Span::new(sequence, sequence + 1),
            text: "word ".repeat(500),
            turn: false,
        };
        store.observe("s", &[line], at(sequence)).expect("stored");
        if random(8) == 0 {
            let dropped = store.retain(&Retention { age: None, bytes: Some(1) }, at(sequence));
            assert!(dropped.stopped.is_none(), "{dropped:?}");
        }
    }
}

#[test]
fn what_was_said_before_a_kill_is_in_the_store_after_it() {
    let place = place();
    drop(begun(&place.path));
    let mut bodies = BTreeMap::new();
    let mut last = None;
    for _ in 0..60 {
        let mut command = child(&this(), "crash::child_that_publishes", &place.path);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().expect("runs");
        let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        // Before it has opened the store, or anywhere later.
        for _ in 0..random(24) {
            let line = lines.next().expect("it goes on").expect("a line");
            last = line.strip_prefix("published ").map(|n| n.parse().expect("a number")).or(last);
        }
        std::thread::sleep(Duration::from_micros(random(3000)));
        child.kill().expect("killed");
        child.wait().expect("gone");
        let mut delivered = Vec::new();
        for line in lines.map_while(Result::ok) {
            // A line that was cut off was not said.
            if let Some((word, id)) = line.split_once(' ') {
                match word {
                    "published" => last = id.parse().ok().max(last),
                    "delivered" => delivered.push(id.to_owned()),
                    _ => {}
                }
            }
        }
        check(&place.path, last, &delivered, &mut bodies);
    }
    assert!(last.is_some_and(|last: u64| last > 60), "{last:?}");
    drop(Store::open(&place.path).expect("intact"));
    let file = rusqlite::Connection::open(&place.path).expect("opens");
    let whole: String = file.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("checked");
    assert_eq!(whole, "ok");
}

fn check(path: &Path, last: Option<u64>, delivered: &[String], bodies: &mut BTreeMap<String, Vec<u8>>) {
    let store = Store::open_beside(path).expect("opens");
    let events = store.events("s", 0, usize::MAX).expect("events");
    assert!(events.len() as u64 >= last.map_or(0, |last| last + 1), "{last:?} of {}", events.len());
    for (sequence, event) in (0..).zip(&events) {
        assert_eq!(*event, json(sequence));
    }
    // One message of each event, whose body never changes, whatever was dropped or sent.
    let waiting = due(&store, "b", at(events.len() as u64));
    assert_eq!(waiting.len(), events.len());
    for delivery in waiting {
        assert!(!delivery.body.is_empty());
        let body = bodies.entry(delivery.webhook_id).or_insert_with(|| delivery.body.clone());
        assert_eq!(*body, delivery.body);
    }
    let pending = Filter { endpoint: Some("a".into()), ..Filter::default() };
    for listed in store.deliveries(&pending, None, usize::MAX).expect("listed") {
        let gone = delivered.contains(&listed.webhook_id);
        assert!(!gone || listed.state == gist_store::State::Delivered, "{listed:?}");
    }
}
