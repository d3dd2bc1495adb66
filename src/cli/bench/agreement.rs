//! The fast path beside the reference.

use std::path::PathBuf;

use clap::Args;
use gist_qwen::bench::{self, Mean};
use gist_qwen::{ComputeDevice, LoadOptions};

use super::loaded;
use crate::cli::exit::Class;

/// The fast path beside the reference: how often both expect the same next token, how far apart they are, on real text
///
/// The fast path has packed weights and activations in 8 bits, the reference the same weights as f32 in candle. Both
/// read from an empty context, keys and values in f16, and are compared after every token of the text. Both are in
/// memory at once: the reference takes four bytes a weight, 6 GB for 1.5 billion.
#[derive(Args, Debug)]
pub(super) struct AgreementArgs {
    /// Sessions as for `streamgist eval`
    #[arg(long, value_name = "JSONL")]
    data: PathBuf,
    /// A model as listed by `streamgist model list`, a GGUF file or a folder
    #[arg(long, default_value = "qwen2.5-coder-1.5b")]
    model: String,
    /// Sessions read at most
    #[arg(long, default_value_t = 20, value_name = "N")]
    texts: usize,
    /// Tokens read of each session; those of fewer are left out
    #[arg(long, default_value_t = 512, value_name = "N")]
    tokens: usize,
    /// A JSON object instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &AgreementArgs) -> anyhow::Result<()> {
    let AgreementArgs { model, tokens, .. } = args;
    let texts = loaded::texts(&args.data, *tokens, args.texts)?;
    let load = |device| {
        eprintln!("loading {model} ({device})");
        let device = ComputeDevice::named(device).map_err(|e| Class::Other.failure(e))?;
        loaded::load(model, LoadOptions { device, context_length: *tokens, ..LoadOptions::default() })
    };
    let (fast, reference) = (load("cpu")?, load("reference")?);
    let (mut read, all) = (0, texts.len());
    let found = bench::agreement(&reference, &fast, &texts, *tokens, &mut || {
        read += 1;
        eprintln!("{read} of {all} texts");
    });
    let none = || Class::Input.failure(format!("no session has {tokens} tokens"));
    let found = found.ok_or_else(none)?;
    if args.json {
        println!("{}", serde_json::to_string(&found)?);
        return Ok(());
    }
    println!("| {model}, {tokens} tokens of {} texts | |", found.texts);
    println!("|---|---|");
    println!("| same likeliest token | {} % |", told(found.same_top, 100.0, 2));
    println!("| KL divergence, mean | {} nats |", told(found.divergence, 1.0, 5));
    println!("| KL divergence, largest | {:.3} nats |", found.largest);
    println!("| perplexity, reference | {:.4} |", found.reference_perplexity);
    println!("| perplexity, fast | {:.4} |", found.perplexity);
    println!("| log-probability of a token lost | {} nats |", told(found.lost, 1.0, 5));
    Ok(())
}

/// A mean with its error over texts.
fn told(mean: Mean, factor: f64, digits: usize) -> String {
    let error = mean.standard_error.map(|error| format!(" ± {:.digits$}", error * factor));
    format!("{:.digits$}{}", mean.mean * factor, error.unwrap_or_default())
}
