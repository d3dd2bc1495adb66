//! The configuration of `watch`: strict, and wrong in a line that is named.

mod check;
mod values;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::path::{Path, PathBuf};

use gist_webhook::{Endpoint, EventFilter};
use serde::Deserialize;
use toml::Spanned;

use crate::cli::exit::Class;
use values::{Bytes, Duration};

/// A configuration that says what each line is for.
pub(crate) const EXAMPLE: &str = include_str!("example.toml");

/// What is watched, and who is told.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Config {
    pub(crate) store: PathBuf,
    #[serde(default = "default_metrics")]
    pub(crate) metrics: Spanned<String>,
    #[serde(default)]
    allow_networks: Vec<Spanned<String>>,
    #[serde(default)]
    pub(crate) retention: Retention,
    #[serde(default, rename = "stream")]
    pub(crate) streams: Vec<Stream>,
    #[serde(default, rename = "endpoint")]
    endpoints: Vec<EndpointTable>,
}

/// What is kept.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Retention {
    pub(crate) age: Option<Duration>,
    pub(crate) size: Option<Bytes>,
}

/// A stream.
#[derive(Clone, Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub(crate) struct Stream {
    pub(crate) name: Spanned<String>,
    source: Option<Spanned<String>>,
    source_file: Option<Spanned<PathBuf>>,
    pub(crate) model: Option<Spanned<String>>,
    pub(crate) speech_model: Option<Spanned<String>>,
    pub(crate) speech_language: Option<String>,
    #[serde(default = "yes")]
    pub(crate) speech: bool,
    pub(crate) language: Option<String>,
    pub(crate) prompt: Option<String>,
    pub(crate) preset: Option<Preset>,
    pub(crate) granularity: Option<Granularity>,
    pub(crate) min_chapter_duration: Option<Duration>,
    pub(crate) max_chapter_duration: Option<Duration>,
    pub(crate) look_ahead: Option<Duration>,
    pub(crate) digest_interval: Option<Duration>,
    pub(crate) digest_style: Option<DigestStyle>,
    pub(crate) context_length: Option<u32>,
    pub(crate) memory_length: Option<u32>,
    #[serde(default)]
    pub(crate) outputs: Vec<Spanned<PathBuf>>,
    pub(crate) endpoints: Option<Vec<Spanned<String>>>,
    reconnect: Option<bool>,
    #[serde(default = "Duration::seconds::<20>")]
    pub(crate) stall_timeout: Duration,
    #[serde(default = "Duration::seconds::<3600>")]
    pub(crate) resume_within: Duration,
    /// For tests: `mock`.
    pub(crate) backend: Option<String>,
}

/// How many chapters.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Granularity {
    Coarse,
    Normal,
    Fine,
}

/// What the texts are to tell of.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Preset {
    None,
    Study,
    StudyZh,
    Lecture,
    Broadcast,
    Meeting,
    Camera,
}

/// How a digest is written.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DigestStyle {
    Brief,
    Detailed,
    Minutes,
}

/// A receiver as it stands in the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct EndpointTable {
    name: Spanned<String>,
    url: Option<Spanned<String>>,
    url_file: Option<Spanned<PathBuf>>,
    #[serde(default)]
    secret_files: Vec<Spanned<PathBuf>>,
    #[serde(default = "default_events")]
    events: Vec<Spanned<String>>,
    #[serde(default)]
    headers: BTreeMap<String, Spanned<String>>,
    #[serde(default = "Duration::seconds::<15>")]
    timeout: Duration,
    #[serde(default = "one")]
    concurrency: Spanned<usize>,
    #[serde(default)]
    strict_order: bool,
    per_minute: Option<NonZeroU32>,
}

/// A receiver, checked.
#[derive(Clone, Debug)]
pub(crate) struct Receiver {
    pub(crate) endpoint: Endpoint,
    pub(crate) events: EventFilter,
}

/// Where a configuration stands.
#[derive(Debug)]
pub(crate) enum Source {
    /// In a file, which may change.
    File(PathBuf),
    /// In the options of a command.
    Text(String),
}

/// A configuration that was checked.
#[derive(Debug)]
pub(crate) struct Checked {
    pub(crate) config: Config,
    pub(crate) metrics: SocketAddr,
    pub(crate) receivers: Vec<Receiver>,
}

fn default_metrics() -> Spanned<String> {
    Spanned::new(0..0, "127.0.0.1:9464".into())
}

fn default_events() -> Vec<Spanned<String>> {
    ["chapter.closed", "chapter.revised", "digest.created", "alert.raised"]
        .map(|event| Spanned::new(0..0, event.to_owned()))
        .into()
}

fn one() -> Spanned<usize> {
    Spanned::new(0..0, 1)
}

fn yes() -> bool {
    true
}

impl Checked {
    /// Reads and checks a file, and the files it names.
    ///
    /// # Errors
    /// [`Class::Usage`]: everything that is wrong, each with its line.
    pub(crate) fn read(source: &Source) -> anyhow::Result<Self> {
        match source {
            Source::File(path) => read(path, Self::parse),
            // Whoever gave options knows no lines.
            Source::Text(text) => Self::parse(text).map_err(|faults| {
                let whys = faults.iter().map(|fault| fault.split_once(": ").map_or(fault.as_str(), |f| f.1));
                Class::Usage.failure(whys.collect::<Vec<_>>().join("; "))
            }),
        }
    }

    /// The same of a text; each fault is `LINE: what`.
    fn parse(text: &str) -> Result<Self, Vec<String>> {
        check::check(text, parse(text)?)
    }
}

/// Where the store of a configuration lies. Nothing else in it is looked at: who asks what happened needs no models
/// and no secrets.
///
/// # Errors
/// As [`Checked::read`].
pub(crate) fn store(path: &Path) -> anyhow::Result<PathBuf> {
    read(path, |text| Ok(parse(text)?.store))
}

/// The receivers of a configuration; its streams are not looked at.
///
/// # Errors
/// As [`Checked::read`].
pub(crate) fn receivers(path: &Path) -> anyhow::Result<Vec<Receiver>> {
    read(path, |text| check::receivers(text, &parse(text)?))
}

fn read<T>(path: &Path, parse: impl FnOnce(&str) -> Result<T, Vec<String>>) -> anyhow::Result<T> {
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|e| Class::Usage.failure(format!("can't read {name}: {e}")))?;
    parse(&text).map_err(|faults| {
        let lines: Vec<_> = faults.iter().map(|fault| format!("{name}:{fault}")).collect();
        Class::Usage.failure(format!("the configuration is not right\n{}", lines.join("\n")))
    })
}

fn parse(text: &str) -> Result<Config, Vec<String>> {
    toml::from_str(text).map_err(|error| {
        let line = error.span().map_or(1, |span| check::line(text, span.start));
        vec![format!("{line}: {}", error.message().replace('\n', "; "))]
    })
}

impl Stream {
    /// The address, from wherever it is told.
    ///
    /// # Errors
    /// When the file that holds it can't be read.
    pub(crate) fn source(&self) -> Result<String, String> {
        match (&self.source, &self.source_file) {
            (Some(source), _) => Ok(source.get_ref().clone()),
            (None, Some(file)) => values::line_of(file.get_ref()),
            (None, None) => Err("a stream needs a source, or a source-file that holds it".into()),
        }
    }

    /// Whether its end is a failure: cameras have none.
    pub(crate) fn reconnects(&self, source: &str) -> bool {
        let ends = !source.contains("://")
            || ["file://", "http://", "https://"].iter().any(|s| source.starts_with(s));
        self.reconnect.unwrap_or(!ends)
    }

    /// Properties of `gistsummarizer` that may change while it runs.
    pub(crate) fn texts(&self) -> Vec<(&'static str, String)> {
        let all = [
            ("preset", Some(values::nick(self.preset.unwrap_or(Preset::None)))),
            ("prompt", Some(self.prompt.clone().unwrap_or_default())),
            ("language", Some(self.language.clone().unwrap_or_else(|| "auto".into()))),
            ("granularity", Some(values::nick(self.granularity.unwrap_or(Granularity::Normal)))),
            ("digest-interval", Some(self.digest_interval.map_or(0, Duration::nanoseconds).to_string())),
            ("digest-style", Some(values::nick(self.digest_style.unwrap_or(DigestStyle::Brief)))),
        ];
        all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }

    /// All properties of `gistsummarizer` that the file sets.
    pub(crate) fn summarizer(&self) -> Vec<(&'static str, String)> {
        let number = |value: Option<u32>| value.map(|n| n.to_string());
        let time = |value: Option<Duration>| value.map(|time| time.nanoseconds().to_string());
        let mut all = self.texts();
        let others = [
            ("backend", self.backend.clone()),
            ("model", self.model.as_ref().map(|model| model.get_ref().clone())),
            ("min-chapter-duration", time(self.min_chapter_duration)),
            ("max-chapter-duration", time(self.max_chapter_duration)),
            ("look-ahead", time(self.look_ahead)),
            ("context-length", number(self.context_length)),
            ("memory-length", number(self.memory_length)),
            ("stream-name", Some(self.name.get_ref().clone())),
            ("post-observations", Some("true".into())),
        ];
        all.extend(others.into_iter().filter_map(|(name, value)| Some((name, value?))));
        all
    }

    /// Properties of `gisttranscriber`; `None` when nobody listens.
    pub(crate) fn transcriber(&self) -> Option<Vec<(&'static str, String)>> {
        let model = self.speech_model.as_ref().map(|model| model.get_ref().clone());
        let all = [("model", model), ("language", self.speech_language.clone())];
        self.speech.then(|| all.into_iter().filter_map(|(name, value)| Some((name, value?))).collect())
    }

    /// Whether a change needs a new start of the stream.
    pub(crate) fn needs_restart(&self, new: &Self) -> bool {
        let fixed = |stream: &Self| {
            let mut stream = stream.clone();
            (stream.preset, stream.prompt, stream.language, stream.granularity) = (None, None, None, None);
            (stream.digest_interval, stream.digest_style, stream.endpoints) = (None, None, None);
            stream
        };
        fixed(self) != fixed(new)
    }

    /// Names of the endpoints that get what happens here; `None` for all.
    pub(crate) fn told(&self) -> Option<Vec<String>> {
        self.endpoints.as_ref().map(|names| names.iter().map(|name| name.get_ref().clone()).collect())
    }
}

#[cfg(test)]
mod tests;
