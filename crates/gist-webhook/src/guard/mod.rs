//! Which addresses may be reached: a webhook or a stream named by somebody else must not be a way into the network of
//! this machine.
//!
//! A name is resolved once, every address it stands for is checked, and whoever connects takes one of exactly these
//! addresses: a name that resolves otherwise the second time (DNS rebinding) gains nothing.

mod address;
mod lookup;
mod stream;

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use url::{Host, Url};

pub use address::refusal;
pub use lookup::{Lookup, SystemLookup};
pub use stream::StreamSource;

/// Ports a webhook may have at a public address unless the operator says otherwise.
pub const DEFAULT_PORTS: [u16; 4] = [80, 443, 8080, 8443];

/// Why an address is refused: neither user, password nor query are in it.
#[derive(Debug, thiserror::Error)]
pub enum GuardError {
    /// It can't be read.
    #[error("this is no address of the form scheme://host/path: {0}")]
    Unreadable(url::ParseError),
    /// It names no host.
    #[error("the address names no host")]
    NoHost,
    /// Not one of the schemes that are allowed.
    #[error("{scheme}:// addresses are not allowed here: use {allowed}")]
    Scheme {
        /// What it has.
        scheme: String,
        /// What it may have.
        allowed: &'static str,
    },
    /// Credentials in the address would go into logs of others.
    #[error(
        "the address of a webhook must not hold a user or password: send them in a header of the endpoint"
    )]
    Userinfo,
    /// Programs differ in where the host of such an address is.
    #[error("the host of this address is not clear: write / ? and @ of a password as %2F %3F and %40")]
    Ambiguous,
    /// Not one of the ports that are allowed.
    #[error("port {port} of {host} is not allowed: the operator may add it to the allowed ports")]
    Port {
        /// Host.
        host: String,
        /// Port.
        port: u16,
    },
    /// It leads into a network that is not public.
    #[error(
        "{host} is {address}, {why}: if that is meant, the operator adds its network to the allowed ones, for example \
         {address}/{full}"
    )]
    Address {
        /// Host.
        host: String,
        /// The first of its addresses that is refused.
        address: IpAddr,
        /// What it is.
        why: &'static str,
        /// Length of a prefix that is this address alone.
        full: u8,
    },
    /// It can't be resolved.
    #[error("{host} can't be resolved ({why}): check the name, and the DNS of this machine")]
    Lookup {
        /// Host.
        host: String,
        /// Why not.
        why: String,
    },
    /// Not what a network is written as.
    #[error("{0:?} is no network: write an address and the length of its prefix, for example 192.168.1.0/24")]
    Network(String),
    /// No file of a directory that is allowed.
    #[error("this file may not be read: {0}")]
    File(String),
}

/// What may be reached. As made by [`Guard::new`] only public addresses may.
#[derive(Clone)]
pub struct Guard {
    allowed: Vec<IpNet>,
    ports: Vec<u16>,
    directories: Vec<PathBuf>,
    lookup: Arc<dyn Lookup>,
}

impl Guard {
    /// Public addresses and those of the networks in `allowed`, which only the operator may name: never take them from
    /// where the addresses come from.
    pub fn new(allowed: Vec<IpNet>) -> Self {
        Self {
            allowed,
            ports: DEFAULT_PORTS.to_vec(),
            directories: Vec::new(),
            lookup: Arc::new(SystemLookup),
        }
    }

    /// The ports a webhook may have, instead of [`DEFAULT_PORTS`]; none for any. Addresses in a network that was
    /// allowed may have any port.
    #[must_use]
    pub fn with_ports(self, ports: Vec<u16>) -> Self {
        Self { ports, ..self }
    }

    /// The directories from which files may be streams.
    #[must_use]
    pub fn with_directories(self, directories: Vec<PathBuf>) -> Self {
        Self { directories, ..self }
    }

    /// Resolves names otherwise than the system does.
    #[must_use]
    pub fn with_lookup(self, lookup: Arc<dyn Lookup>) -> Self {
        Self { lookup, ..self }
    }

    /// Checks all of a webhook's address that can be checked without resolving its name, for whoever sets one up.
    ///
    /// # Errors
    /// When it is refused.
    pub fn webhook(&self, address: &str) -> Result<Url, GuardError> {
        let url = Url::parse(address.trim()).map_err(GuardError::Unreadable)?;
        if !matches!(url.scheme(), "http" | "https") {
            let scheme = url.scheme().to_owned();
            return Err(GuardError::Scheme { scheme, allowed: "https:// or http://" });
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(GuardError::Userinfo);
        }
        match host_and_port(&url)? {
            (Host::Ipv4(_) | Host::Ipv6(_), _) => self.resolve(&url, Duration::ZERO).map(drop)?,
            // What it resolves to may be in a network that was allowed, where any port is.
            (Host::Domain(_), _) if !self.allowed.is_empty() => {}
            (Host::Domain(host), port) => self.check_port(host, port)?,
        }
        Ok(url)
    }

    /// The addresses of a webhook, all of them checked.
    ///
    /// # Errors
    /// When one of them is refused, or there is none within `timeout`.
    pub fn resolve(&self, url: &Url, timeout: Duration) -> Result<Vec<SocketAddr>, GuardError> {
        let (host, port) = host_and_port(url)?;
        let addresses = self.checked(&host, port, timeout)?;
        let lawful = |address: &SocketAddr| self.allowed.iter().any(|net| net.contains(&address.ip()));
        if !addresses.iter().all(lawful) {
            self.check_port(host.to_string(), port)?;
        }
        Ok(addresses)
    }

    fn check_port(&self, host: String, port: u16) -> Result<(), GuardError> {
        let listed = self.ports.is_empty() || self.ports.contains(&port);
        if listed { Ok(()) } else { Err(GuardError::Port { host, port }) }
    }

    /// The addresses `host` stands for, if none of them is refused.
    fn checked(&self, host: &Host, port: u16, timeout: Duration) -> Result<Vec<SocketAddr>, GuardError> {
        let addresses = match host {
            Host::Ipv4(address) => vec![SocketAddr::new((*address).into(), port)],
            Host::Ipv6(address) => vec![SocketAddr::new((*address).into(), port)],
            Host::Domain(name) => {
                let failed = |why: String| GuardError::Lookup { host: name.clone(), why };
                lookup::within(&self.lookup, name, port, timeout).map_err(failed)?
            }
        };
        for address in addresses.iter().map(SocketAddr::ip) {
            if let Some(why) = refusal(address, &self.allowed) {
                let full = if address.is_ipv4() { 32 } else { 128 };
                return Err(GuardError::Address { host: host.to_string(), address, why, full });
            }
        }
        Ok(addresses)
    }
}

impl Default for Guard {
    fn default() -> Self {
        Self::new(Vec::new())
    }
}

impl fmt::Debug for Guard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { allowed, ports, directories, lookup: _ } = self;
        f.debug_struct("Guard")
            .field("allowed", allowed)
            .field("ports", ports)
            .field("directories", directories)
            .finish_non_exhaustive()
    }
}

/// Reads networks with commas between them, as the operator allows them; an address alone is a network of one.
///
/// # Errors
/// When one is none.
pub fn networks(text: &str) -> Result<Vec<IpNet>, GuardError> {
    let network = |text: &str| {
        let alone = || text.parse::<IpAddr>().map(IpNet::from);
        text.parse().or_else(|_| alone()).map_err(|_| GuardError::Network(text.to_owned()))
    };
    text.split(',').map(str::trim).filter(|text| !text.is_empty()).map(network).collect()
}

/// The host as what it is: rtsp://2130706433 is 127.0.0.1 to whoever connects, and only for http does the parser say so
/// on its own.
fn host_and_port(url: &Url) -> Result<(Host, u16), GuardError> {
    let host = match url.host().ok_or(GuardError::NoHost)? {
        Host::Domain(name) => Host::parse(name).map_err(GuardError::Unreadable)?,
        host => host.to_owned(),
    };
    let known = match url.scheme() {
        "rtsp" => Some(554),
        "rtsps" => Some(322),
        _ => None,
    };
    let port = url.port_or_known_default().or(known).ok_or(GuardError::NoHost)?;
    Ok((host, port))
}
