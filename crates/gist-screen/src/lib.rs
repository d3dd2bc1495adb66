//! Text on the picture: change test and OCR.
//!
//! Pictures come in at about one a second. Reading one takes some hundred milliseconds, so it is only done when the
//! picture *changed* and then *settled* ([`watch`], on 64×36 block means), and only when it has edges like text.
//! What was read is compared with what was on the screen before ([`page`]); only the
//! rest comes out, as a [`ScreenText`].
//!
//! ```no_run
//! use gist_screen::{Options, Picture, ScreenReader};
//! let mut reader = ScreenReader::new(Options::default())?;
//! # let frames: Vec<(u64, Picture)> = Vec::new();
//! for (running_time, picture) in frames {
//!     if let Some(screen) = reader.look(running_time, &picture)? {
//!         // `screen.since` is when the slide came up, `screen.text` what is new on it.
//!         assert!(!screen.text.is_empty());
//!     }
//! }
//! # Ok::<(), gist_screen::Error>(())
//! ```

mod ocr;
pub mod page;
mod picture;
mod reader;
mod scale;
mod texture;
mod threads;
pub mod watch;

pub use picture::{Format, Picture};
pub use reader::{Options, ScreenReader, ScreenText};

/// What can go wrong with reading the screen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The language data of Tesseract is missing.
    #[error("no Tesseract data for the language '{language}'; install it with: apt-get install {package}")]
    Language {
        /// Tesseract's code, such as `chi_sim`.
        language: String,
        /// The Debian package that has it.
        package: String,
    },
    /// The buffer is shorter than its format, size and stride say.
    #[error(
        "a {width}x{height} picture with a stride of {stride} bytes needs {needed} bytes and has {actual}"
    )]
    Length {
        /// Pixels in a row.
        width: usize,
        /// Rows.
        height: usize,
        /// Bytes from row to row.
        stride: usize,
        /// Bytes such a picture takes; `usize::MAX` when that overflows.
        needed: usize,
        /// Bytes there are.
        actual: usize,
    },
    /// Tesseract failed.
    #[error("Tesseract: {0}")]
    Ocr(String),
}
