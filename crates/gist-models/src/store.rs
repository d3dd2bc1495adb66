//! The directory models lie in: `ROOT/NAME/FILE`, and checkpoints of the hub under `ROOT/hub` (see [`crate::hub`]).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use crate::registry::{self, File, Model};
use crate::{Error, HubId, checksum};

/// Where models lie: `$STREAMGIST_MODELS`, else `streamgist/models` in the user's cache directory.
pub fn root() -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    set("STREAMGIST_MODELS").unwrap_or_else(|| {
        // The XDG rule: a relative path is no path.
        let cache = set("XDG_CACHE_HOME").filter(|p| p.is_absolute());
        let cache = cache.or_else(|| env::home_dir().map(|home| home.join(".cache")));
        cache.unwrap_or_else(env::temp_dir).join("streamgist/models")
    })
}

/// A directory of models.
#[derive(Clone, Debug)]
pub struct Store {
    root: PathBuf,
}

impl Default for Store {
    fn default() -> Self {
        Self::new(root())
    }
}

impl Store {
    /// The models under `root`, which need not exist.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Its directory.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a model's files.
    pub fn directory(&self, model: &Model) -> PathBuf {
        match model.checkpoint() {
            Some(id) => self.hub_directory(&id),
            None => self.root.join(&model.name),
        }
    }

    /// What the model crates load: the file of a single-file model, else the directory.
    pub fn path(&self, model: &Model) -> PathBuf {
        match model.files.as_slice() {
            [file] => self.directory(model).join(&file.name),
            _ => self.directory(model),
        }
    }

    /// Turns what a user calls a model into what is loaded: a name of [`registry::models`] or an id of the hub, whose
    /// files are checked, or a path to a file or directory, which is taken as it is. A name wins over a path (write
    /// `./NAME` for the path), and a path over an id.
    ///
    /// # Errors
    /// When the model isn't there, isn't intact or isn't known; the message says what to do.
    pub fn locate(&self, spec: &str) -> Result<PathBuf, Error> {
        let unknown = match registry::find(spec) {
            Ok(model) => return self.verify(model).map(|()| self.path(model)),
            Err(unknown) => unknown,
        };
        let path = PathBuf::from(spec);
        if path.exists() {
            return Ok(path);
        }
        if let Some(id) = HubId::parse(spec) {
            return match self.verify_hub(&id, spec) {
                Ok(_) => Ok(self.hub_directory(&id)),
                // What looks like an id may be a path with a mistake in it.
                Err(Error::NotPulled(id)) => Err(Error::NoSuchPathNorPulled(id)),
                Err(error) => Err(error),
            };
        }
        let gguf = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf"));
        Err(if gguf || spec.contains(['/', '\\']) { Error::NoSuchPath(path) } else { unknown })
    }

    /// Checks all files of a model; a file that did not change since it was last checked isn't read again.
    ///
    /// # Errors
    /// [`Error::NotPulled`], [`Error::Corrupt`] or [`Error::Io`].
    pub fn verify(&self, model: &Model) -> Result<(), Error> {
        match model.checkpoint() {
            Some(id) => self.verify_hub(&id, &model.name).map(drop),
            None => model.files.iter().try_for_each(|file| self.verify_file(model, file)),
        }
    }

    /// Checks one file of a model.
    ///
    /// # Errors
    /// As [`Store::verify`].
    pub fn verify_file(&self, model: &Model, file: &File) -> Result<(), Error> {
        check(&self.directory(model), file, &model.name)
    }

    /// Forgets what was checked before, so that the next [`Store::verify`] reads every byte.
    pub fn forget(&self, model: &Model) {
        match model.checkpoint() {
            Some(id) => self.forget_hub(&id),
            None => forget(&self.directory(model), &model.files),
        }
    }

    /// As [`Store::forget`], for a checkpoint.
    pub fn forget_hub(&self, id: &HubId) {
        if let Ok(manifest) = self.manifest(id, "") {
            forget(&self.hub_directory(id), &manifest.files);
        }
    }
}

fn forget(dir: &Path, files: &[File]) {
    files.iter().for_each(|file| checksum::forget(&dir.join(&file.name)));
}

/// Checks one file of the model that the user calls `model`.
pub(crate) fn check(dir: &Path, file: &File, model: &str) -> Result<(), Error> {
    let path = dir.join(&file.name);
    let corrupt =
        |reason: String| Err(Error::Corrupt { model: model.to_owned(), file: file.name.clone(), reason });
    let size = match fs::metadata(&path) {
        Ok(meta) if meta.is_file() => meta.len(),
        Ok(_) => return corrupt("not a file".into()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Err(Error::NotPulled(model.to_owned())),
        Err(source) => return Err(Error::Io { path, source }),
    };
    if size != file.size {
        return corrupt(format!("{size} bytes instead of {}", file.size));
    }
    match checksum::sha256_noted(&path) {
        Ok(sha) if sha == file.sha256 => Ok(()),
        Ok(_) => corrupt("wrong checksum".into()),
        Err(source) => Err(Error::Io { path, source }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().expect("tempdir");
        let store = Store::new(dir.path());
        (dir, store)
    }

    fn abc(files: &[&str]) -> Model {
        let sha = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        let files: String = files
            .iter()
            .map(|f| format!("[[model.file]]\nname = \"{f}\"\nsize = 3\nsha256 = \"{sha}\"\n"))
            .collect();
        let toml = format!(
            "[[model]]\nname = \"abc\"\ntitle = \"\"\nkind = \"text\"\narchitecture = \"x\"\nlicence = \"MIT\"\n\
             abilities = []\nhub = \"a/b\"\n{files}"
        );
        registry::parse(&toml).expect("valid").remove(0)
    }

    #[test]
    fn a_known_model_that_is_missing_says_how_to_get_it() {
        let (_dir, store) = store();
        let message = store.locate("whisper-base").expect_err("not there").to_string();
        assert_eq!(
            message,
            "model whisper-base is not on this machine: run `streamgist model pull whisper-base`"
        );
    }

    #[test]
    fn a_truncated_or_altered_file_is_corrupt() {
        let (dir, store) = store();
        let model = abc(&["m.gguf"]);
        fs::create_dir(dir.path().join("abc")).expect("mkdir");
        let file = dir.path().join("abc/m.gguf");
        fs::write(&file, "ab").expect("write");
        let message = store.verify(&model).expect_err("short").to_string();
        assert!(message.contains("2 bytes instead of 3") && message.contains("model pull abc"), "{message}");
        fs::write(&file, "abd").expect("write");
        let message = store.verify(&model).expect_err("altered").to_string();
        assert!(message.contains("wrong checksum"), "{message}");
        fs::write(&file, "abc").expect("write");
        store.verify(&model).expect("intact");
    }

    #[test]
    fn forgetting_finds_what_the_note_hides() {
        let (dir, store) = store();
        let model = abc(&["m.gguf"]);
        fs::create_dir(dir.path().join("abc")).expect("mkdir");
        let file = dir.path().join("abc/m.gguf");
        fs::write(&file, "abc").expect("write");
        store.verify(&model).expect("intact");
        let time = fs::metadata(&file).and_then(|m| m.modified()).expect("time");
        fs::write(&file, "abd").expect("write");
        fs::File::options().write(true).open(&file).and_then(|f| f.set_modified(time)).expect("touch");
        store.verify(&model).expect("the note still holds");
        store.forget(&model);
        store.verify(&model).expect_err("read again");
    }

    #[test]
    fn a_model_of_several_files_is_a_directory() {
        let (dir, store) = store();
        assert_eq!(store.path(&abc(&["a"])), dir.path().join("abc/a"));
        assert_eq!(store.path(&abc(&["a", "b"])), dir.path().join("abc"));
    }

    #[test]
    fn a_path_is_taken_as_it_is() {
        let (dir, store) = store();
        let file = dir.path().join("mine.gguf");
        fs::write(&file, "x").expect("write");
        assert_eq!(store.locate(file.to_str().expect("utf-8")).expect("exists"), file);
        let error = store.locate("no/such/thing").expect_err("missing");
        assert!(matches!(error, Error::NoSuchPath(_)), "{error}");
        let error = store.locate("missing.gguf").expect_err("missing");
        assert!(matches!(error, Error::NoSuchPath(_)), "{error}");
        let error = store.locate("qwen2.5-codr-1.5b").expect_err("unknown");
        assert!(error.to_string().contains("did you mean qwen2.5-coder-1.5b"), "{error}");
    }
}
