//! What changed since the model last saw it.
//!
//! A recorded talk shows the same slide for minutes. A gate compares what comes with what was last *kept*, not with
//! what came last: so a picture that drifts slowly is kept again once it has drifted far enough, and noise around a
//! standing picture never adds up.
//!
//! Frames are compared each in its place. So the pair after one in whose middle the picture changed is kept as well: the
//! model has seen what is new only mixed with what was before, and cannot read it. And a cursor that blinks in step with
//! the pairs is nothing new.

use super::{BLOCK, CHANNELS, Frame, PictureError, blocks};

/// Side of a spot in pixels.
const SPOT: usize = 8;
/// Values of a row of a spot.
const SPOT_ROW: usize = SPOT * CHANNELS;

/// How much a block may differ from the kept one and still count as the same. In levels of 0 to 255, as means of the
/// absolute differences of all values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tolerance {
    /// Mean over the 32x32 pixels of a block.
    pub block: f32,
    /// Mean over the 8x8 pixels of any of its 16 spots: a letter is lost in the mean of its block, not in that of its
    /// spot.
    pub spot: f32,
}

impl Default for Tolerance {
    /// Above what a video codec's noise and its key frames change, below a letter. Judged, not measured.
    fn default() -> Self {
        Self { block: 5.0, spot: 12.0 }
    }
}

impl Tolerance {
    /// The largest sums of differences that are tolerated, of a block and of a spot. What is not a number tolerates
    /// nothing.
    fn sums(self) -> (u32, u32) {
        let sum = |mean: f32, pixels: usize| (f64::from(mean) * (pixels * CHANNELS) as f64) as u32;
        (sum(self.block, BLOCK * BLOCK), sum(self.spot, SPOT * SPOT))
    }
}

/// The pair that was last kept, at each block on its own.
#[derive(Clone, Debug, Default)]
struct Kept {
    /// Width and height in pixels; 0 before the first pair.
    size: (usize, usize),
    /// Both frames.
    frames: [Vec<u8>; 2],
}

/// Tells which tokens of a pair changed since they were last kept.
#[derive(Clone, Debug, Default)]
pub struct TokenGate {
    tolerance: Tolerance,
    kept: Kept,
}

impl TokenGate {
    /// A gate that has seen nothing.
    pub fn new(tolerance: Tolerance) -> Self {
        Self { tolerance, kept: Kept::default() }
    }

    /// The tokens of the pair to keep, ascending, as indices into its merge blocks row by row (token `k` is made of
    /// the rows from `4 * k` on of [`patchify`](super::patchify())). The first pair, and the first of a new size, is
    /// kept whole.
    ///
    /// # Errors
    ///
    /// [`PictureError::NotBlocks`], [`PictureError::SizesDiffer`]; the gate is then as before.
    pub fn keep(&mut self, first: &Frame<'_>, second: &Frame<'_>) -> Result<Vec<usize>, PictureError> {
        let (wide, high) = blocks(first, second)?;
        if self.kept.size != first.size() {
            self.kept.replace(first, second);
            return Ok((0..wide * high).collect());
        }
        let mut tokens = Vec::new();
        for token in 0..wide * high {
            if self.kept.differs(token, first, second, self.tolerance.sums()) {
                self.kept.replace_block(token, first, second);
                tokens.push(token);
            }
        }
        Ok(tokens)
    }

    /// Forgets what was kept: the next pair is kept whole.
    pub fn reset(&mut self) {
        self.kept.size = (0, 0);
    }
}

impl Kept {
    fn replace(&mut self, first: &Frame<'_>, second: &Frame<'_>) {
        self.size = first.size();
        for (kept, frame) in self.frames.iter_mut().zip([first, second]) {
            kept.clear();
            kept.extend_from_slice(frame.pixels());
        }
    }

    fn replace_block(&mut self, token: usize, first: &Frame<'_>, second: &Frame<'_>) {
        for (kept, frame) in self.frames.iter_mut().zip([first, second]) {
            for row in block_rows(token, self.size.0) {
                kept[row.clone()].copy_from_slice(&frame.pixels()[row]);
            }
        }
    }

    /// Whether block `token` of a pair of this size shows what the kept one did not.
    fn differs(&self, token: usize, first: &Frame<'_>, second: &Frame<'_>, sums: (u32, u32)) -> bool {
        let mut frames = self.frames.iter().zip([first, second]);
        !frames.all(|(kept, frame)| is_same(token, self.size.0, kept, frame.pixels(), sums))
    }
}

/// Where the 32 rows of a block are in the pixels of a frame that is `width` pixels wide.
fn block_rows(token: usize, width: usize) -> impl Iterator<Item = std::ops::Range<usize>> {
    let wide = width / BLOCK;
    let (top, left) = (token / wide * BLOCK, token % wide * BLOCK);
    (top..top + BLOCK).map(move |y| {
        let start = (y * width + left) * CHANNELS;
        start..start + BLOCK * CHANNELS
    })
}

/// Whether a block is the same in two frames that are `width` pixels wide, within sums of differences for the block
/// and for a spot.
fn is_same(token: usize, width: usize, a: &[u8], b: &[u8], (block_sum, spot_sum): (u32, u32)) -> bool {
    let mut total = 0;
    let mut spots = [0; BLOCK / SPOT];
    for (y, row) in block_rows(token, width).enumerate() {
        let (a, b) = (a[row.clone()].as_chunks::<SPOT_ROW>().0, b[row].as_chunks::<SPOT_ROW>().0);
        for ((spot, a), b) in spots.iter_mut().zip(a).zip(b) {
            *spot += a.iter().zip(b).map(|(a, b)| u32::from(a.abs_diff(*b))).sum::<u32>();
        }
        if (y + 1) % SPOT == 0 {
            if spots.iter().any(|&spot| spot > spot_sum) {
                return false;
            }
            total += spots.iter().sum::<u32>();
            spots.fill(0);
        }
    }
    total <= block_sum
}
