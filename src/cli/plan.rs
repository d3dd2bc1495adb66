//! `streamgist plan`: what a model and its context take of memory.

use std::path::PathBuf;

use clap::Args;
use gist_models::registry::Shape;
use gist_qwen::config::Config;
use gist_qwen::{MemoryPlan, PlanTable, Quantization, Sizes, VisionConfig};
use serde_json::{Value, json};

use super::describe::Quantize;
use super::exit::Class;
use super::stream::KvType;

/// Shows how much memory a model and its rolling context take, before anything is loaded
///
/// The line with a star is what was asked for; the others are its neighbours. Works for models that `streamgist model
/// list` shows even when they are not on this machine, from their published shapes.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist plan --model qwen3-vl-2b --quantize q8
  streamgist plan --model talk-model.gguf --context-length 32768 --kv-type q4 --json")]
pub(crate) struct PlanArgs {
    /// A name that `streamgist model list` shows, a repository of the hub that was pulled, a GGUF file or a folder
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// The vision part of a model in GGUF files, if it is not in the same folder
    #[arg(long, value_name = "FILE")]
    mmproj: Option<PathBuf>,
    /// Quantises the weights as they are read
    #[arg(long, value_enum, value_name = "TYPE")]
    quantize: Option<Quantize>,
    /// Tokens of the rolling context [default: what the model was trained for]
    #[arg(long, value_name = "TOKENS", default_value_t = 0, hide_default_value = true)]
    context_length: usize,
    /// How it is stored
    #[arg(long, value_enum, value_name = "TYPE", default_value_t = KvType::Q8)]
    kv_type: KvType,
    /// Writes a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &PlanArgs) -> anyhow::Result<()> {
    let quantize = args.quantize.map(Quantization::from);
    let published = gist_models::find(&args.model).ok().filter(|_| gist_models::locate(&args.model).is_err());
    let sizes = match published.and_then(|model| Some((model, model.shape.as_ref()?))) {
        Some((model, shape)) => {
            let files: u64 = model.files.iter().map(|file| file.size).sum();
            published_sizes(shape, model.context, files, quantize)
        }
        None => {
            let path = gist_models::locate(&args.model)?;
            Sizes::read(&path, args.mmproj.as_deref(), quantize)
                .map_err(|e| Class::Model.failure(e.to_string()))?
        }
    };
    let table = sizes.table(args.context_length, args.kv_type.into());
    if args.json {
        println!("{}", to_json(&args.model, published.is_none(), &table));
    } else {
        let from = if published.is_some() { ", not on this machine: as published" } else { "" };
        println!("{}{from}\n{table}", args.model);
    }
    Ok(())
}

/// Of a model that is not here. Its GGUF files are as large as what is loaded of them; a checkpoint is held in 16 bits
/// a weight unless it is quantised.
fn published_sizes(shape: &Shape, context: Option<u32>, files: u64, quantize: Option<Quantization>) -> Sizes {
    let bits = match quantize {
        None => 16.0,
        Some(Quantization::Q8) => 8.5,
        Some(Quantization::Q4) => 4.5,
    };
    let weights = if files > 0 { files } else { (shape.parameters as f64 * bits / 8.0) as u64 };
    let config = Config {
        layers: shape.num_hidden_layers,
        hidden: shape.hidden_size,
        intermediate: shape.intermediate_size,
        heads: shape.num_attention_heads,
        kv_heads: shape.num_key_value_heads,
        head_dim: shape.head_dim,
        vocab: shape.vocab_size,
        max_context: context.map_or(0, |n| n as usize),
        // What follows takes no memory.
        rms_eps: 1e-6,
        rope_theta: 1e6,
        qkv_bias: false,
        qk_norm: true,
        mrope_section: None,
        yarn: None,
        deepstack_layers: 0,
        experts: None,
    };
    let vision = shape.vision.as_ref().map(|vision| VisionConfig {
        hidden: vision.hidden_size,
        depth: vision.depth,
        heads: vision.num_heads,
        intermediate: vision.intermediate_size,
        out_hidden: shape.hidden_size,
        side: 48,
        deepstack: vision.deepstack_visual_indexes.clone(),
        norm_eps: 1e-6,
    });
    Sizes { weights, config, vision }
}

fn to_json(model: &str, on_disk: bool, table: &PlanTable) -> Value {
    let plan = |plan: &MemoryPlan| {
        json!({
            "context_length": plan.context_length,
            "kv_type": plan.kv_type.to_string(),
            "weights_bytes": plan.weights,
            "kv_bytes": plan.kv,
            "scratch_bytes": plan.scratch,
            "total_bytes": plan.total,
            "fits": table.fits(plan),
        })
    };
    let mut all = plan(&table.asked);
    all["model"] = json!(model);
    all["on_disk"] = json!(on_disk);
    all["available_bytes"] = json!(table.available);
    all["plans"] = table.plans.iter().map(plan).collect();
    all
}
