//! Whether a model is surprised where a chapter begins.

use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use gist_core::boundary::Embed;
use gist_core::time::seconds;
use gist_qwen::{LoadOptions, QwenModel, bench};
use serde_json::json;

use super::loaded;
use crate::eval::data::{self, Item};
use crate::eval::examples::examples;
use crate::eval::metrics::area_under_roc;

/// Whether a model is surprised where a chapter begins: how well that tells the beginnings from other lines
///
/// Each session is read as one text, each line given all before it. What is set against the true chapters is how much less
/// expected the line, or what comes within 30 s of its start, is than the lines of the two minutes before.
#[derive(Args, Debug)]
pub(super) struct SurpriseArgs {
    /// Sessions as for `streamgist eval`
    #[arg(long, value_name = "JSONL")]
    data: PathBuf,
    /// A model as listed by `streamgist model list`
    #[arg(long, default_value = "qwen2.5-coder-1.5b")]
    model: String,
    /// Sessions left out at the beginning of the file
    #[arg(long, default_value_t = 0, value_name = "N")]
    skip: usize,
    /// Sessions read at most
    #[arg(long, default_value_t = 10, value_name = "N")]
    limit: usize,
    /// An object a line instead of a table
    #[arg(long)]
    json: bool,
}

/// A line that may begin a chapter.
struct Row {
    begins: bool,
    line: f64,
    next: f64,
    /// Log-odds of the detector, which knows no language model.
    detector: f64,
}

const BEFORE: f64 = 120.0;
const AHEAD: f64 = 30.0;

pub(super) fn run(args: &SurpriseArgs) -> anyhow::Result<()> {
    let items = data::read(&args.data, Some(args.skip + args.limit))?;
    let embed = crate::eval::embedder()?;
    eprintln!("loading {}", args.model);
    let model = loaded::load(&args.model, LoadOptions::default())?;
    let mut rows = Vec::new();
    for (i, item) in items.iter().enumerate().skip(args.skip) {
        rows.extend(read(&model, item, embed.clone()));
        eprintln!("{} of {} read: {}", i + 1, items.len(), item.id);
    }
    let area = |of: &dyn Fn(&Row) -> f64| {
        area_under_roc(&mut rows.iter().map(|row| (of(row), row.begins)).collect::<Vec<_>>())
    };
    // The best weight is found on the rows it is told of: more than it would be worth elsewhere.
    let weights = (0..=20).map(|step| f64::from(step) * 0.1);
    let (weight, both) = weights
        .map(|weight| (weight, area(&|row| row.detector + weight * row.next)))
        .max_by(|a, b| a.1.total_cmp(&b.1))
        .unwrap_or_default();
    let begins = rows.iter().filter(|row| row.begins).count();
    let areas = [
        ("the line", area(&|row| row.line)),
        ("the 30 s from its start on", area(&|row| row.next)),
        ("the detector, without a model", area(&|row| row.detector)),
        ("both", both),
    ];
    if args.json {
        let areas: serde_json::Map<_, _> =
            areas.iter().map(|(name, area)| ((*name).to_owned(), json!(area))).collect();
        println!("{}", json!({"lines": rows.len(), "begin": begins, "area": areas, "weight": weight}));
        return Ok(());
    }
    println!("| {}: {begins} of {} lines begin a chapter | area under ROC, % |", args.model, rows.len());
    println!("|---|---|");
    for (name, area) in areas {
        println!("| {name} | {:.1} |", 100.0 * area);
    }
    println!("\nBoth: log-odds + {weight:.1} × nats of the 30 s.");
    Ok(())
}

/// The lines of a session that the detector judges.
fn read(model: &QwenModel, item: &Item, embed: Option<Arc<dyn Embed>>) -> Vec<Row> {
    let observations = item.observations();
    let lines: Vec<String> = observations.iter().map(|line| format!("{}\n", line.text)).collect();
    let surprise = bench::surprise(model, &lines);
    let starts: Vec<f64> = observations.iter().map(|line| seconds(line.span.start)).collect();
    let mean = |from: f64, until: f64| {
        let within = starts.partition_point(|t| *t < from)..starts.partition_point(|t| *t < until);
        let n = within.len() as f64;
        (n > 0.0).then(|| surprise[within].iter().sum::<f64>() / n)
    };
    let judged = examples(&observations, &item.boundaries(), embed);
    let rows = judged.into_iter().filter_map(|(candidate, begins)| {
        let at = seconds(candidate.at);
        let usual = mean(at - BEFORE, at)?;
        let own = surprise[starts.partition_point(|t| *t < at)];
        let detector = f64::from(candidate.log_odds);
        Some(Row { begins, line: own - usual, next: mean(at, at + AHEAD)? - usual, detector })
    });
    rows.collect()
}
