//! Shapes of released models with random weights: pictures, and text.

use clap::Args;
use gist_qwen::bench;

use super::Type;
use super::loaded::failed;
use crate::cli::exit::Class;

/// Pictures: milliseconds a pair takes in the vision tower
#[derive(Args, Debug)]
pub(super) struct VisionArgs {
    /// How weights are held
    #[arg(long, value_enum, default_value_t = Type::F16)]
    r#type: Type,
    /// In pixels, a multiple of 32
    #[arg(long, default_value_t = 448, value_name = "PIXELS")]
    width: usize,
    /// In pixels, a multiple of 32
    #[arg(long, default_value_t = 256, value_name = "PIXELS")]
    height: usize,
    /// A JSON object
    #[arg(long)]
    json: bool,
}

/// Text: tokens a second, read and written
#[derive(Args, Debug)]
pub(super) struct PrefillArgs {
    /// How weights are held
    #[arg(long, value_enum, default_value_t = Type::Q4)]
    r#type: Type,
    /// Tokens read from an empty context
    #[arg(long, default_value_t = 512, value_name = "N")]
    tokens: usize,
}

pub(super) fn vision(&VisionArgs { r#type, width, height, json }: &VisionArgs) -> anyhow::Result<()> {
    if width == 0 || height == 0 || width % 32 != 0 || height % 32 != 0 {
        return Err(Class::Usage.failure("width and height have to be multiples of 32"));
    }
    eprintln!("making random weights");
    let speed = bench::vision(r#type.into(), width, height).map_err(failed)?;
    if json {
        println!("{}", serde_json::to_string(&speed)?);
        return Ok(());
    }
    println!(
        "{width}x{height}, {type:?}: {:.0} ms a pair, {:.1} GFLOP/s ({:.0} % of a large f32 product, {:.1}), \
         weights {} MiB",
        speed.ms_per_pair,
        speed.gflops,
        100.0 * speed.gflops / speed.product_gflops,
        speed.product_gflops,
        speed.weights >> 20,
        type = r#type,
    );
    Ok(())
}

pub(super) fn prefill(&PrefillArgs { r#type, tokens }: &PrefillArgs) -> anyhow::Result<()> {
    if tokens == 0 {
        return Err(Class::Usage.failure("there have to be tokens to read"));
    }
    eprintln!("making random weights");
    let speed = bench::prefill(r#type.into(), tokens).map_err(failed)?;
    println!(
        "{tokens} tokens, {type:?}: {:.1} tokens/s read, {:.1} tokens/s written, weights {} MiB",
        speed.tokens_per_second,
        speed.decode_tokens_per_second,
        speed.weights >> 20,
        type = r#type,
    );
    Ok(())
}
