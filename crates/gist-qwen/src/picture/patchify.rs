//! Cuts a pair of frames into the rows of the patch projection.

use super::{
    BLOCK, CHANNELS, Frame, MERGE_SIZE, PATCH_SIZE, PATCH_VALUES, PictureError, TEMPORAL_PATCH_SIZE, blocks,
};

/// `(p - 127.5) / 127.5` of every pixel value: mean and deviation of 0.5, fused with the division by 255 as in
/// transformers' `rescale_and_normalize`.
const VALUES: [f32; 256] = {
    let mut values = [0.0; 256];
    let mut p = 0;
    while p < 256 {
        values[p] = (p as f32 - 127.5) / 127.5;
        p += 1;
    }
    values
};

/// A pair, cut into patches.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Patches {
    /// `[h * w, 1536]`, in the order of [`patchify_into`].
    pub rows: Vec<f32>,
    /// Patches of the pair, `[h, w]`; `grid_thw` of a pair is `[1, h, w]`.
    pub grid_hw: [usize; 2],
}

/// [`patchify_into`] a fresh buffer.
///
/// # Errors
///
/// Those of [`patchify_into`].
pub fn patchify(first: &Frame<'_>, second: &Frame<'_>) -> Result<Patches, PictureError> {
    let mut rows = Vec::new();
    let grid_hw = patchify_into(first, second, &mut rows)?;
    Ok(Patches { rows, grid_hw })
}

/// Appends the rows of a pair to `rows` and returns its grid `[h, w]` in patches. A still picture is its own second
/// frame.
///
/// Rows are in the order (bh, bw, iy, ix): merge blocks row by row, and in each its 2x2 patches, so the four rows from
/// `4 * k` on become token `k`. Columns are (c, tau, py, px): colour, frame of the pair, place in the patch. Values are
/// in -1..=1. The order is that of `patchify` in transformers' Qwen3-VL video processor.
///
/// # Errors
///
/// [`PictureError::NotBlocks`], [`PictureError::SizesDiffer`]; `rows` is then left as it was.
pub fn patchify_into(
    first: &Frame<'_>,
    second: &Frame<'_>,
    rows: &mut Vec<f32>,
) -> Result<[usize; 2], PictureError> {
    let (wide, high) = blocks(first, second)?;
    let start = rows.len();
    let patches_per_block = MERGE_SIZE * MERGE_SIZE;
    rows.resize(start + wide * high * patches_per_block * PATCH_VALUES, 0.0);
    for (index, row) in rows[start..].chunks_exact_mut(PATCH_VALUES).enumerate() {
        let (block, inner) = (index / patches_per_block, index % patches_per_block);
        let y = (block / wide) * BLOCK + (inner / MERGE_SIZE) * PATCH_SIZE;
        let x = (block % wide) * BLOCK + (inner % MERGE_SIZE) * PATCH_SIZE;
        for (tau, frame) in [first, second].into_iter().enumerate() {
            for py in 0..PATCH_SIZE {
                let pixels = &frame.row(y + py)[x * CHANNELS..(x + PATCH_SIZE) * CHANNELS];
                for c in 0..CHANNELS {
                    let at = ((c * TEMPORAL_PATCH_SIZE + tau) * PATCH_SIZE + py) * PATCH_SIZE;
                    for (value, pixel) in
                        row[at..at + PATCH_SIZE].iter_mut().zip(pixels.chunks_exact(CHANNELS))
                    {
                        *value = VALUES[usize::from(pixel[c])];
                    }
                }
            }
        }
    }
    Ok([high * MERGE_SIZE, wide * MERGE_SIZE])
}
