//! Loading a model and sharing it: the weights are there once, streams and forks take turns on them chunk by chunk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gist_core::model::Dialect;
use llguidance::ParserFactory;
use llguidance::earley::SlicedBiasComputer;
use parking_lot::FairMutex;
use rayon::{ThreadPool, ThreadPoolBuilder};
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv};

use crate::checkpoint::{Checkpoint, PixelBudgets};
use crate::config::{Config, VisionTokens};
use crate::decoder::{CHUNK, Scratch, Want};
use crate::error::LoadError;
use crate::kv::{Cache, KvType, Layout, PAGE, Target};
use crate::path::{AnyDecoder, AnyTower, ComputeDevice};
use crate::rolling::{Encode, SCRATCH_TOKENS};
use crate::sequence::{Chunk, Sequence};
use crate::sight::DEFAULT_GRID;
use crate::tokenizer::Tokenizer;
use crate::vision::{Encoded, VisionConfig};
use crate::weights::quantized::Quantization;

/// How to load a model.
#[derive(Default)]
pub struct LoadOptions<'a> {
    /// The name chapters carry; the file's stem when not given.
    pub name: Option<String>,
    /// Tokens of context that will be opened, 0 for what the model was trained for: whether model and context fit in
    /// memory is known before loading.
    pub context_length: usize,
    /// The vision part of a model in GGUF files; one that lies in the same folder is found.
    pub mmproj: Option<PathBuf>,
    /// Quantises matrices of floats as they are read.
    pub quantize: Option<Quantization>,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// What computes.
    pub device: ComputeDevice,
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
    fn new(
        weights: u64,
        config: &Config,
        vision: Option<&VisionConfig>,
        layout: Layout,
        context_length: usize,
    ) -> Self {
        let pages = (context_length + SCRATCH_TOKENS).div_ceil(PAGE) as u64;
        // Pages being filled at the end of each region, and one more copied by a fork.
        let open = 4 * layout.open_page_bytes();
        let kv = if context_length == 0 { 0 } else { pages * layout.page_bytes() + open };
        // One pair at a time, of the size that pictures have unless a session says otherwise.
        let pair = vision.map_or(0, |vision| vision.scratch_bytes(DEFAULT_GRID));
        let scratch = Scratch::bytes(config, CHUNK) + pair;
        Self { weights, kv, scratch, total: weights + kv + scratch }
    }
}

/// The part of a model that sees.
pub(crate) struct Eyes {
    pub(crate) tower: AnyTower,
    pub(crate) tokens: VisionTokens,
    /// Of a still picture in pixels, as the model's own preprocessor has it.
    pub(crate) budgets: PixelBudgets,
}

/// What all contexts and answers of a model share.
pub(crate) struct Engine {
    pub(crate) decoder: AnyDecoder,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) grammars: ParserFactory,
    pub(crate) kv_type: KvType,
    /// Tokens of free text and of its end.
    pub(crate) text_tokens: SimpleVob,
    /// All plain ways to begin an answer with yes, and with no.
    pub(crate) verdicts: [Vec<u32>; 2],
    /// What a model that sees has besides.
    pub(crate) eyes: Option<Eyes>,
    /// The token that ends the reasoning of a model that thinks before it answers.
    pub(crate) end_of_thought: Option<u32>,
    /// Held for one chunk or token at a time. Fair, so that a stream that encodes without a pause cannot starve an
    /// answer; and never poisoned, since a chunk counts only once it is complete.
    scratch: FairMutex<Scratch>,
    pool: ThreadPool,
}

impl Engine {
    /// Encodes a chunk of at most [`CHUNK`] tokens.
    pub(crate) fn chunk(&self, chunk: &Chunk<'_>, cache: &mut Cache, target: Target, want: Want<'_>) {
        let mut turn = self.scratch.lock();
        let scratch = &mut *turn;
        self.pool.install(|| self.decoder.forward(chunk, cache, target, scratch, want));
    }
}

impl Engine {
    /// What the vision tower makes of a pair of `grid` patches.
    pub(crate) fn see(&self, eyes: &Eyes, rows: &[f32], grid: (usize, usize)) -> Encoded {
        self.pool.install(|| eyes.tower.encode(rows, grid, None))
    }
}

impl Encode for Engine {
    fn encode(&self, tokens: &Sequence, cache: &mut Cache, target: Target) {
        tokens.chunks(CHUNK).for_each(|chunk| self.chunk(&chunk, cache, target, Want::Encoding));
    }
}

/// A loaded Qwen model.
pub struct QwenModel {
    pub(crate) name: String,
    pub(crate) dialect: Dialect,
    pub(crate) engine: Arc<Engine>,
}

impl QwenModel {
    /// Reads a model: a GGUF file (with its mmproj), or a folder in Hugging Face's layout. The weights are read once
    /// into memory; [`QwenModel::plan`] says how much that is.
    ///
    /// # Errors
    /// See [`LoadError`]. A hostile file fails before it costs memory.
    pub fn load(path: &Path, options: LoadOptions<'_>) -> Result<Arc<Self>, LoadError> {
        let mut checkpoint = Checkpoint::open(path, options.mmproj.as_deref())?;
        if let Some(quantization) = options.quantize {
            checkpoint = checkpoint.quantized(quantization);
        }
        check_memory(&checkpoint, &options)?;
        let invalid = |what: String| LoadError::Invalid { path: path.into(), what };
        let tokenizer =
            Arc::new(checkpoint.tokenizer.take().ok_or_else(|| invalid("it has no tokenizer.json".into()))?);
        let mut builder =
            ThreadPoolBuilder::new().num_threads(options.threads).thread_name(|i| format!("gist-qwen-{i}"));
        if let Some(start) = options.thread_start {
            builder = builder.start_handler(move |_| start());
        }
        let pool = builder.build().map_err(|e| LoadError::Threads(e.to_string()))?;
        let mut ignore = |_| ();
        let progress = options.progress.unwrap_or(&mut ignore);
        // Towers and decoders of a family take about as many bytes as they take time.
        let seeing = if checkpoint.vision.is_some() { 0.3 } else { 0.0 };
        let (config, device) = (checkpoint.config.clone(), &options.device);
        let (decoder, eyes) = pool.install(|| {
            let eyes = eyes(&checkpoint, device, &mut |share| progress(share * seeing))?;
            let text = &mut |share| progress(seeing + share * (1.0 - seeing));
            Ok::<_, LoadError>((AnyDecoder::read(&*checkpoint.text, config, device, text)?, eyes))
        })?;
        let env: TokEnv = tokenizer.clone();
        let slices = SlicedBiasComputer::json_slices();
        let mut grammars = ParserFactory::new(&env, InferenceCapabilities::default(), &slices)
            .map_err(|e| invalid(format!("no grammar can be built on its tokenizer: {e}")))?;
        grammars.quiet();
        let special = tokenizer.special();
        let mut text_tokens = SimpleVob::alloc(tokenizer.len());
        let ids = 0..tokenizer.len() as u32;
        ids.filter(|t| tokenizer.is_ordinary(*t) || [special.im_end, special.end_of_text].contains(t))
            .for_each(|t| text_tokens.allow_token(t));
        let end_of_thought = checkpoint.thinking.then(|| tokenizer.special_id("</think>")).flatten();
        let verdicts = ["yes", "no"].map(|word| tokenizer.spellings(word));
        let stem = || path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let model = Self {
            name: options.name.unwrap_or_else(stem),
            dialect: checkpoint.dialect,
            engine: Arc::new(Engine {
                decoder,
                tokenizer,
                grammars,
                kv_type: options.kv_type,
                text_tokens,
                verdicts,
                eyes,
                end_of_thought,
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
        let layout = Layout::of(decoder.config(), self.engine.kv_type);
        let eyes = self.engine.eyes.as_ref().map_or(0, |eyes| eyes.tower.bytes());
        let vision = self.engine.eyes.as_ref().map(|eyes| eyes.tower.config());
        MemoryPlan::new(decoder.bytes() + eyes, decoder.config(), vision, layout, context_length)
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

fn eyes(
    checkpoint: &Checkpoint,
    device: &ComputeDevice,
    progress: &mut (dyn FnMut(f32) + Send),
) -> Result<Option<Eyes>, LoadError> {
    let Checkpoint { vision: Some(vision), pictures: Some(weights), tokens: Some(tokens), .. } = checkpoint
    else {
        return Ok(None);
    };
    let tower = AnyTower::read(&**weights, vision.clone(), device, progress)?;
    Ok(Some(Eyes { tower, tokens: tokens.clone(), budgets: checkpoint.budgets }))
}

/// Refuses what does not fit into the memory that is free, naming a context length that would.
fn check_memory(checkpoint: &Checkpoint, options: &LoadOptions<'_>) -> Result<(), LoadError> {
    let Some(available) = available_memory() else { return Ok(()) };
    let config = &checkpoint.config;
    let layout = Layout::of(config, options.kv_type);
    let plan = |n| {
        let (weights, vision) = (checkpoint.tensor_bytes(), checkpoint.vision.as_ref());
        MemoryPlan::new(weights, config, vision, layout, n)
    };
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
