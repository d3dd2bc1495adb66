//! Sentence embeddings on candle: text to a unit vector, near to those of texts that say something alike.
//!
//! ```no_run
//! # fn main() -> Result<(), gist_embed::Error> {
//! let model = gist_embed::Embedder::load("models/all-minilm-l6-v2".as_ref())?;
//! let (a, b) = (model.embed("The dough rises.")?, model.embed("Bread is baked.")?);
//! let cosine: f32 = a.iter().zip(&b).map(|(a, b)| a * b).sum();
//! # Ok(())
//! # }
//! ```
//!
//! A model is a directory with `config.json`, `tokenizer.json` and `model.safetensors` of a BERT encoder whose sentence
//! vector is the mean over its tokens, scaled to length 1, as `sentence-transformers` has them. All of it is believed
//! only as far as it was checked.
//!
//! Memory: the weights, in f32 (all-MiniLM-L6-v2: 22.7 million, 87 MiB), and as much again while they are loaded.
//! Time: 26 ms of processor time for a caption line (a release build on a Zen 4, 976 lines).
//!
//! * `config`: which networks are taken
//! * `tokens`: WordPiece
//! * `bert`: the network
//! * [`cache`]: embeddings computed once, for measuring

mod bert;
pub mod cache;
mod config;
mod tokens;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use gist_core::boundary::Embed;

/// What can go wrong with an embedding model.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The operating system would not read a file.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is not what it should be: truncated, corrupt, or of another kind of model.
    #[error("{}: {reason}", path.display())]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The network could not be evaluated.
    #[error("embedding model: {0}")]
    Compute(#[from] candle_core::Error),
}

impl Error {
    fn format(path: &Path, reason: impl ToString) -> Self {
        Self::Format { path: path.to_owned(), reason: reason.to_string() }
    }
}

/// No file of a model is larger: the largest BERT has 1.3 GB.
const MAX_FILE: u64 = 2 << 30;
/// No configuration or vocabulary is larger.
const MAX_TEXT_FILE: u64 = 64 << 20;

/// A sentence embedding model. It is loaded once and shared; it holds no state.
pub struct Embedder {
    tokens: tokens::Tokens,
    network: bert::Bert,
    values: usize,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("values", &self.values).finish_non_exhaustive()
    }
}

impl Embed for Embedder {
    fn embed(&self, text: &str) -> Option<Vec<f32>> {
        Self::embed(self, text).inspect_err(|why| tracing::warn!(%why, "a line has no embedding")).ok()
    }
}

impl Embedder {
    /// Loads the model in `directory`.
    ///
    /// # Errors
    /// When a file is missing, or is not what a BERT of this size has.
    pub fn load(directory: &Path) -> Result<Self, Error> {
        let path = directory.join("config.json");
        let config =
            config::Config::parse(&read(&path, MAX_TEXT_FILE)?).map_err(|why| Error::format(&path, why))?;
        let path = directory.join("tokenizer.json");
        let tokens = tokens::Tokens::parse(&read(&path, MAX_TEXT_FILE)?, &config)
            .map_err(|why| Error::format(&path, why))?;
        let path = directory.join("model.safetensors");
        let network =
            bert::Bert::parse(&read(&path, MAX_FILE)?, &config).map_err(|why| Error::format(&path, why))?;
        tracing::debug!(path = %directory.display(), hidden = config.hidden_size, "embedding model loaded");
        Ok(Self { tokens, network, values: config.hidden_size })
    }

    /// How many values an embedding has.
    pub fn values(&self) -> usize {
        self.values
    }

    /// The embedding of a text, of length 1. Of a long text only the first 256 tokens count.
    ///
    /// # Errors
    /// When the network can't be evaluated or its weights give something that is no direction.
    pub fn embed(&self, text: &str) -> Result<Vec<f32>, Error> {
        let mut vector = self.network.mean(&self.tokens.of(text))?;
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        if !norm.is_finite() || norm <= 0.0 {
            return Err(candle_core::Error::Msg("the weights give no embedding".into()).into());
        }
        vector.iter_mut().for_each(|x| *x /= norm);
        Ok(vector)
    }
}

fn read(path: &Path, most: u64) -> Result<Vec<u8>, Error> {
    let io = |source| Error::Io { path: path.to_owned(), source };
    let file = File::open(path).map_err(io)?;
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).map_err(io)?;
    if bytes.len() as u64 > most {
        return Err(Error::format(path, format!("larger than {most} bytes")));
    }
    Ok(bytes)
}
