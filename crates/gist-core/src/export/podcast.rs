//! Podcasting 2.0 JSON chapters, version 1.2.0 (`application/json+chapters`).

use serde_json::json;

use super::outline::{Outline, millis};
use super::text;
use crate::time::SECOND;

pub(super) fn render(outline: &Outline) -> String {
    let chapters: Vec<_> = outline
        .closed(SECOND / 1000)
        .into_iter()
        .map(|(chapter, span)| {
            json!({
                "startTime": millis(span.start),
                "endTime": millis(span.end),
                "title": chapter.title,
                "toc": true,
            })
        })
        .collect();
    let mut file = json!({ "version": "1.2.0", "chapters": chapters });
    let name = text::one_line(outline.stream());
    if !name.is_empty() {
        file["title"] = name.into();
    }
    format!("{file:#}\n")
}
