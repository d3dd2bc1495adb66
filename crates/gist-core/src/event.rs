//! `gist-chapters-v1`: what comes out, one object per change.

use serde::{Deserialize, Serialize};

/// The value of the `schema` field.
pub const SCHEMA: &str = "gist-chapters-v1";

/// What happened to the chapter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A chapter began; it has a start and no text yet.
    Opened,
    /// The open chapter's text or end changed.
    Updated,
    /// The chapter ended and its text is written.
    Closed,
    /// A closed chapter was changed once more.
    Revised,
    /// A digest of a period.
    Digest,
}

/// Why the chapter ended where it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The topic changed, by the words or by the model's own judgement.
    Model,
    /// The picture changed with the topic.
    Slide,
    /// The captions marked it (a new speaker, a long pause).
    Caption,
    /// It had reached `max-chapter-duration`.
    MaxDuration,
    /// Nothing came for longer than `gap-threshold`.
    Gap,
    /// The picture format changed.
    Caps,
    /// A new segment began (a seek).
    Segment,
    /// The stream ended.
    Eos,
    /// The user asked for it.
    Manual,
}

/// One point of a chapter, with the span of the segments it was taken from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// The point.
    pub text: String,
    /// Start in seconds of stream-time.
    pub start: f64,
    /// End in seconds of stream-time.
    pub end: f64,
}

/// A titled part of a chapter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Subchapter {
    /// Title.
    pub title: String,
    /// Start in seconds of stream-time.
    pub start: f64,
    /// End in seconds of stream-time.
    pub end: f64,
}

/// What the chapter is based on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Coverage {
    /// Sampled frames that were looked at.
    pub frames: u64,
    /// Sampled frames that were dropped.
    pub frames_dropped: u64,
    /// Lines of transcript.
    pub text_lines: u64,
    /// Nanoseconds without any input.
    pub gap_ns: u64,
}

/// One line of `gist-chapters-v1`. Fields without a value are left out.
///
/// Integer times are nanoseconds; `start` and `end` are the stream-time in seconds, for people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct ChapterEvent {
    /// Always [`SCHEMA`].
    pub schema: String,
    /// `stream-name`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub stream: String,
    /// `session-id`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub session: String,
    /// Counts the events of a session from 0.
    pub sequence: u64,
    /// What happened.
    #[serde(rename = "type")]
    pub kind: Kind,
    /// Stable and never reused.
    pub id: String,
    /// 0-based position of the chapter; a digest repeats the next chapter's.
    pub index: u64,
    /// 0 when first closed, one more for each revision.
    pub revision: u32,
    /// At most 8 words; empty while open.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// One or two sentences.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub summary: String,
    /// What was said, with spans.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub points: Vec<Point>,
    /// Points the model wrote besides, which were left out: the lines do not bear them out, or they repeat another.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub points_dropped: u64,
    /// Key terms.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub keywords: Vec<String>,
    /// What the chapter comes to.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub conclusion: String,
    /// Parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub subchapters: Vec<Subchapter>,
    /// Start as buffer timestamp (PTS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp: Option<u64>,
    /// Start as stream-time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stream_time: Option<u64>,
    /// Start as running-time.
    pub running_time: u64,
    /// Absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// Absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end_running_time: Option<u64>,
    /// Start in seconds of stream-time.
    pub start: f64,
    /// End in seconds of stream-time, absent while open.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<f64>,
    /// RFC 3339 with milliseconds, live streams only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallclock_start: Option<String>,
    /// RFC 3339 with milliseconds, live streams only.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallclock_end: Option<String>,
    /// `reference` (a timestamp of the sender) or `clock` (of this machine).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wallclock_source: Option<String>,
    /// Running-time the stream had reached when this was emitted.
    pub emitted_at: u64,
    /// Running-time up to which everything was known when the end was decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decided_at: Option<u64>,
    /// `emitted-at` minus the end of the chapter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lag: Option<u64>,
    /// Why it ended there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Reason>,
    /// The text is missing or incomplete; `error` says why.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub partial: bool,
    /// Why it is partial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// What it is based on.
    #[serde(default)]
    pub coverage: Coverage,
    /// Tokens the text took to write.
    #[serde(default)]
    pub tokens: u64,
    /// Name of the model.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub model: String,
    /// Language of the text by full English name.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub language: String,
    /// Counts the changes of the prompt.
    pub prompt_revision: u32,
    /// Digest only: start of the period, running-time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_start: Option<u64>,
    /// Digest only: end of the period, running-time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub period_end: Option<u64>,
    /// Digest only: the last one of the session.
    #[serde(default, rename = "final", skip_serializing_if = "std::ops::Not::not")]
    pub is_final: bool,
    /// Digest only: Markdown.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}

impl ChapterEvent {
    /// An event with nothing but its name.
    pub fn new(kind: Kind, id: &str, index: u64, sequence: u64) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            stream: String::new(),
            session: String::new(),
            sequence,
            kind,
            id: id.to_owned(),
            index,
            revision: 0,
            title: String::new(),
            summary: String::new(),
            points: Vec::new(),
            points_dropped: 0,
            keywords: Vec::new(),
            conclusion: String::new(),
            subchapters: Vec::new(),
            timestamp: None,
            stream_time: None,
            running_time: 0,
            duration: None,
            end_running_time: None,
            start: 0.0,
            end: None,
            wallclock_start: None,
            wallclock_end: None,
            wallclock_source: None,
            emitted_at: 0,
            decided_at: None,
            lag: None,
            reason: None,
            partial: false,
            error: None,
            coverage: Coverage::default(),
            tokens: 0,
            model: String::new(),
            language: String::new(),
            prompt_revision: 0,
            period_start: None,
            period_end: None,
            is_final: false,
            text: String::new(),
        }
    }

    /// One line of JSON, without the newline.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("plain data serialises")
    }
}
