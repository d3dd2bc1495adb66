//! A file of chapters that is kept up to date: what stands behind the sink, and behind those of the application.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use gist_core::event::Kind;
use gist_core::export::{Format, Outline, render};

use crate::events;

/// An open file. Every method leaves a complete file behind: lines are appended whole, other formats replace the
/// file in one step, so a reader never sees half of one.
#[derive(Debug)]
pub enum ChapterFile {
    /// Events as they come.
    Lines(File),
    /// The outline as it stands.
    Whole {
        /// The file, links resolved.
        path: PathBuf,
        /// Not `JsonLines`.
        format: Format,
        /// What was taken so far.
        outline: Outline,
    },
}

impl ChapterFile {
    /// Opens `location`. Times are positions in the source, or in a recording that began at running-time `origin`.
    ///
    /// # Errors
    /// When the file or its directory cannot be written; found out here, not at the first chapter an hour later.
    pub fn open(location: &Path, format: Format, origin: Option<u64>) -> io::Result<Self> {
        if format == Format::JsonLines {
            return open_lines(location).map(Self::Lines);
        }
        // Renaming replaces the name it is given: a link would be replaced instead of its target, a device lost.
        let path = fs::canonicalize(location).unwrap_or_else(|_| location.into());
        if path.exists() && !path.is_file() {
            return Err(io::Error::other(
                "it is not a regular file, and this format rewrites the file whole",
            ));
        }
        let (trial, _) = create_beside(&path)?;
        fs::remove_file(trial)?;
        let outline = origin.map_or_else(Outline::new, Outline::with_origin);
        Ok(Self::Whole { path, format, outline })
    }

    /// Takes one line of `gist-chapters-v1`.
    ///
    /// # Errors
    /// [`Refused::Malformed`] leaves the output as it was.
    pub fn take(&mut self, line: &str) -> Result<(), Refused> {
        let event = events::read(line).map_err(Refused::Malformed)?;
        match self {
            // As it came: fields this version does not know are kept.
            Self::Lines(file) => file.write_all(format!("{line}\n").as_bytes())?,
            Self::Whole { path, format, outline } => {
                let settled = matches!(event.kind, Kind::Closed | Kind::Revised | Kind::Digest);
                if outline.apply(event) && settled {
                    replace(path, render(*format, outline).as_bytes())?;
                }
            }
        }
        Ok(())
    }

    /// The stream has ended: everything goes to the disk.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(&mut self) -> io::Result<()> {
        match self {
            // Pipes and terminals have nothing to synchronise.
            Self::Lines(file) if file.metadata()?.is_file() => file.sync_all(),
            Self::Lines(_) => Ok(()),
            Self::Whole { path, format, outline } => replace(path, render(*format, outline).as_bytes()),
        }
    }
}

/// Why an event was not taken.
#[derive(Debug)]
pub enum Refused {
    /// It is not an event of `gist-chapters-v1`.
    Malformed(String),
    /// It could not be written.
    Write(io::Error),
}

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Malformed(why) => f.write_str(why),
            Self::Write(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for Refused {}

impl From<io::Error> for Refused {
    fn from(error: io::Error) -> Self {
        Self::Write(error)
    }
}

/// Opens for appending. A file that was cut off within a line (a full disk, a power cut) gets its newline first.
fn open_lines(location: &Path) -> io::Result<File> {
    let mut file = OpenOptions::new().append(true).create(true).open(location)?;
    if file.metadata()?.is_file() && !ends_with_newline(location)? {
        file.write_all(b"\n")?;
    }
    Ok(file)
}

fn ends_with_newline(location: &Path) -> io::Result<bool> {
    let mut file = File::open(location)?;
    if file.metadata()?.len() == 0 {
        return Ok(true);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last == *b"\n")
}

/// Puts `content` in the place of `path` in one step, durable before it is visible.
fn replace(path: &Path, content: &[u8]) -> io::Result<()> {
    let (temporary, mut file) = create_beside(path)?;
    let written =
        file.write_all(content).and_then(|()| file.sync_all()).and_then(|()| fs::rename(&temporary, path));
    written.inspect_err(|_| {
        // Already failing: a leftover is the smaller trouble.
        let _ = fs::remove_file(&temporary);
    })
}

/// A new file in the same directory, since a rename is atomic only within a file system.
fn create_beside(path: &Path) -> io::Result<(PathBuf, File)> {
    let name = path.file_name().ok_or_else(|| io::Error::other("it names no file"))?;
    let mut attempt = 0;
    loop {
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(format!(".{}-{attempt}.tmp", std::process::id()));
        let temporary = path.with_file_name(hidden);
        match OpenOptions::new().write(true).create_new(true).open(&temporary) {
            Ok(file) => return Ok((temporary, file)),
            // A leftover of a killed process with our id, or another sink of this process.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && attempt < 100 => attempt += 1,
            Err(error) => return Err(error),
        }
    }
}
