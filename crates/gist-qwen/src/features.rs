//! What the vision tower made of pairs, kept on disk: a file that is run again skips the tower.
//!
//! One file a pair, named by a hash of both pictures, their size and the tower. A file is believed only when its
//! length and checksum are right, and when the folder is full those that were used longest ago go first.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use crate::picture::{BLOCK, Frame, PATCH_SIZE, PATCH_VALUES};
use crate::vision::{Encoded, VisionConfig};

/// Goes into every key: what an older version kept is not found any more.
const FORMAT: &[u8] = b"streamgist pair 1";
const SUFFIX: &str = ".pair";
const CHECKSUM: u64 = 32;
/// A file that has not got its name after so long was left by a crash.
const ABANDONED: Duration = Duration::from_secs(3600);
/// When the folder is full it is emptied down to this share, so that it is not read through for every pair.
const KEEP: f64 = 0.9;

/// Where encoded pairs are kept, and how many bytes of them at most.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FeatureFolder {
    /// Made when it is not there. Files of others in it are left alone.
    pub path: PathBuf,
    /// In bytes, of all pairs together.
    pub max_bytes: u64,
}

/// The pairs that one tower encoded.
pub(crate) struct FeatureCache {
    folder: FeatureFolder,
    /// Hash of what the tower makes of a test picture.
    tower: [u8; 32],
    /// Bytes in the folder as far as we know; other processes may write to it as well.
    used: Mutex<u64>,
}

impl FeatureCache {
    /// Opens a folder for what `encode` (patches, and their grid) makes of pictures. It is called once: two towers are
    /// the same when they make the same bits of a test picture, whatever their files are called.
    ///
    /// # Errors
    /// When the folder cannot be made or read.
    pub(crate) fn open(
        folder: FeatureFolder,
        encode: impl FnOnce(&[f32], (usize, usize)) -> Encoded,
    ) -> io::Result<Self> {
        fs::create_dir_all(&folder.path)?;
        let mut used = 0;
        for entry in fs::read_dir(&folder.path)?.flatten() {
            let (path, Ok(about)) = (entry.path(), entry.metadata()) else { continue };
            if is_pair(&path) {
                used += about.len();
            } else if is_unfinished(&path)
                && about.modified().is_ok_and(|t| t.elapsed().is_ok_and(|age| age > ABANDONED))
            {
                let _ = fs::remove_file(path);
            }
        }
        let side = 2 * BLOCK / PATCH_SIZE;
        let test: Vec<f32> = (0..side * side * PATCH_VALUES).map(|i| (i as f32 * 0.37).sin()).collect();
        let mut hash = Sha256::new();
        feed(&encode(&test, (side, side)), |bytes| hash.update(bytes));
        Ok(Self { folder, tower: hash.finalize().into(), used: Mutex::new(used) })
    }

    /// Where a pair of this tower is kept.
    fn place(&self, first: &Frame<'_>, second: &Frame<'_>) -> PathBuf {
        let mut hash = Sha256::new();
        hash.update(FORMAT);
        hash.update(self.tower);
        hash.update(first.width().to_le_bytes());
        hash.update(first.pixels());
        hash.update(second.pixels());
        let name: String = hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect();
        self.folder.path.join(name + SUFFIX)
    }

    /// A pair that was kept.
    pub(crate) fn get(&self, first: &Frame<'_>, second: &Frame<'_>, tower: &VisionConfig) -> Option<Encoded> {
        let place = self.place(first, second);
        let mut file = File::open(&place).ok()?;
        let grid = (first.height() / BLOCK, first.width() / BLOCK);
        let found = read(&mut file, grid, tower);
        if found.is_some() {
            // Whoever was used last is the last to go.
            let _ = file.set_modified(SystemTime::now());
        } else {
            tracing::warn!(file = %place.display(), "an encoded pair is damaged; it is encoded again");
            let _ = fs::remove_file(place);
        }
        found
    }

    /// Keeps a pair. A disk that says no costs nothing but the saving.
    pub(crate) fn put(&self, first: &Frame<'_>, second: &Frame<'_>, encoded: &Encoded) {
        let place = self.place(first, second);
        let size = 4 * (1 + encoded.deepstack.len()) as u64 * encoded.rows.len() as u64 + CHECKSUM;
        let mut used = self.used.lock();
        let kept = self
            .make_room(&mut used, size)
            .and_then(|fits| if fits { write(&place, encoded) } else { Ok(0) });
        match kept {
            Ok(bytes) => *used += bytes,
            Err(error) => {
                tracing::warn!(%error, folder = %self.folder.path.display(), "a pair cannot be kept");
            }
        }
    }

    /// Removes what was used longest ago until `size` more bytes fit; false when they never do.
    fn make_room(&self, used: &mut u64, size: u64) -> io::Result<bool> {
        let limit = self.folder.max_bytes;
        if size > limit {
            return Ok(false);
        }
        if *used + size <= limit {
            return Ok(true);
        }
        let mut pairs = Vec::new();
        for entry in fs::read_dir(&self.folder.path)?.flatten() {
            let path = entry.path();
            if is_pair(&path)
                && let Ok(about) = entry.metadata()
            {
                pairs.push((about.modified().unwrap_or(SystemTime::UNIX_EPOCH), about.len(), path));
            }
        }
        pairs.sort();
        *used = pairs.iter().map(|(_, bytes, _)| bytes).sum();
        let goal = (limit - size).min((limit as f64 * KEEP) as u64);
        for (_, bytes, path) in pairs {
            if *used <= goal {
                break;
            }
            // Another process may have been faster.
            match fs::remove_file(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => *used -= bytes,
            }
        }
        Ok(true)
    }
}

fn is_pair(path: &Path) -> bool {
    path.to_str().is_some_and(|name| name.ends_with(SUFFIX)) && !is_unfinished(path)
}

fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.starts_with('.') && name.ends_with(SUFFIX)
}

/// All numbers of a pair in the order of the file.
fn feed(encoded: &Encoded, mut to: impl FnMut(&[u8])) {
    for rows in std::iter::once(&encoded.rows).chain(&encoded.deepstack) {
        let bytes: Vec<u8> = rows.iter().flat_map(|x| x.to_le_bytes()).collect();
        to(&bytes);
    }
}

/// Writes a pair beside its place and moves it there when it is whole. Returns its size.
fn write(place: &Path, encoded: &Encoded) -> io::Result<u64> {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    let part = place.with_file_name(format!(".{}-{name}", std::process::id()));
    let done = (|| {
        let (mut file, mut hash, mut size, mut result) =
            (File::create(&part)?, Sha256::new(), CHECKSUM, Ok(()));
        feed(encoded, |bytes| {
            hash.update(bytes);
            size += bytes.len() as u64;
            if result.is_ok() {
                result = file.write_all(bytes);
            }
        });
        result?;
        file.write_all(&hash.finalize())?;
        fs::rename(&part, place)?;
        Ok(size)
    })();
    if done.is_err() {
        let _ = fs::remove_file(part);
    }
    done
}

/// Reads a pair of `grid` tokens; `None` unless length and checksum are right and all values are numbers.
fn read(file: &mut File, grid: (usize, usize), tower: &VisionConfig) -> Option<Encoded> {
    let values = grid.0 * grid.1 * tower.out_hidden;
    let lists = 1 + tower.deepstack.len();
    let size = 4 * lists * values;
    if file.metadata().ok()?.len() != size as u64 + CHECKSUM {
        return None;
    }
    let mut bytes = Vec::with_capacity(size + CHECKSUM as usize);
    file.take(size as u64 + CHECKSUM).read_to_end(&mut bytes).ok()?;
    let (rows, checksum) = bytes.split_at_checked(size)?;
    if Sha256::digest(rows)[..] != *checksum {
        return None;
    }
    let floats =
        |bytes: &[u8]| bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)).collect::<Vec<_>>();
    let mut lists = rows.chunks_exact(4 * values).map(floats);
    let rows = lists.next()?;
    let encoded = Encoded { grid, rows, deepstack: lists.collect() };
    let mut all = std::iter::once(&encoded.rows).chain(&encoded.deepstack).flatten();
    all.all(|x| x.is_finite()).then_some(encoded)
}

#[cfg(test)]
mod tests;
