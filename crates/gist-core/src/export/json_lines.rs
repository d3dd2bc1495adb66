//! `gist-chapters-v1`, one object a line: the last state of each closed chapter and each digest.

use super::Outline;

pub(super) fn render(outline: &Outline) -> String {
    outline.events().into_iter().map(|event| event.to_json() + "\n").collect()
}
