//! Which files a repository has, as the hub says. Nothing of it is believed before it was looked at.

use std::collections::HashSet;

use gist_models::HubId;
use serde::Deserialize;

use super::Hub;
use super::hub::HubError;

/// All that the hub may say about a repository, in bytes; 1000 files take 0.3 MB.
const MAX_BYTES: u64 = 16 << 20;
const MAX_PAGES: usize = 64;
const MAX_FILES: usize = 10_000;
/// The largest files of released models have 50 GB.
const MAX_SIZE: u64 = 1 << 40;

/// A file of a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Entry {
    /// Its path in the repository.
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sum: Sum,
}

/// The checksum by which the hub calls a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Sum {
    /// Of a file in large file storage.
    Sha256(String),
    /// Of the others: that of git.
    GitBlob(String),
}

#[derive(Deserialize)]
struct Revision {
    sha: String,
}

#[derive(Deserialize)]
struct Listed {
    r#type: String,
    path: String,
    #[serde(default)]
    size: u64,
    #[serde(default)]
    oid: String,
    lfs: Option<Large>,
}

#[derive(Deserialize)]
struct Large {
    oid: String,
    size: u64,
}

/// The commit that a revision stands for today.
pub(crate) fn commit(hub: &Hub, id: &HubId) -> Result<String, HubError> {
    let path = format!("api/models/{}/revision/{}", id.repository(), id.revision());
    let (body, _) = hub.read(&hub.address(&path), MAX_BYTES)?;
    let Revision { sha } = serde_json::from_slice(&body).map_err(|e| no_list(&e))?;
    if hexadecimal(&sha, 40) { Ok(sha) } else { Err(no_list(&"it names no commit")) }
}

/// All files of a commit.
pub(crate) fn files(hub: &Hub, id: &HubId, commit: &str) -> Result<Vec<Entry>, HubError> {
    let path = format!("api/models/{}/tree/{commit}?recursive=true", id.repository());
    let mut address = hub.address(&path);
    let (mut entries, mut seen, mut room) = (Vec::new(), HashSet::new(), MAX_BYTES);
    for _ in 0..MAX_PAGES {
        let (body, next) = hub.read(&address, room)?;
        room -= body.len() as u64;
        let page: Vec<Listed> = serde_json::from_slice(&body).map_err(|e| no_list(&e))?;
        for listed in page {
            if hostile(&listed.path) || !seen.insert(listed.path.clone()) {
                return Err(no_list(&format!("it names a file {:?}", shortened(&listed.path))));
            }
            if listed.r#type == "file" {
                entries.push(entry(listed).map_err(|why| no_list(&why))?);
            }
            if seen.len() > MAX_FILES {
                return Err(no_list(&"it names too many files"));
            }
        }
        match next {
            Some(next) => address = next,
            None => return Ok(entries),
        }
    }
    Err(no_list(&"it has too many pages"))
}

fn entry(listed: Listed) -> Result<Entry, String> {
    let Listed { path, size, oid, lfs, .. } = listed;
    let (size, sum, valid) = match lfs {
        Some(Large { oid, size }) => (size, Sum::Sha256(oid.clone()), hexadecimal(&oid, 64)),
        None => (size, Sum::GitBlob(oid.clone()), hexadecimal(&oid, 40)),
    };
    if !valid {
        return Err(format!("it has no checksum for {:?}", shortened(&path)));
    }
    if size > MAX_SIZE {
        return Err(format!("it says that {:?} has {size} bytes", shortened(&path)));
    }
    Ok(Entry { path, size, sum })
}

/// Whether a path leads out of its folder, or means different things to different programs. No honest list has one.
fn hostile(path: &str) -> bool {
    path.contains('\\')
        || path.chars().any(char::is_control)
        || path.split('/').any(|part| matches!(part, "" | "." | ".."))
}

fn shortened(text: &str) -> String {
    text.chars().take(80).collect()
}

fn hexadecimal(text: &str, digits: usize) -> bool {
    text.len() == digits && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

fn no_list(why: &dyn std::fmt::Display) -> HubError {
    // It may quote the server.
    let why: String = why.to_string().chars().filter(|c| !c.is_control()).take(200).collect();
    HubError::Failed(format!("what it says about the files can't be right ({why})"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_lead_elsewhere_are_hostile() {
        for path in
            ["../x", "a/../x", "/etc/passwd", "a\\b", "C:\\x", "", "a//b", "./a", "a\0b", "a\nb", ".."]
        {
            assert!(hostile(path), "{path:?}");
        }
        for path in ["config.json", "a/b.txt", ".gitattributes", "a b", "..x"] {
            assert!(!hostile(path), "{path:?}");
        }
    }
}
