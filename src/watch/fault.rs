//! What panics: it is caught, told of, and gone on after.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::thread;

use crate::run::input::redact;

/// Lets panics go into the log, as everything does.
pub(super) fn log_panics() {
    std::panic::set_hook(Box::new(|panic| {
        let thread = thread::current();
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let why = in_words(panic.payload());
        tracing::error!(thread = thread.name().unwrap_or_default(), "panicked at {place}: {why}");
    }));
}

/// Runs what may panic; then it says why it did. What it works on has to be fit to be gone on with.
pub(super) fn caught<T>(work: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).map_err(|panic| in_words(&*panic))
}

/// In words, without secrets.
fn in_words(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    redact(text.unwrap_or("no reason was given"))
}

/// Panics when a test asks for it: once for each file named like the stream in the folder
/// `STREAMGIST_TEST_FAULTS`. A release does not.
pub(super) fn injected(stream: &str) {
    if cfg!(debug_assertions)
        && let Some(folder) = std::env::var_os("STREAMGIST_TEST_FAULTS")
        && std::fs::remove_file(std::path::Path::new(&folder).join(stream)).is_ok()
    {
        panic!("a test wants it");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_is_caught_and_told_without_secrets() {
        assert_eq!(caught(|| 1), Ok(1));
        let why = caught(|| panic!("can't open {}", "rtsp://u:secret@cam/1")).expect_err("panics");
        assert!(why.contains("can't open") && !why.contains("secret"), "{why}");
    }
}
