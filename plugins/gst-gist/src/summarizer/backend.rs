//! Loading the model: once per process, shared by every element that names it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};

use gist_core::mock::{Mock, Script};
use gist_core::model::Model;
use gist_qwen::FeatureFolder;

use super::settings::{Backend, KvType, Quantize, Settings, VideoLayout};

type Slot = Arc<Mutex<Weak<dyn Model>>>;

/// What makes two elements share a model.
#[derive(PartialEq, Eq, Hash)]
struct Key {
    path: PathBuf,
    mmproj: String,
    device: String,
    quantize: Quantize,
    features: Option<FeatureFolder>,
    video_layout: VideoLayout,
    kv_type: KvType,
}

/// One slot per model. Two elements that start together wait for one load, elements of other models don't.
static LOADED: LazyLock<Mutex<HashMap<Key, Slot>>> = LazyLock::new(Mutex::default);

/// What the settings name, found but not loaded.
#[derive(Default)]
pub(super) enum Source {
    Mock(Script),
    /// Taken by the worker.
    #[default]
    Taken,
    File {
        path: PathBuf,
        /// It is given pictures, not the text on them.
        sees: bool,
    },
}

impl Source {
    /// Whether the model is given pictures.
    pub(super) fn sees(&self) -> bool {
        matches!(self, Self::File { sees: true, .. })
    }
}

/// Finds the model without loading it, so that a wrong name is said before anything starts.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn locate(settings: &Settings) -> Result<Source, String> {
    match settings.backend {
        // The default name of a real model is no script.
        Backend::Mock if settings.model == Settings::default().model => Ok(Source::Mock(Script::default())),
        Backend::Mock => Script::parse(&settings.model).map(Source::Mock),
        Backend::Candle => {
            let path = gist_models::locate(&settings.model).map_err(|error| error.to_string())?;
            gist_qwen::ComputeDevice::named(&settings.device)?;
            let sees = gist_qwen::sees(&path, settings.mmproj().as_deref());
            Ok(Source::File { path, sees })
        }
    }
}

/// Loads the model or takes the one that is loaded. Before it loads `plan` is told what memory it takes, then
/// `progress` the share that is done, 0 to 1.
///
/// # Errors
/// A sentence that says what to do.
pub(super) fn load(
    source: Source,
    settings: &Settings,
    plan: impl Fn(&str),
    mut progress: impl FnMut(f32) + Send,
) -> Result<Arc<dyn Model>, String> {
    let path = match source {
        Source::Mock(script) => return Ok(Arc::new(Mock::new(script))),
        Source::File { path, .. } => path,
        Source::Taken => return Err("the model was loaded before".into()),
    };
    let slot = {
        let mut loaded = LOADED.lock().unwrap_or_else(PoisonError::into_inner);
        loaded.retain(|_, slot| Arc::strong_count(slot) > 1 || lock(slot).strong_count() > 0);
        let empty = || -> Slot { Arc::new(Mutex::new(Weak::<Mock>::new() as Weak<dyn Model>)) };
        let key = Key {
            path: path.clone(),
            mmproj: settings.mmproj.clone(),
            device: settings.device.clone(),
            quantize: settings.quantize,
            features: settings.features(),
            video_layout: settings.video_layout,
            kv_type: settings.kv_type,
        };
        Arc::clone(loaded.entry(key).or_insert_with(empty))
    };
    let mut slot = lock(&slot);
    if let Some(model) = slot.upgrade() {
        return Ok(model);
    }
    let mut plan = |memory: &gist_qwen::MemoryPlan| plan(&memory.to_string());
    let options = gist_qwen::LoadOptions {
        context_length: settings.context_length as usize,
        mmproj: settings.mmproj(),
        device: gist_qwen::ComputeDevice::named(&settings.device)?,
        quantize: settings.quantize.into(),
        features: settings.features(),
        kv_type: settings.kv_type.into(),
        video_layout: settings.video_layout.into(),
        plan: Some(&mut plan),
        progress: Some(&mut progress),
        ..Default::default()
    };
    // Threads of the model are born of this one and inherit its niceness.
    let model: Arc<dyn Model> =
        gist_qwen::QwenModel::load(&path, options).map_err(|error| error.to_string())?;
    *slot = Arc::downgrade(&model);
    Ok(model)
}

fn lock(slot: &Slot) -> std::sync::MutexGuard<'_, Weak<dyn Model>> {
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_elements_share_one_model_and_the_last_one_frees_it() {
        let settings = Settings { model: "qwen2.5-coder-0.5b".into(), ..Settings::default() };
        let load = || {
            let source = locate(&settings).expect("`streamgist model pull qwen2.5-coder-0.5b` fetches it");
            load(source, &Settings { context_length: 2048, ..settings.clone() }, |_| (), |_| ())
                .expect("loads")
        };
        let (first, second) = (load(), load());
        assert!(Arc::ptr_eq(&first, &second));
        let weak = Arc::downgrade(&first);
        drop((first, second));
        assert!(weak.upgrade().is_none(), "weights are freed with the last element");
    }

    #[test]
    fn a_bad_script_is_said_before_anything_starts() {
        let settings = Settings { backend: Backend::Mock, model: "colour=red".into(), ..Settings::default() };
        assert!(locate(&settings).err().is_some_and(|why| why.contains("colour")));
    }
}
