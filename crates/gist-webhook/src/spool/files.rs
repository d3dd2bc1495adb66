//! The files of a spool. What lies in the folder is believed only as far as it looks like what we write.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};
use ulid::Ulid;

use super::{Entry, MAX_MESSAGE, moment, room};
use crate::EventType;

pub(super) const PENDING: &str = "pending";
pub(super) const DEAD: &str = "dead";
pub(super) const DISABLED: &str = "disabled";

const MESSAGE: &str = "message";
const STATE: &str = "state";
/// A message with its header.
const MAX_FILE: u64 = MAX_MESSAGE + 1024;
/// What is not whole yet.
const DRAFT: &str = "draft";

/// The first line of a message file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Header {
    pub(super) event: String,
    /// Milliseconds since 1970.
    pub(super) created: u64,
}

impl Header {
    pub(super) fn created(&self) -> SystemTime {
        moment(self.created)
    }

    pub(super) fn with_body(&self, body: &[u8]) -> Vec<u8> {
        let mut content = serde_json::to_vec(self).expect("plain data serialises");
        content.push(b'\n');
        content.extend_from_slice(body);
        content
    }
}

/// A state file.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct State {
    pub(super) attempts: u32,
    /// Milliseconds since 1970.
    pub(super) due: u64,
    /// Of the last attempt, for who looks into the folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<String>,
}

pub(super) fn milliseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

pub(super) fn message(folder: &Path, id: Ulid) -> PathBuf {
    folder.join(format!("{id}.{MESSAGE}"))
}

fn state(folder: &Path, id: Ulid) -> PathBuf {
    folder.join(format!("{id}.{STATE}"))
}

/// How files are made: what a stream says is nobody else's business.
pub(super) fn options() -> OpenOptions {
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

pub(super) fn create_folder(path: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.recursive(true).create(path)
}

/// Brings the names in a folder to the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Writes a file in one step, durable before it is visible.
pub(super) fn write(path: &Path, content: &[u8]) -> io::Result<()> {
    let folder = path.parent().ok_or(ErrorKind::InvalidInput)?;
    let draft = path.with_extension(DRAFT);
    let written = options().write(true).create(true).truncate(true).open(&draft).and_then(|mut file| {
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&draft, path)
    });
    if written.is_err() {
        // Already failing: a leftover is the smaller trouble, and is removed at the next start.
        let _ = fs::remove_file(&draft);
    }
    written.and_then(|()| sync_folder(folder))
}

pub(super) fn write_state(folder: &Path, id: Ulid, content: &State) -> io::Result<()> {
    write(&state(folder, id), &serde_json::to_vec(content)?)
}

/// Removes a message and its state, the message first: without its state it would be sent as if it were new.
pub(super) fn remove(folder: &Path, id: Ulid) -> io::Result<()> {
    remove_if_there(&message(folder, id))?;
    sync_folder(folder)?;
    remove_if_there(&state(folder, id))
}

/// Moves a message to the dead, whose state is written.
pub(super) fn bury(pending: &Path, dead: &Path, id: Ulid) -> io::Result<()> {
    fs::rename(message(pending, id), message(dead, id))?;
    sync_folder(dead)?;
    sync_folder(pending)?;
    remove_if_there(&state(pending, id))
}

pub(super) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// At most so much of a regular file; `None` when there is none. A link is not followed: it may lead to what must not be
/// sent to anybody.
fn read_regular(path: &Path, max: u64) -> io::Result<Option<Vec<u8>>> {
    let regular = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata.is_file() && metadata.len() <= max,
        Err(error) if error.kind() == ErrorKind::NotFound => false,
        Err(error) => return Err(error),
    };
    if !regular {
        return Ok(None);
    }
    let mut content = Vec::new();
    File::open(path)?.take(max).read_to_end(&mut content)?;
    Ok(Some(content))
}

/// Reads a message; `None` when it is none.
pub(super) fn read(path: &Path) -> io::Result<Option<(Header, Vec<u8>)>> {
    let Some(mut content) = read_regular(path, MAX_FILE)? else { return Ok(None) };
    let Some(end) = content.iter().position(|byte| *byte == b'\n') else { return Ok(None) };
    let body = content.split_off(end + 1);
    let header = serde_json::from_slice::<Header>(&content).ok();
    Ok(header.filter(|header| header.event.parse::<EventType>().is_ok()).map(|header| (header, body)))
}

/// Reads a small text, for people.
pub(super) fn read_text(path: &Path) -> io::Result<Option<String>> {
    let content = read_regular(path, 64 << 10)?;
    Ok(content.map(|content| String::from_utf8_lossy(&content).trim().to_owned()))
}

/// Finds the messages in a folder, and removes drafts and states without a message.
pub(super) fn scan(folder: &Path, warnings: &mut Vec<String>) -> io::Result<BTreeMap<Ulid, Entry>> {
    let mut found = BTreeMap::new();
    let mut leftovers = Vec::new();
    for file in fs::read_dir(folder)? {
        let path = file?.path();
        let text = |part: Option<&OsStr>| part.and_then(OsStr::to_str).map(str::to_owned).unwrap_or_default();
        let id = Ulid::from_string(&text(path.file_stem())).ok();
        // Other ways to write an id are not ours.
        let id = id.filter(|id| id.to_string() == text(path.file_stem()));
        match (id, text(path.extension()).as_str()) {
            (Some(_), DRAFT) => remove_if_there(&path)?,
            (Some(id), STATE) => leftovers.push(id),
            (Some(id), MESSAGE) => match read(&path)? {
                Some((header, body)) => {
                    let entry = entry(folder, id, header, body.len() as u64)?;
                    found.insert(id, entry);
                }
                None => warnings.push(format!("{} is no message of ours: left alone", path.display())),
            },
            _ => warnings.push(format!("{} is none of ours: left alone", path.display())),
        }
    }
    leftovers.retain(|id| !found.contains_key(id));
    leftovers.into_iter().try_for_each(|id| remove_if_there(&state(folder, id)))?;
    Ok(found)
}

/// A message with what is known of its attempts. A state that can't be read is none: the message is sent again.
fn entry(folder: &Path, id: Ulid, header: Header, body: u64) -> io::Result<Entry> {
    let state = read_regular(&state(folder, id), 64 << 10)?;
    let state = state.and_then(|content| serde_json::from_slice::<State>(&content).ok());
    let (attempts, due) = state.map_or((0, header.created()), |state| (state.attempts, moment(state.due)));
    Ok(Entry { header, attempts, due, room: room(body) })
}
