//! The program as a process whose output is read while it runs.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::Desk;

/// The longest anything is waited for: a bound for what hangs, not a measure of speed.
const PATIENCE: Duration = Duration::from_secs(120);

type Lines = Arc<Mutex<Vec<String>>>;

/// `streamgist watch`, running.
pub(crate) struct Run {
    child: Child,
    out: Lines,
    err: Lines,
    readers: Vec<JoinHandle<()>>,
}

/// What is left of it.
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    /// Lines of standard output; the last may be cut off.
    pub(crate) out: Vec<String>,
    pub(crate) err: String,
}

impl Desk {
    pub(crate) fn watch(&self) -> Run {
        self.watch_by("exec \"$0\" \"$@\"")
    }

    /// The same by a line of shell, which sets limits.
    pub(crate) fn watch_by(&self, shell: &str) -> Run {
        let mut command = Command::new("sh");
        command.args(["-c", shell, env!("CARGO_BIN_EXE_streamgist"), "watch"]).arg(self.path("watch.toml"));
        command.env_remove("RUST_LOG").env_remove("GST_DEBUG").env("TMPDIR", self.path("tmp"));
        command.env("STREAMGIST_TEST_FAULTS", self.path("faults"));
        command.current_dir(self.folder.path()).stdin(Stdio::null());
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("runs");
        let (out, err) = (Lines::default(), Lines::default());
        let readers = vec![
            read(child.stdout.take().expect("a pipe"), out.clone()),
            read(child.stderr.take().expect("a pipe"), err.clone()),
        ];
        Run { child, out, err, readers }
    }
}

fn read(from: impl Read + Send + 'static, into: Lines) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line).is_ok_and(|length| length > 0) {
            let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
            into.lock().expect("lock").push(text);
            line.clear();
        }
    })
}

impl Run {
    pub(crate) fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    pub(crate) fn err(&self) -> String {
        self.err.lock().expect("lock").join("\n")
    }

    /// Events on standard output so far.
    pub(crate) fn events(&self) -> Vec<Value> {
        let lines = self.out.lock().expect("lock").clone();
        lines.iter().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    pub(crate) fn closed(&self) -> usize {
        self.events().iter().filter(|event| event["type"] == "closed").count()
    }

    /// Waits until `done`, while it runs.
    pub(crate) fn until(&mut self, what: &str, done: impl Fn(&Self) -> bool) {
        let began = Instant::now();
        while !done(self) {
            let ended = self.child.try_wait().expect("a child");
            assert!(ended.is_none(), "it ended ({ended:?}) before {what}:\n{}", self.err());
            assert!(began.elapsed() < PATIENCE, "still waiting for {what}:\n{}", self.err());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits until so many more chapters are closed.
    pub(crate) fn chapters(&mut self, more: usize) {
        let wanted = self.closed() + more;
        self.until("a chapter", |run| run.closed() >= wanted);
    }

    /// Where `/metrics` is.
    pub(crate) fn port(&mut self) -> u16 {
        self.until("the port of the metrics", |run| port(&run.err()).is_some());
        port(&self.err()).expect("a port")
    }

    /// Waits for its end.
    pub(crate) fn ended(self) -> Ended {
        let ended = self.left();
        let err = &ended.err;
        assert!(!err.contains("panicked") && !err.contains("assertion"), "{err}");
        ended
    }

    fn left(mut self) -> Ended {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.err());
            thread::sleep(Duration::from_millis(20));
        };
        self.readers.drain(..).for_each(|reader| reader.join().expect("read"));
        let out = std::mem::take(&mut *self.out.lock().expect("lock"));
        let err = self.err();
        Ended { status, out, err }
    }

    pub(crate) fn kill(self) -> Ended {
        // It may have ended by itself, which is told by its status.
        let _ = kill_process(self.pid(), Signal::KILL);
        self.ended()
    }

    /// Waits for its end, after something in it panicked.
    pub(crate) fn stopped_after_a_panic(self) -> Ended {
        self.signal(Signal::TERM);
        self.left()
    }

    /// Ends it as an operator does.
    pub(crate) fn stop(self) -> Ended {
        self.signal(Signal::TERM);
        let ended = self.ended();
        assert!(ended.status.success(), "{:?}: {}", ended.status, ended.err);
        ended
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn port(err: &str) -> Option<u16> {
    err.split_once("metrics on http://127.0.0.1:")?.1.split_once("/metrics")?.0.parse().ok()
}
