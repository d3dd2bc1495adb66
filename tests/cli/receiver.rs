//! A receiver of webhooks on this machine.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

/// Longer than anything takes on a machine that does not hang.
const PATIENCE: Duration = Duration::from_secs(120);

/// A message as it came.
#[derive(Debug)]
pub(crate) struct Message {
    pub(crate) id: String,
    pub(crate) signature: String,
    pub(crate) body: Value,
}

/// Running until the test ends.
pub(crate) struct Inbox {
    pub(crate) url: String,
    answer: Arc<Mutex<(u16, &'static str)>>,
    messages: Receiver<Message>,
}

impl Inbox {
    /// Answers with this status and text until it is told otherwise.
    pub(crate) fn start(status: u16, text: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bind");
        let url = format!("http://{}/hook", listener.local_addr().expect("address"));
        let (sender, messages) = mpsc::channel();
        let answer = Arc::new(Mutex::new((status, text)));
        let answers = Arc::clone(&answer);
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                // Who sends hangs up when it likes.
                let _ = serve(stream, *answers.lock().expect("lock"), &sender);
            }
        });
        Self { url, answer, messages }
    }

    pub(crate) fn answers(&self, status: u16, text: &'static str) {
        *self.answer.lock().expect("lock") = (status, text);
    }

    /// The next message.
    pub(crate) fn next(&self) -> Message {
        self.messages.recv_timeout(PATIENCE).expect("a message")
    }

    /// All that came and was not looked at.
    pub(crate) fn rest(&self) -> Vec<Message> {
        self.messages.try_iter().collect()
    }
}

fn serve(
    mut stream: TcpStream,
    (status, text): (u16, &str),
    sender: &Sender<Message>,
) -> std::io::Result<()> {
    let mut request = BufReader::new(stream.try_clone()?);
    let (mut length, mut id, mut signature) = (0, String::new(), String::new());
    loop {
        let mut line = String::new();
        request.read_line(&mut line)?;
        match line.trim_end().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().unwrap_or(0),
            Some(("webhook-id", value)) => id = value.to_owned(),
            Some(("webhook-signature", value)) => signature = value.to_owned(),
            None if line.trim_end().is_empty() => break,
            _ => {}
        }
    }
    let mut body = vec![0; length];
    request.read_exact(&mut body)?;
    let length = text.len();
    write!(stream, "HTTP/1.1 {status} X\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{text}")?;
    let body = serde_json::from_slice(&body)?;
    let _ = sender.send(Message { id, signature, body });
    Ok(())
}
