//! Where inputs are written: models are opened by path.

use std::path::{Path, PathBuf};

/// A folder of this process, in memory where the system has such a place.
pub fn folder(name: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let base = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = base.join(format!("streamgist-fuzz-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder is made");
    folder
}
