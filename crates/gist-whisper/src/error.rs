//! What can go wrong.

use std::path::{Path, PathBuf};

/// What can go wrong with a speech model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system would not read a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be: truncated, corrupt, or of another kind of model.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The model does not know the language.
    #[error("the speech model does not know the language \"{0}\"; use a code such as en, zh or de, or auto")]
    Language(String),
    /// [`Options::cancel`](crate::Options::cancel) was set.
    #[error("interrupted")]
    Cancelled,
}

impl Error {
    pub(crate) fn format(path: &Path, reason: impl Into<String>) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.into() }
    }

    pub(crate) fn io(path: &Path, source: std::io::Error) -> Self {
        // A short read is a truncated file, whatever the system calls it.
        if source.kind() == std::io::ErrorKind::UnexpectedEof {
            return Self::format(path, "the file is truncated");
        }
        Self::Io { path: path.to_owned(), source }
    }
}
