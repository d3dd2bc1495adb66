//! `streamgist bench`: how fast this machine is.

use clap::{Args, Subcommand, ValueEnum};
use gist_qwen::bench::{self, BenchType};

use super::exit::Class;

/// Measures how fast this machine computes the released Qwen3-VL-2B shape, with random weights
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Pictures: milliseconds a pair takes in the vision tower
    Vision {
        /// How weights are held
        #[arg(long, value_enum, default_value_t = Type::F16)]
        r#type: Type,
        /// In pixels, a multiple of 32
        #[arg(long, default_value_t = 448, value_name = "PIXELS")]
        width: usize,
        /// In pixels, a multiple of 32
        #[arg(long, default_value_t = 256, value_name = "PIXELS")]
        height: usize,
    },
    /// Text: tokens a second, read and written
    Prefill {
        /// How weights are held
        #[arg(long, value_enum, default_value_t = Type::Q4)]
        r#type: Type,
        /// Tokens read from an empty context
        #[arg(long, default_value_t = 512, value_name = "N")]
        tokens: usize,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Type {
    F32,
    F16,
    Q8,
    Q4,
}

impl From<Type> for BenchType {
    fn from(kind: Type) -> Self {
        match kind {
            Type::F32 => Self::F32,
            Type::F16 => Self::F16,
            Type::Q8 => Self::Q8,
            Type::Q4 => Self::Q4,
        }
    }
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let failed = |e: gist_qwen::LoadError| Class::Model.failure(e.to_string());
    match args.command {
        Command::Vision { r#type, width, height } => {
            if width == 0 || height == 0 || width % 32 != 0 || height % 32 != 0 {
                return Err(Class::Usage.failure("width and height have to be multiples of 32"));
            }
            eprintln!("making random weights");
            let speed = bench::vision(r#type.into(), width, height).map_err(failed)?;
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
        }
        Command::Prefill { r#type, tokens } => {
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
        }
    }
    Ok(())
}
