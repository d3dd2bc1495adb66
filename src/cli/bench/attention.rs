//! Attention alone.

use clap::Args;
use gist_qwen::bench::{self, ATTENTION_SHAPES};
use serde_json::json;

use super::Kv;
use crate::cli::exit::Class;

/// Attention alone, one layer: share of the memory's read bandwidth for a token, of a large f32 product for 64
#[derive(Args, Debug)]
pub(super) struct AttentionArgs {
    /// How keys and values are stored
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kv::F16, Kv::Q8, Kv::Q4])]
    kv_type: Vec<Kv>,
    /// Tokens that are seen
    #[arg(long, value_delimiter = ',', default_values_t = [4096, 32_768, 262_144], value_name = "N")]
    depth: Vec<usize>,
    /// Of which the median is told
    #[arg(long, default_value_t = 7, value_name = "N")]
    runs: usize,
    /// An object a line instead of a table
    #[arg(long)]
    json: bool,
}

pub(super) fn run(
    AttentionArgs { kv_type: kv_types, depth: depths, runs, json }: &AttentionArgs,
) -> anyhow::Result<()> {
    if depths.iter().any(|n| *n < 64) || *runs == 0 {
        return Err(Class::Usage.failure("a depth has at least 64 tokens, and there has to be a run"));
    }
    if !*json {
        println!(
            "| shape | depth | KV | one token, ms | GB/s | of reading | 64 tokens, ms | GFLOP/s | of a product |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
    }
    for (shape, depth) in
        ATTENTION_SHAPES.iter().flat_map(|shape| depths.iter().map(move |depth| (shape, *depth)))
    {
        for kv_type in kv_types {
            let speed = bench::attention(*shape, (*kv_type).into(), depth, *runs);
            if *json {
                println!("{}", json!({ "kv_type": kv_type.to_string(), "speed": speed }));
                continue;
            }
            println!(
                "| {} | {depth} | {kv_type} | {:.3} | {:.1} | {:.0} % | {:.1} | {:.1} | {:.0} % |",
                shape.model,
                speed.decode_ms,
                speed.decode_gb_per_second,
                100.0 * speed.decode_gb_per_second / speed.read_gb_per_second,
                speed.chunk_ms,
                speed.chunk_gflops,
                100.0 * speed.chunk_gflops / speed.product_gflops,
            );
        }
    }
    Ok(())
}
