//! A receiver of webhooks on loopback, as good or bad as a test wants it.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::Duration;

/// Far longer than anything takes: a test that waits so long has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A request as it came.
#[derive(Clone, Debug, Default)]
pub(crate) struct Received {
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Received {
    pub(crate) fn id(&self) -> &str {
        &self.headers["webhook-id"]
    }
}

/// What is answered.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// A status, with header lines.
    Status(u16, &'static str),
    /// 200 with a body that is longer than anyone wants to read.
    Endless,
    /// 200, then a byte of the body now and then, for ever.
    Drip,
    /// The connection is closed without a word.
    Reset,
    /// Nothing, until the other side gives up.
    Silence,
}

pub(crate) const OK: Reply = Reply::Status(200, "");

type Log = Arc<(Mutex<Vec<Received>>, Condvar)>;

pub(crate) struct Receiver {
    pub(crate) address: SocketAddr,
    log: Log,
}

impl Receiver {
    /// Answers the n-th request, from 0, with `reply(n, request)`.
    pub(crate) fn new(reply: impl Fn(usize, &Received) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("its address");
        let log = Log::default();
        let (answers, reply) = (Arc::clone(&log), Arc::new(reply));
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (log, reply) = (Arc::clone(&answers), Arc::clone(&reply));
                thread::spawn(move || serve(stream, &log, &*reply));
            }
        });
        Self { address, log }
    }

    pub(crate) fn always(reply: Reply) -> Self {
        Self::new(move |_, _| reply.clone())
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hook", self.address)
    }

    pub(crate) fn received(&self) -> Vec<Received> {
        self.log.0.lock().unwrap().clone()
    }

    /// Waits for `n` requests in all.
    pub(crate) fn wait_for(&self, n: usize) -> Vec<Received> {
        let log = self.log.0.lock().unwrap();
        let (log, timeout) = self.log.1.wait_timeout_while(log, PATIENCE, |log| log.len() < n).unwrap();
        assert!(!timeout.timed_out(), "{} requests instead of {n}", log.len());
        log.clone()
    }
}

fn serve(mut stream: TcpStream, log: &Log, reply: &dyn Fn(usize, &Received) -> Reply) -> Option<()> {
    let request = read(&mut stream)?;
    let n = {
        let mut log = log.0.lock().unwrap();
        log.push(request.clone());
        log.len() - 1
    };
    log.1.notify_all();
    let reply = reply(n, &request);
    let head = |length: usize| format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n");
    match reply {
        Reply::Status(status, headers) => {
            let head = format!("HTTP/1.1 {status} Word\r\nContent-Length: 5\r\n{headers}\r\nhello");
            stream.write_all(head.as_bytes()).ok()?;
        }
        Reply::Endless => {
            stream.write_all(head(1 << 30).as_bytes()).ok()?;
            while stream.write_all(&[b'x'; 4096]).is_ok() {}
        }
        Reply::Drip => {
            stream.write_all(head(1 << 20).as_bytes()).ok()?;
            while stream.write_all(b"x").is_ok() {
                thread::sleep(Duration::from_millis(100));
            }
        }
        Reply::Reset => {}
        Reply::Silence => {
            let _ = stream.read(&mut [0; 1]);
        }
    }
    Some(())
}

fn read(stream: &mut TcpStream) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let n = stream.read(&mut chunk).ok().filter(|n| *n > 0)?;
        bytes.extend_from_slice(&chunk[..n]);
        let Some(end) = bytes.windows(4).position(|w| w == b"\r\n\r\n") else { continue };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let path = head.split(' ').nth(1)?.to_owned();
        let header =
            |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        let headers: HashMap<_, _> = head.lines().skip(1).filter_map(header).collect();
        let length: usize = headers.get("content-length").map_or(Some(0), |n| n.parse().ok())?;
        if bytes.len() >= end + 4 + length {
            return Some(Received { path, headers, body: bytes.split_off(end + 4) });
        }
    }
}
