//! Slides with a title, drawn as those that `models/nano-vl` was trained on, from a seed, with the DejaVu fonts of Debian
//! (`fonts-dejavu-core`) and no library of the system: the same seed and fonts give the same pixels, so that what another
//! program said of them can be kept in a file.

mod draw;
mod exam;
mod random;

pub use draw::{Artist, SIZE, Slide};
pub use exam::{Stream, streams, titles};
pub use random::Random;
