//! Settings of a session. They map one to one onto the properties of `gistsummarizer`.

use std::borrow::Cow;

use crate::prompt::preset::Preset;
use crate::time::SECOND;

/// How many chapters an hour are wanted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Granularity {
    /// About 6 an hour.
    Coarse,
    /// About 12 to 18 an hour.
    #[default]
    Normal,
    /// About 30 an hour.
    Fine,
}

/// How a digest of a period is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DigestStyle {
    /// A few sentences, and the titles of the chapters.
    #[default]
    Brief,
    /// More sentences, and the chapters with their points.
    Detailed,
    /// Topics, results and open questions, as of a meeting.
    Minutes,
}

/// Settings of a session; all may change while it runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Instructions to begin with.
    pub preset: Preset,
    /// The user's own instructions for the texts, in any language.
    pub prompt: Option<String>,
    /// Language of the texts by full English name (`Chinese`), or `auto` for that of the talk or prompt.
    pub language: String,
    /// How many chapters an hour.
    pub granularity: Granularity,
    /// No chapter is shorter, in nanoseconds (but for the last one).
    pub min_chapter_duration: u64,
    /// No chapter is longer, in nanoseconds.
    pub max_chapter_duration: u64,
    /// How long after a possible boundary the decision waits for evidence, in nanoseconds.
    pub look_ahead: u64,
    /// How much of the stream a digest sums up, in nanoseconds; 0 for none but the one at the end.
    pub digest_interval: u64,
    /// How it is written.
    pub digest_style: DigestStyle,
    /// Whether chapter texts are written at all; without, chapters carry times alone.
    pub write: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            preset: Preset::None,
            prompt: None,
            language: "auto".into(),
            granularity: Granularity::Normal,
            min_chapter_duration: 20 * SECOND,
            max_chapter_duration: 900 * SECOND,
            look_ahead: 30 * SECOND,
            digest_interval: 0,
            digest_style: DigestStyle::default(),
            write: true,
        }
    }
}

impl Config {
    /// What the texts are asked to be: the preset's instructions and the user's own.
    pub fn instructions(&self) -> Option<Cow<'_, str>> {
        match (self.preset.instructions(), self.prompt.as_deref()) {
            (Some(preset), Some(prompt)) => Some(format!("{preset} {prompt}").into()),
            (one, other) => one.or(other).map(Cow::Borrowed),
        }
    }

    /// The words whose language the texts are written in when none is set: the user's own, else the preset's.
    pub fn words_of_the_user(&self) -> Option<&str> {
        self.prompt.as_deref().or(self.preset.instructions())
    }
}
