//! To which size a picture is brought before it is cut into patches.
//!
//! `smart_resize` of Hugging Face transformers 5, of `models/qwen2_vl` for images and of `models/qwen3_vl` for videos,
//! in f64 and in its order of operations, so that every size comes out the same.

use super::{BLOCK, MAX_SIDE, PictureError, TEMPORAL_PATCH_SIZE, check_size};

/// How many times the shorter side the longer one may be.
const MAX_RATIO: f64 = 200.0;
/// The per-frame cap of a video: 768 merge blocks.
const FRAME_CAP: u64 = 768 * BLOCK_PIXELS;
/// Pixels in a merge block.
const BLOCK_PIXELS: u64 = (BLOCK * BLOCK) as u64;

/// The bounds of a picture's size, in pixels (of a video: of all its frames together). They are `size.shortest_edge`
/// and `size.longest_edge` in the processor's files, which name pixel counts in spite of the words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PixelBudget {
    /// Smaller pictures are enlarged.
    pub min_pixels: u64,
    /// Larger pictures are reduced.
    pub max_pixels: u64,
}

impl PixelBudget {
    /// `preprocessor_config.json` of the released checkpoints: 64 to 16384 tokens.
    pub const IMAGE: Self = Self { min_pixels: 65_536, max_pixels: 16_777_216 };
    /// `video_preprocessor_config.json` of the released checkpoints: up to 12288 tokens.
    pub const VIDEO: Self = Self { min_pixels: 4096, max_pixels: 25_165_824 };
}

/// The size of a still picture: sides rounded to merge blocks (half to even), then brought into `budget`.
///
/// # Errors
///
/// [`PictureError::TooNarrow`] as in the reference; [`PictureError::Empty`] and [`PictureError::TooLarge`].
pub fn smart_resize_image(
    width: usize,
    height: usize,
    budget: PixelBudget,
) -> Result<(usize, usize), PictureError> {
    check_size(width, height)?;
    bring_into(budget, 1, 1, width, height)
}

/// The size of every frame of a video of `frames` sampled frames: `budget` is shared evenly, so the longer the video
/// the smaller its frames.
///
/// `cap_per_frame` is `cap_pixels_per_frame` of transformers 5: a frame of a short video has at most 768 tokens, as in
/// Qwen's own `qwen-vl-utils`.
///
/// # Errors
///
/// [`PictureError::TooFewFrames`] below 2, and those of [`smart_resize_image`].
pub fn smart_resize_video(
    frames: usize,
    width: usize,
    height: usize,
    mut budget: PixelBudget,
    cap_per_frame: bool,
) -> Result<(usize, usize), PictureError> {
    if frames < TEMPORAL_PATCH_SIZE {
        return Err(PictureError::TooFewFrames(frames));
    }
    check_size(width, height)?;
    let frames = frames as u64;
    if cap_per_frame {
        let least = (budget.min_pixels as f64 * 1.05) as u64;
        let share = FRAME_CAP.min(budget.max_pixels / frames);
        budget.max_pixels = share.max(least).saturating_mul(frames);
    }
    // Narrow pictures first grow to the width of one block.
    let (mut w, mut h) = (width, height);
    if width.min(height) < BLOCK {
        let scale = (BLOCK as f64 / height as f64).max(BLOCK as f64 / width as f64);
        (w, h) = ((width as f64 * scale) as usize, (height as f64 * scale) as usize);
    }
    let pairs = TEMPORAL_PATCH_SIZE as u64;
    let rounded = ((frames as f64 / pairs as f64).round_ties_even() as u64).saturating_mul(pairs);
    bring_into(budget, frames, rounded, w, h)
}

/// The common part. `frames` as they are, `rounded` to whole pairs: the reference compares with the rounded number and
/// scales by the other.
fn bring_into(
    budget: PixelBudget,
    frames: u64,
    rounded: u64,
    width: usize,
    height: usize,
) -> Result<(usize, usize), PictureError> {
    let block = BLOCK as f64;
    let (w, h) = (width as f64, height as f64);
    if w.max(h) / w.min(h) > MAX_RATIO {
        return Err(PictureError::TooNarrow { width, height });
    }
    let round = |side: f64| (side / block).round_ties_even() as u64 * BLOCK as u64;
    let (wide, high) = (round(w), round(h));
    let area = u128::from(rounded) * u128::from(wide) * u128::from(high);
    let pixels = (u128::from(frames) * width as u128 * height as u128) as f64;
    let (wide, high) = if area > u128::from(budget.max_pixels) {
        let beta = (pixels / budget.max_pixels as f64).sqrt();
        let reduce = |side: f64| ((side / beta / block).floor() as u64 * BLOCK as u64).max(BLOCK as u64);
        (reduce(w), reduce(h))
    } else if area < u128::from(budget.min_pixels) {
        let beta = (budget.min_pixels as f64 / pixels).sqrt();
        let enlarge = |side: f64| (side * beta / block).ceil() as u64 * BLOCK as u64;
        (enlarge(w), enlarge(h))
    } else {
        (wide, high)
    };
    Ok((wide as usize, high as usize))
}

/// The size of all frames of a streaming session, which has no last frame to share a budget with: the largest scale, at
/// most 1, at which both sides of the scaled picture, rounded to merge blocks, have `max_pixels` at most together.
///
/// So a side is half a block away from the true aspect at most (a picture thinner than half a block becomes one block
/// high), and nothing is enlarged except to whole blocks: a stream is paid for pair by pair, and small pictures hold no
/// more than they show. The area is never above that of [`smart_resize_image`] with [`PixelBudget::IMAGE`], nor above
/// `max_pixels` unless that is less than one block: the smallest size is 32x32. Any input has an answer.
pub fn fit(width: usize, height: usize, max_pixels: u64) -> (usize, usize) {
    let (width, height) = (width.clamp(1, MAX_SIDE), height.clamp(1, MAX_SIDE));
    let image = smart_resize_image(width, height, PixelBudget::IMAGE);
    let most = image.map_or(PixelBudget::IMAGE.max_pixels, |(w, h)| (w * h) as u64).min(max_pixels);
    let most = ((most / BLOCK_PIXELS) as usize).max(1);

    let block = BLOCK as f64;
    // Blocks of a side at a scale.
    let at = |side: usize, scale: f64| ((side as f64 * scale / block).round_ties_even() as usize).max(1);
    // From the widest: as high as the scales allow that round to this width, if the budget has room for the lowest.
    for wide in (1..=at(width, 1.0)).rev() {
        let scale = |blocks: f64| (blocks * block / width as f64).clamp(0.0, 1.0);
        let lowest = if wide == 1 { 1 } else { at(height, scale(wide as f64 - 0.5)) };
        let high = at(height, scale(wide as f64 + 0.5)).min(most / wide);
        if high >= lowest {
            return (wide * BLOCK, high * BLOCK);
        }
    }
    (BLOCK, BLOCK)
}
