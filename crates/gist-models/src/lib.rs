//! Which models there are, where they lie on this machine and whether they are intact.
//!
//! The list is the project's `models.toml`, compiled in. This crate reads disks and nothing else: fetching is the
//! application's job (`streamgist model pull`), running is that of the model crates.
//!
//! ```no_run
//! let gguf = gist_models::locate("qwen2.5-coder-1.5b")?; // a file of known checksum
//! let mine = gist_models::locate("/data/my-model.gguf")?; // a path is taken as it is
//! let seeing = gist_models::locate("Qwen/Qwen3-VL-2B-Instruct")?; // a folder that was pulled from the hub
//! # Ok::<(), gist_models::Error>(())
//! ```
//!
//! * [`registry`]: the models that can be pulled
//! * [`hub`]: whole checkpoints by the hub's own ids, and the manifest that says that one is whole
//! * [`store`]: the directory they lie in
//! * [`checksum`]: checksums of files

pub mod checksum;
pub mod hub;
pub mod registry;
pub mod store;

use std::path::PathBuf;

pub use hub::{HubId, Manifest};
pub use registry::{Kind, Model, default_model, find, models};
pub use store::{Store, root};

/// Why a model can't be used. Every message says what to do.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A known model of which a file is missing.
    #[error("model {0} is not on this machine: run `streamgist model pull {0}`")]
    NotPulled(String),
    /// A checkpoint whose pull was interrupted.
    #[error("model {0} is only partly on this machine: run `streamgist model pull {0}` for the rest")]
    Incomplete(String),
    /// What may be an id of the hub or a path, and is not there as either.
    #[error(
        "model {0} is not on this machine: run `streamgist model pull {0}` if you mean the hub's; there is no file or \
         folder of that name"
    )]
    NoSuchPathNorPulled(String),
    /// Neither a known name nor a path.
    #[error("there is no model {name}{}; `streamgist model list` shows them all, or give a path or an id of the hub (owner/name)", did_you_mean(.nearest))]
    Unknown {
        /// The name asked for.
        name: String,
        /// Known names like it, best first.
        nearest: Vec<String>,
    },
    /// A file is not what `models.toml` or the hub says.
    #[error("model {model} is corrupt ({file}: {reason}): run `streamgist model pull {model}` again")]
    Corrupt {
        /// The model.
        model: String,
        /// The file in its directory.
        file: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A path that does not exist.
    #[error("there is no model at {}: no such file or directory", .0.display())]
    NoSuchPath(PathBuf),
    /// The disk said no.
    #[error("can't read {}: {source}", path.display())]
    Io {
        /// What was read.
        path: PathBuf,
        /// Why it failed.
        source: std::io::Error,
    },
}

fn did_you_mean(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(" or ")),
    }
}

/// [`Store::locate`] in the default [`root`].
///
/// # Errors
/// See [`Store::locate`].
pub fn locate(spec: &str) -> Result<PathBuf, Error> {
    Store::default().locate(spec)
}
