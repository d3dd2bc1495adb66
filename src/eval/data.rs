//! The chapter data sets: one session a line.

use std::io::{BufRead, Read};
use std::path::Path;

use anyhow::{Context, bail};
use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::time::{Span, nanoseconds};
use serde::Deserialize;

/// One recorded session with its human chapters.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Item {
    /// Name.
    pub(crate) id: String,
    /// Length in seconds.
    pub(crate) duration: f64,
    /// Human chapters; the first begins at 0.
    pub(crate) chapters: Vec<Mark>,
    /// The transcript.
    pub(crate) lines: Vec<Line>,
    /// Slides, in data sets that have them.
    #[serde(default)]
    pub(crate) slides: Vec<Line>,
}

/// Where a chapter begins.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Mark {
    /// Seconds.
    pub(crate) t: f64,
    /// As people wrote it.
    #[serde(default)]
    pub(crate) title: Option<String>,
}

/// A line of transcript, or a slide.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Line {
    /// Start in seconds.
    pub(crate) t: f64,
    /// End in seconds.
    pub(crate) end: f64,
    /// What is said or shown.
    pub(crate) text: String,
    /// A new speaker begins.
    #[serde(default)]
    pub(crate) turn: bool,
}

/// No session is this long: ten days of talk are 10 MB.
const MAX_LINE: u64 = 64 << 20;

/// Reads a data set, at most `limit` sessions.
///
/// # Errors
/// Names the line that is not what it should be.
pub(crate) fn read(path: &Path, limit: Option<usize>) -> anyhow::Result<Vec<Item>> {
    let file = std::fs::File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let mut file = std::io::BufReader::new(file);
    let mut items = Vec::new();
    let mut line = String::new();
    for i in 1.. {
        if limit.is_some_and(|limit| items.len() >= limit) {
            break;
        }
        let at = || format!("{}, line {i}", path.display());
        line.clear();
        if file.by_ref().take(MAX_LINE).read_line(&mut line).with_context(at)? == 0 {
            break;
        }
        if line.len() as u64 == MAX_LINE {
            bail!("{} is longer than any session", at());
        }
        if line.trim().is_empty() {
            continue;
        }
        let item: Item = serde_json::from_str(&line).with_context(at)?;
        item.check().with_context(at)?;
        items.push(item);
    }
    if items.is_empty() {
        bail!("{} holds no session", path.display());
    }
    Ok(items)
}

impl Item {
    fn check(&self) -> anyhow::Result<()> {
        if !(self.duration.is_finite() && self.duration > 0.0 && self.duration < 1e7) {
            bail!("the duration {} is not a length of time", self.duration);
        }
        let times = self.lines.iter().chain(&self.slides).flat_map(|l| [l.t, l.end]);
        if times.chain(self.chapters.iter().map(|c| c.t)).any(|t| !t.is_finite() || t.abs() > 1e7) {
            bail!("a time is not a number of seconds");
        }
        Ok(())
    }

    /// Leaves out what comes after so many seconds.
    pub(crate) fn cut(&mut self, seconds: f64) {
        self.duration = self.duration.min(seconds);
        let end = self.duration;
        self.chapters.retain(|chapter| chapter.t < end);
        for lines in [&mut self.lines, &mut self.slides] {
            lines.retain(|line| line.t < end);
            lines.iter_mut().for_each(|line| line.end = line.end.min(end));
        }
    }

    /// The true boundaries: chapter starts after 0, in order.
    pub(crate) fn boundaries(&self) -> Vec<f64> {
        let mut truth: Vec<f64> =
            self.chapters.iter().map(|c| c.t).filter(|&t| t > 0.0 && t < self.duration).collect();
        truth.sort_by(f64::total_cmp);
        truth.dedup();
        truth
    }

    /// What there is to observe, in order of start.
    pub(crate) fn observations(&self) -> Vec<Observation> {
        let observation = |line: &Line, source| Observation {
            source,
            span: Span::new(nanoseconds(line.t), nanoseconds(line.end)),
            text: line.text.trim().to_owned(),
            turn: line.turn,
        };
        let speech = self.lines.iter().map(|line| observation(line, Source::Speech));
        let slides = self.slides.iter().map(|line| observation(line, Source::Screen));
        let mut all: Vec<_> = slides.chain(speech).filter(|o| !o.text.is_empty()).collect();
        all.sort_by_key(|o| o.span.start);
        all
    }
}

/// For each observation the running-time up to which everything is known once it was taken: a line is complete when
/// it ends, but what follows may begin before that.
pub(crate) fn known_until(observations: &[Observation]) -> impl Iterator<Item = u64> + '_ {
    let next = observations.iter().skip(1).map(|o| o.span.start).chain(std::iter::once(u64::MAX));
    observations.iter().zip(next).map(|(o, next)| o.span.end.min(next).max(o.span.start))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_text(text: &str) -> anyhow::Result<Vec<Item>> {
        let file = tempfile::NamedTempFile::new()?;
        std::fs::write(file.path(), text)?;
        read(file.path(), None)
    }

    const GOOD: &str =
        r#"{"id":"a","duration":60.0,"chapters":[{"t":0},{"t":30}],"lines":[{"t":0,"end":5,"text":"x"}]}"#;

    #[test]
    fn a_malformed_line_is_named() {
        for bad in ["{", r#"{"id":"a"}"#, &GOOD.replace("60.0", "-1"), &GOOD.replace("60.0", "1e300")] {
            let error = read_text(&format!("{GOOD}\n\n{bad}\n")).expect_err(bad);
            assert!(format!("{error:#}").contains("line 3"), "{error:#}");
        }
        assert_eq!(read_text(GOOD).unwrap()[0].boundaries(), [30.0]);
        assert!(read_text("\n").is_err());
    }

    #[test]
    fn a_line_is_known_when_it_ends_but_not_beyond_the_start_of_the_next() {
        let item = |lines: &str| {
            read_text(&GOOD.replace(r#"{"t":0,"end":5,"text":"x"}"#, lines)).unwrap().remove(0).observations()
        };
        let two = item(r#"{"t":0,"end":5,"text":"x"},{"t":4,"end":9,"text":"y"}"#);
        let known: Vec<u64> = known_until(&two).map(|t| t / 1_000_000_000).collect();
        assert_eq!(known, [4, 9]);
    }
}
