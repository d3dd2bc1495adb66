//! Fits the weights of the boundary decision (`gist_core::boundary::score`) and says how good they are on talks
//! that were not used for fitting.
//!
//! ```text
//! cargo run --release -p fit-boundary -- talks-dev.jsonl screenshare-dev.jsonl
//! ```
//!
//! 1. A logistic regression on the signals of every candidate, the chapters so far being the true ones. A third kind
//!    of stream, lectures with slides, is composed from the sections of the talks (`lectures`).
//! 2. A coordinate search over threshold and weights for the figure that counts: the F1 of whole streams.
//!
//! Both are done once on everything (the weights to use), and once for each of five folds over the talks (the figures
//! to report). Folds and lectures follow from the seed.

#[path = "../../../src/eval/data.rs"]
#[allow(dead_code, reason = "shared with `streamgist eval`")]
mod data;
mod lectures;
mod logistic;
#[path = "../../../src/eval/metrics.rs"]
#[allow(dead_code, reason = "shared with `streamgist eval`")]
mod metrics;
mod search;
mod streams;

use std::path::PathBuf;

use clap::Parser;
use gist_core::boundary::score::Weights;
use gist_core::boundary::signals::NAMES;
use streams::{Kind, Stream, report};

/// Fits the weights of the boundary decision.
#[derive(Parser)]
struct Args {
    /// Talks, JSON lines.
    talks: PathBuf,
    /// Screen-share sessions, JSON lines.
    screens: PathBuf,
    /// Seed of folds and lectures.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Folds of the cross-validation; 0 leaves it out.
    #[arg(long, default_value_t = 5)]
    folds: usize,
    /// Rounds of the coordinate search.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Only measures the weights in use.
    #[arg(long)]
    measure: bool,
    /// Writes the lectures with slides to this file, as a data set for `streamgist eval`.
    #[arg(long)]
    lectures: Option<PathBuf>,
}

#[allow(clippy::print_stdout, reason = "a command-line tool")]
fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let talks = data::read(&args.talks, None)?;
    let screens = data::read(&args.screens, None)?;
    let lectures = lectures::compose(&talks, args.seed);
    if let Some(path) = &args.lectures {
        lectures::write(&lectures, path)?;
    }
    // A lecture belongs to the fold of its talk; the screen-share sessions come after.
    let fold = |i: usize| if args.folds > 0 { (i * 7 + args.seed as usize) % args.folds } else { 0 };
    let mut streams: Vec<Stream> = Vec::new();
    streams.extend(talks.iter().enumerate().map(|(i, item)| Stream::new(item, Kind::Talk, fold(i))));
    streams.extend(screens.iter().enumerate().map(|(i, item)| Stream::new(item, Kind::Screen, fold(i))));
    streams.extend(lectures.iter().map(|(i, item)| Stream::new(item, Kind::Lecture, fold(*i))));
    let all: Vec<&Stream> = streams.iter().collect();

    println!("in use      {}", report(&all, &Weights::default()));
    if args.measure {
        let of = |kind: Kind| -> Vec<&Stream> { streams.iter().filter(|s| s.kind == kind).collect() };
        let columns =
            [(Kind::Talk, false), (Kind::Screen, false), (Kind::Lecture, false), (Kind::Lecture, true)]
                .map(|(kind, slides)| logistic::alone(&of(kind), slides));
        println!("area under ROC   talks  screen lecture at slides");
        for (i, name) in NAMES.iter().enumerate() {
            println!("{name:<15} {}", columns.each_ref().map(|c| format!("{:7.3}", c[i])).join(" "));
        }
        return Ok(());
    }
    let fitted = fit(&all, args.rounds, true);
    println!("fitted      {}", report(&all, &fitted));
    for (name, weight) in NAMES.iter().zip(fitted.signals) {
        println!("    {weight:6.2}, // {name}");
    }
    println!("    threshold {:.2}, step {:?}", fitted.threshold, fitted.step);
    let mut held_out = streams::Tally::default();
    for k in 0..args.folds {
        let (test, train): (Vec<&Stream>, Vec<&Stream>) = streams.iter().partition(|s| s.fold == k);
        let weights = fit(&train, args.rounds, false);
        println!("fold {k}      {}", report(&test, &weights));
        held_out.add(&test, &weights);
    }
    if args.folds > 0 {
        println!("held out    {held_out}");
    }
    Ok(())
}

fn fit(streams: &[&Stream], rounds: usize, loud: bool) -> Weights {
    let mut weights = Weights { signals: logistic::fit(streams), ..Weights::default() };
    for (weight, name) in weights.signals.iter_mut().zip(NAMES) {
        *weight = match name {
            "age" => 0.6,
            "young" => -1.0,
            // No data set marks turns; the same as a long pause.
            "turn" => 0.3,
            _ => *weight,
        };
    }
    search::threshold(streams, &mut weights);
    if loud {
        eprintln(&format!("logistic    {}", report(streams, &weights)));
    }
    search::coordinates(streams, &mut weights, rounds, loud);
    weights
}

#[allow(clippy::print_stderr, reason = "progress of a command-line tool")]
fn eprintln(text: &str) {
    eprintln!("{text}");
}
