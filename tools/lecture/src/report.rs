//! `lecture report`: found against true chapters.

use crate::launch_log::closed_before_eos;
use crate::matching::{median, pair};
use crate::talk::Truth;
use anyhow::{Context, Result};
use gist_core::ChapterEvent;
use gist_core::event::Kind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A boundary found within this of a true one, in seconds, is right.
const TOLERANCE: f64 = 5.0;

/// What is compared.
pub(crate) struct Inputs {
    pub(crate) truth: PathBuf,
    pub(crate) chapters: PathBuf,
    pub(crate) log: PathBuf,
    /// Seconds the pipeline took.
    pub(crate) wall: Option<f64>,
}

/// What comes out. Boundaries are inner ones: the start of the first chapter is no finding.
#[derive(Debug, Serialize)]
struct Report {
    r#true: usize,
    found: usize,
    matched_within_5s: usize,
    r#false: usize,
    emitted_while_playing: usize,
    decision_delay_median_s: Option<f64>,
    lag_median_s: Option<f64>,
    realtime_factor: Option<f64>,
    chapters: Vec<Found>,
}

/// A found chapter, and the true one that begins where it begins.
#[derive(Debug, Serialize)]
struct Found {
    start: f64,
    end: Option<f64>,
    title: String,
    true_start: Option<f64>,
    true_title: Option<String>,
    difference_s: Option<f64>,
}

/// Reads, compares, prints a table and writes the report.
pub(crate) fn report(inputs: &Inputs, out: &Path) -> Result<()> {
    let read = |path: &Path| {
        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        anyhow::Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let truth: Truth = serde_json::from_str(&read(&inputs.truth)?)
        .with_context(|| format!("{} is not the truth of a lecture", inputs.truth.display()))?;
    let chapters = closed(&read(&inputs.chapters)?)
        .with_context(|| format!("{} is not gist-chapters-v1", inputs.chapters.display()))?;
    let while_playing =
        closed_before_eos(&read(&inputs.log)?).with_context(|| inputs.log.display().to_string())?;
    let report = compare(&truth, &chapters, while_playing, inputs.wall);
    print(&truth, &report);
    std::fs::write(out, serde_json::to_string_pretty(&report)? + "\n")
        .with_context(|| format!("cannot write {}", out.display()))
}

/// The closed chapters in order of their start, each as last revised.
fn closed(lines: &str) -> Result<Vec<ChapterEvent>> {
    let mut chapters = BTreeMap::new();
    for (number, line) in lines.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let event: ChapterEvent =
            serde_json::from_str(line).with_context(|| format!("line {}", number + 1))?;
        if matches!(event.kind, Kind::Closed | Kind::Revised) {
            chapters.insert(event.id.clone(), event);
        }
    }
    let mut chapters: Vec<_> = chapters.into_values().collect();
    chapters.sort_by(|a, b| a.start.total_cmp(&b.start));
    Ok(chapters)
}

fn compare(truth: &Truth, chapters: &[ChapterEvent], while_playing: usize, wall: Option<f64>) -> Report {
    let true_inner = truth.chapters.get(1..).unwrap_or_default();
    let true_times: Vec<f64> = true_inner.iter().map(|chapter| chapter.t).collect();
    let found_times: Vec<f64> = chapters.iter().skip(1).map(|chapter| chapter.start).collect();
    let pairs = pair(&true_times, &found_times, TOLERANCE);
    let matched = pairs.iter().flatten().count();
    // Which true chapter a found one begins; the first ones belong together.
    let truth_of = |found: usize| match found.checked_sub(1) {
        None => truth.chapters.first(),
        Some(inner) => pairs.iter().position(|pair| *pair == Some(inner)).map(|index| &true_inner[index]),
    };
    let found = chapters.iter().enumerate().map(|(index, chapter)| Found {
        start: chapter.start,
        end: chapter.end,
        title: chapter.title.clone(),
        true_start: truth_of(index).map(|truth| truth.t),
        true_title: truth_of(index).map(|truth| truth.title.clone()),
        difference_s: truth_of(index).map(|truth| rounded(chapter.start - truth.t)),
    });
    // A chapter that ends at an inner boundary is one that has a successor.
    let ended = || chapters.iter().zip(chapters.iter().skip(1));
    let seconds = |from: u64, to: u64| (to as f64 - from as f64) / 1e9;
    let delay = ended().filter_map(|(chapter, next)| Some(seconds(next.running_time, chapter.decided_at?)));
    let lag = ended().filter_map(|(chapter, _)| Some(seconds(chapter.end_running_time?, chapter.emitted_at)));
    Report {
        r#true: true_times.len(),
        found: found_times.len(),
        matched_within_5s: matched,
        r#false: found_times.len() - matched,
        emitted_while_playing: while_playing,
        decision_delay_median_s: median(delay.collect()).map(rounded),
        lag_median_s: median(lag.collect()).map(rounded),
        realtime_factor: wall.filter(|wall| *wall > 0.0).map(|wall| rounded(truth.duration / wall)),
        chapters: found.collect(),
    }
}

/// To milliseconds.
fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

/// True chapters with what was found for them, and between them what was found and is not true.
fn print(truth: &Truth, report: &Report) {
    let mut rows: Vec<(f64, [String; 5])> = Vec::new();
    for chapter in &truth.chapters {
        let found = report.chapters.iter().find(|found| found.true_start == Some(chapter.t));
        let columns = match found {
            Some(found) => {
                [clock(found.start), format!("{:+.1}", found.difference_s.unwrap_or(0.0)), title(found)]
            }
            None => ["-".into(), "-".into(), "(missed)".into()],
        };
        let [at, difference, text] = columns;
        rows.push((chapter.t, [clock(chapter.t), at, difference, chapter.title.clone(), text]));
    }
    for found in report.chapters.iter().filter(|found| found.true_start.is_none()) {
        rows.push((found.start, ["-".into(), clock(found.start), "-".into(), "(none)".into(), title(found)]));
    }
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let width = rows.iter().map(|(_, row)| row[3].chars().count()).max().unwrap_or(0);
    println!("{:>7} {:>7} {:>6}  {:width$}  found title", "true", "found", "diff s", "true title");
    for (_, [at, found, difference, title, text]) in &rows {
        println!("{at:>7} {found:>7} {difference:>6}  {title:width$}  {text}");
    }
    let number = |value: Option<f64>| value.map_or("-".to_string(), |value| format!("{value:.1}"));
    println!(
        "{} of {} inner boundaries within {TOLERANCE} s, {} false; {} chapters emitted while it played",
        report.matched_within_5s, report.r#true, report.r#false, report.emitted_while_playing
    );
    println!(
        "median decision delay {} s, median lag of the text {} s, {} times real time",
        number(report.decision_delay_median_s),
        number(report.lag_median_s),
        number(report.realtime_factor)
    );
}

/// Titles come from a model: no control characters to the terminal.
fn title(found: &Found) -> String {
    found.title.chars().filter(|c| !c.is_control()).collect()
}

fn clock(seconds: f64) -> String {
    gist_core::time::clock(gist_core::time::nanoseconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::talk::TrueChapter;

    fn truth(times: &[f64]) -> Truth {
        let chapter = |t: &f64| TrueChapter { t: *t, title: format!("true {t}") };
        Truth { duration: 400.0, chapters: times.iter().map(chapter).collect(), slides: Vec::new() }
    }

    /// Closed chapters from `start` to `end` seconds, decided 20 s and emitted 30 s after their end.
    fn lines(spans: &[(f64, f64)]) -> String {
        let ns = |seconds: f64| (seconds * 1e9) as u64;
        let line = |(index, &(start, end)): (usize, &(f64, f64))| {
            format!(
                "{{\"schema\":\"gist-chapters-v1\",\"sequence\":{index},\"type\":\"closed\",\"id\":\"c{index}\",\
                 \"index\":{index},\"revision\":0,\"title\":\"found\",\"running-time\":{},\"end-running-time\":{},\
                 \"start\":{start},\"end\":{end},\"emitted-at\":{},\"decided-at\":{},\"prompt-revision\":0}}\n",
                ns(start),
                ns(end),
                ns(end + 30.0),
                ns(end + 20.0)
            )
        };
        spans.iter().enumerate().map(line).collect()
    }

    #[test]
    fn inner_boundaries_are_compared() {
        let chapters = closed(&lines(&[(0.2, 63.0), (63.0, 90.0), (90.0, 207.0), (207.0, 400.0)])).unwrap();
        let report = compare(&truth(&[0.0, 60.0, 130.0, 205.0]), &chapters, 3, Some(100.0));
        assert_eq!((report.r#true, report.found, report.matched_within_5s, report.r#false), (3, 3, 2, 1));
        assert_eq!(report.emitted_while_playing, 3);
        assert_eq!((report.decision_delay_median_s, report.lag_median_s), (Some(20.0), Some(30.0)));
        assert_eq!(report.realtime_factor, Some(4.0));
        assert_eq!(report.chapters[3].true_title.as_deref(), Some("true 205"));
        assert_eq!(report.chapters[3].difference_s, Some(2.0));
        assert_eq!((report.chapters[0].difference_s, report.chapters[2].true_start), (Some(0.2), None));
    }

    #[test]
    fn one_chapter_for_all_finds_nothing() {
        let chapters = closed(&lines(&[(0.0, 400.0)])).unwrap();
        let report = compare(&truth(&[0.0, 60.0]), &chapters, 0, None);
        assert_eq!((report.r#true, report.found, report.matched_within_5s, report.r#false), (1, 0, 0, 0));
        assert_eq!((report.decision_delay_median_s, report.realtime_factor), (None, None));
        let nothing = compare(&truth(&[0.0, 60.0]), &[], 0, None);
        assert_eq!(nothing.found, 0);
    }

    #[test]
    fn the_last_revision_counts_and_open_chapters_do_not() {
        let text = lines(&[(0.0, 60.0)]);
        let revised = text.replace("closed", "revised").replace("found", "better");
        let opened = lines(&[(9.0, 9.0)]).replace("closed", "opened").replace("c0", "c9");
        let chapters = closed(&format!("{text}\n{revised}{opened}")).unwrap();
        assert_eq!(chapters.len(), 1);
        assert_eq!(chapters[0].title, "better");
        assert!(closed("{\"half").is_err());
    }

    #[test]
    fn the_report_has_exactly_the_fields_that_were_agreed() {
        let report = compare(&truth(&[0.0]), &[], 0, None);
        let value = serde_json::to_value(report).unwrap();
        let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        let mut agreed = [
            "true",
            "found",
            "matched_within_5s",
            "false",
            "emitted_while_playing",
            "decision_delay_median_s",
            "lag_median_s",
            "realtime_factor",
            "chapters",
        ];
        agreed.sort_unstable();
        assert_eq!(keys, agreed);
    }
}
