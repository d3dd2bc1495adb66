//! A receiver of webhooks on this machine, with the faults real ones have.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// What it does with a message.
#[derive(Clone, Copy)]
pub(crate) enum Manner {
    /// Answers with this status and these lines of the head.
    Answers(u16, &'static str),
    /// Takes it and says nothing.
    Hangs,
    /// Hangs up in the middle of it.
    Resets,
}

/// A message as it came.
#[derive(Clone, Debug)]
pub(crate) struct Got {
    pub(crate) id: String,
    pub(crate) body: Vec<u8>,
    /// `webhook-timestamp`, in seconds.
    pub(crate) timestamp: u64,
}

impl Got {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    pub(crate) fn kind(&self) -> String {
        self.json()["type"].as_str().expect("a type").to_owned()
    }

    pub(crate) fn data(&self) -> Value {
        self.json()["data"].clone()
    }
}

#[derive(Clone)]
pub(crate) struct Receiver {
    port: u16,
    manner: Arc<Mutex<Manner>>,
    got: Arc<Mutex<Vec<Got>>>,
}

impl Receiver {
    pub(crate) fn start(manner: Manner) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let receiver = Self { port, manner: Arc::new(Mutex::new(manner)), got: Arc::default() };
        let serving = receiver.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let serving = serving.clone();
                // The sender may be killed at any time.
                thread::spawn(move || serving.serve(stream).ok());
            }
        });
        receiver
    }

    /// One that takes everything.
    pub(crate) fn good() -> Self {
        Self::start(Manner::Answers(204, ""))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}/hook", self.port)
    }

    pub(crate) fn becomes(&self, manner: Manner) {
        *self.manner.lock().expect("lock") = manner;
    }

    pub(crate) fn got(&self) -> Vec<Got> {
        self.got.lock().expect("lock").clone()
    }

    /// Messages of a type.
    pub(crate) fn of(&self, kind: &str) -> Vec<Value> {
        self.got().iter().filter(|got| got.kind() == kind).map(Got::data).collect()
    }

    fn serve(&self, mut stream: TcpStream) -> io::Result<()> {
        let mut from = BufReader::new(stream.try_clone()?);
        let mut head = HashMap::new();
        loop {
            let mut line = String::new();
            if from.read_line(&mut line)? == 0 {
                return Ok(());
            }
            match line.trim_end().split_once(": ") {
                Some((name, value)) => drop(head.insert(name.to_lowercase(), value.to_owned())),
                None if line.trim_end().is_empty() => break,
                None => {}
            }
        }
        let manner = *self.manner.lock().expect("lock");
        let id = head.get("webhook-id").cloned().unwrap_or_default();
        let timestamp = head.get("webhook-timestamp").and_then(|time| time.parse().ok()).unwrap_or(0);
        if matches!(manner, Manner::Resets) {
            // Closed on bytes that were not read, which resets the connection.
            self.got.lock().expect("lock").push(Got { id, body: b"{}".to_vec(), timestamp });
            return Ok(());
        }
        let length = head.get("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        let mut body = vec![0; length];
        from.read_exact(&mut body)?;
        self.got.lock().expect("lock").push(Got { id, body, timestamp });
        match manner {
            Manner::Answers(status, lines) => {
                write!(stream, "HTTP/1.1 {status} x\r\n{lines}content-length: 0\r\nconnection: close\r\n\r\n")
            }
            _ => {
                thread::sleep(Duration::from_secs(600));
                Ok(())
            }
        }
    }
}
