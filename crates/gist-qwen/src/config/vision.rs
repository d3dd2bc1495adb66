//! The shape of a vision tower, from `vision_config` or from the metadata of an mmproj file.

use serde_json::json;

use super::json::Object;
use super::{SUPPORTED, max};
use crate::error::LoadError;
use crate::picture::{CHANNELS, MERGE_SIZE, PATCH_SIZE, TEMPORAL_PATCH_SIZE};
use crate::vision::VisionConfig;
use crate::weights::Weights;
use crate::weights::gguf::{Gguf, Value};

/// Of the layer norms; `config.json` has no key for it.
const NORM_EPS: f32 = 1e-6;
/// Mean and deviation of the pixels, as in all released models; other values would need other pictures.
pub(crate) const NORMALISED: f64 = 0.5;

/// Refuses shapes that no tower can have.
fn checked(config: VisionConfig) -> Result<VisionConfig, String> {
    let VisionConfig { hidden, heads, depth, deepstack, .. } = &config;
    if !hidden.is_multiple_of(*heads) || !(hidden / heads).is_multiple_of(4) {
        return Err(format!("{heads} attention heads do not fit a vision tower {hidden} wide"));
    }
    if !deepstack.is_sorted_by(|a, b| a < b) || deepstack.last().is_some_and(|last| last >= depth) {
        return Err(format!("the DeepStack blocks {deepstack:?} are not ascending or beyond block {depth}"));
    }
    Ok(config)
}

/// Reads `vision_config`.
///
/// # Errors
/// For missing keys, values out of range and everything this family does not have.
pub(super) fn read_json(vision: &Object<'_>) -> Result<VisionConfig, LoadError> {
    for (key, value) in [
        ("patch_size", json!(PATCH_SIZE)),
        ("temporal_patch_size", json!(TEMPORAL_PATCH_SIZE)),
        ("spatial_merge_size", json!(MERGE_SIZE)),
        ("in_channels", json!(CHANNELS)),
        ("hidden_act", json!("gelu_pytorch_tanh")),
    ] {
        vision.expect(key, &value)?;
    }
    if let Some(rope) = vision.object("rope_parameters", "vision_config.rope_parameters.")? {
        // Written by transformers 5; older files have none of it and mean the same.
        rope.expect("rope_theta", &json!(10_000.0))?;
        rope.expect("rope_type", &json!("axial"))?;
    }
    let positions = vision.size("num_position_embeddings", max::SIDE * max::SIDE)?;
    let side = positions.isqrt();
    if side * side != positions {
        return Err(vision.invalid(format!("{positions} position embeddings are no square")));
    }
    let depth = vision.size("depth", max::LAYERS)?;
    let config = VisionConfig {
        hidden: vision.size("hidden_size", max::HIDDEN)?,
        depth,
        heads: vision.size("num_heads", max::HEADS)?,
        intermediate: vision.size("intermediate_size", max::INTERMEDIATE)?,
        out_hidden: vision.size("out_hidden_size", max::HIDDEN)?,
        side,
        deepstack: vision.sizes("deepstack_visual_indexes", depth)?,
        norm_eps: NORM_EPS,
    };
    checked(config).map_err(|what| vision.invalid(what))
}

/// Reads the metadata of an mmproj file.
///
/// # Errors
/// For the vision part of another family, missing keys and values out of range.
pub(crate) fn read_mmproj(file: &Gguf) -> Result<VisionConfig, LoadError> {
    let architecture = file.string("general.architecture")?;
    let projector = file.string("clip.projector_type").unwrap_or(architecture);
    if architecture != "clip" || projector != "qwen3vl_merger" {
        let found = projector.chars().take(40).collect();
        return Err(LoadError::Architecture { path: file.path().into(), found, supported: SUPPORTED });
    }
    for (key, value) in [
        ("clip.has_vision_encoder", 1),
        ("clip.use_gelu", 1),
        ("clip.vision.patch_size", PATCH_SIZE as i64),
        ("clip.vision.spatial_merge_size", MERGE_SIZE as i64),
    ] {
        match file.get(key) {
            Some(Value::Int(found)) if *found == value => (),
            _ => return Err(file.unsupported(format!("{key} is not {value}"))),
        }
    }
    for key in ["clip.vision.image_mean", "clip.vision.image_std"] {
        match file.get(key) {
            Some(Value::Floats(x)) if x.len() == CHANNELS && x.iter().all(|x| *x == NORMALISED) => (),
            _ => return Err(file.unsupported(format!("{key} is not {NORMALISED} for each colour"))),
        }
    }
    let size = |key: &str, max| file.size(&format!("clip.vision.{key}"), max);
    let depth = size("block_count", max::LAYERS)?;
    let flags = file.ints("clip.vision.is_deepstack_layers")?;
    if flags.len() != depth {
        return Err(file.invalid(format!("{} DeepStack flags for {depth} blocks", flags.len())));
    }
    let image = size("image_size", max::SIDE * PATCH_SIZE)?;
    if !image.is_multiple_of(PATCH_SIZE) {
        return Err(file.invalid(format!("an image size of {image} is no multiple of {PATCH_SIZE}")));
    }
    let config = VisionConfig {
        hidden: size("embedding_length", max::HIDDEN)?,
        depth,
        heads: size("attention.head_count", max::HEADS)?,
        intermediate: size("feed_forward_length", max::INTERMEDIATE)?,
        out_hidden: size("projection_dim", max::HIDDEN)?,
        // The key holds nothing but the side of the learned grid of positions, in pixels.
        side: image / PATCH_SIZE,
        deepstack: flags.iter().enumerate().filter(|(_, flag)| **flag != 0).map(|(i, _)| i).collect(),
        norm_eps: file.positive("clip.vision.attention.layer_norm_epsilon")? as f32,
    };
    checked(config).map_err(|what| file.invalid(what))
}
