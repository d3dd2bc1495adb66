//! What can go wrong, in words that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;
use rusqlite::ffi::SQLITE_ERROR;

/// Why the store can't be used, or did not take something. After any of these nothing of the call was stored.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process is the writer.
    #[error(
        "the store {} is in use by another process: end that one first, or give this one a store of its own", path.display()
    )]
    Locked {
        /// The store.
        path: PathBuf,
    },
    /// Others were writing for longer than the busy timeout.
    #[error("the store {} is busy: try again", path.display())]
    Busy {
        /// The store.
        path: PathBuf,
    },
    /// The disk is full.
    #[error(
        "the disk of the store {} is full: free some space, or keep less (retention); what was published is safe", path.display()
    )]
    Full {
        /// The store.
        path: PathBuf,
    },
    /// No right to write.
    #[error(
        "the store {} can't be written: give this user the right to write the file and its folder, or remount the disk", path.display()
    )]
    ReadOnly {
        /// The store.
        path: PathBuf,
    },
    /// The disk said no otherwise.
    #[error(
        "can't read or write the store {} ({reason}): check the disk, its quota and the rights of this user", path.display()
    )]
    Disk {
        /// The store.
        path: PathBuf,
        /// In SQLite's words.
        reason: String,
    },
    /// The file is damaged, or is no database.
    #[error(
        "the store {} is corrupt ({reason}): restore it from a copy, or move it aside to begin a new one", path.display()
    )]
    Corrupt {
        /// The store.
        path: PathBuf,
        /// In SQLite's words.
        reason: String,
    },
    /// The database of another program.
    #[error("{} is the database of another program: give the path of another file", path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// Written by a newer program.
    #[error(
        "the store {} is of version {found}, and this program knows only up to {known}: update streamgist, or give the \
         path of another file", path.display()
    )]
    Newer {
        /// The store.
        path: PathBuf,
        /// Its version.
        found: usize,
        /// The newest version known.
        known: usize,
    },
    /// Written by an older program, and opened beside its writer, which alone may change it.
    #[error("the store {} is of an older version: run `streamgist watch` once, which brings it up to date", path.display())]
    Older {
        /// The store.
        path: PathBuf,
    },
    /// There is none to read.
    #[error("there is no store at {}: give the path that `streamgist watch` was given", path.display())]
    Missing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The session was never begun.
    #[error("the store has no session '{0}': begin it first")]
    NoSession(String),
    /// The session was begun before.
    #[error("the store has a session '{0}' already: resume it, or choose another id")]
    SessionExists(String),
    /// What was to be published is no `gist-chapters-v1`.
    #[error("not published, as it is no gist-chapters-v1 event: {0}")]
    NotAnEvent(String),
    /// Another event has the same number.
    #[error("not published: session '{session}' has another event with sequence {sequence} already")]
    Conflict {
        /// The session.
        session: String,
        /// The number.
        sequence: u64,
    },
    /// Another message has the same id.
    #[error("not stored: message {0} has another body already")]
    BodyDiffers(String),
    /// The attempt belongs to no delivery.
    #[error("the store has no delivery of message {webhook_id} to '{endpoint}'")]
    NoDelivery {
        /// The message.
        webhook_id: String,
        /// The endpoint.
        endpoint: String,
    },
    /// Anything else that SQLite says: a fault of this program.
    #[error("the store {}: {source}", path.display())]
    Sqlite {
        /// The store.
        path: PathBuf,
        /// What it said.
        source: rusqlite::Error,
    },
}

impl Error {
    /// Whether the same call fails the same way again, whatever becomes of the disk.
    pub fn is_lasting(&self) -> bool {
        matches!(
            self,
            Self::NoSession(_)
                | Self::SessionExists(_)
                | Self::NotAnEvent(_)
                | Self::Conflict { .. }
                | Self::BodyDiffers(_)
                | Self::NoDelivery { .. }
        )
    }

    pub(crate) fn of_sqlite(path: &Path, source: rusqlite::Error) -> Self {
        let path = path.to_path_buf();
        let reason = source.to_string();
        // Columns are of strict types and hold what was put there, and the queries fit the tables. What can't be read or found,
        // or makes SQLite call a query wrong, was damaged.
        let damaged = matches!(
            source,
            rusqlite::Error::FromSqlConversionFailure(..)
                | rusqlite::Error::IntegralValueOutOfRange(..)
                | rusqlite::Error::InvalidColumnType(..)
                | rusqlite::Error::Utf8Error(..)
                | rusqlite::Error::QueryReturnedNoRows
                | rusqlite::Error::SqlInputError { .. }
        ) || source.sqlite_error().is_some_and(|error| error.extended_code == SQLITE_ERROR);
        match source.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self::Full { path },
            Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Busy { path },
            Some(ErrorCode::SystemIoFailure | ErrorCode::CannotOpen) => Self::Disk { path, reason },
            Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => Self::Corrupt { path, reason },
            _ if damaged => Self::Corrupt { path, reason },
            _ => Self::Sqlite { path, source },
        }
    }

    pub(crate) fn of_io(path: &Path, error: &io::Error) -> Self {
        let path = path.to_path_buf();
        match error.kind() {
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Self::ReadOnly { path },
            io::ErrorKind::StorageFull => Self::Full { path },
            _ => Self::Disk { path, reason: error.to_string() },
        }
    }
}

/// What ends a transaction early, before the path of the store is added.
#[derive(Debug)]
pub(crate) enum Fault {
    Sqlite(rusqlite::Error),
    /// What was stored can't be read any more.
    Corrupt(String),
    Refused(Error),
}

/// Result of a step of a transaction.
pub(crate) type Step<T> = Result<T, Fault>;

impl Fault {
    pub(crate) fn at(self, path: &Path) -> Error {
        match self {
            Self::Sqlite(source) => Error::of_sqlite(path, source),
            Self::Corrupt(reason) => Error::Corrupt { path: path.into(), reason },
            Self::Refused(error) => error,
        }
    }
}

impl From<rusqlite::Error> for Fault {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

impl From<Error> for gist_webhook::OutboxError {
    fn from(error: Error) -> Self {
        Self(error.to_string())
    }
}
