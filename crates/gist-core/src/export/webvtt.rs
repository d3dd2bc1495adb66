//! WebVTT chapters (W3C WebVTT §4.5): cues must not overlap and must end after they start.

use super::outline::{Outline, timecode};
use super::text;
use crate::time::SECOND;

pub(super) fn render(outline: &Outline) -> String {
    let mut file = String::from("WEBVTT\n");
    for (number, (chapter, span)) in (1..).zip(outline.closed(SECOND / 1000)) {
        let (start, end) = (timecode(span.start, 3), timecode(span.end, 3));
        file += &format!("\n{number}\n{start} --> {end}\n{}\n", text::markup(&chapter.title));
    }
    file
}
