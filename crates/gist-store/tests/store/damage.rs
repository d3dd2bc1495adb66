//! Files that are damaged, of others, or not to be written.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;

use gist_store::{Error, Filter, Store};
use proptest::prelude::*;

use super::*;

/// A store with a few things in it, closed.
fn small(path: &Path) {
    let store = begun(path);
    (0..8).for_each(|sequence| publish(&store, sequence, at(sequence)));
}

#[test]
fn a_file_that_is_no_database_is_moved_only_when_asked() {
    let place = place();
    small(&place.path);
    let text = "this is a letter to my aunt\n".repeat(100);
    fs::write(&place.path, &text).expect("written");
    let error = Store::open(&place.path).expect_err("no database");
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
    assert!(error.to_string().contains("move it aside"), "{error}");
    assert_eq!(fs::read_to_string(&place.path).expect("still there"), text);

    for n in 1..3 {
        fs::write(&place.path, &text).expect("written");
        let (store, aside) = Store::open_or_set_aside(&place.path).expect("opens");
        let aside = aside.expect("moved");
        assert!(aside.to_string_lossy().ends_with(&format!("streamgist.db.corrupt-{n}")), "{aside:?}");
        assert_eq!(fs::read_to_string(aside).expect("there"), text);
        store.begin(&session("s")).expect("a new store");
    }
    let (_, aside) = Store::open_or_set_aside(&place.path).expect("opens");
    assert_eq!(aside, None, "this one is sound");
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let place = place();
    let path = place.folder.path().join("other.db");
    let other = rusqlite::Connection::open(&path).expect("opens");
    other.execute_batch("CREATE TABLE recipes (name TEXT)").expect("made");
    drop(other);
    let bytes = fs::read(&path).expect("read");
    for result in [
        Store::open(&path).map(drop),
        Store::open_read(&path).map(drop),
        Store::open_or_set_aside(&path).map(drop),
    ] {
        let error = result.expect_err("not ours");
        assert!(matches!(error, Error::Foreign { .. }), "{error}");
        assert!(fs::read(&path).expect("read") == bytes, "untouched");
    }
}

#[test]
fn a_newer_store_is_refused_and_says_what_to_do() {
    let place = place();
    small(&place.path);
    let newer = rusqlite::Connection::open(&place.path).expect("opens");
    newer.pragma_update(None, "user_version", 99).expect("set");
    for result in [Store::open(&place.path), Store::open_read(&place.path)] {
        let error = result.expect_err("newer");
        assert!(matches!(error, Error::Newer { found: 99, .. }), "{error}");
        assert!(error.to_string().contains("update streamgist"), "{error}");
    }
}

#[test]
fn child_without_rights() {
    let Some(path) = child_path() else { return };
    let error = Store::open(&path).expect_err("may not write");
    assert!(matches!(error, Error::ReadOnly { .. }), "{error}");
    assert!(error.to_string().contains("the right to write"), "{error}");
}

#[test]
fn a_store_that_may_not_be_written_says_so() {
    let place = place();
    small(&place.path);
    let mode = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("set");
    let state = place.path.parent().expect("a folder");
    // Root may write anything, so another user tries, with a copy of this program that it may run.
    let program = place.folder.path().join("program");
    fs::copy(this(), &program).expect("copied");
    mode(place.folder.path(), 0o755);
    mode(&program, 0o755);
    let run = || {
        let mut command = child(&program, "damage::child_without_rights", &place.path);
        if rustix::process::getuid().is_root() {
            command.uid(65_534).gid(65_534);
        }
        let output = command.current_dir("/").output().expect("runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    };
    let lock = state.join("streamgist.db.lock");
    mode(&place.path, 0o444);
    mode(&lock, 0o666);
    mode(state, 0o777);
    run(); // the file alone
    mode(&lock, 0o444);
    mode(state, 0o555);
    run(); // its folder
    mode(state, 0o755);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever is flipped, nothing panics, nothing is deleted, and what can't be trusted is refused. One byte of the
    /// header says that SQLite may only read.
    #[test]
    fn flipped_bytes_are_found_or_harmless(flips in prop::collection::vec((any::<usize>(), 1..=255_u8), 1..40)) {
        let place = place();
        small(&place.path);
        let mut bytes = fs::read(&place.path).expect("read");
        for (at, bits) in flips {
            let at = at % bytes.len();
            bytes[at] ^= bits;
        }
        fs::write(&place.path, &bytes).expect("written");
        if let Err(error) = Store::open(&place.path) {
            let refused = matches!(
                error,
                Error::Corrupt { .. } | Error::Foreign { .. } | Error::Newer { .. } | Error::ReadOnly { .. }
            );
            prop_assert!(refused, "{error}");
        }
        match Store::open_or_set_aside(&place.path) {
            Ok((store, Some(aside))) => {
                prop_assert_eq!(fs::read(aside).expect("read"), bytes);
                store.begin(&session("new")).expect("a new store");
            }
            Ok((store, None)) => {
                let looks = [
                    store.events("s", 0, 99).map(drop),
                    store.resume("s").map(drop),
                    store.deliveries(&Filter::default(), None, 99).map(drop),
                    store.retain(&Default::default(), at(0)).stopped.map_or(Ok(()), Err),
                ];
                for error in looks.into_iter().filter_map(Result::err) {
                    let told = matches!(error, Error::Corrupt { .. } | Error::NoSession(_));
                    prop_assert!(told, "{error}");
                }
            }
            Err(error) => {
                let refused =
                    matches!(error, Error::Foreign { .. } | Error::Newer { .. } | Error::ReadOnly { .. });
                prop_assert!(refused, "{error}");
            }
        }
    }
}
