//! Chapters in the formats other programs read.
//!
//! An [`Outline`] folds the events of a session into the chapters as they stand; [`render`] writes it out whole. All
//! text came from a model and is untrusted, so each format cleans and escapes it ([`text`]).

mod ffmetadata;
mod json_lines;
mod markdown;
mod matroska;
mod outline;
mod podcast;
pub mod text;
mod webvtt;
mod youtube;

use std::fmt;
use std::str::FromStr;

pub use outline::{Chapter, Outline};

/// A file format for chapters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Format {
    /// One event a line, `gist-chapters-v1`.
    #[default]
    JsonLines,
    /// WebVTT for `<track kind="chapters">`.
    WebVtt,
    /// FFmpeg's metadata file, for `ffmpeg -i video -i file -map_chapters 1`.
    FfMetadata,
    /// Lines for a YouTube description; empty when YouTube's rules cannot be met.
    YouTube,
    /// Podcasting 2.0 JSON chapters, version 1.2.0.
    PodcastJson,
    /// Matroska chapters, for `mkvmerge --chapters`.
    MatroskaXml,
    /// A page for people: chapters with points, and the digest.
    Markdown,
}

impl Format {
    /// All formats.
    pub const ALL: [Self; 7] = [
        Self::JsonLines,
        Self::WebVtt,
        Self::FfMetadata,
        Self::YouTube,
        Self::PodcastJson,
        Self::MatroskaXml,
        Self::Markdown,
    ];

    /// The name used on command lines and in properties.
    pub fn nick(self) -> &'static str {
        match self {
            Self::JsonLines => "json-lines",
            Self::WebVtt => "webvtt",
            Self::FfMetadata => "ffmetadata",
            Self::YouTube => "youtube",
            Self::PodcastJson => "podcast-json",
            Self::MatroskaXml => "matroska-xml",
            Self::Markdown => "markdown",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.nick())
    }
}

/// A name that is none of [`Format`]'s.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "no format is called '{0}'; there are json-lines, webvtt, ffmetadata, youtube, podcast-json, matroska-xml and markdown"
)]
pub struct UnknownFormat(String);

impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|format| format.nick() == name).ok_or_else(|| UnknownFormat(name.into()))
    }
}

/// The whole file in `format`, as the outline stands. Chapters that have not ended appear only in Markdown.
pub fn render(format: Format, outline: &Outline) -> String {
    match format {
        Format::JsonLines => json_lines::render(outline),
        Format::WebVtt => webvtt::render(outline),
        Format::FfMetadata => ffmetadata::render(outline),
        Format::YouTube => youtube::render(outline),
        Format::PodcastJson => podcast::render(outline),
        Format::MatroskaXml => matroska::render(outline),
        Format::Markdown => markdown::render(outline),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{ChapterEvent, Kind};
    use crate::time::SECOND;

    /// A closed chapter from `start` to `end` in seconds.
    pub(super) fn event(index: u64, start: u64, end: u64, title: &str) -> ChapterEvent {
        ChapterEvent {
            title: title.into(),
            running_time: start * SECOND,
            duration: Some((end - start) * SECOND),
            start: start as f64,
            end: Some(end as f64),
            ..ChapterEvent::new(Kind::Closed, &format!("s-{index}"), index, index)
        }
    }

    fn outline(chapters: &[(u64, u64, &str)]) -> Outline {
        (0..).zip(chapters).map(|(index, &(start, end, title))| event(index, start, end, title)).collect()
    }

    #[test]
    fn nicks_round_trip() {
        for format in Format::ALL {
            assert_eq!(format.to_string().parse(), Ok(format));
        }
        assert!("mp3".parse::<Format>().is_err());
    }

    #[test]
    fn an_open_chapter_is_only_in_markdown() {
        let mut open = event(0, 0, 60, "Now");
        open.kind = Kind::Opened;
        let outline: Outline = [open].into_iter().collect();
        for format in Format::ALL {
            assert_eq!(render(format, &outline).contains("Now"), format == Format::Markdown, "{format}");
        }
    }

    #[test]
    fn youtube_merges_what_is_shorter_than_ten_seconds_and_keeps_the_longer_title() {
        let outline = outline(&[
            (3, 8, "Hello"),
            (8, 60, "Aims"),
            (60, 64, "Hm"),
            (64, 100, "Means"),
            (100, 180, "Ends"),
            (180, 185, "Bye"),
        ]);
        assert_eq!(render(Format::YouTube, &outline), "0:00 Aims\n1:00 Means\n1:40 Ends\n");
    }

    #[test]
    fn youtube_is_empty_rather_than_broken() {
        assert_eq!(render(Format::YouTube, &outline(&[(0, 60, "A"), (60, 120, "B")])), "");
        assert_eq!(render(Format::YouTube, &outline(&[(0, 5, "A"), (5, 9, "B"), (9, 12, "C")])), "");
    }

    #[test]
    fn youtube_uses_one_time_format_and_fills_a_late_start() {
        let outline = outline(&[(30, 600, "at 5:00"), (600, 3600, "B <b>"), (3600, 4000, "C")]);
        assert_eq!(
            render(Format::YouTube, &outline),
            "0:00:00 Start\n0:00:30 at 5.00\n0:10:00 B ‹b›\n1:00:00 C\n"
        );
    }

    #[test]
    fn webvtt_escapes_the_arrow() {
        let outline = outline(&[(0, 61, "a --> b & <c>")]);
        assert_eq!(
            render(Format::WebVtt, &outline),
            "WEBVTT\n\n1\n00:00:00.000 --> 00:01:01.000\na --&gt; b &amp; &lt;c&gt;\n"
        );
    }

    #[test]
    fn ffmetadata_escapes_its_specials() {
        let file = render(Format::FfMetadata, &outline(&[(0, 61, "a=b;c#d\\e\nf")]));
        assert_eq!(
            file,
            ";FFMETADATA1\n\n[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=61000\ntitle=a\\=b\\;c\\#d\\\\e f\n"
        );
    }

    #[test]
    fn markdown_has_headings_links_points_keywords_quote_and_digest() {
        let chapter: ChapterEvent = {
            let mut chapter = event(0, 0, 95, "Aims [1]");
            chapter.stream = "Talk".into();
            chapter.summary = "What it is for.".into();
            chapter.points =
                serde_json::from_str(r#"[{"text":"Save time","start":5,"end":20.5}]"#).expect("points");
            chapter.keywords = vec!["aim".into(), "plan".into()];
            chapter.conclusion = "It pays.".into();
            chapter
        };
        let mut digest = event(9, 0, 95, "");
        digest.kind = Kind::Digest;
        digest.is_final = true;
        digest.text = "**Assessment.** Clear. <script>\n\n## Further study\n\n1. Read *more*".into();
        let page = render(Format::Markdown, &[chapter, digest].into_iter().collect());
        assert_eq!(
            page,
            "# Talk\n\n## [0:00–1:35](#t=0,95) Aims \\[1\\]\n\nWhat it is for.\n\n\
             1. Save time [0:05–0:20](#t=5,20.5)\n\n**Keywords:** aim, plan\n\n> It pays.\n\n\
             ## Digest\n\n**Assessment.** Clear. \\<script\\>\n\n### Further study\n\n1. Read \\*more\\*\n"
        );
    }
}
