//! Keys and values in pages of 64 tokens, shared by reference count: a fork is a clone of the page lists, and a page
//! is copied only when one of its holders writes to it.
//!
//! The page being filled holds floats. Once it is full it is sealed: packed in the context's [`KvType`] and from then
//! on only read. Scales can so be chosen over a whole page: for keys one for each channel over the 64 tokens, because
//! some channels of the Qwen family's keys are far larger than others; for values one for each token and
//! 32 channels. In 4 bits values are rotated first (see `rotation`).
//!
//! * `layout`: how large what is and where it lies
//! * `panel`: the order of numbers the kernels read, and packing
//! * `saved`: to a file and back
//! * `pool`, `page`, `region`, `cache`: buffers, 64 tokens, a run of tokens, all of a stream

mod cache;
mod layout;
mod page;
mod panel;
mod pool;
mod region;
pub(crate) mod rotation;
mod saved;
#[cfg(test)]
mod tests;

pub(crate) use cache::{Cache, Section, Target};
pub use cache::{SinkPositions, Work};
pub(crate) use layout::Part;
pub use layout::{KvType, Layout};
pub(crate) use page::Page;
pub(crate) use panel::{Half, VALUE_BLOCK};
pub use pool::Pool;
pub(crate) use region::Region;
pub(crate) use saved::Saved;

/// Tokens in a page.
pub const PAGE: usize = 64;
