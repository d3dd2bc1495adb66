//! The embedding model of the boundary decision: once per process, and never needed.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use gist_embed::Embedder;

use super::settings::{Backend, Settings};

static LOADED: LazyLock<Mutex<HashMap<PathBuf, Weak<Embedder>>>> = LazyLock::new(Mutex::default);

/// Loads the model that `embed-model` names or takes the one that is loaded. `None` when there is none: the property is
/// empty, the default is not on this machine (`say` is told how to get it), or the language model is a mock, of which
/// the same is expected on every machine.
///
/// # Errors
/// A sentence that says what to do, when a model that was asked for is missing, or one is no such model.
pub(super) fn load(settings: &Settings, say: impl FnOnce(&str)) -> Result<Option<Arc<Embedder>>, String> {
    let by_default = settings.embed_model == Settings::default().embed_model;
    if settings.embed_model.is_empty() || by_default && settings.backend == Backend::Mock {
        return Ok(None);
    }
    let path = match gist_models::locate(&settings.embed_model) {
        Ok(path) => path,
        Err(why @ gist_models::Error::NotPulled(_)) if by_default => {
            say(&format!("chapters begin where words alone say so: {why}"));
            return Ok(None);
        }
        Err(why) => return Err(why.to_string()),
    };
    let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
    loaded.retain(|_, model| model.strong_count() > 0);
    if let Some(model) = loaded.get(&path).and_then(Weak::upgrade) {
        return Ok(Some(model));
    }
    let model = Arc::new(Embedder::load(&path).map_err(|error| error.to_string())?);
    loaded.insert(path, Arc::downgrade(&model));
    Ok(Some(model))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_embedding_model_that_was_asked_for_has_to_be_there_and_a_mock_takes_none_by_itself() {
        let settings = |embed_model: &str, backend| Settings {
            embed_model: embed_model.into(),
            backend,
            ..Settings::default()
        };
        assert!(load(&settings("", Backend::Candle), |_| ()).is_ok_and(|model| model.is_none()));
        let default = Settings::default().embed_model;
        assert!(load(&settings(&default, Backend::Mock), |_| ()).is_ok_and(|model| model.is_none()));
        let error = load(&settings("no/such/folder", Backend::Mock), |_| ()).err().unwrap_or_default();
        assert!(error.contains("no/such/folder"), "{error}");
    }
}
