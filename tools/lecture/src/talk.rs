//! A lecture as data: chapters of slides of sentences. And when each of them comes, once the sentences are spoken.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Silence after a sentence, and after the last one of a chapter, in seconds.
const PAUSE: f64 = 0.35;
const CHAPTER_PAUSE: f64 = 0.9;

/// A lecture. The words are a real talk's own.
#[derive(Debug, Deserialize)]
pub(crate) struct Talk {
    /// In order.
    pub(crate) chapters: Vec<Chapter>,
}

/// A chapter as the people who transcribed the talk set it.
#[derive(Debug, Deserialize)]
pub(crate) struct Chapter {
    /// Their title.
    pub(crate) title: String,
    /// In order.
    pub(crate) slides: Vec<Slide>,
}

/// What is shown, and what is said meanwhile.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Slide {
    /// Without one, the slide before stays up.
    pub(crate) heading: Option<String>,
    /// Key phrases of the sentences.
    #[serde(default)]
    pub(crate) phrases: Vec<String>,
    /// Said while it is up.
    pub(crate) sentences: Vec<String>,
}

/// A sentence with its times in seconds.
#[derive(Debug)]
pub(crate) struct Spoken {
    pub(crate) text: String,
    pub(crate) start: f64,
    pub(crate) end: f64,
}

/// When everything comes.
#[derive(Debug)]
pub(crate) struct Timeline {
    pub(crate) spoken: Vec<Spoken>,
    /// Each slide that comes up, with its time.
    pub(crate) slides: Vec<(f64, Slide)>,
    pub(crate) truth: Truth,
}

/// What is true of the lecture, times in seconds.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Truth {
    pub(crate) duration: f64,
    pub(crate) chapters: Vec<TrueChapter>,
    pub(crate) slides: Vec<TrueSlide>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct TrueChapter {
    pub(crate) t: f64,
    pub(crate) title: String,
}

#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct TrueSlide {
    pub(crate) t: f64,
    pub(crate) heading: String,
}

impl Talk {
    pub(crate) fn read(path: &Path) -> Result<Self> {
        let text =
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        let talk: Self =
            serde_json::from_str(&text).with_context(|| format!("{} is not a lecture", path.display()))?;
        let first = talk.chapters.first().and_then(|chapter| chapter.slides.first());
        ensure!(first.is_some_and(|slide| slide.heading.is_some()), "the first slide needs a heading");
        let silent = |chapter: &Chapter| chapter.slides.iter().all(|slide| slide.sentences.is_empty());
        ensure!(!talk.chapters.iter().any(silent), "a chapter has no sentences");
        Ok(talk)
    }

    /// All sentences in order.
    pub(crate) fn sentences(&self) -> impl Iterator<Item = &String> {
        self.chapters.iter().flat_map(|chapter| &chapter.slides).flat_map(|slide| &slide.sentences)
    }

    /// Lays everything out; `durations` has the seconds of each sentence.
    pub(crate) fn timeline(&self, durations: &[f64]) -> Timeline {
        let (mut spoken, mut slides, mut chapters) = (Vec::new(), Vec::new(), Vec::new());
        let (mut t, mut durations) = (0.0, durations.iter());
        for chapter in &self.chapters {
            chapters.push(TrueChapter { t, title: chapter.title.clone() });
            for slide in &chapter.slides {
                if slide.heading.is_some() {
                    slides.push((t, slide.clone()));
                }
                for text in &slide.sentences {
                    let end = t + durations.next().copied().unwrap_or(0.0);
                    spoken.push(Spoken { text: text.clone(), start: t, end });
                    t = end + PAUSE;
                }
            }
            t += CHAPTER_PAUSE - PAUSE;
        }
        let heading = |(t, slide): &(f64, Slide)| TrueSlide {
            t: *t,
            heading: slide.heading.clone().unwrap_or_default(),
        };
        let truth = Truth { duration: t, chapters, slides: slides.iter().map(heading).collect() };
        Timeline { spoken, slides, truth }
    }
}

impl Timeline {
    /// The transcript as WebVTT captions.
    pub(crate) fn webvtt(&self) -> String {
        let mut vtt = String::from("WEBVTT\n");
        for line in &self.spoken {
            let text = line.text.replace('&', "&amp;").replace('<', "&lt;");
            vtt += &format!("\n{} --> {}\n{text}\n", timestamp(line.start), timestamp(line.end));
        }
        vtt
    }
}

fn timestamp(seconds: f64) -> String {
    let ms = (seconds * 1000.0).round() as u64;
    format!("{:02}:{:02}:{:02}.{:03}", ms / 3_600_000, ms / 60_000 % 60, ms / 1000 % 60, ms % 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn talk() -> Talk {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/talks/demo-lecture.json");
        Talk::read(Path::new(path)).unwrap()
    }

    /// What `make demo` promises about its lecture.
    #[test]
    fn the_demo_lecture_has_enough_slides_and_one_chapter_that_begins_without_one() {
        let talk = talk();
        let timeline = talk.timeline(&vec![5.0; talk.sentences().count()]);
        let truth = &timeline.truth;
        assert_eq!(truth.chapters.len(), 6);
        assert!(truth.slides.len() > 2 * truth.chapters.len());
        let starts_with_slide = |c: &&TrueChapter| truth.slides.iter().any(|s| s.t == c.t);
        assert_eq!(truth.chapters.iter().filter(starts_with_slide).count(), 5);
        let mut headings: Vec<_> = truth.slides.iter().map(|s| &s.heading).collect();
        headings.sort();
        headings.dedup();
        assert_eq!(headings.len(), truth.slides.len(), "each slide has a heading of its own");
        assert!(timeline.slides.iter().all(|(_, slide)| (3..=4).contains(&slide.phrases.len())));
    }

    #[test]
    fn times_follow_the_sentences_and_their_pauses() {
        let slide = |heading: Option<&str>, sentences: &[&str]| Slide {
            heading: heading.map(String::from),
            phrases: Vec::new(),
            sentences: sentences.iter().map(|s| s.to_string()).collect(),
        };
        let talk = Talk {
            chapters: vec![
                Chapter { title: "A".into(), slides: vec![slide(Some("One"), &["a < b", "c"])] },
                Chapter { title: "B".into(), slides: vec![slide(None, &["d"]), slide(Some("Two"), &["e"])] },
            ],
        };
        let timeline = talk.timeline(&[1.0, 2.0, 3.0, 4.0]);
        let near = |a: f64, b: f64| assert!((a - b).abs() < 1e-9, "{a} is not {b}");
        near(timeline.truth.chapters[1].t, 1.0 + 0.35 + 2.0 + 0.9);
        near(timeline.truth.slides[1].t, 4.25 + 3.0 + 0.35);
        near(timeline.truth.duration, 7.6 + 4.0 + 0.9);
        assert!(
            timeline
                .webvtt()
                .starts_with("WEBVTT\n\n00:00:00.000 --> 00:00:01.000\na &lt; b\n\n00:00:01.350")
        );
    }
}
