//! FFmpeg's metadata file, section CHAPTER (ffmpeg-formats, "Metadata").

use super::{Outline, text};
use crate::time::SECOND;

const MILLISECOND: u64 = SECOND / 1000;

pub(super) fn render(outline: &Outline) -> String {
    let mut file = String::from(";FFMETADATA1\n");
    for (chapter, span) in outline.closed(MILLISECOND) {
        let (start, end) = (span.start / MILLISECOND, span.end / MILLISECOND);
        let title = text::ffmetadata(&chapter.title);
        file += &format!("\n[CHAPTER]\nTIMEBASE=1/1000\nSTART={start}\nEND={end}\ntitle={title}\n");
    }
    file
}
