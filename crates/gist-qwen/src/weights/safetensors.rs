//! A folder in Hugging Face's layout: `model.safetensors`, or shards and the `model.safetensors.index.json` that lists
//! them. Read with suspicion, like GGUF files: nothing is mapped into memory, and nothing is allocated that is not in
//! the file.

mod experts;
mod header;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use candle_core::quantized::GgmlDType;

use super::names::{Named, from_hub};
use super::patches::{self, PATCHES};
use super::{Info, Raw, Weights, read_error};
use crate::config::Config;
use crate::config::json;
use crate::error::LoadError;
use crate::picture::PATCH_VALUES;
use experts::Cut;
use header::Entry;

const SINGLE: &str = "model.safetensors";
const INDEX: &str = "model.safetensors.index.json";
/// The index of the largest released model has 0.2 MB.
const MAX_INDEX: u64 = 16 << 20;
/// The largest released model has 94 shards.
const MAX_SHARDS: usize = 512;
/// Parts of names under which GPTQ, AWQ and the like store their weights.
const PACKED: [&str; 3] = [".qweight", ".weight_packed", ".qzeros"];

/// What the names and shapes of tensors depend on.
pub(crate) struct Shapes<'a> {
    /// The decoder.
    pub(crate) config: &'a Config,
    /// Blocks of the vision tower that have a DeepStack merger.
    pub(crate) deepstack: &'a [usize],
    /// Whether the head is the embedding.
    pub(crate) tied: bool,
}

/// An open folder.
pub(crate) struct Folder {
    path: PathBuf,
    shards: Vec<(PathBuf, File)>,
    tensors: HashMap<String, Stored>,
}

struct Stored {
    info: Info,
    shard: usize,
    offset: u64,
    cut: Cut,
}

/// The names a shard must have, when an index says so.
type Wanted = Option<HashSet<String>>;

impl Folder {
    /// Opens the files of the folder `path` and reads their headers.
    ///
    /// # Errors
    /// For missing and damaged files, for types other than F32, F16 and BF16, and for quantised weights.
    pub(crate) fn open(path: &Path, shapes: &Shapes<'_>) -> Result<Self, LoadError> {
        let mut folder = Self { path: path.into(), shards: Vec::new(), tensors: HashMap::new() };
        for (file, wanted) in files(path)? {
            folder.add_shard(path.join(file), wanted, shapes)?;
        }
        if shapes.tied {
            // Some files hold a copy; it is the embedding that counts.
            folder.tensors.remove("output.weight");
        } else if !folder.contains("output.weight") {
            return Err(folder.invalid("lm_head.weight is missing, though the head is not tied".into()));
        }
        Ok(folder)
    }

    fn add_shard(&mut self, path: PathBuf, wanted: Wanted, shapes: &Shapes<'_>) -> Result<(), LoadError> {
        let (file, length) = super::open(&path)?;
        let mut entries = header::read(&path, &file, length)?;
        for name in wanted.iter().flatten() {
            if !entries.contains_key(name) {
                let what = format!("tensor {name} is not in it, though {INDEX} says so");
                return Err(LoadError::Invalid { path, what });
            }
        }
        if let Some(wanted) = wanted {
            entries.retain(|name, _| wanted.contains(name));
        }
        for (name, entry) in entries {
            if PACKED.iter().any(|packed| name.ends_with(packed)) {
                return Err(json::quantized(&self.path, "GPTQ or AWQ"));
            }
            self.add(&path, &name, entry, shapes)?;
        }
        self.shards.push((path, file));
        Ok(())
    }

    fn add(&mut self, path: &Path, hub: &str, entry: Entry, shapes: &Shapes<'_>) -> Result<(), LoadError> {
        let Some(named) = from_hub(hub, shapes.deepstack) else { return Ok(()) };
        let dtype = match &*entry.dtype {
            "F32" => GgmlDType::F32,
            "F16" => GgmlDType::F16,
            "BF16" => GgmlDType::BF16,
            other => {
                let other: String = other.chars().take(40).collect();
                let what = format!("tensor {hub} has type {other}; supported are F32, F16 and BF16");
                return Err(LoadError::Unsupported { path: path.into(), what });
            }
        };
        let cuts = match named {
            Named::Plain(name) if name == PATCHES && patches::is_convolution(&entry.shape) => {
                vec![(name, vec![entry.shape[0], PATCH_VALUES], Cut::Whole)]
            }
            Named::Plain(name) => vec![(name, entry.shape, Cut::Whole)],
            Named::GateUp(layer) => {
                experts::gate_up(&layer, &entry.shape, shapes.config).map_err(|what| {
                    LoadError::Unsupported { path: path.into(), what: format!("{hub} {what}") }
                })?
            }
            Named::Down(layer) => experts::down(&layer, &entry.shape, shapes.config).map_err(|what| {
                LoadError::Unsupported { path: path.into(), what: format!("{hub} {what}") }
            })?,
        };
        let shard = self.shards.len();
        for (name, shape, cut) in cuts {
            let info = Info { name: name.clone(), dtype, shape };
            if self.tensors.insert(name, Stored { info, shard, offset: entry.offset, cut }).is_some() {
                return Err(self.invalid(format!("tensor {hub} is there under two names")));
            }
        }
        Ok(())
    }
}

impl Weights for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn contains(&self, name: &str) -> bool {
        self.tensors.contains_key(name)
    }

    fn infos(&self) -> Vec<Info> {
        self.tensors.values().map(|t| t.info.clone()).collect()
    }

    fn read(&self, name: &str) -> Result<Raw, LoadError> {
        let Some(stored) = self.tensors.get(name) else {
            return Err(self.invalid(format!("tensor {name} is missing")));
        };
        let (path, file) = &self.shards[stored.shard];
        let fill = |bytes: &mut [u8], offset: u64| {
            file.read_exact_at(bytes, stored.offset + offset)
                .map_err(|e| read_error(path, e, &format!("tensor {name}")))
        };
        let Info { dtype, ref shape, .. } = stored.info;
        let mut bytes = vec![0; stored.info.bytes() as usize];
        stored.cut.read(&mut bytes, dtype.type_size(), fill)?;
        Ok(Raw { dtype, shape: shape.clone(), bytes })
    }
}

/// The files of a folder, with the names of the tensors that are to be taken from each.
fn files(folder: &Path) -> Result<BTreeMap<String, Wanted>, LoadError> {
    if folder.join(SINGLE).exists() {
        return Ok([(SINGLE.into(), None)].into());
    }
    let path = folder.join(INDEX);
    let invalid = |what: String| LoadError::Invalid { path: path.clone(), what };
    let Some(text) = json::text(&path, MAX_INDEX)? else {
        return Err(LoadError::NotFound(folder.join(SINGLE)));
    };
    #[derive(serde::Deserialize)]
    struct Index {
        weight_map: HashMap<String, String>,
    }
    let index: Index = serde_json::from_str(&text).map_err(|e| invalid(format!("it is no index: {e}")))?;
    let mut files: BTreeMap<String, Wanted> = BTreeMap::new();
    for (tensor, file) in index.weight_map {
        if !is_plain(&file) {
            return Err(invalid(format!("shard {file:?} is no name of a file beside it")));
        }
        files.entry(file).or_default().get_or_insert_default().insert(tensor);
        if files.len() > MAX_SHARDS {
            return Err(invalid(format!("it lists more than {MAX_SHARDS} shards")));
        }
    }
    Ok(files)
}

/// Whether this is a name of a shard and not a path to somewhere else.
fn is_plain(file: &str) -> bool {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    file.ends_with(".safetensors") && file.len() < 200 && !file.starts_with('.') && file.chars().all(allowed)
}
