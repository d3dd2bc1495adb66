//! How large pictures may be: `preprocessor_config.json` and `video_preprocessor_config.json`.

use std::path::Path;

use serde_json::json;

use crate::config::json::{self, Object};
use crate::error::LoadError;
use crate::picture::{MERGE_SIZE, PATCH_SIZE, PixelBudget, TEMPORAL_PATCH_SIZE};

/// More pixels than any picture has.
const MAX_PIXELS: usize = 1 << 40;

/// The budgets of still pictures and of videos.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PixelBudgets {
    pub(crate) image: PixelBudget,
    pub(crate) video: PixelBudget,
}

impl Default for PixelBudgets {
    /// Those of the released models: GGUF files do not hold any.
    fn default() -> Self {
        Self { image: PixelBudget::IMAGE, video: PixelBudget::VIDEO }
    }
}

impl PixelBudgets {
    /// Reads the files of a folder; without them, those of the released models.
    ///
    /// # Errors
    /// For damaged files, and for pictures prepared in another way than this family's.
    pub(super) fn read(folder: &Path) -> Result<Self, LoadError> {
        let read = |file| budget(&folder.join(file));
        Ok(Self {
            image: read("preprocessor_config.json")?.unwrap_or(PixelBudget::IMAGE),
            video: read("video_preprocessor_config.json")?.unwrap_or(PixelBudget::VIDEO),
        })
    }
}

fn budget(path: &Path) -> Result<Option<PixelBudget>, LoadError> {
    let Some(map) = json::config(path)? else { return Ok(None) };
    let root = Object::new(path, &map);
    for (key, value) in [
        ("patch_size", json!(PATCH_SIZE)),
        ("temporal_patch_size", json!(TEMPORAL_PATCH_SIZE)),
        ("merge_size", json!(MERGE_SIZE)),
        ("image_mean", json!([0.5, 0.5, 0.5])),
        ("image_std", json!([0.5, 0.5, 0.5])),
        ("do_resize", json!(true)),
        ("do_rescale", json!(true)),
        ("do_normalize", json!(true)),
    ] {
        root.expect(key, &value)?;
    }
    // Pixel counts, in spite of their names. Files of older families have min_pixels and max_pixels.
    let (size, keys) = match root.object("size", "size.")? {
        Some(size) => (size, ["shortest_edge", "longest_edge"]),
        None => (root, ["min_pixels", "max_pixels"]),
    };
    let [min, max] = [size.size(keys[0], MAX_PIXELS)?, size.size(keys[1], MAX_PIXELS)?];
    if min > max {
        return Err(root.invalid(format!("pictures of at least {min} and at most {max} pixels are none")));
    }
    Ok(Some(PixelBudget { min_pixels: min as u64, max_pixels: max as u64 }))
}
