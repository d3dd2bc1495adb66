//! The Hadamard rotation of values in 4 bits: it spreads a channel that sticks out over all, so that the scale of a
//! block fits all of its numbers. It is its own inverse, and what attention makes of rotated values is rotated back.
//!
//! Keys are not rotated: their large channels are large alike in all tokens of a page, which a scale for each channel
//! takes care of and a rotation would spoil (docs/tuning.md has the numbers).

/// Rotates a head in place, in blocks of the largest power of two that divides its width.
pub(crate) fn rotate(x: &mut [f32]) {
    let block = 1 << x.len().trailing_zeros();
    let scale = 1.0 / (block as f32).sqrt();
    for x in x.chunks_exact_mut(block) {
        let mut half = 1;
        while half < block {
            for pair in x.chunks_exact_mut(2 * half) {
                let (low, high) = pair.split_at_mut(half);
                for (a, b) in low.iter_mut().zip(high) {
                    (*a, *b) = (*a + *b, *a - *b);
                }
            }
            half *= 2;
        }
        x.iter_mut().for_each(|x| *x *= scale);
    }
}
