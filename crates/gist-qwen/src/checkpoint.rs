//! A model as it lies on disk, whatever the format: a GGUF file, alone or with its mmproj, or a folder in Hugging Face's
//! layout. What is opened here is checked against itself; weights are read by whoever computes with them.

mod processor;
mod template;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gist_core::model::Dialect;
use sha2::{Digest, Sha256};

use crate::config::{Config, Hub, VisionTokens, json, read_mmproj};
use crate::error::LoadError;
use crate::tokenizer::Tokenizer;
use crate::vision::VisionConfig;
use crate::weights::Weights;
use crate::weights::gguf::{Gguf, Value};
use crate::weights::quantized::{Quantization, Quantized};
use crate::weights::safetensors::{Folder, Shapes};

pub(crate) use processor::PixelBudgets;

/// A folder with more files of this kind is no model.
const MAX_CANDIDATES: usize = 64;

/// An open model.
pub(crate) struct Checkpoint {
    /// The weights of the decoder.
    pub(crate) text: Arc<dyn Weights>,
    /// The weights of the vision tower, which may be the same as `text`; there when `vision` is.
    pub(crate) pictures: Option<Arc<dyn Weights>>,
    /// The shape of the decoder.
    pub(crate) config: Config,
    /// The shape of the vision tower; `None` for a model that reads text only, or a GGUF file without its mmproj.
    pub(crate) vision: Option<VisionConfig>,
    /// The tokens that mark pictures; `None` for a model that reads text only.
    pub(crate) tokens: Option<VisionTokens>,
    /// `None` for a folder without `tokenizer.json`.
    pub(crate) tokenizer: Option<Tokenizer>,
    /// Whether the chat template opens an answer with `<think>`.
    pub(crate) thinking: bool,
    /// How large pictures may be.
    pub(crate) budgets: PixelBudgets,
    /// Which questions it was trained to answer: `gist.json` says so of a model that is no chat model.
    pub(crate) dialect: Dialect,
}

impl Checkpoint {
    /// Opens a model: `path` is a GGUF file, a folder in Hugging Face's layout, or a folder with GGUF files of which
    /// one can be meant; `mmproj` is the file with the vision part of a GGUF model.
    ///
    /// # Errors
    /// For files that are missing, damaged or contradict each other, for other architectures, and for folders of which
    /// it cannot be told which file is meant.
    pub(crate) fn open(path: &Path, mmproj: Option<&Path>) -> Result<Self, LoadError> {
        if !path.is_dir() {
            return Self::open_gguf(path, mmproj);
        }
        if let Some(hub) = Hub::read(path)? {
            return match mmproj {
                None => Self::open_folder(path, hub),
                Some(mmproj) => Err(LoadError::Pair {
                    path: path.into(),
                    mmproj: mmproj.into(),
                    what: "this folder has a vision tower of its own".into(),
                }),
            };
        }
        let (text, found) = choose(path, mmproj.is_some())?;
        Self::open_gguf(&text, mmproj.or(found.as_deref()))
    }

    fn open_gguf(path: &Path, mmproj: Option<&Path>) -> Result<Self, LoadError> {
        let file = Gguf::open(path)?;
        if is_mmproj(&file) {
            let what =
                "it is the vision part of a model; name the file with the text part, and this as its mmproj";
            return Err(file.unsupported(what));
        }
        let config = Config::read(&file)?;
        let tokenizer = Tokenizer::read(&file)?;
        let tokens = config.mrope_section.map(|_| VisionTokens::read(&file, &tokenizer)).transpose()?;
        let thinking = match file.get("tokenizer.chat_template") {
            Some(Value::String(template)) => template::opens_with_thinking(template),
            _ => false,
        };
        let mut vision = None;
        let mut pictures: Option<Arc<dyn Weights>> = None;
        if let Some(mmproj) = mmproj {
            let file = Gguf::open(mmproj)?;
            let tower = read_mmproj(&file)?;
            let pair = |what| LoadError::Pair { path: path.into(), mmproj: mmproj.into(), what };
            check_pair(&config, &tower).map_err(pair)?;
            pictures = Some(Arc::new(file));
            vision = Some(tower);
        }
        Ok(Self {
            text: Arc::new(file),
            pictures,
            config,
            vision,
            tokens,
            tokenizer: Some(tokenizer),
            thinking,
            budgets: PixelBudgets::default(),
            dialect: Dialect::Instruct,
        })
    }

    fn open_folder(path: &Path, hub: Hub) -> Result<Self, LoadError> {
        let Hub { config, vision, tokens, tied } = hub;
        let budgets = PixelBudgets::read(path)?;
        let thinking = template::read(path)?.is_some_and(|text| template::opens_with_thinking(&text));
        let tokenizer = Tokenizer::read_json(&path.join("tokenizer.json"), config.vocab)?;
        if let Some(tokenizer) = &tokenizer {
            for (name, id) in [
                ("<|image_pad|>", tokens.image_pad),
                ("<|video_pad|>", tokens.video_pad),
                ("<|vision_start|>", tokens.vision_start),
                ("<|vision_end|>", tokens.vision_end),
            ] {
                if tokenizer.special_id(name) != Some(id) {
                    let what = format!("its config says that {name} is token {id}, its tokenizer does not");
                    return Err(LoadError::Invalid { path: path.into(), what });
                }
            }
        }
        let shapes = Shapes { config: &config, deepstack: &vision.deepstack, tied };
        let weights: Arc<dyn Weights> = Arc::new(Folder::open(path, &shapes)?);
        Ok(Self {
            text: weights.clone(),
            pictures: Some(weights),
            config,
            vision: Some(vision),
            tokens: Some(tokens),
            tokenizer,
            thinking,
            budgets,
            dialect: dialect(path)?,
        })
    }

    /// The same model, its matrices of floats quantised as they are read.
    pub(crate) fn quantized(mut self, quantization: Quantization) -> Self {
        let one = self.pictures.as_ref().is_some_and(|pictures| Arc::ptr_eq(pictures, &self.text));
        self.text = Arc::new(Quantized::new(self.text, quantization));
        self.pictures = match self.pictures {
            Some(_) if one => Some(self.text.clone()),
            Some(pictures) => Some(Arc::new(Quantized::new(pictures, quantization))),
            None => None,
        };
        self
    }

    /// Tells a model from others, and from itself in another type: a hash of the shape and of a sample of the weights.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub(crate) fn fingerprint(&self) -> Result<String, LoadError> {
        let mut hash = Sha256::new();
        hash.update(format!("{:?} {:?}", self.config, self.vision));
        let mut infos = self.text.infos();
        infos.sort_by(|a, b| a.name.cmp(&b.name));
        infos.iter().for_each(|info| hash.update(format!("{info:?}")));
        // What fine-tuning leaves alone least: projections of the first and last layer.
        let last = self.config.layers.saturating_sub(1);
        for name in
            ["blk.0.attn_q.weight".into(), format!("blk.{last}.attn_v.weight"), "output_norm.weight".into()]
        {
            hash.update(self.text.read(&name)?.bytes);
        }
        Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
    }

    /// Bytes all tensors take once they are loaded.
    pub(crate) fn tensor_bytes(&self) -> u64 {
        let apart = self.pictures.as_ref().filter(|pictures| !Arc::ptr_eq(pictures, &self.text));
        self.text.tensor_bytes() + apart.map_or(0, |pictures| pictures.tensor_bytes())
    }
}

/// Whether a model is given pictures, told from its files without reading them through: a folder in Hugging Face's
/// layout with a vision tower, or a GGUF file with its mmproj.
pub fn sees(path: &Path, mmproj: Option<&Path>) -> bool {
    if mmproj.is_some() {
        return true;
    }
    if !path.is_dir() {
        return false;
    }
    match Hub::read(path) {
        Ok(Some(_)) => true,
        Ok(None) => choose(path, false).is_ok_and(|(_, mmproj)| mmproj.is_some()),
        Err(_) => false,
    }
}

fn dialect(folder: &Path) -> Result<Dialect, LoadError> {
    let path = folder.join("gist.json");
    let Some(about) = json::config(&path)? else { return Ok(Dialect::Instruct) };
    match about.get("dialect").and_then(|name| name.as_str()) {
        None | Some("instruct") => Ok(Dialect::Instruct),
        Some("titles") => Ok(Dialect::Titles),
        Some(_) => {
            Err(LoadError::Invalid { path, what: "the dialect is neither instruct nor titles".into() })
        }
    }
}

fn is_mmproj(file: &Gguf) -> bool {
    matches!(file.get("general.architecture"), Some(Value::String(name)) if name == "clip")
}

/// Whether a vision tower was trained with this decoder, as far as shapes tell.
fn check_pair(config: &Config, tower: &VisionConfig) -> Result<(), String> {
    if config.mrope_section.is_none() {
        Err("the model reads text only".into())
    } else if tower.out_hidden != config.hidden {
        Err(format!("it makes rows of {} values, the model takes {}", tower.out_hidden, config.hidden))
    } else if tower.deepstack.len() != config.deepstack_layers {
        let (made, taken) = (tower.deepstack.len(), config.deepstack_layers);
        Err(format!("it makes DeepStack rows for {made} layers, the model takes them in {taken}"))
    } else {
        Ok(())
    }
}

/// The GGUF file of a folder, and its mmproj unless one is `given`.
fn choose(folder: &Path, given: bool) -> Result<(PathBuf, Option<PathBuf>), LoadError> {
    let io = |source| LoadError::Io { path: folder.into(), source };
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gguf")) {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(LoadError::NoModel(folder.into()));
    }
    let ambiguous = |what: &str, paths: &[PathBuf]| {
        let names = paths.iter().filter_map(|p| p.file_name()).map(|n| n.to_string_lossy().into_owned());
        let names = names.take(8).collect::<Vec<_>>().join(", ");
        LoadError::Choose { path: folder.into(), what: format!("{what}: {names}") }
    };
    paths.sort();
    if paths.len() > MAX_CANDIDATES {
        return Err(ambiguous("too many GGUF files; name the one to load", &paths));
    }
    let (mut texts, mut mmprojs) = (Vec::new(), Vec::new());
    for path in paths {
        let list = if is_mmproj(&Gguf::open(&path)?) { &mut mmprojs } else { &mut texts };
        list.push(path);
    }
    match (&mut texts[..], &mut mmprojs[..]) {
        ([], _) => Err(ambiguous("only the vision part of a model", &mmprojs)),
        ([_, _, ..], _) => Err(ambiguous("several models; name the file to load", &texts)),
        (_, [_, _, ..]) if !given => Err(ambiguous("several vision parts; name the one to take", &mmprojs)),
        ([text], [mmproj]) if !given => Ok((std::mem::take(text), Some(std::mem::take(mmproj)))),
        ([text], _) => Ok((std::mem::take(text), None)),
    }
}
