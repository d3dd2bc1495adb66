//! Checkpoints of the hub: what they are called, where they lie, and what was pulled.
//!
//! `owner/name` lies in `ROOT/hub/owner/name`, its revision `v1` in `ROOT/hub/owner/name@v1`. The manifest beside the
//! files is written when all of them are there and checked: without one, a folder is not used.

use std::fmt;
use std::fs::{self, File as Disk};
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::registry::File;
use crate::{Error, Store};

/// Name of the manifest in a checkpoint's folder. The dot keeps it apart from files of the hub, which have none.
const MANIFEST: &str = ".manifest.json";

/// The longest name the hub gives.
const MAX_NAME: usize = 96;

/// A repository of the hub, `owner/name` or `owner/name@revision`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HubId {
    owner: String,
    name: String,
    revision: Option<String>,
}

impl HubId {
    /// Reads an id; `None` for what can't be one.
    pub fn parse(spec: &str) -> Option<Self> {
        let (id, revision) = match spec.split_once('@') {
            Some((id, revision)) => (id, Some(revision)),
            None => (spec, None),
        };
        let (owner, name) = id.split_once('/')?;
        let all = [Some(owner), Some(name), revision];
        // A file that was mistyped is no repository.
        let file = Path::new(name).extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        (all.into_iter().flatten().all(plain) && !file).then(|| Self {
            owner: owner.into(),
            name: name.into(),
            revision: revision.map(Into::into),
        })
    }

    /// `owner/name`.
    pub fn repository(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// A branch, tag or commit.
    pub fn revision(&self) -> &str {
        self.revision.as_deref().unwrap_or("main")
    }

    fn folder(&self) -> String {
        match &self.revision {
            Some(revision) => format!("{}@{revision}", self.name),
            None => self.name.clone(),
        }
    }
}

impl fmt::Display for HubId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.folder())
    }
}

/// Whether a name means nothing but itself on disk and in an address.
pub fn plain(name: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    (1..=MAX_NAME).contains(&name.len()) && name.chars().all(sign) && !name.starts_with(['.', '-'])
}

/// What was pulled.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The commit it is.
    pub commit: String,
    /// Which of the GGUF files was asked for, if any was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pattern: Option<String>,
    /// Its files.
    pub files: Vec<File>,
}

impl Store {
    /// The folder of a checkpoint.
    pub fn hub_directory(&self, id: &HubId) -> PathBuf {
        self.root().join("hub").join(&id.owner).join(id.folder())
    }

    /// What was pulled of a checkpoint, its files not looked at. `called` is what the user calls it.
    ///
    /// # Errors
    /// [`Error::NotPulled`], [`Error::Incomplete`], [`Error::Corrupt`] or [`Error::Io`].
    pub fn manifest(&self, id: &HubId, called: &str) -> Result<Manifest, Error> {
        let dir = self.hub_directory(id);
        let path = dir.join(MANIFEST);
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == ErrorKind::NotFound && dir.exists() => {
                return Err(Error::Incomplete(called.to_owned()));
            }
            Err(e) if e.kind() == ErrorKind::NotFound => return Err(Error::NotPulled(called.to_owned())),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let corrupt =
            |reason: String| Error::Corrupt { model: called.to_owned(), file: MANIFEST.to_owned(), reason };
        let manifest: Manifest = serde_json::from_str(&text).map_err(|e| corrupt(e.to_string()))?;
        match manifest.files.iter().find(|file| !plain(&file.name)) {
            Some(file) => Err(corrupt(format!("{:?} is no name of a file", file.name))),
            None => Ok(manifest),
        }
    }

    /// Says that a checkpoint is whole: to be called when all files of `manifest` are there and checked.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn write_manifest(&self, id: &HubId, manifest: &Manifest) -> Result<(), Error> {
        let path = self.hub_directory(id).join(MANIFEST);
        let draft = path.with_extension("json.part");
        let write = || {
            let mut file = Disk::create(&draft)?;
            file.write_all(&serde_json::to_vec_pretty(manifest)?)?;
            file.sync_all()?;
            fs::rename(&draft, &path)
        };
        write().map_err(|source| Error::Io { path: path.clone(), source })
    }

    /// Says that a checkpoint is whole no more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn remove_manifest(&self, id: &HubId) -> Result<(), Error> {
        let path = self.hub_directory(id).join(MANIFEST);
        match fs::remove_file(&path) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(Error::Io { path, source }),
            _ => Ok(()),
        }
    }

    /// Checks all files of a checkpoint, as [`Store::verify`] does.
    ///
    /// # Errors
    /// As [`Store::manifest`].
    pub fn verify_hub(&self, id: &HubId, called: &str) -> Result<Manifest, Error> {
        let manifest = self.manifest(id, called)?;
        let dir = self.hub_directory(id);
        let all = manifest.files.iter().try_for_each(|file| crate::store::check(&dir, file, called));
        match all {
            Ok(()) => Ok(manifest),
            Err(Error::NotPulled(called)) => Err(Error::Incomplete(called)),
            Err(error) => Err(error),
        }
    }

    /// The checkpoints that are on this machine, whole or in part, in the order of their names.
    pub fn hub_ids(&self) -> Vec<HubId> {
        let names = |dir: &Path| -> Vec<String> {
            let entries = fs::read_dir(dir).into_iter().flatten().flatten();
            entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
        };
        let hub = self.root().join("hub");
        let mut ids: Vec<String> = names(&hub)
            .into_iter()
            .flat_map(|owner| names(&hub.join(&owner)).into_iter().map(move |name| format!("{owner}/{name}")))
            .collect();
        ids.sort();
        ids.iter().filter_map(|id| HubId::parse(id)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// A store with the checkpoint `a/b` of one file, which is whole.
    fn whole() -> (tempfile::TempDir, Store, HubId) {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        let id = HubId::parse("a/b").expect("id");
        fs::create_dir_all(store.hub_directory(&id)).expect("mkdir");
        fs::write(store.hub_directory(&id).join("config.json"), "abc").expect("write");
        let file = File { name: "config.json".into(), size: 3, sha256: ABC.into(), source: None };
        let manifest = Manifest { commit: "c".into(), pattern: None, files: vec![file] };
        store.write_manifest(&id, &manifest).expect("write");
        (dir, store, id)
    }

    #[test]
    fn an_id_is_an_owner_and_a_name_and_perhaps_a_revision() {
        for id in ["Qwen/Qwen3-VL-2B-Instruct", "a/b.c@v1.0", "a/b@0123abc"] {
            assert_eq!(HubId::parse(id).expect(id).to_string(), id);
        }
        let (main, pinned) = (HubId::parse("a/b").expect("id"), HubId::parse("a/b@v1").expect("id"));
        assert_eq!((main.revision(), pinned.revision()), ("main", "v1"));
        let store = Store::new("/m");
        assert_ne!(store.hub_directory(&main), store.hub_directory(&pinned));
        for no in [
            "a",
            "a/",
            "/b",
            "a/b/c",
            "../b",
            "a/..",
            "./b",
            "a/.b",
            "a\\b/c",
            "a/b@",
            "a/b@../c",
            "a/b@x/y",
            "a/b c",
            "-a/b",
            "a/b?c",
            "models/x.gguf",
            "",
        ] {
            assert_eq!(HubId::parse(no), None, "{no}");
        }
    }

    #[test]
    fn a_whole_checkpoint_is_found_by_its_id() {
        let (_dir, store, id) = whole();
        assert_eq!(store.locate("a/b").expect("whole"), store.hub_directory(&id));
        assert_eq!(store.hub_ids(), [id]);
    }

    #[test]
    fn a_checkpoint_that_is_not_whole_is_not_used_and_the_command_is_said() {
        let (_dir, store, id) = whole();
        let said = |store: &Store| store.locate("a/b").expect_err("not whole").to_string();
        fs::write(store.hub_directory(&id).join("config.json"), "abd").expect("write");
        assert!(
            said(&store).contains("corrupt (config.json: wrong checksum): run `streamgist model pull a/b`")
        );
        fs::remove_file(store.hub_directory(&id).join("config.json")).expect("remove");
        assert!(said(&store).contains("partly on this machine"), "{}", said(&store));
        store.remove_manifest(&id).expect("removed");
        assert!(said(&store).contains("partly on this machine: run `streamgist model pull a/b`"));
        fs::remove_dir_all(store.root().join("hub")).expect("remove");
        assert!(said(&store).contains("not on this machine: run `streamgist model pull a/b`"));
    }

    #[test]
    fn a_manifest_that_leads_out_of_its_folder_is_refused() {
        let (_dir, store, id) = whole();
        let mut manifest = store.manifest(&id, "a/b").expect("there");
        manifest.files[0].name = "../../../x".into();
        store.write_manifest(&id, &manifest).expect("write");
        assert!(matches!(store.locate("a/b"), Err(Error::Corrupt { .. })));
    }

    #[test]
    fn a_known_name_is_the_checkpoint_of_its_repository() {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        let message = store.locate("qwen3-vl-2b").expect_err("not there").to_string();
        assert_eq!(
            message,
            "model qwen3-vl-2b is not on this machine: run `streamgist model pull qwen3-vl-2b`"
        );
        let model = crate::find("qwen3-vl-2b").expect("known");
        let folder = store.hub_directory(&HubId::parse("Qwen/Qwen3-VL-2B-Instruct").expect("id"));
        assert_eq!(store.path(model), folder);
    }
}
