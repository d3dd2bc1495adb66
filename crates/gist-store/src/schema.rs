//! What the file looks like, and how an older one becomes a newer one.

use std::path::Path;

use rusqlite::Connection;

use crate::error::{Error, Step};
use crate::session::rows;

/// One step for each version: step `n` turns a file of version `n` into one of version `n + 1`. A step that was
/// released is never changed.
pub(crate) const STEPS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// `application_id` of our files: "gist".
pub(crate) const APPLICATION: i32 = 0x6769_7374;

/// The version of a file, 0 when nothing is in it yet. Changes nothing.
///
/// # Errors
/// [`Error::Foreign`] and [`Error::Newer`], besides what SQLite says.
pub(crate) fn version(connection: &Connection, path: &Path, known: usize) -> Step<usize> {
    let application: i32 = connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    let found: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    let tables: usize = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    match (application, found, tables) {
        (APPLICATION, ..) if found > known => Err(Error::Newer { path: path.into(), found, known }.into()),
        (APPLICATION, ..) | (0, 0, 0) => Ok(found),
        _ => Err(Error::Foreign { path: path.into() }.into()),
    }
}

/// Brings a file up to the version of `steps`, each step in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection, path: &Path, steps: &[&str]) -> Step<()> {
    let from = version(connection, path, steps.len())?;
    for (version, step) in (1..).zip(steps).skip(from) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "application_id", APPLICATION)?;
        transaction.pragma_update(None, "user_version", version)?;
        transaction.commit()?;
    }
    Ok(())
}

/// Whether the tables are what `steps` make of an empty file. The schema is text in the file, in which damage may leave
/// another schema that is as valid.
pub(crate) fn is_intact(connection: &Connection, path: &Path, steps: &[&str]) -> Step<bool> {
    let mut sound = Connection::open_in_memory()?;
    migrate(&mut sound, path, steps)?;
    Ok(columns(connection)? == columns(&sound)?)
}

fn columns(connection: &Connection) -> Step<Vec<(String, String, String)>> {
    let select = "SELECT t.name, c.name, c.type FROM sqlite_schema t JOIN pragma_table_info(t.name) c
        WHERE t.type = 'table' AND t.name NOT LIKE 'sqlite_%' ORDER BY t.name, c.cid";
    rows(connection, select, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Session, Store};

    #[test]
    fn a_file_takes_the_next_step_and_keeps_what_it_has() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("streamgist.db");
        let session = Session { id: "s".into(), ..Session::default() };
        Store::open(&path).and_then(|store| store.begin(&session)).expect("begins");

        let mut connection = Connection::open(&path).expect("opens");
        let next = "ALTER TABLE sessions ADD COLUMN colour TEXT NOT NULL DEFAULT 'red'";
        let broken = "ALTER TABLE sessions DROP COLUMN colour; SELECT nonsense";
        let migrate_to = |connection: &mut Connection, steps: &[&str]| migrate(connection, &path, steps);
        let version = |connection: &Connection| version(connection, &path, 9).expect("read");
        let known = STEPS.len();
        assert_eq!(version(&connection), known);
        let steps = [STEPS, &[next, broken]].concat();
        migrate_to(&mut connection, &steps).expect_err("the last step fails");
        assert_eq!(version(&connection), known + 1, "and leaves what was before it");
        migrate_to(&mut connection, &steps[..=known]).expect("nothing to do");
        let kept = connection.query_row("SELECT id, colour FROM sessions", [], |row| {
            Ok((row.get::<_, String>(0)?, row.get::<_, String>(1)?))
        });
        assert_eq!(kept.expect("kept"), ("s".into(), "red".into()));
    }
}
