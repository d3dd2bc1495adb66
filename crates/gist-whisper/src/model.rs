//! A loaded Whisper model.

use std::path::{Path, PathBuf};

use crate::Error;
use crate::decoder::Decoder;
use crate::encoder::Encoder;
use crate::tokenizer::Tokenizer;
use crate::weights::Weights;

/// Every Whisper has heads of this size, from tiny to large.
pub(crate) const HEAD: usize = 64;

/// A Whisper model of any size, loaded once and shared between streams.
pub struct WhisperModel {
    pub(crate) encoder: Encoder,
    pub(crate) decoder: Decoder,
    pub(crate) tokenizer: Tokenizer,
    pub(crate) mels: usize,
    path: PathBuf,
}

impl WhisperModel {
    /// Loads the model in the folder `path` (or in the folder of the model file `path`): `tokenizer.json`,
    /// `config.json` and `model.bin` (CTranslate2, float16 or float32) or `model.safetensors`.
    ///
    /// Memory: the decoder has 8 bits a weight, the encoder is f32: about 150 MB for base, 70 MB for tiny.
    ///
    /// # Errors
    /// When a file is missing, damaged, or not of a Whisper model.
    pub fn load(path: &Path) -> Result<Self, Error> {
        let dir = if path.is_file() { path.parent().unwrap_or(Path::new(".")) } else { path };
        let mut weights = Weights::read(dir)?;
        let file = weights.path().to_owned();
        let refuse = |what: &str| Err(Error::format(&file, format!("not a Whisper model: {what}")));
        let (Some(&[width, mels, 3]), Some(&[vocabulary, _])) =
            (weights.shape("encoder/conv1/weight"), weights.shape("decoder/embeddings/weight"))
        else {
            return refuse("the first convolution or the embeddings are missing");
        };
        if width == 0 || width % HEAD != 0 || !(80..=128).contains(&mels) {
            return refuse(&format!("a width of {width} and {mels} mel bands"));
        }
        let tokenizer = Tokenizer::read(dir, vocabulary)?;
        if tokenizer.first_timestamp as usize + 1500 >= vocabulary {
            return refuse("the tokenizer does not belong to it");
        }
        let encoder = Encoder::load(&mut weights, mels, width)?;
        let decoder = Decoder::load(&mut weights, vocabulary, width)?;
        if encoder.max_positions() < 1500 || decoder.max_tokens() < 448 {
            return refuse("it is made for less than 30 s");
        }
        Ok(Self { encoder, decoder, tokenizer, mels, path: dir.to_owned() })
    }

    /// The folder it was loaded from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it knows languages other than English.
    pub fn multilingual(&self) -> bool {
        self.tokenizer.multilingual
    }

    /// Codes of the languages it knows; just `en` for an English model.
    pub fn languages(&self) -> impl Iterator<Item = &str> {
        let known = if self.multilingual() { usize::MAX } else { 1 };
        self.tokenizer.languages.iter().take(known).map(|(code, _)| code.as_str())
    }
}
