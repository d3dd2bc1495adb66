//! What can go wrong while a model is loaded, in sentences for the user.

use std::path::PathBuf;

use crate::plan::PlanTable;

/// Why a model file could not be loaded.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// There is no such file.
    #[error("model file {0} does not exist")]
    NotFound(PathBuf),
    /// The file could not be read.
    #[error("model file {path} cannot be read: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// It does not start with the GGUF magic.
    #[error("{0} is not a GGUF model file")]
    NotGguf(PathBuf),
    /// The file ends before what it says it holds.
    #[error("{path} is cut off: {what}; download it again")]
    Truncated {
        /// The file.
        path: PathBuf,
        /// Where it ended.
        what: String,
    },
    /// The header contradicts itself or holds impossible values.
    #[error("{path} is damaged: {what}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The file is intact, but holds something that is not supported.
    #[error("{path} cannot be used: {what}")]
    Unsupported {
        /// The file or folder.
        path: PathBuf,
        /// What is not supported, and what to do.
        what: String,
    },
    /// A folder without a checkpoint.
    #[error("folder {0} holds no model: there is neither a config.json nor a GGUF file in it")]
    NoModel(PathBuf),
    /// A folder in which several files could be meant.
    #[error("folder {path} holds {what}")]
    Choose {
        /// The folder.
        path: PathBuf,
        /// The candidates, and what to name.
        what: String,
    },
    /// A vision part of another model.
    #[error("{mmproj} does not belong to {path}: {what}")]
    Pair {
        /// The text model.
        path: PathBuf,
        /// The vision part.
        mmproj: PathBuf,
        /// What does not fit.
        what: String,
    },
    /// Weights quantised in a way that only GPUs compute with.
    #[error(
        "{path} holds {method} weights, which are not supported; take GGUF files instead: `streamgist model pull {instead}`"
    )]
    Quantized {
        /// The folder.
        path: PathBuf,
        /// `gptq`, `awq`, ...
        method: String,
        /// A repository with GGUF files of this model.
        instead: String,
    },
    /// A model of another family.
    #[error("{path} holds a model of architecture `{found}`; supported: {supported}")]
    Architecture {
        /// The file.
        path: PathBuf,
        /// `general.architecture` of the file.
        found: String,
        /// What can be loaded.
        supported: &'static str,
    },
    /// Weights and context do not fit into the memory that is free.
    #[error(
        "the model and its context do not fit into memory; {}\n{}",
        fitting(.0.longest()), .0
    )]
    Memory(Box<PlanTable>),
    /// The folder for encoded pairs cannot be used.
    #[error("encoded pictures cannot be kept in {path}: {source}; name another folder")]
    Features {
        /// The folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The thread pool could not be started.
    #[error("cannot start the worker threads: {0}")]
    Threads(String),
}

fn fitting(fits: Option<usize>) -> String {
    match fits {
        Some(n) => format!("a context-length of {n} would fit"),
        None => "choose a smaller model, or quantize its weights".into(),
    }
}
