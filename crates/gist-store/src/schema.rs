//! What the file looks like, and how an older one becomes a newer one.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Step};

/// One step for each version: step `n` turns a file of version `n` into one of version `n + 1`. A step that was
/// released is never changed.
pub(crate) const STEPS: &[&str] = &[include_str!("schema/1.sql")];

/// `application_id` of our files: "gist".
pub(crate) const APPLICATION: i32 = 0x6769_7374;

/// What a file says of itself.
pub(crate) enum Found {
    /// Nothing in it yet.
    Empty,
    /// A store of this version.
    Version(usize),
    /// Another program's database.
    Foreign,
}

/// Looks without changing anything.
pub(crate) fn find(connection: &Connection) -> rusqlite::Result<Found> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: usize = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(match (application, version, tables) {
        (APPLICATION, version, _) => Found::Version(version),
        (0, 0, 0) => Found::Empty,
        _ => Found::Foreign,
    })
}

/// Brings a file up to the version of `steps`, each step in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Step<()> {
    let from = match find(connection)? {
        Found::Empty => 0,
        Found::Version(version) => version,
        Found::Foreign => return Err(Error::Foreign { path: path.into() }.into()),
    };
    if from > steps.len() {
        return Err(Error::Newer { path: path.into(), found: from, known: steps.len() }.into());
    }
    for (version, step) in (1..).zip(steps).skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}
