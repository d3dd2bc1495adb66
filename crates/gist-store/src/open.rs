//! The file: who may open it how, and what is done about one that is damaged.

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use parking_lot::Mutex;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags, Transaction, TransactionBehavior};

use crate::error::{Error, Fault, Step};
use crate::schema;

/// How long a call waits for the short transactions of other processes.
const BUSY: Duration = Duration::from_secs(10);

/// An open store. All calls may come from any thread.
///
/// One process at a time is the writer ([`Store::open`]); it publishes and keeps the file in order. Beside it others
/// may read ([`Store::open_read`]) and make short changes ([`Store::open_beside`]).
#[derive(Debug)]
pub struct Store {
    path: PathBuf,
    connection: Mutex<Connection>,
    /// Why the last change could not be made.
    trouble: Mutex<Option<String>>,
    /// Held by the writer. A file of its own, as closing any handle of the database would drop SQLite's locks.
    _lock: Option<Lock>,
}

impl Store {
    /// Opens the store as its one writer: makes the file if there is none, checks it and brings it up to date.
    ///
    /// # Errors
    /// [`Error::Locked`] while another process is the writer; [`Error::Corrupt`], [`Error::Foreign`], [`Error::Newer`],
    /// [`Error::ReadOnly`], or what else the disk says.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Error> {
        let path = path.into();
        let lock = lock(&path)?;
        Self::open_locked(path, lock).map_err(|(error, _)| error)
    }

    /// As [`Store::open`], but a corrupt file is moved aside, to `NAME.corrupt-1` or the next number that is free, and
    /// a new one begun. Returns where the corrupt one is now. It is never deleted.
    ///
    /// # Errors
    /// As [`Store::open`], without [`Error::Corrupt`].
    pub fn open_or_set_aside(path: impl Into<PathBuf>) -> Result<(Self, Option<PathBuf>), Error> {
        let path = path.into();
        let lock = lock(&path)?;
        match Self::open_locked(path.clone(), lock) {
            Ok(store) => Ok((store, None)),
            Err((Error::Corrupt { .. }, lock)) => {
                let aside = set_aside(&path).map_err(|error| Error::of_io(&path, &error))?;
                let store = Self::open_locked(path, lock).map_err(|(error, _)| error)?;
                Ok((store, Some(aside)))
            }
            Err((error, _)) => Err(error),
        }
    }

    /// Opens the store to read, beside its writer or without one.
    ///
    /// # Errors
    /// [`Error::Missing`], [`Error::Older`], [`Error::Newer`], [`Error::Foreign`] or what the disk says.
    pub fn open_read(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_existing(path.into(), OpenFlags::SQLITE_OPEN_READ_ONLY)
    }

    /// Opens the store for short changes beside its writer or without one, as replaying a message is.
    ///
    /// # Errors
    /// As [`Store::open_read`].
    pub fn open_beside(path: impl Into<PathBuf>) -> Result<Self, Error> {
        Self::open_existing(path.into(), OpenFlags::SQLITE_OPEN_READ_WRITE)
    }

    /// Where it lies.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Why the last change could not be made, in words for people; `None` when it could. A change that the store refuses
    /// for what it is says nothing about the disk.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().clone()
    }

    /// Writes what is there already, to find out whether changes can be made.
    ///
    /// # Errors
    /// What the disk says.
    pub fn probe(&self) -> Result<(), Error> {
        // The header of the file is written, with the version that it has.
        self.write(|transaction| Ok(transaction.pragma_update(None, "user_version", schema::STEPS.len())?))
    }

    /// A number that is another one after another process has changed the store, by [`Store::open_beside`]. Cheap.
    ///
    /// # Errors
    /// What the disk says.
    pub fn data_version(&self) -> Result<i64, Error> {
        self.outside(|connection| Ok(connection.pragma_query_value(None, "data_version", |row| row.get(0))?))
    }

    fn around(path: PathBuf, connection: Connection, lock: Option<Lock>) -> Self {
        Self { path, connection: Mutex::new(connection), trouble: Mutex::default(), _lock: lock }
    }

    fn open_locked(path: PathBuf, lock: Lock) -> Result<Self, (Error, Lock)> {
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE;
        let opened = connect(&path, flags).and_then(|mut connection| {
            let prepared = prepare(&mut connection, &path).map_err(|fault| fault.at(&path));
            if matches!(prepared, Err(Error::Corrupt { .. })) {
                // Closing would write the log into the file. What is damaged is left as it was found.
                let _ = connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true);
            }
            prepared.map(|()| connection)
        });
        match opened {
            Ok(connection) => Ok(Self::around(path, connection, Some(lock))),
            Err(error) => Err((error, lock)),
        }
    }

    fn open_existing(path: PathBuf, flags: OpenFlags) -> Result<Self, Error> {
        if !path.exists() {
            return Err(Error::Missing { path });
        }
        let connection = connect(&path, flags)?;
        let known = schema::STEPS.len();
        match schema::version(&connection, &path, known).map_err(|fault| fault.at(&path))? {
            0 => Err(Error::Missing { path }),
            found if found < known => Err(Error::Older { path }),
            _ => Ok(Self::around(path, connection, None)),
        }
    }

    /// One transaction that changes something. It holds with all its parts or not at all.
    pub(crate) fn write<T>(&self, change: impl FnOnce(&Transaction<'_>) -> Step<T>) -> Result<T, Error> {
        let made = self.transact(TransactionBehavior::Immediate, change);
        let trouble = made.as_ref().err().filter(|error| !error.is_lasting()).map(Error::to_string);
        *self.trouble.lock() = trouble;
        made
    }

    /// One look at the file as it was at one moment.
    pub(crate) fn read<T>(&self, look: impl FnOnce(&Transaction<'_>) -> Step<T>) -> Result<T, Error> {
        self.transact(TransactionBehavior::Deferred, look)
    }

    fn transact<T>(
        &self,
        behavior: TransactionBehavior,
        work: impl FnOnce(&Transaction<'_>) -> Step<T>,
    ) -> Result<T, Error> {
        let mut connection = self.connection.lock();
        let run = || {
            let transaction = connection.transaction_with_behavior(behavior)?;
            let done = work(&transaction)?;
            transaction.commit()?;
            Ok(done)
        };
        run().map_err(|fault: Fault| fault.at(&self.path))
    }

    /// What can't be done in a transaction.
    pub(crate) fn outside<T>(&self, work: impl FnOnce(&Connection) -> Step<T>) -> Result<T, Error> {
        work(&self.connection.lock()).map_err(|fault| fault.at(&self.path))
    }
}

fn connect(path: &Path, flags: OpenFlags) -> Result<Connection, Error> {
    let open = || {
        let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY)?;
        connection.pragma_update(None, "foreign_keys", true)?;
        // Of each commit in write-ahead mode, so that it holds after a power cut too.
        connection.pragma_update(None, "synchronous", "FULL")?;
        Ok(connection)
    };
    open().map_err(|error| Error::of_sqlite(path, error))
}

/// Checks the file and brings it up to date.
fn prepare(connection: &mut Connection, path: &Path) -> Step<()> {
    // First of all, so that nothing is changed in what is not ours.
    if schema::version(connection, path, schema::STEPS.len())? > 0 {
        let check: String = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            return Err(Fault::Corrupt(check));
        }
    }
    // SQLite falls back to reading without a word.
    if connection.is_readonly(rusqlite::MAIN_DB)? {
        return Err(Error::ReadOnly { path: path.into() }.into());
    }
    // Only a file without tables takes this; it stays with the file.
    connection.pragma_update(None, "auto_vacuum", "INCREMENTAL")?;
    connection.pragma_update_and_check(None, "journal_mode", "WAL", |_| Ok(()))?;
    // After a long read the log may be long; it need not stay so.
    connection.pragma_update(None, "journal_size_limit", 16 << 20)?;
    schema::migrate(connection, path, schema::STEPS)?;
    if schema::is_intact(connection, path, schema::STEPS)? {
        return Ok(());
    }
    Err(Fault::Corrupt("its tables are not what they were made".into()))
}

/// The right to be the writer.
#[derive(Debug)]
struct Lock(File);

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing alone would leave it to a child process that is just being started.
        let _ = self.0.unlock();
    }
}

fn lock(path: &Path) -> Result<Lock, Error> {
    let failed = |error: std::io::Error| Error::of_io(path, &error);
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).map_err(failed)?;
    }
    let file = File::options().create(true).truncate(false).write(true).open(beside(path, ".lock"));
    let file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Lock(file)),
        Err(TryLockError::WouldBlock) => Err(Error::Locked { path: path.into() }),
        Err(TryLockError::Error(error)) => Err(failed(error)),
    }
}

/// Moves the database and its log away, to the first free name.
fn set_aside(path: &Path) -> std::io::Result<PathBuf> {
    let free = (1..).map(|n| beside(path, &format!(".corrupt-{n}"))).find(|aside| !aside.exists());
    let aside = free.unwrap_or_else(|| beside(path, ".corrupt"));
    // The log first: SQLite would delete one that it finds beside a new file.
    match fs::rename(beside(path, "-wal"), beside(&aside, "-wal")) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // An index of the log, made anew when it is missing.
    let _ = fs::remove_file(beside(path, "-shm"));
    fs::rename(path, &aside)?;
    Ok(aside)
}

/// The path with something added to its name.
pub(crate) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}
