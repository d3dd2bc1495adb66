//! The model hub: files by name over HTTP, resumed where they stopped.

use std::env;
use std::fs::{self, File as Disk};
use std::io::{Read, Write};
use std::path::Path;
use std::time::Duration;

use gist_models::registry::File;
use ureq::Agent;

use super::Progress;

/// Where the hub is when `HF_ENDPOINT` names no mirror.
const PUBLIC: &str = "https://huggingface.co";

/// How often an interrupted download is taken up again without having got any further.
const TRIES: u32 = 3;

/// A hub.
pub(crate) struct Hub {
    endpoint: String,
    agent: Agent,
}

impl Hub {
    /// The public hub, or the one `HF_ENDPOINT` names; `None` when `HF_HUB_OFFLINE` is set.
    pub(crate) fn from_env() -> Option<Self> {
        let set = |name| env::var(name).ok().filter(|v| !v.is_empty());
        if set("HF_HUB_OFFLINE").is_some_and(|v| v != "0") {
            return None;
        }
        Some(Self::new(&set("HF_ENDPOINT").unwrap_or_else(|| PUBLIC.to_owned())))
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
            .user_agent(concat!("streamgist/", env!("CARGO_PKG_VERSION")))
            .build()
            .new_agent();
        Self { endpoint: endpoint.trim_end_matches('/').to_owned(), agent }
    }

    /// Fetches `file` of the repository `repo` into `part`, going on from what is there. The content isn't checked.
    pub(crate) fn fetch(
        &self,
        repo: &str,
        file: &File,
        part: &Path,
        progress: &Progress,
    ) -> Result<(), String> {
        let mut tries = 0;
        loop {
            let before = length(part);
            match self.attempt(repo, file, part, progress) {
                Ok(()) => return Ok(()),
                Err(Attempt::Final(why)) => return Err(why),
                Err(Attempt::Interrupted(why)) => {
                    tries = if length(part) > before { 0 } else { tries + 1 };
                    if tries == TRIES {
                        return Err(why);
                    }
                }
            }
        }
    }

    fn attempt(&self, repo: &str, file: &File, part: &Path, progress: &Progress) -> Result<(), Attempt> {
        let mut have = length(part);
        if have > file.size {
            let _ = fs::remove_file(part);
            have = 0;
        }
        if have == file.size {
            return Ok(());
        }
        let mut request = self.agent.get(format!("{}/{repo}/resolve/main/{}", self.endpoint, file.name));
        if have > 0 {
            request = request.header("Range", format!("bytes={have}-"));
        }
        let mut response = request.call().map_err(|e| Attempt::Final(e.to_string()))?;
        // 206 is the rest; any other success is the file from its beginning.
        let rest = response.status() == 206;
        if !rest {
            have = 0;
        }
        let io = |e: std::io::Error| Attempt::Final(format!("{}: {e}", part.display()));
        let mut out = Disk::options().create(true).write(true).truncate(false).open(part).map_err(io)?;
        out.set_len(have).map_err(io)?;
        std::io::Seek::seek(&mut out, std::io::SeekFrom::Start(have)).map_err(io)?;

        // One byte more than wanted is enough to know that it is another file.
        let mut body = response.body_mut().as_reader().take(file.size + 1 - have);
        let mut buffer = vec![0; 1 << 18];
        loop {
            progress.set(have);
            match body.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => {
                    out.write_all(&buffer[..n]).map_err(io)?;
                    have += n as u64;
                }
                Err(e) => return Err(Attempt::Interrupted(e.to_string())),
            }
        }
        if have < file.size && rest {
            Err(Attempt::Interrupted("the connection was closed".into()))
        } else {
            Ok(())
        }
    }
}

/// How an attempt ended that did not bring the file.
enum Attempt {
    /// Another one would end the same way.
    Final(String),
    /// Another one may bring the rest.
    Interrupted(String),
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |m| m.len())
}
