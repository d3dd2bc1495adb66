//! From decoded pictures to the rows that the vision tower of Qwen3-VL reads, exactly as Hugging Face transformers 5
//! prepares them.
//!
//! ```text
//! planes -> Frame -> Resizer -> TokenGate (streams only) -> patchify -> [h * w, 1536] rows
//!          (RGB u8)  (to fit or smart_resize)                           (and a stamp per pair)
//! ```
//!
//! * [`frame`], `yuv`: RGB pictures, from the layouts that decoders give
//! * [`size`]: to which size a picture is brought
//! * [`resize`]: bicubic, in the arithmetic of PyTorch
//! * [`mod@patchify`]: the order of the rows, and their numbers
//! * [`time`]: which frames of a recording are taken, and their time stamps
//! * [`gate`]: what changed since the model last saw it
//!
//! Two frames make a *pair*, the unit of time of the vision tower (`temporal_patch_size`); a still picture is a pair of
//! the same frame twice. A pair has patches of 16x16 pixels, and four patches, a *merge block* of 32x32 pixels, become
//! one token of the decoder. Sizes are `(width, height)` in pixels, unlike in the reference, which says height first.

pub mod frame;
pub mod gate;
pub mod patchify;
pub mod resize;
pub mod size;
#[cfg(test)]
mod tests;
pub mod time;
mod yuv;

pub use frame::{Frame, Packing, Plane};
pub use gate::{TokenGate, Tolerance};
pub use patchify::{Patches, patchify, patchify_into};
pub use resize::Resizer;
pub use size::{PixelBudget, fit, smart_resize_image, smart_resize_video};
pub use time::{FrameCount, pair_times, sample_indices, stamp};
pub use yuv::{YuvMatrix, YuvRange};

/// Side of a patch in pixels (`patch_size`). It and the two below are the same in all released checkpoints.
pub const PATCH_SIZE: usize = 16;
/// Frames in a pair (`temporal_patch_size`).
pub const TEMPORAL_PATCH_SIZE: usize = 2;
/// Patches along each side of a merge block (`spatial_merge_size`).
pub const MERGE_SIZE: usize = 2;
/// Side of a merge block in pixels. The sides of a picture for the model are multiples of it.
pub const BLOCK: usize = PATCH_SIZE * MERGE_SIZE;
/// Colours of a pixel.
pub const CHANNELS: usize = 3;
/// Values in a row: all colours and both frames of a patch.
pub const PATCH_VALUES: usize = CHANNELS * TEMPORAL_PATCH_SIZE * PATCH_SIZE * PATCH_SIZE;
/// Longest side that is accepted, in pixels. It bounds what a hostile header can make us allocate.
pub const MAX_SIDE: usize = 65_535;

/// Why a picture cannot be prepared for the model.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum PictureError {
    /// A side is 0.
    #[error("a picture of {width}x{height} pixels has nothing in it")]
    Empty {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// A side is longer than [`MAX_SIDE`].
    #[error("a picture of {width}x{height} pixels is too large: a side has at most {MAX_SIDE} pixels")]
    TooLarge {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// One side is more than 200 times the other, which the reference refuses.
    #[error(
        "a picture of {width}x{height} pixels is too narrow: a side may be 200 times the other, not more"
    )]
    TooNarrow {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// A video needs a pair of frames.
    #[error("a video of {0} frames is too short: it needs at least {TEMPORAL_PATCH_SIZE}")]
    TooFewFrames(usize),
    /// A plane ends before the picture does.
    #[error("the picture is cut off: its {plane} plane has {found} bytes, {needed} are needed")]
    ShortPlane {
        /// Which plane.
        plane: &'static str,
        /// Bytes that are there.
        found: usize,
        /// Bytes that the size and the stride ask for.
        needed: usize,
    },
    /// The rows of a plane overlap.
    #[error("the stride of the {plane} plane is {stride} bytes, its rows have {row}")]
    Stride {
        /// Which plane.
        plane: &'static str,
        /// Bytes from one row to the next.
        stride: usize,
        /// Bytes in a row.
        row: usize,
    },
    /// The sides are not multiples of [`BLOCK`].
    #[error("a picture of {width}x{height} pixels is not made of blocks of {BLOCK}x{BLOCK}; resize it first")]
    NotBlocks {
        /// Width in pixels.
        width: usize,
        /// Height in pixels.
        height: usize,
    },
    /// The two frames of a pair differ in size.
    #[error("the frames of a pair have different sizes: {first:?} and {second:?} pixels")]
    SizesDiffer {
        /// Width and height of the first.
        first: (usize, usize),
        /// Width and height of the second.
        second: (usize, usize),
    },
}

/// Refuses what has no pixels and what has too many.
fn check_size(width: usize, height: usize) -> Result<(), PictureError> {
    if width == 0 || height == 0 {
        Err(PictureError::Empty { width, height })
    } else if width.max(height) > MAX_SIDE {
        Err(PictureError::TooLarge { width, height })
    } else {
        Ok(())
    }
}

/// Width and height of a pair, in merge blocks.
fn blocks(first: &Frame<'_>, second: &Frame<'_>) -> Result<(usize, usize), PictureError> {
    let (width, height) = first.size();
    if (width, height) != second.size() {
        return Err(PictureError::SizesDiffer { first: first.size(), second: second.size() });
    }
    if !width.is_multiple_of(BLOCK) || !height.is_multiple_of(BLOCK) {
        return Err(PictureError::NotBlocks { width, height });
    }
    Ok((width / BLOCK, height / BLOCK))
}
