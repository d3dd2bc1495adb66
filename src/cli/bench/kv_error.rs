//! Packed keys and values.

use std::path::PathBuf;

use clap::Args;
use gist_qwen::{KvType, LoadOptions, bench};
use serde_json::json;

use super::{Kv, loaded};
use crate::cli::exit::Class;

/// Packed keys and values: by how much they change the perplexity of text, compared with f16 token by token
#[derive(Args, Debug)]
pub(super) struct KvErrorArgs {
    /// Sessions as for `streamgist eval`
    #[arg(long, value_name = "JSONL")]
    data: PathBuf,
    /// A model as listed by `streamgist model list`
    #[arg(long, default_value = "qwen2.5-coder-1.5b")]
    model: String,
    /// Tokens read of each session; those of fewer are left out
    #[arg(long, default_value_t = 8192, value_name = "N")]
    window: usize,
    /// Sessions read at most
    #[arg(long, default_value_t = 4, value_name = "N")]
    limit: usize,
    /// How keys and values are stored
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kv::F16, Kv::Q8, Kv::Q4])]
    kv_type: Vec<Kv>,
    /// An object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(args: &KvErrorArgs) -> anyhow::Result<()> {
    let KvErrorArgs { model, window, .. } = args;
    let texts = loaded::texts(&args.data, *window, args.limit)?;
    eprintln!("loading {model}");
    let loaded = loaded::load(model, LoadOptions { context_length: *window, ..LoadOptions::default() })?;
    let types: Vec<KvType> = args.kv_type.iter().map(|kv_type| (*kv_type).into()).collect();
    let (mut read, mut errors) = (0, Vec::new());
    bench::kv_error(&loaded, &texts, *window, &types, &mut |count, so_far| {
        let changes = types.iter().zip(so_far).map(|(kv_type, error)| {
            format!("{kv_type} {:+.3} % ± {:.3}", error.change, error.standard_error)
        });
        eprintln!("{count} of {} read: {}", texts.len(), changes.collect::<Vec<_>>().join(", "));
        (read, errors) = (count, so_far.to_vec());
    });
    if read == 0 {
        return Err(Class::Input.failure(format!("no session has {window} tokens: try a smaller --window")));
    }
    if !args.json {
        println!("| {model}, {window} tokens of {read} sessions | bits | perplexity | change |");
        println!("|---|---|---|---|");
    }
    for (kv_type, error) in args.kv_type.iter().zip(errors) {
        if args.json {
            println!("{}", json!({ "kv_type": kv_type.to_string(), "error": error }));
            continue;
        }
        println!(
            "| {kv_type} | {:.2} | {:.4} | {:+.3} % ± {:.3} |",
            error.bits, error.perplexity, error.change, error.standard_error
        );
    }
    Ok(())
}
