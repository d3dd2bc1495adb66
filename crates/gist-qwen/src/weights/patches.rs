//! The patch embedding: a convolution over patches that do not overlap is a matrix.

use super::Raw;
use crate::picture::{CHANNELS, PATCH_SIZE, PATCH_VALUES, TEMPORAL_PATCH_SIZE};

/// The name of the matrix `[hidden, 1536]`, whose columns are (colour, frame, y, x).
pub(super) const PATCHES: &str = "v.patch_embd.weight";
/// Pixels of one colour and frame.
const PIXELS: usize = PATCH_SIZE * PATCH_SIZE;

/// How the hub stores it: a convolution over three axes.
pub(super) fn is_convolution(shape: &[usize]) -> bool {
    matches!(shape, [_, rest @ ..] if rest == [CHANNELS, TEMPORAL_PATCH_SIZE, PATCH_SIZE, PATCH_SIZE])
}

/// GGUF has no such convolution and stores one over two axes, `[hidden, 3, 16, 16]`, for each frame of the pair: puts
/// both together again. `None` when the parts are not of that shape or of different types.
pub(super) fn join(first: &Raw, second: &Raw) -> Option<Raw> {
    let [hidden, CHANNELS, PATCH_SIZE, PATCH_SIZE] = first.shape[..] else { return None };
    if first.shape != second.shape || first.dtype != second.dtype || first.dtype.block_size() != 1 {
        return None;
    }
    let plane = PIXELS * first.dtype.type_size();
    let planes = first.bytes.chunks_exact(plane).zip(second.bytes.chunks_exact(plane));
    let bytes = planes.flat_map(|(a, b)| [a, b]).flatten().copied().collect();
    Some(Raw { dtype: first.dtype, shape: vec![hidden, PATCH_VALUES], bytes })
}
