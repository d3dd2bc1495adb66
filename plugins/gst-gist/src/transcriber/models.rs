//! Speech models, loaded once per process and shared by all elements that use them at the same time.

use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use gist_whisper::{Error, WhisperModel};

type Loaded = HashMap<std::path::PathBuf, Weak<WhisperModel>>;

static LOADED: LazyLock<Mutex<Loaded>> = LazyLock::new(Mutex::default);

/// The model at `path`, loaded if no element has it. Slow: for worker threads.
pub(super) fn load(path: &Path) -> Result<Arc<WhisperModel>, Error> {
    // Held while loading, so that two elements that start together wait for one load instead of doing two.
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(model) = loaded.get(path).and_then(Weak::upgrade) {
        return Ok(model);
    }
    let model = Arc::new(WhisperModel::load(path)?);
    loaded.retain(|_, model| model.strong_count() > 0);
    loaded.insert(path.to_owned(), Arc::downgrade(&model));
    Ok(model)
}
