//! Checksums of files: SHA-256, computed once, and the sum by which git calls a file.
//!
//! The checksum of `FILE` is noted in `.FILE.sha256` beside it, with the size and modification time it belongs to, so
//! that a model of a gigabyte is read through once and not at every start. The note saves time and is no proof: who
//! can write it can write the model too.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use sha1::Sha1;
use sha2::{Digest, Sha256};

/// Reads `path` through: its SHA-256 in lower-case hexadecimal digits.
///
/// # Errors
/// When it can't be read.
pub fn sha256(path: &Path) -> io::Result<String> {
    sum(Sha256::new(), File::open(path)?)
}

/// Reads `path` through: the SHA-1 by which git, and so the hub, calls a file that is not in large file storage.
///
/// # Errors
/// When it can't be read.
pub fn git_blob(path: &Path) -> io::Result<String> {
    let file = File::open(path)?;
    let header = format!("blob {}\0", file.metadata()?.len());
    sum(Sha1::new().chain_update(header), file)
}

fn sum(mut hash: impl Digest, mut file: File) -> io::Result<String> {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            n => hash.update(&buffer[..n]),
        }
    }
    Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}

/// As [`sha256`], but from the note beside the file when its size and modification time are still the same.
///
/// # Errors
/// When the file can't be read. A directory that can't be written only costs the note.
pub fn sha256_noted(path: &Path) -> io::Result<String> {
    let state = state(path)?;
    if let Ok(text) = fs::read_to_string(note(path))
        && let Some((sha, noted)) = text.trim_end().split_once(' ')
        && noted == state
        && sha.len() == 64
    {
        return Ok(sha.to_owned());
    }
    let sha = sha256(path)?;
    write(path, &sha, &state);
    Ok(sha)
}

/// Notes the SHA-256 of a file that was just read through under another name.
pub fn remember(path: &Path, sha: &str) {
    match state(path) {
        Ok(state) => write(path, sha, &state),
        Err(_) => forget(path),
    }
}

fn write(path: &Path, sha: &str, state: &str) {
    let note = note(path);
    // Written whole or not at all: several processes may start on the same model.
    let draft = note.with_extension(format!("{}.tmp", std::process::id()));
    if fs::write(&draft, format!("{sha} {state}\n")).and_then(|()| fs::rename(&draft, &note)).is_err() {
        let _ = fs::remove_file(&draft);
    }
}

/// Removes the note, so that the next [`sha256_noted`] reads the file.
pub fn forget(path: &Path) {
    let _ = fs::remove_file(note(path));
}

fn note(path: &Path) -> PathBuf {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    path.with_file_name(format!(".{name}.sha256"))
}

fn state(path: &Path) -> io::Result<String> {
    let meta = fs::metadata(path)?;
    let modified = meta.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{} {}.{:09}", meta.len(), modified.as_secs(), modified.subsec_nanos()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn it_is_the_standard_sum() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a");
        fs::write(&file, "abc").expect("write");
        assert_eq!(sha256(&file).expect("read"), ABC);
    }

    #[test]
    fn a_file_has_the_name_git_gives_it() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a");
        // As `git hash-object` says.
        fs::write(&file, "hello\n").expect("write");
        assert_eq!(git_blob(&file).expect("read"), "ce013625030ba8dba906f756967f9e9ca394464a");
    }

    #[test]
    fn the_note_is_used_until_the_file_changes() {
        let dir = tempfile::tempdir().expect("tempdir");
        let file = dir.path().join("a");
        fs::write(&file, "abc").expect("write");
        assert_eq!(sha256_noted(&file).expect("read"), ABC);

        // Same size, same time: the note answers.
        let time = fs::metadata(&file).and_then(|m| m.modified()).expect("time");
        fs::write(&file, "abd").expect("write");
        File::options().write(true).open(&file).and_then(|f| f.set_modified(time)).expect("touch");
        assert_eq!(sha256_noted(&file).expect("read"), ABC);

        // Another time: the file is read.
        let later = time + std::time::Duration::from_secs(1);
        File::options().write(true).open(&file).and_then(|f| f.set_modified(later)).expect("touch");
        assert_ne!(sha256_noted(&file).expect("read"), ABC);

        fs::write(note(&file), "garbage").expect("write");
        fs::write(&file, "abc").expect("write");
        assert_eq!(sha256_noted(&file).expect("read"), ABC);
    }
}
