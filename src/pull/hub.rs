//! The model hub: files by name over HTTP, resumed where they stopped.

use std::env;
use std::fs::{self, File as Disk};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use ureq::config::RedirectAuthHeaders;
use ureq::{Agent, RequestBuilder, typestate::WithoutBody};

use super::Progress;

/// Where the hub is when `HF_ENDPOINT` names no mirror.
const PUBLIC: &str = "https://huggingface.co";

/// How often an interrupted download is taken up again without having got any further.
const TRIES: u32 = 3;
/// How long is waited before the first of these, with each once more.
const PAUSE: Duration = Duration::from_millis(500);

/// Why the hub does not give something.
#[derive(Debug, thiserror::Error)]
pub(crate) enum HubError {
    /// Its own word.
    #[error("http status: {0}")]
    Status(u16),
    #[error("{0}")]
    Failed(String),
}

impl From<ureq::Error> for HubError {
    fn from(error: ureq::Error) -> Self {
        match error {
            ureq::Error::StatusCode(code) => Self::Status(code),
            other => Self::Failed(other.to_string()),
        }
    }
}

impl HubError {
    /// Whether the same may work in a moment.
    fn passes(&self) -> bool {
        matches!(self, Self::Status(429 | 500..=599))
    }
}

/// A hub.
pub(crate) struct Hub {
    endpoint: String,
    agent: Agent,
    /// What the hub knows the user by.
    token: Option<String>,
}

impl Hub {
    /// The public hub, or the one `HF_ENDPOINT` names; `None` when `HF_HUB_OFFLINE` is set.
    pub(crate) fn from_env() -> Option<Self> {
        let set = |name| env::var(name).ok().filter(|v| !v.is_empty());
        if set("HF_HUB_OFFLINE").is_some_and(|v| v != "0") {
            return None;
        }
        let mut hub = Self::new(&set("HF_ENDPOINT").unwrap_or_else(|| PUBLIC.to_owned()));
        hub.token = set("HF_TOKEN").map(|token| token.trim().to_owned());
        Some(hub)
    }

    /// The hub at `endpoint`.
    pub(crate) fn new(endpoint: &str) -> Self {
        // Short, so that a machine without internet access turns to packages in seconds; a download itself may take
        // as long as it likes, as long as something comes.
        let agent = Agent::config_builder()
            .timeout_resolve(Some(Duration::from_secs(4)))
            .timeout_connect(Some(Duration::from_secs(4)))
            .timeout_recv_response(Some(Duration::from_secs(20)))
            .timeout_per_read(Some(Duration::from_secs(30)))
            // The hub sends on to servers of others, which must not see the token.
            .redirect_auth_headers(RedirectAuthHeaders::Never)
            .user_agent(concat!("streamgist/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), agent, token: None }
    }

    /// Where a path of the hub is.
    pub(crate) fn address(&self, path: &str) -> String {
        format!("{}/{path}", self.endpoint)
    }

    /// Whether the hub is told who asks.
    pub(crate) fn has_token(&self) -> bool {
        self.token.is_some()
    }

    /// `address` must be one of this hub: it is given the token.
    fn get(&self, address: &str) -> RequestBuilder<WithoutBody> {
        let request = self.agent.get(address);
        match &self.token {
            Some(token) => request.header("Authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    /// Reads an answer of at most `max` bytes, and the address of the next page if it has one, which is always one of
    /// this hub.
    pub(crate) fn read(&self, address: &str, max: u64) -> Result<(Vec<u8>, Option<String>), HubError> {
        let failed = |what: &str| HubError::Failed(what.to_owned());
        let mut response = self.get(address).call()?;
        let next = response.headers().get("Link").and_then(|link| link.to_str().ok()).and_then(next_page);
        if next.as_ref().is_some_and(|next| !next.starts_with(&self.address(""))) {
            return Err(failed("its list of files goes on at another address"));
        }
        let mut body = Vec::new();
        let mut reader = response.body_mut().as_reader().take(max + 1);
        reader.read_to_end(&mut body).map_err(|e| failed(&e.to_string()))?;
        if body.len() as u64 > max {
            return Err(failed("its answer is too long"));
        }
        Ok((body, next))
    }

    /// Fetches the file of `size` bytes at `path` into `part`, going on from what is there. The content isn't checked.
    pub(crate) fn fetch(
        &self,
        path: &str,
        size: u64,
        part: &Path,
        progress: &Progress,
    ) -> Result<(), HubError> {
        let mut tries = 0;
        loop {
            let before = length(part);
            match self.attempt(path, size, part, progress) {
                Ok(()) => return Ok(()),
                Err(Attempt::Final(why)) => return Err(why),
                Err(Attempt::Interrupted(why)) => {
                    tries = if length(part) > before { 0 } else { tries + 1 };
                    if tries == TRIES {
                        return Err(why);
                    }
                    std::thread::sleep(PAUSE * tries);
                }
            }
        }
    }

    fn attempt(&self, path: &str, size: u64, part: &Path, progress: &Progress) -> Result<(), Attempt> {
        let mut have = length(part);
        if have > size {
            let _ = fs::remove_file(part);
            have = 0;
        }
        if have == size && part.exists() {
            // It may have been written and not yet been brought to the disk.
            let synced = Disk::open(part).and_then(|file| file.sync_all());
            return synced.map_err(|e| Attempt::Final(HubError::Failed(format!("{}: {e}", part.display()))));
        }
        let mut request = self.get(&self.address(path));
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let mut response = request
            .call()
            .map_err(HubError::from)
            // A connection that broke in the middle of a file may come back; one that never was will not.
            .map_err(|why| match why {
                HubError::Failed(_) if have > 0 => Attempt::Interrupted(why),
                why if why.passes() => Attempt::Interrupted(why),
                why => Attempt::Final(why),
            })?;
        // 206 is the rest; any other success is the file from its beginning.
        let rest = response.status() == 206;
        if !rest {
            have = 0;
        }
        let io = |e: std::io::Error| Attempt::Final(HubError::Failed(format!("{}: {e}", part.display())));
        let mut out = Disk::options().create(true).write(true).truncate(false).open(part).map_err(io)?;
        out.set_len(have).map_err(io)?;
        std::io::Seek::seek(&mut out, std::io::SeekFrom::Start(have)).map_err(io)?;

        // One byte more than wanted is enough to know that it is another file.
        let mut body = response.body_mut().as_reader().take(size + 1 - have);
        let mut buffer = vec![0; 1 << 18];
        loop {
            progress.set(have);
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(io)?;
                    have += n as u64;
                }
                Err(e) => return Err(Attempt::Interrupted(HubError::Failed(e.to_string()))),
            }
        }
        if have < size && rest {
            return Err(Attempt::Interrupted(HubError::Failed("the connection was closed".into())));
        }
        // Before it gets its name: a name stands for a whole file, after a power cut too.
        out.sync_all().map_err(io)
    }
}

/// How an attempt ended that did not bring the file.
enum Attempt {
    /// Another one would end the same way.
    Final(HubError),
    /// Another one may bring the rest.
    Interrupted(HubError),
}

/// The address behind `rel="next"` in a `Link` header.
fn next_page(link: &str) -> Option<String> {
    let (address, _) = link.split(',').find(|part| part.contains("rel=\"next\""))?.split_once('>')?;
    address.trim().strip_prefix('<').map(str::to_owned)
}

/// How many bytes of a file are there.
pub(super) fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}
