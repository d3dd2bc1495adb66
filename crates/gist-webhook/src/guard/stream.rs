//! The same for streams named by somebody else: cameras, recordings, files.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{Guard, GuardError, host_and_port};

/// Where a stream comes from, checked.
#[derive(Clone, Debug)]
pub enum StreamSource {
    /// From the network.
    Network {
        /// The address, written so that every program reads it alike: open this one and not what was given.
        url: Url,
        /// What its host stands for.
        addresses: Vec<SocketAddr>,
    },
    /// A file, links resolved.
    File(PathBuf),
}

impl StreamSource {
    /// What to open. Whoever opens it resolves the host once more; for `rtsp`, which needs no name, it is therefore the
    /// address that was checked. The other schemes need the name, for TLS or for the host header.
    pub fn pinned(&self) -> Option<Url> {
        match self {
            Self::Network { url, addresses } => {
                let mut url = url.clone();
                if let ("rtsp", Some(address)) = (url.scheme(), addresses.first()) {
                    url.set_ip_host(address.ip()).ok()?;
                }
                Some(url)
            }
            Self::File(path) => Url::from_file_path(path).ok(),
        }
    }
}

impl Guard {
    /// Checks the address of a stream: `rtsp`, `rtsps`, `http`, `https` with any port, or a `file` below one of the
    /// directories that are allowed. A user and password may be in it.
    ///
    /// # Errors
    /// When it is refused, or its name can't be resolved within `timeout`.
    pub fn stream(&self, address: &str, timeout: Duration) -> Result<StreamSource, GuardError> {
        let url = Url::parse(address.trim()).map_err(GuardError::Unreadable)?;
        match url.scheme() {
            "rtsp" | "rtsps" | "http" | "https" => {}
            "file" => return self.file(&url).map(StreamSource::File),
            scheme => {
                let allowed = "rtsp://, rtsps://, https://, http:// or file://";
                return Err(GuardError::Scheme { scheme: scheme.to_owned(), allowed });
            }
        }
        // RTSP libraries look for the last @, wherever it is.
        if url.scheme().starts_with("rtsp")
            && (url.path().contains('@') || url.query().unwrap_or("").contains('@'))
        {
            return Err(GuardError::Ambiguous);
        }
        let (host, port) = host_and_port(&url)?;
        let addresses = self.checked(&host, port, timeout)?;
        Ok(StreamSource::Network { url, addresses })
    }

    fn file(&self, url: &Url) -> Result<PathBuf, GuardError> {
        let refused = |why: &str| GuardError::File(why.to_owned());
        let path = url.to_file_path().map_err(|()| refused("write file:///path, without a host"))?;
        // One answer for what is not there and what is not allowed: nobody learns which files there are.
        let outside = || refused("it is not in one of the directories that the operator allows");
        let path = path.canonicalize().map_err(|_| outside())?;
        let within =
            |directory: &PathBuf| directory.canonicalize().is_ok_and(|directory| path.starts_with(directory));
        if path.is_file() && self.directories.iter().any(within) { Ok(path) } else { Err(outside()) }
    }
}
