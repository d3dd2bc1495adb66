//! What the sinks read.

use gist_core::{ChapterEvent, event};

/// Reads one line of `gist-chapters-v1`.
///
/// # Errors
/// Why it is none.
pub(crate) fn read(line: &str) -> Result<ChapterEvent, String> {
    let event: ChapterEvent = serde_json::from_str(line).map_err(|error| error.to_string())?;
    if event.schema == event::SCHEMA {
        Ok(event)
    } else {
        Err(format!("its schema is '{}', not '{}'", event.schema, event::SCHEMA))
    }
}
