//! `/metrics`, `/livez` and `/readyz`, on a port of this machine. Nothing is read but the first line of a request, and
//! one request is answered at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::publisher::Shared;

/// How long somebody may take to ask.
const PATIENCE: Duration = Duration::from_secs(2);
/// Bytes of a request that are looked at.
const MAX_REQUEST: u64 = 8 << 10;

/// Serves until the process ends. Returns where.
///
/// # Errors
/// When the address is taken.
pub(super) fn serve(address: SocketAddr, shared: Arc<Shared>) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    let bound = listener.local_addr()?;
    thread::Builder::new().name("metrics".into()).spawn(move || {
        for stream in listener.incoming().flatten() {
            if let Err(error) = answer(&stream, &shared) {
                tracing::debug!("a request for metrics was not answered: {error}");
            }
        }
    })?;
    Ok(bound)
}

fn answer(stream: &TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    let mut request = BufReader::new(stream.take(MAX_REQUEST));
    let mut first = String::new();
    request.read_line(&mut first)?;
    // The rest of the head; closing on unread bytes would reset the connection.
    let mut line = String::new();
    while request.read_line(&mut line)? > 2 {
        line.clear();
    }
    let path = match first.split_whitespace().collect::<Vec<_>>()[..] {
        ["GET" | "HEAD", path, ..] => path.split('?').next().unwrap_or_default().to_owned(),
        _ => String::new(),
    };
    let (status, kind, body) = page(&path, shared);
    let head = format!(
        "HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        body.len()
    );
    let body = if first.starts_with("HEAD") { String::new() } else { body };
    let mut stream = stream;
    stream.write_all((head + &body).as_bytes())
}

fn page(path: &str, shared: &Shared) -> (&'static str, &'static str, String) {
    const TEXT: &str = "text/plain; charset=utf-8";
    match path {
        "/metrics" => {
            const KIND: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
            ("200 OK", KIND, shared.metrics.page(&shared.store))
        }
        "/livez" => ("200 OK", TEXT, "alive\n".into()),
        // Ready is who can keep what comes: a stream that is away is no reason to be restarted.
        "/readyz" => match shared
            .store
            .trouble()
            .map_or_else(|| shared.store.counts().map_err(|e| e.to_string()), Err)
        {
            Ok(_) => {
                let slow = shared.metrics.degraded();
                let slow: String =
                    slow.iter().map(|(s, n)| format!("degraded: no progress of {s} for {n} s\n")).collect();
                ("200 OK", TEXT, format!("ready\n{slow}"))
            }
            Err(error) => ("503 Service Unavailable", TEXT, format!("not ready: {error}\n")),
        },
        _ => ("404 Not Found", TEXT, "there are /metrics, /livez and /readyz\n".into()),
    }
}
