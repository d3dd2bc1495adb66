//! `streamgist eval`: how well chapters of recorded sessions are found, against those that people set.
//!
//! * [`data`]: the data sets
//! * [`examples`]: lines that begin a chapter, and lines that do not
//! * [`metrics`]: the figures for one session's boundaries
//! * [`texts`]: those for its texts, by how alike texts are ([`likeness`])
//! * [`kept`]: sessions that are done, so that a run goes on where it was stopped
//! * [`watch`]: a session played through the detector, or through the whole session with the model
//! * [`report`]: the figures for a data set

pub(crate) mod data;
pub(crate) mod examples;
mod kept;
mod likeness;
pub(crate) mod metrics;
mod report;
mod texts;
mod watch;

pub(crate) use watch::embedder;

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use gist_core::Config;
use gist_core::time::seconds;
use indicatif::{ProgressBar, ProgressStyle};
use kept::{Kept, Settings};
use watch::{Watched, Watcher};

use crate::cli::exit::Class;
use crate::cli::stream::{Preset, duration, name_of};

/// Measures chapters against those that people set
///
/// The data is JSON lines, one session a line: {"id", "duration", "chapters": [{"t"}], "lines": [{"t", "end", "text"}]},
/// times in seconds, the first chapter at 0. What is measured is explained in docs/quality.md.
#[derive(Args, Debug)]
pub(crate) struct EvalArgs {
    /// The data set
    #[arg(value_name = "DATA.jsonl")]
    pub(crate) data: PathBuf,
    /// Takes only the first N sessions
    #[arg(long, value_name = "N")]
    pub(crate) limit: Option<usize>,
    /// Leaves out the first N sessions
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub(crate) skip: usize,
    /// Plays only the beginning of each session: 15m
    #[arg(long, value_name = "TIME", value_parser = duration)]
    pub(crate) first: Option<u64>,
    /// Language of the texts by full English name (Chinese); auto is that of the talk
    #[arg(long, value_name = "LANGUAGE", default_value = "auto")]
    pub(crate) language: String,
    /// Instructions for a kind of stream [default: none]
    #[arg(long, value_enum)]
    pub(crate) preset: Option<Preset>,
    /// Keeps each session that is done in this file; those that are there are not run again
    #[arg(long, value_name = "FILE", conflicts_with = "boundaries_only")]
    pub(crate) keep: Option<PathBuf>,
    /// Writes where each session's boundaries are and were found, to look at what was missed: lines of
    /// {"id", "truth", "found"}, times in seconds
    #[arg(long, value_name = "FILE")]
    pub(crate) found: Option<PathBuf>,
    /// Prints one JSON object instead of a table
    #[arg(long)]
    pub(crate) json: bool,
    /// Finds the boundaries and writes no texts; needs no model, but asks one where in doubt when --model names it
    #[arg(long)]
    pub(crate) boundaries_only: bool,
    /// The model that writes and is asked: a name of `streamgist model list`, a repository of the hub
    /// that was pulled, a path, or `mock`
    #[arg(long, value_name = "MODEL")]
    pub(crate) model: Option<String>,
    /// Decides by words alone, even if the embedding model (all-minilm-l6-v2) is there
    #[arg(long)]
    pub(crate) words_only: bool,
}

/// Measures and prints.
///
/// # Errors
/// When the data cannot be read (the message names the line), or the model cannot be loaded or fails.
pub(crate) fn run(args: &EvalArgs) -> anyhow::Result<()> {
    let limit = args.limit.map(|limit| limit.saturating_add(args.skip));
    let mut items = data::read(&args.data, limit).map_err(|why| Class::Input.failure(format!("{why:#}")))?;
    items.drain(..args.skip.min(items.len()));
    if let Some(first) = args.first {
        items.iter_mut().for_each(|item| item.cut(seconds(first)));
    }
    let preset = args.preset.and_then(|preset| name_of(&preset)).unwrap_or_else(|| "none".into());
    let config = Config {
        write: !args.boundaries_only,
        language: args.language.clone(),
        preset: gist_core::prompt::preset::Preset::of(&preset).unwrap_or_default(),
        ..Config::default()
    };
    let embed = if args.words_only { None } else { embedder()? };
    let watcher = Watcher::new(args.model.as_deref(), config, embed.clone())?;
    let settings = Settings {
        model: watcher.model().unwrap_or_default().to_owned(),
        language: args.language.clone(),
        preset,
        first: args.first.map(seconds),
        words_only: args.words_only,
    };
    let kept = args.keep.as_deref().map(|path| Kept::open(path, settings)).transpose()?;
    let mut found = args.found.as_deref().map(create).transpose()?;
    let bar = ProgressBar::new(items.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")?);
    let mut report = report::Report::default();
    for item in &items {
        bar.set_message(item.id.clone());
        let watched = match kept.as_ref().and_then(|kept| kept.get(&item.id)) {
            Some(events) => Watched::of(events),
            None => {
                let watched = watcher.watch(item)?;
                if let Some(kept) = &kept {
                    kept.add(&item.id, &watched.closed)?;
                }
                watched
            }
        };
        if let Some(file) = &mut found {
            let told = serde_json::json!({
                "id": item.id, "truth": item.boundaries(), "found": watched.boundaries,
            });
            writeln!(file, "{told}").context("cannot write what was found")?;
        }
        report.add(item, &watched, embed.as_deref());
        bar.inc(1);
    }
    bar.finish_and_clear();
    if args.json {
        outln!("{}", serde_json::to_string(&report.figures())?);
    } else {
        out!("{report}");
    }
    Ok(())
}

fn create(path: &Path) -> anyhow::Result<File> {
    File::create(path).map_err(|why| Class::Input.failure(format!("cannot write {}: {why}", path.display())))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gist_core::boundary::Embed;

    use super::*;

    fn measure(name: &str, model: Option<&str>) -> report::Figures {
        measure_with(name, model, None)
    }

    fn measure_with(name: &str, model: Option<&str>, embed: Option<Arc<dyn Embed>>) -> report::Figures {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chapters/");
        let watcher = Watcher::new(model, Config { write: false, ..Config::default() }, embed).unwrap();
        let mut report = report::Report::default();
        for item in &data::read(&PathBuf::from(format!("{data}{name}.jsonl")), None).unwrap() {
            report.add(item, &watcher.watch(item).unwrap(), None);
        }
        report.figures()
    }

    /// A change of the detector that moves these has to say so, and to measure on all of the data.
    #[test]
    fn the_figures_of_a_small_slice_are_what_they_were() {
        let near = |found: f64, was: f64| assert!((found - was).abs() < 0.02, "{found:.3}, was {was}");
        let talks = measure("talks", None);
        near(talks.f1, 0.190);
        near(talks.boundary_f1_30, 0.427);
        near(talks.window_diff, 0.406);
        let screen = measure("screenshare", None);
        near(screen.f1, 0.429);
        near(screen.boundary_f1_30, 0.4);
        assert!(talks.delay_median_s.is_some_and(|delay| (25.0..40.0).contains(&delay)));
    }

    /// The same with embeddings, which lie beside the slice (`fit-boundary --fill`).
    #[test]
    fn the_figures_with_embeddings_are_what_they_were() {
        let near = |found: f64, was: f64| assert!((found - was).abs() < 0.02, "{found:.3}, was {was}");
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chapters/features.bin");
        let cache = gist_embed::cache::Cache::open(file.as_ref(), None).unwrap();
        let cache: Arc<dyn Embed> = Arc::new(cache);
        let talks = measure_with("talks", None, Some(cache.clone()));
        near(talks.f1, 0.282);
        near(talks.boundary_f1_30, 0.486);
        let screen = measure_with("screenshare", None, Some(cache));
        near(screen.f1, 0.600);
        near(screen.boundary_f1_30, 0.8);
        assert!(talks.delay_median_s.is_some_and(|delay| delay <= 30.0));
    }

    #[test]
    fn the_json_has_the_promised_fields() {
        let value = serde_json::to_value(measure("screenshare", None)).unwrap();
        for field in [
            "f1",
            "f1_50",
            "boundary_f1_5",
            "boundary_f1_30",
            "window_diff",
            "pk",
            "delay_median_s",
            "false_per_hour",
            "items",
            "hours",
        ] {
            assert!(value.get(field).is_some_and(|v| v.is_number()), "{field}");
        }
    }

    #[test]
    fn texts_are_measured_where_some_were_written() {
        let data = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/chapters/screenshare.jsonl");
        let item = data::read(&PathBuf::from(data), None).unwrap().remove(0);
        let watcher = Watcher::new(Some("mock"), Config::default(), None).unwrap();
        let watched = watcher.watch(&item).unwrap();
        let mut report = report::Report::default();
        report.add(&item, &watched, None);
        let texts = report.figures().texts.expect("figures of the texts");
        assert_eq!(texts.chapters, watched.closed.len());
        assert!(texts.points > 0 && texts.points_judged <= texts.points);
        // The mock copies the first words of a chapter: all of it is there, word for word.
        assert_eq!(texts.faithful, Some(1.0));
        assert!(texts.longest_copied_run >= 3.0, "{texts:?}");
        let value = serde_json::to_value(texts).unwrap();
        for field in ["title_rouge_l", "source_coverage", "points_dropped", "repeated", "valid", "han"] {
            assert!(value.get(field).is_some(), "{field}");
        }
        // Kept and taken up again it comes to the same.
        let mut again = report::Report::default();
        again.add(&item, &Watched::of(&watched.closed), None);
        assert_eq!(
            serde_json::to_value(again.figures()).unwrap(),
            serde_json::to_value(report.figures()).unwrap()
        );
    }

    #[test]
    fn a_session_with_a_model_finds_boundaries_too() {
        let figures = measure("screenshare", Some("mock"));
        assert!(figures.delay_median_s.is_some());
    }
}
