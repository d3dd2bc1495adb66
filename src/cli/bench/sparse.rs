//! Answers that read a part of the window.

use std::path::PathBuf;

use clap::Args;
use gist_qwen::{LoadOptions, bench};

use super::loaded;
use crate::cli::exit::Class;

/// Answers that read some pages of the window only: what they lose and gain, on real text
#[derive(Args, Debug)]
pub(super) struct SparseArgs {
    /// Sessions as for `streamgist eval`; those that are too short are left out, the rest is read as one text
    #[arg(long, value_name = "JSONL")]
    data: PathBuf,
    /// A model as listed by `streamgist model list`
    #[arg(long, default_value = "qwen2.5-coder-1.5b")]
    model: String,
    /// Tokens held
    #[arg(long, default_value_t = 8192, value_name = "N")]
    depth: usize,
    /// Tokens of them that are read
    #[arg(long, value_delimiter = ',', default_values_t = [512, 1024, 2048, 4096], value_name = "N")]
    budget: Vec<usize>,
    /// Tokens by which it is measured
    #[arg(long, default_value_t = 32, value_name = "N")]
    tokens: usize,
}

pub(super) fn run(SparseArgs { data, model, depth, budget, tokens }: &SparseArgs) -> anyhow::Result<()> {
    let sessions = crate::eval::data::read(data, None)?;
    let lines = sessions.iter().flat_map(|session| &session.lines);
    let text: String = lines.map(|line| format!("{}\n", line.text)).take(*depth).collect();
    let options = LoadOptions { context_length: depth + tokens, ..LoadOptions::default() };
    let loaded = loaded::load(model, options)?;
    let speeds = bench::sparse(&loaded, &text, *depth, budget, *tokens);
    let speeds =
        speeds.ok_or_else(|| Class::Input.failure(format!("the sessions have no {depth} tokens")))?;
    println!("| depth | tokens read | weight kept | same next token | a token, ms | exactly, ms |");
    println!("|---|---|---|---|---|---|");
    for speed in speeds {
        println!(
            "| {} | {} | {:.1} % | {:.0} % | {:.1} | {:.1} |",
            speed.depth,
            speed.budget,
            100.0 * speed.recall,
            100.0 * speed.same_token,
            speed.ms,
            speed.exact_ms,
        );
    }
    Ok(())
}
