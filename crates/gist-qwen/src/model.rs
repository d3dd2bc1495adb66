//! Loading a model and sharing it: the weights are there once, streams and forks take turns on them chunk by chunk.

use std::path::Path;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::earley::SlicedBiasComputer;
use parking_lot::FairMutex;
use rayon::{ThreadPool, ThreadPoolBuilder};
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv};

use crate::config::Config;
use crate::decoder::{CHUNK, Decoder, Kernels, Scratch};
use crate::error::LoadError;
use crate::gguf::Gguf;
use crate::kv::{Cache, KvType, PAGE, Target};
use crate::rolling::{Encode, SCRATCH_TOKENS};
use crate::tokenizer::Tokenizer;

/// How to load a model.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// The name chapters carry; the file's stem when not given.
    pub name: Option<String>,
    /// Tokens of context that will be opened, 0 for what the model was trained for: whether model and context fit in
    /// memory is known before loading.
    pub context_length: usize,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// Which implementation multiplies the matrices.
    pub kernels: Kernels,
    /// Threads to compute on, 0 for one per core.
    pub threads: usize,
    /// Runs first on each of these threads, to set its priority say.
    pub thread_start: Option<Arc<dyn Fn() + Send + Sync>>,
    /// Gets 0 to 1 as the weights are read.
    pub progress: Option<&'a mut (dyn FnMut(f32) + Send)>,
}

/// Bytes a model and a context take, known before a stream starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryPlan {
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
    fn new(weights: u64, config: &Config, page_bytes: u64, context_length: usize) -> Self {
        // Partly filled pages at the end of each region, and one more copied by a fork.
        let pages = (context_length + SCRATCH_TOKENS).div_ceil(PAGE) + 4;
        let kv = if context_length == 0 { 0 } else { pages as u64 * page_bytes };
        let scratch = Scratch::bytes(config, CHUNK);
        Self { weights, kv, scratch, total: weights + kv + scratch }
    }
}

/// What all contexts and answers of a model share.
pub(crate) struct Engine {
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) grammars: ParserFactory,
    pub(crate) kv_type: KvType,
    /// Tokens of free text and of its end.
    pub(crate) text_tokens: SimpleVob,
    /// All plain ways to begin an answer with yes, and with no.
    pub(crate) verdicts: [Vec<u32>; 2],
    /// Held for one chunk or token at a time. Fair, so that a stream that encodes without a pause cannot starve an
    /// answer; and never poisoned, since a chunk counts only once it is complete.
    scratch: FairMutex<Scratch>,
    pool: ThreadPool,
}

impl Engine {
    /// Encodes at most [`CHUNK`] tokens; the logits of the last one go to `logits`.
    pub(crate) fn chunk(
        &self,
        tokens: &[u32],
        cache: &mut Cache,
        target: Target,
        logits: Option<&mut Vec<f32>>,
    ) {
        let mut turn = self.scratch.lock();
        let scratch = &mut *turn;
        self.pool.install(|| self.decoder.forward(tokens, cache, target, scratch, logits));
    }
}

impl Encode for Engine {
    fn encode(&self, tokens: &[u32], cache: &mut Cache, target: Target) {
        tokens.chunks(CHUNK).for_each(|chunk| self.chunk(chunk, cache, target, None));
    }
}

/// A loaded Qwen model.
pub struct QwenModel {
    pub(crate) name: String,
    pub(crate) engine: Arc<Engine>,
}

impl QwenModel {
    /// Reads a GGUF file. The weights are read once into memory; [`QwenModel::plan`] says how much that is.
    ///
    /// # Errors
    /// See [`LoadError`]. A hostile file fails before it costs memory.
    pub fn load(path: &Path, options: LoadOptions<'_>) -> Result<Arc<Self>, LoadError> {
        let file = Gguf::open(path)?;
        let config = Config::read(&file)?;
        check_memory(&file, &config, &options)?;
        let tokenizer = Arc::new(Tokenizer::read(&file)?);
        let mut builder =
            ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("gist-qwen-{i}"));
        if let Some(start) = options.thread_start {
            builder = builder.start_handler(move |_| start());
        }
        let pool = builder.build().map_err(|e| LoadError::Threads(e.to_string()))?;
        let mut ignore = |_| ();
        let progress = options.progress.unwrap_or(&mut ignore);
        let decoder = pool.install(|| Decoder::read(&file, config, options.kernels, progress))?;
        let env: TokEnv = tokenizer.clone();
        let slices = SlicedBiasComputer::json_slices();
        let mut grammars = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|e| file.invalid(format!("no grammar can be built on its tokenizer: {e}")))?;
        grammars.quiet();
        let special = tokenizer.special();
        let mut text_tokens = SimpleVob::alloc(tokenizer.len());
        let ids = 0..tokenizer.len() as u32;
        ids.filter(|t| tokenizer.is_ordinary(*t) || [special.im_end, special.end_of_text].contains(t))
            .for_each(|t| text_tokens.allow_token(t));
        let verdicts = ["yes", "no"].map(|word| tokenizer.spellings(word));
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let model = Self {
            name: options.name.unwrap_or_else(stem),
            engine: Arc::new(Engine {
                decoder,
                tokenizer,
                grammars,
                kv_type: options.kv_type,
                text_tokens,
                verdicts,
                scratch: FairMutex::default(),
                pool,
            }),
        };
        tracing::info!(model = model.name, weights = model.plan(0).weights, "loaded");
        Ok(Arc::new(model))
    }

    /// Bytes this model takes with a context of `context_length` tokens.
    pub fn plan(&self, context_length: usize) -> MemoryPlan {
        let decoder = &self.engine.decoder;
        let page_bytes = decoder.layout(self.engine.kv_type).page_bytes();
        MemoryPlan::new(decoder.bytes(), decoder.config(), page_bytes, context_length)
    }

    /// The shape of the model.
    pub fn config(&self) -> &Config {
        self.engine.decoder.config()
    }

    /// The tokenizer of the model.
    pub fn tokenizer(&self) -> &Tokenizer {
        &self.engine.tokenizer
    }
}

/// Refuses what does not fit into the memory that is free, naming a context length that would.
fn check_memory(file: &Gguf, config: &Config, options: &LoadOptions<'_>) -> Result<(), LoadError> {
    let Some(available) = available_memory() else { return Ok(()) };
    let layout = crate::kv::Layout {
        layers: config.layers,
        kv_heads: config.kv_heads,
        head_dim: config.head_dim,
        kv_type: options.kv_type,
    };
    let plan = |n| MemoryPlan::new(file.tensor_bytes(), config, layout.page_bytes(), n);
    let asked = if options.context_length == 0 { config.max_context } else { options.context_length };
    let needed = plan(asked).total;
    if needed <= available {
        return Ok(());
    }
    // Memory grows with each page of context: as many as fit, in round numbers, are what would do.
    let spare = available.saturating_sub(plan(1).total) / layout.page_bytes() * PAGE as u64;
    let fits = Some(spare as usize / 1024 * 1024).filter(|n| *n > 0);
    Err(LoadError::Memory { needed, available, context_length: asked, fits })
}

/// `MemAvailable` in bytes, where the system tells.
fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = info.lines().find_map(|l| l.strip_prefix("MemAvailable:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kib| kib << 10)
}
