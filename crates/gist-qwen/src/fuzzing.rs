//! Entry points of the fuzz targets in `fuzz/`; nothing else uses them.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::config::read_mmproj;
use crate::error::LoadError;
use crate::weights::Weights;
use crate::weights::gguf::Gguf;

/// Opens a model as [`crate::QwenModel::load`] does and reads all of its tensors.
///
/// # Errors
/// Whatever is wrong with it.
pub fn open(path: &Path) -> Result<(), LoadError> {
    let checkpoint = Checkpoint::open(path, None)?;
    if let Some(tokenizer) = &checkpoint.tokenizer {
        tokenizer.decode(&tokenizer.encode("it's 12.5 seconds 日本語 <|im_end|>\r\n"));
    }
    read(&*checkpoint.text)
}

/// Opens a GGUF file as the vision part of a model and reads all of its tensors.
///
/// # Errors
/// Whatever is wrong with it.
pub fn mmproj(path: &Path) -> Result<(), LoadError> {
    let file = Gguf::open(path)?;
    let config = read_mmproj(&file);
    read(&file)?;
    config.map(drop)
}

fn read(weights: &dyn Weights) -> Result<(), LoadError> {
    for info in weights.infos() {
        weights.tensor(&info.name, &info.shape)?;
    }
    Ok(())
}
