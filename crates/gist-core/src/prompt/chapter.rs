//! What the model is asked for a chapter.

use std::ops::Range;

use serde_json::{Value, json};

use super::{flat, object, same_language, without_blanks};
use crate::model::SegmentId;
use crate::time::{Span, clock};

/// The most points a chapter has.
pub const MOST_POINTS: usize = 5;
/// The most letters of a summary, and of a point or conclusion.
pub(super) const SUMMARY: usize = 400;
pub(super) const SENTENCE: usize = 220;

/// What a chapter is written from.
#[derive(Debug)]
pub struct ChapterPrompt<'a> {
    /// Its segments.
    pub segments: Range<SegmentId>,
    /// Its parts, when it has more than one.
    pub parts: &'a [Range<SegmentId>],
    /// When.
    pub span: Span,
    /// Language of the text by full English name.
    pub language: &'a str,
    /// The user's own instructions.
    pub instructions: Option<&'a str>,
    /// On a retry what was wrong.
    pub avoid: Option<&'a str>,
    /// How many points there are already, where nothing else is wanted than more of them.
    pub points: Option<usize>,
}

impl ChapterPrompt<'_> {
    /// The question.
    pub fn text(&self) -> String {
        let Range { start, end } = self.segments;
        let mut text = format!(
            "Lines [{start}] to [{last}] ({from}–{to}) are one chapter of the stream. Write {what} in {language} for \
             people who missed it.\n",
            last = end.saturating_sub(1),
            from = clock(self.span.start),
            to = clock(self.span.end),
            what = if self.points.is_some() { "down its points" } else { "it up" },
            language = self.language,
        );
        let points = format!(
            "- points: the {least} to {most} most important statements in time order, each one short sentence of at \
             most 15 words in your own words, with names and numbers as they stand, and the numbers of the lines it \
             comes from\n",
            least = self.least_points(),
            most = self.most_points(),
        );
        if self.points.is_none() {
            text += &self.fields(&points);
        } else {
            text += &points;
        }
        if let Some(instructions) = self.instructions {
            text += &format!(
                "The reader also asks for this; follow it inside these fields: {}\n",
                flat(instructions)
            );
        }
        if let Some(avoid) = self.avoid {
            text += &format!("{avoid}\n");
        }
        text + &format!("Answer with one JSON object, its texts in {}.", self.language)
    }

    /// What each field is for. In a list English texts have more points that hold; in another language, and now and then
    /// in English, small models make "3 to 8 words that name …" the title, but not of sentences.
    fn fields(&self, points: &str) -> String {
        let listed = self.language.eq_ignore_ascii_case("English") && self.avoid.is_none();
        let head = if listed {
            "- title: 3 to 8 words that name this chapter's own subject, so concrete that no other chapter could bear it\n\
             - summary: one or two short sentences that state the facts themselves, as a newspaper does: who or what \
             does what, and why"
        } else {
            "The title names in 3 to 8 words what this chapter alone is about. The summary tells in one or two short \
             sentences who or what does what, and why."
        };
        let mut text = format!(
            "{head}\n\
             {points}\
             - keywords: 3 to 6 key terms of this chapter\n\
             - conclusion: one sentence with what follows from it\n"
        );
        if !self.parts.is_empty() {
            let lines =
                |part: &Range<SegmentId>| format!("[{}] to [{}]", part.start, part.end.saturating_sub(1));
            let parts: Vec<_> = self.parts.iter().map(lines).collect();
            text += &format!(
                "- parts: 3 to 8 words that name what is new in each of its parts, in this order: lines {}\n",
                parts.join("; ")
            );
        }
        text
    }

    /// A chapter of a line or two has no three things to say.
    fn least_points(&self) -> usize {
        let lines = self.segments.end.saturating_sub(self.segments.start);
        ((lines / 2).clamp(1, 3) as usize).saturating_sub(self.points.unwrap_or(0)).max(1)
    }

    fn most_points(&self) -> usize {
        MOST_POINTS.saturating_sub(self.points.unwrap_or(0)).max(self.least_points())
    }

    /// The schema of the answer: `title, summary, points[{lines, text}], keywords, conclusion`, and `parts[]` where there
    /// are some; only `points` where nothing else is wanted.
    pub fn schema(&self) -> Value {
        let line = json!({"type": "integer", "minimum": self.segments.start, "maximum": self.segments.end.saturating_sub(1)});
        let points = json!({
            "type": "array",
            "minItems": self.least_points(),
            "maxItems": self.most_points(),
            "items": object(json!({
                "lines": {"type": "array", "items": line, "minItems": 1, "maxItems": 3},
                "text": sentence(self.language, SENTENCE),
            })),
        });
        if self.points.is_some() {
            return object(json!({"points": points}));
        }
        let title = title(self.language);
        let mut fields = json!({
            "title": title,
            "summary": sentence(self.language, SUMMARY),
            "points": points,
            "keywords": {"type": "array", "minItems": 1, "maxItems": 6, "items": term()},
            "conclusion": sentence(self.language, SENTENCE),
        });
        let parts = self.parts.len();
        if parts > 0 {
            fields["parts"] = json!({"type": "array", "minItems": parts, "maxItems": parts, "items": title});
        }
        object(fields)
    }
}

/// A key term.
pub(super) fn term() -> Value {
    json!({"type": "string", "minLength": 1, "maxLength": 40})
}

/// Three to eight words for scripts that part words by blanks, thirty characters for those that don't.
pub(super) fn title(language: &str) -> Value {
    let pattern = if without_blanks(language) {
        r#"^[^\s"\\]{4,30}( [^\s"\\]{1,24}){0,3}$"#
    } else {
        r#"^[^\s"\\]{1,30}( [^\s"\\]{1,24}){2,7}$"#
    };
    json!({"type": "string", "pattern": pattern})
}

/// A text of at most so many letters. In Chinese and Japanese it is a third of that, as a character says more there, and
/// between its characters stand names in Latin letters but no sentences.
pub(super) fn sentence(language: &str, most: usize) -> Value {
    if ["Chinese", "Japanese"].iter().any(|name| same_language(name, language)) {
        let latin = r##"[ !#-\[\]-~]{0,24}"##;
        let pattern = format!(r"^({latin}[\u3001-\u9fff\uff01-\uff5e]){{4,{}}}$", most / 3);
        json!({"type": "string", "pattern": pattern})
    } else {
        json!({"type": "string", "minLength": 1, "maxLength": most})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_admits_only_lines_of_the_chapter() {
        let prompt = ChapterPrompt {
            segments: 3..9,
            parts: &[],
            span: Span::default(),
            language: "English",
            instructions: None,
            avoid: None,
            points: None,
        };
        let points = &prompt.schema()["properties"]["points"];
        let line = &points["items"]["properties"]["lines"]["items"];
        assert_eq!((line["minimum"].as_u64(), line["maximum"].as_u64()), (Some(3), Some(8)));
        assert_eq!(points["minItems"], 3);
        let parted = ChapterPrompt { parts: &[3..5, 5..9], segments: 3..9, ..prompt };
        assert_eq!(parted.schema()["properties"]["parts"]["minItems"], 2);
        assert!(parted.text().contains("lines [3] to [4]; [5] to [8]"), "{}", parted.text());
        assert!(prompt.schema()["properties"].get("parts").is_none() && !prompt.text().contains("parts"));
        let more = ChapterPrompt { points: Some(2), segments: 3..9, ..prompt };
        let schema = more.schema();
        assert_eq!(schema["required"], json!(["points"]), "{schema}");
        assert_eq!(
            (&schema["properties"]["points"]["minItems"], &schema["properties"]["points"]["maxItems"]),
            (&json!(1), &json!(3))
        );
        assert!(more.text().contains("the 1 to 3 most important") && !more.text().contains("summary"));
        let short = ChapterPrompt { segments: 3..5, ..prompt };
        assert_eq!(short.schema()["properties"]["points"]["minItems"], 1, "two lines hold no three points");
    }
}
