//! Loading a model and sharing it: the weights are there once, streams and forks take turns on them chunk by chunk.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gist_core::model::Dialect;
use llguidance::ParserFactory;
use llguidance::earley::SlicedBiasComputer;
use parking_lot::FairMutex;
use toktrie::{InferenceCapabilities, SimpleVob, TokEnv};

use crate::chat::VideoLayout;
use crate::checkpoint::{Checkpoint, PixelBudgets};
use crate::config::{Config, VisionTokens};
use crate::decoder::{CHUNK, Scratch, Want};
use crate::error::LoadError;
use crate::features::{FeatureCache, FeatureFolder};
use crate::kv::{Cache, KvType, Target};
use gist_kernels::team::Team;

use crate::path::{AnyDecoder, AnyTower, ComputeDevice};
use crate::picture::{Frame, PictureError, patchify};
use crate::plan::{MemoryPlan, Sizes};
use crate::rolling::Encode;
use crate::sequence::{Chunk, Sequence};
use crate::tokenizer::Tokenizer;
use crate::vision::Encoded;
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
    /// Keeps encoded pairs on disk.
    pub features: Option<FeatureFolder>,
    /// How pictures lie in the prompt.
    pub video_layout: VideoLayout,
    /// How keys and values are stored.
    pub kv_type: KvType,
    /// What computes.
    pub device: ComputeDevice,
    /// Threads to compute on, the caller's own among them, 0 for one per core.
    pub threads: usize,
    /// Is told what memory the model takes, before it is loaded.
    pub plan: Option<&'a mut dyn FnMut(&MemoryPlan)>,
    /// Gets 0 to 1 as the weights are read.
    pub progress: Option<&'a mut (dyn FnMut(f32) + Send)>,
}

/// The part of a model that sees.
pub(crate) struct Eyes {
    pub(crate) tower: AnyTower,
    pub(crate) tokens: VisionTokens,
    /// Of a still picture in pixels, as the model's own preprocessor has it.
    pub(crate) budgets: PixelBudgets,
    pub(crate) features: Option<FeatureCache>,
    pub(crate) layout: VideoLayout,
}

/// What all contexts and answers of a model share.
pub(crate) struct Engine {
    pub(crate) decoder: AnyDecoder,
    pub(crate) tokenizer: Arc<Tokenizer>,
    pub(crate) grammars: ParserFactory,
    pub(crate) kv_type: KvType,
    /// Tells this model from others, see [`Checkpoint::fingerprint`].
    pub(crate) fingerprint: String,
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
    team: Team,
}

impl Engine {
    /// Encodes a chunk of at most [`CHUNK`] tokens.
    pub(crate) fn chunk(&self, chunk: &Chunk<'_>, cache: &mut Cache, target: Target, want: Want<'_>) {
        let mut turn = self.scratch.lock();
        let scratch = &mut *turn;
        self.team.install(|| self.decoder.forward(chunk, cache, target, scratch, want));
    }

    /// The logits of what [`Want::Hidden`] gave.
    pub(crate) fn logits(&self, rows: &[f32], logits: &mut Vec<f32>) {
        let _turn = self.scratch.lock();
        self.team.install(|| self.decoder.logits(rows, logits));
    }

    /// What a saved context has to match: the model, and how pictures lie in its prompt.
    pub(crate) fn saved_as(&self) -> String {
        let layout = self.eyes.as_ref().map(|eyes| eyes.layout);
        format!("{} {layout:?}", self.fingerprint)
    }

    /// The tokens that mark pictures, when a whole video is marked as well.
    pub(crate) fn nested(&self) -> Option<&VisionTokens> {
        self.eyes.as_ref().filter(|eyes| eyes.layout == VideoLayout::Nested).map(|eyes| &eyes.tokens)
    }

    /// What the vision tower makes of a pair, and whether that was known already.
    pub(crate) fn see(
        &self,
        eyes: &Eyes,
        first: &Frame<'_>,
        second: &Frame<'_>,
    ) -> Result<(Encoded, bool), PictureError> {
        let cache = eyes.features.as_ref();
        if let Some(encoded) = cache.and_then(|cache| cache.get(first, second, eyes.tower.config())) {
            return Ok((encoded, true));
        }
        let patches = patchify(first, second)?;
        let grid = patches.grid_hw.into();
        let encoded = self.team.install(|| eyes.tower.encode(&patches.rows, grid, None));
        if let Some(cache) = cache {
            cache.put(first, second, &encoded);
        }
        Ok((encoded, false))
    }
}

impl Encode for Engine {
    fn encode(&self, tokens: &Sequence, cache: &mut Cache, target: Target) {
        tokens.chunks(CHUNK).for_each(|chunk| self.chunk(&chunk, cache, target, Want::Encoding));
    }

    fn spell(&self, tokens: &Sequence) -> String {
        let whole = tokens.chunk(0..tokens.len());
        let pad = self.eyes.as_ref().map(|eyes| eyes.tokens.video_pad);
        let runs = whole.ids().chunk_by(|a, b| (Some(*a) == pad) == (Some(*b) == pad));
        let spell = |run: &[u32]| match run {
            [first, _, ..] if Some(*first) == pad => {
                format!("{}*{}", self.tokenizer.spell(&[*first]), run.len())
            }
            run => self.tokenizer.spell(run),
        };
        runs.map(spell).collect()
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
        let table = Sizes::of(&checkpoint).table(options.context_length, options.kv_type);
        if !table.fits(&table.asked) {
            return Err(LoadError::Memory(Box::new(table)));
        }
        if let Some(tell) = options.plan {
            tell(&table.asked);
        }
        let invalid = |what: String| LoadError::Invalid { path: path.into(), what };
        let tokenizer =
            Arc::new(checkpoint.tokenizer.take().ok_or_else(|| invalid("it has no tokenizer.json".into()))?);
        let fingerprint = checkpoint.fingerprint()?;
        let team = Team::new(options.threads).map_err(|e| LoadError::Threads(e.to_string()))?;
        let mut ignore = |_| ();
        let progress = options.progress.unwrap_or(&mut ignore);
        // Towers and decoders of a family take about as many bytes as they take time.
        let seeing = if checkpoint.vision.is_some() { 0.3 } else { 0.0 };
        let (config, device) = (checkpoint.config.clone(), &options.device);
        let (decoder, eyes) = team.install(|| {
            let (features, layout) = (options.features.clone(), options.video_layout);
            let eyes = eyes(&checkpoint, device, features, layout, &mut |share| progress(share * seeing))?;
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
                fingerprint,
                text_tokens,
                verdicts,
                eyes,
                end_of_thought,
                scratch: FairMutex::default(),
                team,
            }),
        };
        tracing::info!(model = model.name, weights = model.plan(0).weights, "loaded");
        Ok(Arc::new(model))
    }

    /// Bytes this model takes with a context of `context_length` tokens.
    pub fn plan(&self, context_length: usize) -> MemoryPlan {
        let Engine { decoder, eyes, kv_type, .. } = &*self.engine;
        let weights = decoder.bytes() + eyes.as_ref().map_or(0, |eyes| eyes.tower.bytes());
        let vision = eyes.as_ref().map(|eyes| eyes.tower.config().clone());
        Sizes { weights, config: decoder.config().clone(), vision }.plan(context_length, *kv_type)
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
    features: Option<FeatureFolder>,
    layout: VideoLayout,
    progress: &mut (dyn FnMut(f32) + Send),
) -> Result<Option<Eyes>, LoadError> {
    let Checkpoint { vision: Some(vision), pictures: Some(weights), tokens: Some(tokens), .. } = checkpoint
    else {
        return Ok(None);
    };
    let tower = AnyTower::read(&**weights, vision.clone(), device, progress)?.in_integers();
    let open = |folder: FeatureFolder| {
        let path = folder.path.clone();
        FeatureCache::open(folder, |rows, grid| tower.encode(rows, grid, None))
            .map_err(|source| LoadError::Features { path, source })
    };
    let features = features.map(open).transpose()?;
    Ok(Some(Eyes { tower, tokens: tokens.clone(), budgets: checkpoint.budgets, features, layout }))
}
