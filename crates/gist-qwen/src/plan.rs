//! What a model and a context take of memory, known before anything is loaded.

use std::fmt;

use crate::checkpoint::Checkpoint;
use crate::config::Config;
use crate::decoder::{CHUNK, Scratch};
use crate::error::LoadError;
use crate::kv::{KvType, Layout, PAGE};
use crate::model::LoadOptions;
use crate::rolling::SCRATCH_TOKENS;
use crate::sight::DEFAULT_GRID;
use crate::vision::VisionConfig;

/// Bytes a model and a context take, known before a stream starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
    /// Tokens of the context.
    pub context_length: usize,
    /// How its keys and values are stored.
    pub kv_type: KvType,
    /// Weights, held once per process.
    pub weights: u64,
    /// Keys and values of one context, scratch for forks included.
    pub kv: u64,
    /// Activations.
    pub scratch: u64,
    /// All of it.
    pub total: u64,
}

impl MemoryPlan {
    /// For weights of so many bytes, with one context of `context_length` tokens; 0 for none.
    pub(crate) fn new(
        weights: u64,
        config: &Config,
        vision: Option<&VisionConfig>,
        kv_type: KvType,
        context_length: usize,
    ) -> Self {
        let layout = Layout::of(config, kv_type);
        let pages = (context_length + SCRATCH_TOKENS).div_ceil(PAGE) as u64;
        // Pages being filled at the end of each region, and one more copied by a fork.
        let open = 4 * layout.open_page_bytes();
        let kv = if context_length == 0 { 0 } else { pages * layout.page_bytes() + open };
        // One pair at a time, of the size that pictures have unless a session says otherwise.
        let pair = vision.map_or(0, |vision| vision.scratch_bytes(DEFAULT_GRID));
        let scratch = Scratch::bytes(config, CHUNK) + pair;
        Self { context_length, kv_type, weights, kv, scratch, total: weights + kv + scratch }
    }
}

impl fmt::Display for MemoryPlan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        let Self { context_length, kv_type, weights, kv, scratch, total } = *self;
        write!(
            f,
            "{} MiB of memory: weights {}, context of {context_length} tokens in {kv_type} {}, scratch {}",
            mib(total),
            mib(weights),
            mib(kv),
            mib(scratch)
        )
    }
}

/// The plan of a model that is about to be loaded.
///
/// # Errors
/// When it does not fit into the memory that is free, naming a context length that would.
pub(crate) fn check(checkpoint: &Checkpoint, options: &LoadOptions<'_>) -> Result<MemoryPlan, LoadError> {
    let config = &checkpoint.config;
    let plan = |n| {
        let (weights, vision) = (checkpoint.tensor_bytes(), checkpoint.vision.as_ref());
        MemoryPlan::new(weights, config, vision, options.kv_type, n)
    };
    let asked = if options.context_length == 0 { config.max_context } else { options.context_length };
    let asked = plan(asked);
    let Some(available) = available_memory() else { return Ok(asked) };
    if asked.total <= available {
        return Ok(asked);
    }
    // Memory grows with each page of context: as many as fit, in round numbers, are what would do.
    let page_bytes = Layout::of(config, options.kv_type).page_bytes();
    let spare = available.saturating_sub(plan(1).total) / page_bytes * PAGE as u64;
    let fits = Some(spare as usize / 1024 * 1024).filter(|n| *n > 0);
    Err(LoadError::Memory { needed: asked.total, available, context_length: asked.context_length, fits })
}

/// `MemAvailable` in bytes, where the system tells.
fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
