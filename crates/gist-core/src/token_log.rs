//! What a context was given, for whoever wants to see it: one line for each segment that enters or leaves.

use std::fmt;
use std::ops::Range;

use crate::model::SegmentId;

/// Something that entered or left a context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Logged {
    /// The prompt that stays for ever.
    Pinned {
        /// How many tokens it has.
        tokens: usize,
        /// The tokens as text.
        text: String,
    },
    /// A segment entered the window.
    Appended {
        /// Which one.
        segment: SegmentId,
        /// How many tokens it has.
        tokens: usize,
        /// From the position of its first token to that of whatever comes next. A picture takes fewer positions than
        /// it has tokens.
        positions: Range<i64>,
        /// The tokens as text; those that stand for a picture as `<|video_pad|>*112`.
        text: String,
    },
    /// A segment left the window.
    Evicted {
        /// Which one.
        segment: SegmentId,
        /// How many tokens it had.
        tokens: usize,
    },
    /// The text of a closed chapter entered the memory.
    Remembered {
        /// How many tokens it has.
        tokens: usize,
        /// How many tokens of older texts made room for it.
        dropped: usize,
        /// The tokens as text.
        text: String,
    },
    /// The oldest texts left the memory, merged into one that follows.
    Forgotten {
        /// How many.
        texts: usize,
        /// How many tokens they had.
        tokens: usize,
    },
    /// Window and memory were forgotten.
    Reset,
}

impl fmt::Display for Logged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Appended { segment, tokens, positions, text } => {
                let Range { start, end } = positions;
                write!(
                    f,
                    "segment {segment} enters: {tokens} tokens at {start}..{end}: {}",
                    text.escape_debug()
                )
            }
            Self::Evicted { segment, tokens } => write!(f, "segment {segment} leaves: {tokens} tokens"),
            Self::Pinned { tokens, text } => write!(f, "pinned: {tokens} tokens: {}", text.escape_debug()),
            Self::Remembered { tokens, dropped, text } => {
                write!(f, "the memory gets {tokens} tokens and drops {dropped}: {}", text.escape_debug())
            }
            Self::Forgotten { texts, tokens } => {
                write!(f, "the memory lets {texts} texts of {tokens} tokens go")
            }
            Self::Reset => f.write_str("window and memory are forgotten"),
        }
    }
}
