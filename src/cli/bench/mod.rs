//! `streamgist bench`: how fast this machine is, what packed numbers cost, and what a model knows.
//!
//! * [`shapes`], [`attention`], [`context`], [`stream`]: speed
//! * [`sparse`]: speed and loss
//! * [`kv_error`], [`agreement`]: loss
//! * [`surprise`]: what the model knows of where chapters begin

mod agreement;
mod attention;
mod context;
mod kv_error;
mod loaded;
mod shapes;
mod sparse;
mod stream;
mod surprise;

use clap::{Args, Subcommand, ValueEnum};
use gist_qwen::KvType;
use gist_qwen::bench::BenchType;

/// Measures how fast this machine computes the shapes of released models, and what packed numbers cost in quality
#[derive(Args, Debug)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    Vision(shapes::VisionArgs),
    Prefill(shapes::PrefillArgs),
    Attention(attention::AttentionArgs),
    Context(context::ContextArgs),
    Sparse(sparse::SparseArgs),
    Stream(stream::StreamArgs),
    KvError(kv_error::KvErrorArgs),
    Agreement(agreement::AgreementArgs),
    Surprise(surprise::SurpriseArgs),
}

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    match &args.command {
        Command::Vision(args) => shapes::vision(args),
        Command::Prefill(args) => shapes::prefill(args),
        Command::Attention(args) => attention::run(args),
        Command::Context(args) => context::run(args),
        Command::Sparse(args) => sparse::run(args),
        Command::Stream(args) => stream::run(args),
        Command::KvError(args) => kv_error::run(args),
        Command::Agreement(args) => agreement::run(args),
        Command::Surprise(args) => surprise::run(args),
    }
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Kv {
    F16,
    Q8,
    Q4,
}

impl From<Kv> for KvType {
    fn from(kv_type: Kv) -> Self {
        match kv_type {
            Kv::F16 => Self::F16,
            Kv::Q8 => Self::Q8,
            Kv::Q4 => Self::Q4,
        }
    }
}

impl std::fmt::Display for Kv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::F16 => "f16",
            Self::Q8 => "q8",
            Self::Q4 => "q4",
        })
    }
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
