//! Fits the weights of the boundary decision (`gist_core::boundary::score`) and says how good they are on talks
//! that were not used for fitting.
//!
//! ```text
//! cargo run --release -p fit-boundary -- talks-dev.jsonl screenshare-dev.jsonl --features features.bin
//! ```
//!
//! `make quality-features` fills the file of embeddings; without `--features` the weights for words alone are fitted.
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
#[path = "../../../src/eval/examples.rs"]
mod examples;
mod lectures;
mod logistic;
#[path = "../../../src/eval/metrics.rs"]
#[allow(dead_code, reason = "shared with `streamgist eval`")]
mod metrics;
mod search;
mod streams;

use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use gist_core::boundary::Embed;
use gist_core::boundary::score::Weights;
use gist_core::boundary::signals::NAMES;
use gist_core::config::Granularity;
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
    /// Embeddings of all lines; those it lacks are computed and added when all-minilm-l6-v2 is on this machine.
    #[arg(long)]
    features: Option<PathBuf>,
    /// Only fills the file of embeddings.
    #[arg(long)]
    fill: bool,
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
    let embed = args.features.as_deref().map(cache).transpose()?;
    if args.fill {
        return fill(&[&talks, &screens], &lectures, embed.as_deref());
    }
    let embed = || embed.clone().map(|cache| cache as Arc<dyn Embed>);
    let mut streams: Vec<Stream> = Vec::new();
    streams.extend(talks.iter().enumerate().map(|(i, item)| Stream::new(item, Kind::Talk, fold(i), embed())));
    streams.extend(
        screens.iter().enumerate().map(|(i, item)| Stream::new(item, Kind::Screen, fold(i), embed())),
    );
    streams.extend(lectures.iter().map(|(i, item)| Stream::new(item, Kind::Lecture, fold(*i), embed())));
    let all: Vec<&Stream> = streams.iter().collect();

    println!("in use      {}", report(&all, &start(&all)));
    if args.measure {
        for (name, granularity) in [("coarse", Granularity::Coarse), ("fine", Granularity::Fine)] {
            let weights = start(&all);
            let threshold = weights.threshold(granularity);
            println!("{name:<11} {}", report(&all, &Weights { threshold, ..weights }));
        }
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
        println!("{}", held_out.intervals(args.seed));
    }
    Ok(())
}

/// The weights in use.
fn start(streams: &[&Stream]) -> Weights {
    if streams.iter().any(|stream| stream.embed.is_some()) { Weights::meaning() } else { Weights::lexical() }
}

/// The file of embeddings, with the model behind it if it is there.
fn cache(path: &std::path::Path) -> anyhow::Result<Arc<gist_embed::cache::Cache>> {
    let model = match gist_models::locate("all-minilm-l6-v2") {
        Ok(directory) => Some(gist_embed::Embedder::load(&directory)?),
        Err(why) => {
            eprintln(&why.to_string());
            None
        }
    };
    Ok(Arc::new(gist_embed::cache::Cache::open(path, model)?))
}

/// Computes the embeddings that are missing. What is there when this is interrupted stays.
fn fill(
    sets: &[&[data::Item]],
    lectures: &[(usize, data::Item)],
    cache: Option<&gist_embed::cache::Cache>,
) -> anyhow::Result<()> {
    let cache = cache.ok_or_else(|| anyhow::anyhow!("--fill needs --features FILE"))?;
    let items: Vec<&data::Item> =
        sets.iter().flat_map(|set| set.iter()).chain(lectures.iter().map(|(_, item)| item)).collect();
    for (i, item) in items.iter().enumerate() {
        for observation in item.observations() {
            cache.get(&observation.text)?.ok_or_else(|| anyhow::anyhow!("the model is missing"))?;
        }
        eprintln(&format!("{}/{} {}: {} embeddings", i + 1, items.len(), item.id, cache.len()));
    }
    Ok(())
}

fn fit(streams: &[&Stream], rounds: usize, loud: bool) -> Weights {
    let known = start(streams);
    let mut weights = Weights { signals: logistic::fit(streams), ..known.clone() };
    for ((weight, name), known) in weights.signals.iter_mut().zip(NAMES).zip(known.signals) {
        *weight = match name {
            // The prior of chapter lengths: a fit with the true chapters before each line thinks too little of it.
            "age" | "young" => known,
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
