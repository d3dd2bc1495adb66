//! Whole checkpoints of the hub. The manifest is written last: until then the folder is used by nobody.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use gist_models::registry::File;
use gist_models::{HubId, Manifest, Store, checksum};
use serde_json::Value;

use super::choice::{self, INDEX};
use super::hub::{HubError, length};
use super::listing::{self, Entry, Sum};
use super::{Hub, OFFLINE, Progress, PullError, bytes, lock};
use crate::run::input::redact;

/// How often a file is fetched from its beginning before it is given up as another one.
const FETCHES: usize = 2;

/// Keeps the choice among GGUF files until the manifest does, and when files are found damaged.
const CHOSEN: &str = ".chosen";
/// A pattern is a part of a file's name.
const MAX_CHOSEN: usize = 256;

/// Fetches what is missing of a checkpoint, or has changed on the hub. Returns whether there was anything to do.
/// `pattern` tells which of several GGUF files is wanted.
///
/// # Errors
/// When the hub does not give it, it can't be used, or the disk says no.
pub(crate) fn pull_checkpoint(
    store: &Store,
    id: &HubId,
    pattern: Option<&str>,
    hub: Option<&Hub>,
) -> Result<bool, PullError> {
    let called = id.to_string();
    let failed = |why: String| PullError::Hub { id: called.clone(), why: redact(&why) };
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| PullError::Write { path, source }
    };
    let dir = store.hub_directory(id);
    fs::create_dir_all(&dir).map_err(write(&dir))?;
    let _lock = lock(&store.root().join(format!(".{}.lock", called.replace('/', "--"))), &called)?;
    let old = store.verify_hub(id, &called).ok();
    // Without a word it stays what it is, or was to become when a pull was cut off.
    let chosen = fs::read_to_string(dir.join(CHOSEN)).ok().filter(|chosen| chosen.len() < MAX_CHOSEN);
    let pattern = pattern.or_else(|| old.as_ref()?.pattern.as_deref()).or(chosen.as_deref());
    let same = old.as_ref().filter(|old| old.pattern.as_deref() == pattern);
    let told = match hub {
        Some(hub) => {
            listing::commit(hub, id).map_err(|why| explain(id, hub, &why)).map(|commit| (hub, commit))
        }
        None => Err(format!("the hub is {OFFLINE}")),
    };
    let (hub, commit) = match (told, same) {
        (Ok((_, commit)), Some(same)) if same.commit == commit => return Ok(false),
        (Ok(told), _) => told,
        (Err(why), Some(_)) => {
            eprintln!("{id}: the hub does not say whether there is a newer one ({})", redact(&why));
            return Ok(false);
        }
        (Err(why), None) => return Err(failed(why)),
    };
    let entries = listing::files(hub, id, &commit).map_err(|why| failed(explain(id, hub, &why)))?;
    let entries = choice::choose(&entries, pattern).map_err(failed)?;
    let total = entries.iter().map(|entry| entry.size).sum();
    eprintln!("{id}: {} files, {}, commit {}", entries.len(), bytes(total), &commit[..12]);

    if let Some(pattern) = pattern {
        fs::write(dir.join(CHOSEN), pattern).map_err(write(&dir))?;
    }

    // A whole checkpoint is used until the other one is there; an incomplete one is used by nobody.
    let job = Job { id, hub, dir: &dir, commit: &commit, replaces: old.is_some() };
    let is_first = |entry: &&Entry| entry.path == "config.json" || entry.path == INDEX;
    let (first, rest): (Vec<&Entry>, Vec<&Entry>) = entries.iter().partition(is_first);
    let mut fetched = job.fetch_all(&first)?;
    job.inspect(&entries)?;
    job.room(&rest)?;
    fetched.extend(job.fetch_all(&rest)?);

    store.remove_manifest(id)?;
    for entry in &fetched {
        job.name(entry)?;
    }
    let file = |entry: &Entry| {
        let place = dir.join(&entry.path);
        let sha256 = checksum::sha256_noted(&place).map_err(write(&place))?;
        Ok(File { name: entry.path.clone(), size: entry.size, sha256, source: None })
    };
    let files = entries.iter().map(file).collect::<Result<Vec<File>, PullError>>()?;
    tidy(&dir, &files);
    store.write_manifest(id, &Manifest { commit, pattern: pattern.map(Into::into), files })?;
    Ok(true)
}

/// One pull.
struct Job<'a> {
    id: &'a HubId,
    hub: &'a Hub,
    dir: &'a Path,
    commit: &'a str,
    /// Whether there is a whole checkpoint, whose files keep their names until all new ones are there.
    replaces: bool,
}

impl Job<'_> {
    fn place(&self, entry: &Entry) -> PathBuf {
        self.dir.join(&entry.path)
    }

    fn part(&self, entry: &Entry) -> PathBuf {
        self.dir.join(format!(".{}.part", entry.path))
    }

    /// Fetches what is missing. Returns what still has to be named.
    fn fetch_all<'e>(&self, entries: &[&'e Entry]) -> Result<Vec<&'e Entry>, PullError> {
        let mut fetched = Vec::new();
        for entry in entries.iter().filter(|entry| !is_there(entry, &self.place(entry))) {
            self.fetch(entry)?;
            if self.replaces {
                fetched.push(*entry);
            } else {
                self.name(entry)?;
            }
        }
        Ok(fetched)
    }

    fn fetch(&self, entry: &Entry) -> Result<(), PullError> {
        let failed = |why: String| PullError::Hub { id: self.id.to_string(), why: redact(&why) };
        let progress = Progress::new(&self.id.to_string(), &entry.path, entry.size);
        let path = format!("{}/resolve/{}/{}", self.id.repository(), self.commit, entry.path);
        let part = self.part(entry);
        let mut why = String::new();
        for _ in 0..FETCHES {
            let fetched = self.hub.fetch(&path, entry.size, &part, &progress);
            fetched.map_err(|why| failed(format!("{}: {}", entry.path, explain(self.id, self.hub, &why))))?;
            if is_there(entry, &part) {
                progress.finish();
                return Ok(());
            }
            // Nothing can be added to another file to make it right.
            why = match length(&part) {
                n if n == entry.size => format!("{} came with a wrong checksum", entry.path),
                n if n > entry.size => {
                    format!("{} is longer than the {} bytes it should have", entry.path, entry.size)
                }
                n => format!("{} came with {n} bytes instead of {}", entry.path, entry.size),
            };
            checksum::forget(&part);
            let _ = fs::remove_file(&part);
            progress.say(&format!("{}: {why}", self.id));
        }
        Err(failed(format!("{why}, again and again; try later, or another mirror (HF_ENDPOINT)")))
    }

    /// Gives a checked file its name.
    fn name(&self, entry: &Entry) -> Result<(), PullError> {
        let (part, place) = (self.part(entry), self.place(entry));
        fs::rename(&part, &place).map_err(|source| PullError::Write { path: place.clone(), source })?;
        checksum::forget(&part);
        match &entry.sum {
            Sum::Sha256(sha) => checksum::remember(&place, sha),
            Sum::GitBlob(_) => checksum::forget(&place),
        }
        Ok(())
    }

    /// Looks into config and index, before gigabytes are fetched that are of no use.
    fn inspect(&self, entries: &[Entry]) -> Result<(), PullError> {
        let read = |name: &str| {
            let entry = entries.iter().find(|entry| entry.path == name)?;
            let (part, place) = (self.part(entry), self.place(entry));
            Some(if is_there(entry, &place) { place } else { part })
        };
        if let Some(config) = read("config.json")
            && let Err(error) = gist_qwen::config::refuse_quantized(&config, Path::new(&self.id.repository()))
        {
            // Nothing is begun that could be gone on with.
            if !self.replaces {
                let _ = fs::remove_dir_all(self.dir);
            }
            return Err(error.into());
        }
        let Some(index) = read(INDEX) else { return Ok(()) };
        let failed = |why: String| PullError::Hub { id: self.id.to_string(), why };
        let text = fs::read(&index).map_err(|source| PullError::Write { path: index.clone(), source })?;
        let parsed: Value = serde_json::from_slice(&text).map_err(|e| failed(format!("{INDEX}: {e}")))?;
        let there: HashSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
        let shards = parsed.get("weight_map").and_then(Value::as_object).into_iter().flatten();
        match shards.map(|(_, shard)| shard).find(|shard| !shard.as_str().is_some_and(|s| there.contains(s)))
        {
            Some(shard) => {
                let shard: String = shard.to_string().chars().take(80).collect();
                Err(failed(format!("{INDEX} names {shard}, which is not among its files")))
            }
            None => Ok(()),
        }
    }

    /// Whether the disk has room for what is missing.
    fn room(&self, entries: &[&Entry]) -> Result<(), PullError> {
        let missing = entries.iter().filter(|entry| !is_there(entry, &self.place(entry)));
        let needed = missing.map(|entry| entry.size.saturating_sub(length(&self.part(entry)))).sum();
        let disk = rustix::fs::statvfs(self.dir)
            .map_err(|error| PullError::Write { path: self.dir.to_owned(), source: error.into() })?;
        let free = disk.f_bavail.saturating_mul(disk.f_frsize);
        if needed > free {
            return Err(PullError::Room { path: self.dir.to_owned(), needed, free });
        }
        Ok(())
    }
}

/// Whether the file at `path` is the one the hub means.
fn is_there(entry: &Entry, path: &Path) -> bool {
    length(path) == entry.size
        && match &entry.sum {
            Sum::Sha256(sha) => checksum::sha256_noted(path).is_ok_and(|found| found == *sha),
            Sum::GitBlob(sha) => checksum::git_blob(path).is_ok_and(|found| found == *sha),
        }
}

/// Removes what an earlier choice, an earlier commit or an interrupted pull left: a folder with two models is refused by
/// the loader, and a template or a config that is gone would still be believed.
fn tidy(dir: &Path, files: &[File]) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        let left = is_file && !name.starts_with('.') && !files.iter().any(|file| file.name == name);
        if left || (name.starts_with('.') && name.ends_with(".part")) {
            checksum::forget(&entry.path());
            let _ = fs::remove_file(entry.path());
        }
    }
}

/// What the user can do about an answer of the hub.
fn explain(id: &HubId, hub: &Hub, why: &HubError) -> String {
    let page = hub.address(&id.repository());
    match why {
        HubError::Status(401) if hub.has_token() => {
            "the hub does not know your HF_TOKEN (401), or there is no such repository: check the token and the name"
                .into()
        }
        HubError::Status(401) => format!(
            "the hub gives it only to those it knows (401), or there is no such repository: check the name, accept the \
             terms at {page} if it has any, and set HF_TOKEN to a token of yours"
        ),
        HubError::Status(403) => format!(
            "the hub does not give it to you (403): accept its terms at {page} and set HF_TOKEN to a token that may \
             read it"
        ),
        HubError::Status(404) => {
            format!("there is no such repository, revision or file on the hub (404): look it up at {page}")
        }
        HubError::Status(code) => format!("the hub answers with status {code}: try again later"),
        HubError::Failed(why) => why.clone(),
    }
}
