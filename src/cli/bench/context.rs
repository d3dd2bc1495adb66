//! A context at a depth.

use std::path::PathBuf;

use clap::Args;
use gist_qwen::{KvType, LoadOptions, bench};

use super::{Kv, loaded};
use crate::cli::exit::Class;

/// A context at a depth: milliseconds a segment, tokens a second, bytes; the depth is reached by copies of a page
#[derive(Args, Debug)]
pub(super) struct ContextArgs {
    /// A model as listed by `streamgist model list`, a GGUF file or a folder
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The vision part of a model in GGUF files, loaded with it
    #[arg(long, value_name = "FILE")]
    mmproj: Option<PathBuf>,
    /// Tokens of a segment
    #[arg(long, default_value_t = 128, value_name = "N")]
    tokens: usize,
    /// Tokens held
    #[arg(long, value_delimiter = ',', default_values_t = [0, 4096, 32_768], value_name = "N")]
    depth: Vec<usize>,
    /// How they are stored
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kv::Q8])]
    kv_type: Vec<Kv>,
    /// Of which the median is told
    #[arg(long, default_value_t = 3, value_name = "N")]
    runs: usize,
    /// An object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &ContextArgs) -> anyhow::Result<()> {
    if args.tokens == 0 || args.runs == 0 {
        return Err(Class::Usage.failure("there have to be tokens, and a run"));
    }
    args.kv_type.iter().try_for_each(|kv_type| at_depths(args, (*kv_type).into()))
}

fn at_depths(args: &ContextArgs, kv_type: KvType) -> anyhow::Result<()> {
    let ContextArgs { model, tokens, runs, .. } = args;
    let options = LoadOptions {
        kv_type,
        mmproj: args.mmproj.clone(),
        context_length: args.depth.iter().copied().max().unwrap_or(0).max(1),
        plan: Some(&mut |plan| eprintln!("loading {model}: {plan}")),
        ..LoadOptions::default()
    };
    let loaded = loaded::load(model, options)?;
    if !args.json {
        println!(
            "| depth | KV | a segment of {tokens}, ms | read, tokens/s | written, tokens/s | KV, MiB | RSS, MiB | planned |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for depth in &args.depth {
        let speed = bench::context(&loaded, *depth, *tokens, *runs);
        let speed = speed.map_err(|e| Class::Usage.failure(e.to_string()))?;
        if args.json {
            println!("{}", serde_json::to_string(&speed)?);
            continue;
        }
        println!(
            "| {depth} | {kv_type} | {:.1} | {:.1} | {:.2} | {} | {} | {} |",
            speed.segment_ms,
            speed.prefill_tps,
            speed.decode_tps,
            speed.kv_bytes >> 20,
            speed.rss_bytes >> 20,
            speed.plan_bytes >> 20,
        );
    }
    Ok(())
}
