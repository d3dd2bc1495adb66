//! Names to addresses.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// Resolves names.
pub trait Lookup: Send + Sync {
    /// All addresses of `host`.
    ///
    /// # Errors
    /// When it can't be resolved.
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;
}

/// As the system does.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemLookup;

impl Lookup for SystemLookup {
    fn lookup(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        (host, port).to_socket_addrs().map(Iterator::collect)
    }
}

/// Resolves on a thread of its own: the system gives no way to break a lookup off, so one that takes too long is left
/// to end by itself.
pub(super) fn within(
    lookup: &Arc<dyn Lookup>,
    host: &str,
    port: u16,
    timeout: Duration,
) -> Result<Vec<SocketAddr>, String> {
    let (sender, receiver) = mpsc::sync_channel(1);
    let (lookup, name) = (Arc::clone(lookup), host.to_owned());
    thread::Builder::new()
        .name("webhook-lookup".into())
        .spawn(move || sender.send(lookup.lookup(&name, port)))
        .map_err(|e| e.to_string())?;
    match receiver.recv_timeout(timeout) {
        Ok(Ok(addresses)) if addresses.is_empty() => Err("it has no address".into()),
        Ok(found) => found.map_err(|e| e.to_string()),
        Err(_) => Err(format!("no answer within {timeout:?}")),
    }
}
