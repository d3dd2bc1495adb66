//! `streamgist bench`: how fast this machine is.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand, ValueEnum};
use gist_qwen::bench::{self, ATTENTION_SHAPES, BenchType};
use gist_qwen::{KvType, LoadOptions, QwenModel};
use serde_json::json;

use super::exit::Class;

/// Measures how fast this machine computes the shapes of released models, and what packed keys and values cost
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
        /// A JSON object
        #[arg(long)]
        json: bool,
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
    /// Attention alone, one layer: share of the memory's read bandwidth for a token, of a large f32 product for 64
    Attention {
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
    },
    /// A context at a depth: milliseconds a segment, tokens a second, bytes; the depth is reached by copies of a page
    Context {
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
    },
    /// Answers that read some pages of the window only: what they lose and gain, on real text
    Sparse {
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
    },
    /// Hours of stream through a small random model: whether the next segment costs the same at the end
    Stream {
        /// Of stream, with a segment a second
        #[arg(long, default_value_t = 10.0, value_name = "HOURS")]
        hours: f64,
        /// A JSON object
        #[arg(long)]
        json: bool,
    },
    /// Packed keys and values: by how much they change the perplexity of text, compared with f16 token by token
    KvError {
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
    },
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

pub(crate) fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let failed = |e: gist_qwen::LoadError| Class::Model.failure(e.to_string());
    match &args.command {
        &Command::Vision { r#type, width, height, json } => {
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
        }
        &Command::Prefill { r#type, tokens } => {
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
        Command::Attention { kv_type, depth, runs, json } => {
            if depth.iter().any(|n| *n < 64) || *runs == 0 {
                return Err(Class::Usage.failure("a depth has at least 64 tokens, and there has to be a run"));
            }
            attention(kv_type, depth, *runs, *json);
        }
        Command::Context { model, mmproj, tokens, depth, kv_type, runs, json } => {
            if *tokens == 0 || *runs == 0 {
                return Err(Class::Usage.failure("there have to be tokens, and a run"));
            }
            for kv_type in kv_type {
                context(model, mmproj.clone(), (*kv_type).into(), depth, (*tokens, *runs), *json)?;
            }
        }
        Command::Sparse { data, model, depth, budget, tokens } => {
            sparse(data, model, (*depth, *tokens), budget)?;
        }
        Command::Stream { hours, json } => stream(*hours, *json)?,
        Command::KvError { data, model, window, limit, kv_type, json } => {
            let sessions = crate::eval::data::read(data, None)?;
            let texts = sessions.iter().map(|s| s.lines.iter().map(|l| format!("{}\n", l.text)).collect());
            // No token is longer than 16 letters for long: what is shorter need not be read to be left out.
            let texts: Vec<String> =
                texts.filter(|text: &String| text.len() > 4 * window).take(*limit).collect();
            if texts.is_empty() || *window < 2 {
                return Err(Class::Input.failure(format!("no session has a window of {window} tokens")));
            }
            kv_error(model, &texts, *window, kv_type, *json)?;
        }
    }
    Ok(())
}

fn attention(kv_types: &[Kv], depths: &[usize], runs: usize, json: bool) {
    if !json {
        println!(
            "| shape | depth | KV | one token, ms | GB/s | of reading | 64 tokens, ms | GFLOP/s | of a product |"
        );
        println!("|---|---|---|---|---|---|---|---|---|");
    }
    for (shape, depth) in
        ATTENTION_SHAPES.iter().flat_map(|shape| depths.iter().map(move |depth| (shape, *depth)))
    {
        for kv_type in kv_types {
            let speed = bench::attention(*shape, (*kv_type).into(), depth, runs);
            if json {
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
}

fn context(
    model: &str,
    mmproj: Option<PathBuf>,
    kv_type: KvType,
    depths: &[usize],
    (tokens, runs): (usize, usize),
    json: bool,
) -> anyhow::Result<()> {
    let path = gist_models::locate(model)?;
    let options = LoadOptions {
        kv_type,
        mmproj,
        context_length: depths.iter().copied().max().unwrap_or(0).max(1),
        plan: Some(&mut |plan| eprintln!("loading {model}: {plan}")),
        ..LoadOptions::default()
    };
    let loaded = QwenModel::load(&path, options).map_err(|e| Class::Model.failure(e.to_string()))?;
    if !json {
        println!(
            "| depth | KV | a segment of {tokens}, ms | read, tokens/s | written, tokens/s | KV, MiB | RSS, MiB | planned |"
        );
        println!("|---|---|---|---|---|---|---|---|");
    }
    for depth in depths {
        let speed = bench::context(&loaded, *depth, tokens, runs);
        let speed = speed.map_err(|e| Class::Usage.failure(e.to_string()))?;
        if json {
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

fn sparse(
    data: &Path,
    model: &str,
    (depth, tokens): (usize, usize),
    budgets: &[usize],
) -> anyhow::Result<()> {
    let sessions = crate::eval::data::read(data, None)?;
    let lines = sessions.iter().flat_map(|session| &session.lines);
    let text: String = lines.map(|line| format!("{}\n", line.text)).take(depth).collect();
    let path = gist_models::locate(model)?;
    let options = LoadOptions { context_length: depth + tokens, ..LoadOptions::default() };
    let loaded = QwenModel::load(&path, options).map_err(|e| Class::Model.failure(e.to_string()))?;
    let speeds = bench::sparse(&loaded, &text, depth, budgets, tokens);
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

fn stream(hours: f64, json: bool) -> anyhow::Result<()> {
    if !(0.0..=1000.0).contains(&hours) {
        return Err(Class::Usage.failure("hours are between 0 and 1000"));
    }
    let bar = indicatif::ProgressBar::new(1000);
    let report =
        bench::stream((hours * 3600.0) as usize, &mut |share| bar.set_position((share * 1e3) as u64));
    bar.finish_and_clear();
    let report = report.map_err(|e| Class::Other.failure(e.to_string()))?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!(
        "{} segments of {} tokens through {} layers of {} ({} heads, {} of keys and values), a window of {} tokens in {}",
        report.segments,
        report.segment_tokens,
        report.layers,
        report.hidden,
        report.heads,
        report.kv_heads,
        report.window,
        report.kv_type,
    );
    println!(
        "a segment: {:.2} ms when the window had filled, {:.2} ms at the end, {:.3} times as long",
        report.segment_ms_full, report.segment_ms_end, report.ratio
    );
    println!("resident: {} MiB, then {} MiB", report.rss_full >> 20, report.rss_end >> 20);
    println!("counted: {:?}, then {:?}", report.work_full, report.work_end);
    Ok(())
}

fn kv_error(model: &str, texts: &[String], window: usize, kv_types: &[Kv], json: bool) -> anyhow::Result<()> {
    let path = gist_models::locate(model)?;
    eprintln!("loading {}", path.display());
    let options = LoadOptions { context_length: window, ..LoadOptions::default() };
    let loaded = QwenModel::load(&path, options).map_err(|e| Class::Model.failure(e.to_string()))?;
    let types: Vec<KvType> = kv_types.iter().map(|kv_type| (*kv_type).into()).collect();
    let errors = bench::kv_error(&loaded, texts, window, &types, &mut || eprint!("."));
    eprintln!();
    if !json {
        println!("| {model}, {window} tokens of {} sessions | bits | perplexity | change |", texts.len());
        println!("|---|---|---|---|");
    }
    for (kv_type, error) in kv_types.iter().zip(errors) {
        if json {
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
