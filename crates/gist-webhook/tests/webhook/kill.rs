//! kill -9 at any moment: what was stored before is delivered, and never as two different messages.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::receiver::{OK, Receiver, Reply};
use super::rig::{Rig, Told, endpoint};

const KILLS: usize = 30;
const FOLDER: &str = "GIST_WEBHOOK_KILL_FOLDER";
const RECEIVER: &str = "GIST_WEBHOOK_KILL_RECEIVER";

/// Does nothing but in a process of the test below: stores, says what is stored, and sends until it is killed.
#[test]
fn a_process_that_will_be_killed() {
    let (Ok(folder), Ok(address)) = (std::env::var(FOLDER), std::env::var(RECEIVER)) else { return };
    let mut endpoint = endpoint(&Receiver::always(OK));
    endpoint.target = gist_webhook::Target::new(address.parse().unwrap(), Vec::new());
    let rig = Rig::new(Path::new(&folder), endpoint);
    let mut out = std::io::stdout();
    for n in 0.. {
        let body = format!("{{\"process\":{},\"n\":{n}}}", std::process::id());
        let id = rig.push(&body);
        writeln!(out, "stored {id} {body}").and_then(|()| out.flush()).unwrap();
    }
}

#[test]
fn whatever_was_stored_before_a_kill_is_delivered() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n % 5 == 4 { Reply::Status(500, "") } else { OK });
    let mut stored = HashMap::new();
    for kill in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "kill::a_process_that_will_be_killed", "--nocapture"])
            .env(FOLDER, dir.path())
            .env(RECEIVER, receiver.url())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        // Somewhere among its steps, elsewhere each time, as the machine is never twice as fast.
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut said: Vec<_> = (&mut lines).map_while(Result::ok).take(3 + kill % 7).collect();
        for _ in 0..kill * 500 {
            std::hint::spin_loop();
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // What it said before it died counts as well; the last line may be cut off.
        said.extend(lines.map_while(Result::ok).filter(|line| line.ends_with('}')));
        for line in said {
            if let Some((id, body)) = line.strip_prefix("stored ").and_then(|line| line.split_once(' ')) {
                stored.insert(id.to_owned(), body.to_owned());
            }
        }
    }
    assert!(stored.len() >= KILLS, "{}", stored.len());
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    assert!(rig.spool.warnings().is_empty(), "{:?}", rig.spool.warnings());
    while rig.spool.pending() > 0 {
        rig.turn(3600);
        let Told::Attempted(..) = rig.next() else { panic!("an attempt") };
    }
    let mut delivered: HashMap<String, Vec<u8>> = HashMap::new();
    for request in receiver.received() {
        let before = delivered.insert(request.id().to_owned(), request.body.clone());
        assert!(before.is_none_or(|before| before == request.body), "one id with two bodies");
    }
    for (id, body) in &stored {
        assert_eq!(delivered.get(id).map(Vec::as_slice), Some(body.as_bytes()), "{id}");
    }
}
