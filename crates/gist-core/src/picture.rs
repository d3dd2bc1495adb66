//! Pictures for models that see.

use std::sync::Arc;

/// Two pictures of one size, taken one after the other: the unit of time of a model that sees.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row without padding: `3 * width * height` bytes each.
    pub frames: [Arc<[u8]>; 2],
}

/// What of a picture that did not change is encoded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Gate {
    /// All of it.
    Off,
    /// Nothing, unless something changed since the last picture that was kept.
    #[default]
    Frames,
    /// Only the parts that changed since they were last kept.
    Tokens,
}

/// What became of a pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Seen {
    /// It shows what is known.
    Unchanged,
    /// It was encoded.
    Segment {
        /// The segment it became.
        segment: crate::model::SegmentId,
        /// Share of the picture that changed since it was last kept, 0 to 1.
        changed: f32,
    },
}
