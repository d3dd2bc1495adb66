//! `streamgist eval`: how well chapters of recorded sessions are found, against those that people set.
//!
//! * [`data`]: the data sets
//! * [`metrics`]: the figures for one session
//! * [`watch`]: a session played through the detector, or through the whole session with the model
//! * [`report`]: the figures for a data set

pub(crate) mod data;
mod metrics;
mod report;
mod watch;

use std::path::PathBuf;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use watch::Watcher;

use crate::cli::exit::Class;

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
    let items = data::read(&args.data, args.limit).map_err(|why| Class::Input.failure(format!("{why:#}")))?;
    let embed = if args.words_only { None } else { watch::embedder()? };
    let watcher = Watcher::new(args.model.as_deref(), !args.boundaries_only, embed)?;
    let bar = ProgressBar::new(items.len() as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {pos}/{len} {elapsed} {wide_msg}")?);
    let mut report = report::Report::default();
    for item in &items {
        bar.set_message(item.id.clone());
        let watched = watcher.watch(item)?;
        report.add(item, &watched);
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
        let watcher = Watcher::new(model, false, embed).unwrap();
        let mut report = report::Report::default();
        for item in &data::read(&PathBuf::from(format!("{data}{name}.jsonl")), None).unwrap() {
            report.add(item, &watcher.watch(item).unwrap());
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
    fn a_session_with_a_model_finds_boundaries_too() {
        let figures = measure("screenshare", Some("mock"));
        assert!(figures.delay_median_s.is_some());
    }
}
