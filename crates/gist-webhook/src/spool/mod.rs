//! An outbox in a folder, for one endpoint and one process.
//!
//! ```text
//! lock                     held while a process uses the folder
//! disabled                 why nothing is sent any more; removing it and starting again goes on
//! pending/ULID.message     what waits: a line about it, then the body as it is sent
//! pending/ULID.state       attempts made, and when the next is due; none before the first
//! dead/ULID.message        what was given up, with its .state beside it; moved back to pending/ it is sent again
//! ```
//!
//! A file appears under its name when it is whole and on the disk, and every step is one such change: whenever the
//! process or the machine dies, a message is there or it is not, and is sent once more rather than not at all.

mod files;

use std::collections::BTreeMap;
use std::env;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};
use ulid::Ulid;
use url::Url;

use crate::{Attempt, Delivery, EventType, Next, Outbox, OutboxError};
use files::{Header, State};

/// Room on the disk unless another limit is given: thousands of chapters.
pub const LIMIT: u64 = 64 << 20;
/// The largest message; those of Standard Webhooks are a fiftieth of it.
pub const MAX_MESSAGE: u64 = 1 << 20;
/// What the file system takes for a file at least; every message is counted with its state.
const BLOCK: u64 = 4096;

/// Why a spool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("{} is in use by another pipeline or process: give each its own folder", .0.display())]
    InUse(PathBuf),
    /// No more messages until some are delivered.
    #[error(
        "{} is full ({limit} bytes): see why the receiver takes nothing, or remove what is in its folder dead",
        path.display()
    )]
    Full {
        /// The folder.
        path: PathBuf,
        /// How much may be in it.
        limit: u64,
    },
    /// A message larger than [`MAX_MESSAGE`].
    #[error("a message of {0} bytes is too large for a webhook")]
    TooLarge(u64),
    /// The disk says no.
    #[error("can't use {}: {source}", path.display())]
    Io {
        /// File or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl From<SpoolError> for OutboxError {
    fn from(error: SpoolError) -> Self {
        Self(error.to_string())
    }
}

/// A message that waits. Its body stays on the disk.
#[derive(Debug)]
struct Entry {
    header: Header,
    attempts: u32,
    due: SystemTime,
    /// What it takes on the disk.
    room: u64,
}

#[derive(Debug, Default)]
struct Index {
    /// In the order in which they were stored.
    pending: BTreeMap<Ulid, Entry>,
    dead: u64,
    used: u64,
    disabled: Option<String>,
    /// The newest id there is, so that the order holds when the clock is set back.
    newest: Ulid,
}

impl Index {
    fn forget(&mut self, id: Ulid) {
        let room = self.pending.remove(&id).map_or(0, |entry| entry.room);
        self.used = self.used.saturating_sub(room);
    }
}

/// An outbox in a folder. Its endpoint is called [`Spool::ENDPOINT`].
#[derive(Debug)]
pub struct Spool {
    path: PathBuf,
    limit: u64,
    index: Mutex<Index>,
    warnings: Vec<String>,
    /// Locked until it is closed, by whatever end of the process.
    _lock: File,
}

impl Spool {
    /// Name of the only endpoint.
    pub const ENDPOINT: &str = "spool";

    /// Opens the folder at `path`, which is made if there is none, with room for `limit` bytes. What waits in it since an
    /// earlier run goes on as it was.
    ///
    /// # Errors
    /// When it can't be used, or another process uses it.
    pub fn open(path: &Path, limit: u64) -> Result<Self, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        for folder in [path.to_owned(), path.join(files::PENDING), path.join(files::DEAD)] {
            files::create_folder(&folder).map_err(failed(&folder))?;
        }
        let lock = path.join("lock");
        let lock_file = files::options().append(true).create(true).open(&lock).map_err(failed(&lock))?;
        lock_file.try_lock().map_err(|e| match e {
            std::fs::TryLockError::WouldBlock => SpoolError::InUse(path.to_owned()),
            std::fs::TryLockError::Error(source) => SpoolError::Io { path: lock, source },
        })?;
        let mut warnings = Vec::new();
        let dead = files::scan(&path.join(files::DEAD), &mut warnings).map_err(failed(path))?;
        let pending = files::scan(&path.join(files::PENDING), &mut warnings).map_err(failed(path))?;
        let newest = dead.keys().chain(pending.keys()).max().copied().unwrap_or_default();
        let used = dead.values().chain(pending.values()).map(|entry| entry.room).sum();
        let disabled = files::read_text(&path.join(files::DISABLED)).map_err(failed(path))?;
        let index = Index { pending, dead: dead.len() as u64, used, disabled, newest };
        Ok(Self { path: path.to_owned(), limit, index: Mutex::new(index), warnings, _lock: lock_file })
    }

    /// The folder for messages to `url` if nobody names one: below the user's state directory, called after the host and
    /// a digest of the address, which itself may be a secret.
    pub fn default_path(url: &Url) -> PathBuf {
        let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
        // The XDG rule: a relative path is no path.
        let state = set("XDG_STATE_HOME").filter(|path| path.is_absolute());
        let state = state.or_else(|| env::home_dir().map(|home| home.join(".local/state")));
        let sign = |c: char| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' };
        let host: String = url.host_str().unwrap_or_default().chars().map(sign).collect();
        let digest: String =
            Sha256::digest(url.as_str()).iter().take(8).map(|b| format!("{b:02x}")).collect();
        state.unwrap_or_else(env::temp_dir).join("streamgist/spool").join(format!("{host}-{digest}"))
    }

    /// What was found in the folder and left alone, because it is none of ours or not as we wrote it.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Stores a message, to be delivered as soon as possible. When this returns it is on the disk.
    ///
    /// # Errors
    /// When the spool is full or can't be written: then the message is not in it.
    pub fn push(&self, event: EventType, body: &[u8]) -> Result<String, SpoolError> {
        let now = SystemTime::now();
        let header = Header { event: event.name().to_owned(), created: files::milliseconds(now) };
        let size = body.len() as u64;
        if size > MAX_MESSAGE {
            return Err(SpoolError::TooLarge(size));
        }
        let mut index = self.index();
        let room = room(size);
        if index.used.saturating_add(room) > self.limit {
            return Err(SpoolError::Full { path: self.path.clone(), limit: self.limit });
        }
        let id = Ulid::from_datetime(now);
        let id = if id > index.newest { id } else { index.newest.increment().unwrap_or(id) };
        let path = files::message(&self.path.join(files::PENDING), id);
        if let Err(source) = files::write(&path, &header.with_body(body)) {
            // It may be there and not be durable: whoever calls pushes it again.
            let _ = files::remove_if_there(&path);
            return Err(SpoolError::Io { path, source });
        }
        let entry = Entry { due: header.created(), header, attempts: 0, room };
        index.pending.insert(id, entry);
        index.used += room;
        index.newest = id;
        Ok(id.to_string())
    }

    /// How many messages wait.
    pub fn pending(&self) -> u64 {
        self.index().pending.len() as u64
    }

    /// How many messages were given up.
    pub fn dead(&self) -> u64 {
        self.index().dead
    }

    /// Why nothing is sent any more.
    pub fn disabled(&self) -> Option<String> {
        self.index().disabled.clone()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        self.index.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn io(&self) -> impl Fn(io::Error) -> OutboxError {
        |source| SpoolError::Io { path: self.path.clone(), source }.into()
    }
}

/// What a message of `size` bytes takes on the disk, with its state.
fn room(size: u64) -> u64 {
    size.div_ceil(BLOCK).saturating_add(1).saturating_mul(BLOCK)
}

impl Outbox for Spool {
    fn due(&self, endpoint: &str, now: SystemTime, limit: usize) -> Result<Vec<Delivery>, OutboxError> {
        let mut index = self.index();
        if endpoint != Self::ENDPOINT || index.disabled.is_some() {
            return Ok(Vec::new());
        }
        let due = index.pending.iter().filter(|(_, entry)| entry.due <= now);
        let ids: Vec<_> = due.map(|(id, _)| *id).take(limit).collect();
        let mut deliveries = Vec::new();
        for id in ids {
            let path = files::message(&self.path.join(files::PENDING), id);
            match (files::read(&path).map_err(self.io())?, index.pending.get(&id)) {
                (Some((header, body)), Some(entry)) if header == entry.header => deliveries.push(Delivery {
                    webhook_id: id.to_string(),
                    endpoint: endpoint.to_owned(),
                    event_type: header.event.clone(),
                    attempts: entry.attempts,
                    created: header.created(),
                    body,
                }),
                // Somebody took it away or wrote into it; a file that is there is told of at the next start.
                _ => {
                    index.forget(id);
                    return Err(OutboxError(format!("{} was changed by others: left alone", path.display())));
                }
            }
        }
        Ok(deliveries)
    }

    fn next_due(&self, endpoint: &str, _now: SystemTime) -> Result<Option<SystemTime>, OutboxError> {
        let index = self.index();
        let waits = endpoint == Self::ENDPOINT && index.disabled.is_none();
        Ok(index.pending.values().map(|entry| entry.due).min().filter(|_| waits))
    }

    fn record(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) -> Result<(), OutboxError> {
        let mut index = self.index();
        // Not there: it was recorded before, and only the answer to that was lost.
        let Some(id) = Ulid::from_string(&delivery.webhook_id).ok() else { return Ok(()) };
        let Some(entry) = index.pending.get_mut(&id) else { return Ok(()) };
        let (pending, dead) = (self.path.join(files::PENDING), self.path.join(files::DEAD));
        let attempts = delivery.attempts.saturating_add(1);
        let state = |due: SystemTime, reason: Option<&String>| State {
            attempts,
            due: files::milliseconds(due),
            status: attempt.status,
            error: reason.or(attempt.error.as_ref()).cloned(),
        };
        match next {
            Next::Again { at, .. } => {
                files::write_state(&pending, id, &state(*at, None)).map_err(self.io())?;
                // As the disk has it.
                (entry.attempts, entry.due) = (attempts, *at);
            }
            Next::Delivered => {
                files::remove(&pending, id).map_err(self.io())?;
                index.forget(id);
            }
            Next::Dead { reason } => {
                files::write_state(&dead, id, &state(attempt.at, Some(reason))).map_err(self.io())?;
                files::bury(&pending, &dead, id).map_err(self.io())?;
                index.pending.remove(&id);
                index.dead += 1;
            }
        }
        Ok(())
    }

    fn disable(&self, endpoint: &str, reason: &str) -> Result<(), OutboxError> {
        if endpoint == Self::ENDPOINT {
            files::write(&self.path.join(files::DISABLED), reason.as_bytes()).map_err(self.io())?;
            self.index().disabled = Some(reason.to_owned());
        }
        Ok(())
    }
}

/// The moment so many milliseconds after 1970.
fn moment(milliseconds: u64) -> SystemTime {
    let since = Duration::from_millis(milliseconds);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
}
