//! `streamgist watch` and `streamgist config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::Class;
use crate::watch;
use crate::watch::config::{Checked, EXAMPLE, Source};

/// Watches streams for as long as they last: chapters and digests into a store, files and webhooks
///
/// Sources are opened anew when they fail; a session goes on after a restart. Each event is in the store before it is
/// shown: it goes to standard output as a line of JSON then, to the files and to the webhooks. SIGHUP takes prompts and
/// endpoints from the file as it is then; SIGTERM or Ctrl-C closes the open chapters first.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist config example > streamgist.toml
  streamgist config check streamgist.toml
  streamgist watch streamgist.toml
  streamgist watch rtsp://camera.local/stream --store hall.db --digest-interval 30m \\
    --webhook https://example.com/hook --secret-file hook.secret")]
pub(crate) struct WatchArgs {
    /// A configuration (`streamgist config example` prints one), or the source of a single stream
    #[arg(value_name = "CONFIG.toml|SOURCE")]
    config: String,

    #[command(flatten)]
    one: One,
}

/// A single stream, without a configuration
#[derive(Args, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[command(next_help_heading = "A single stream, without a configuration")]
struct One {
    /// What it is called [default: stream]
    #[arg(long)]
    name: Option<String>,
    /// Where what must not be lost is kept
    #[arg(long, value_name = "FILE")]
    #[serde(skip)]
    store: Option<PathBuf>,
    /// Language of the texts by its English name
    #[arg(long)]
    language: Option<String>,
    /// Your own instructions for the texts
    #[arg(long, value_name = "TEXT")]
    prompt: Option<String>,
    /// A digest every so much of the stream: 30m, 1h
    #[arg(long, value_name = "TIME")]
    digest_interval: Option<String>,
    /// A file that is kept up to date, its format told by its name; may be given several times
    #[arg(long = "output", short, value_name = "FILE")]
    outputs: Vec<PathBuf>,
    /// Sends chapters and digests to this address
    #[arg(long, value_name = "URL")]
    #[serde(skip)]
    webhook: Option<String>,
    /// The file with the secret that signs them; `streamgist webhooks secret` makes one
    #[arg(long, value_name = "FILE", requires = "webhook")]
    #[serde(skip)]
    secret_file: Option<PathBuf>,
    /// A network that the webhook may be in though it is not public
    #[arg(long, value_name = "CIDR")]
    #[serde(skip)]
    allow_network: Vec<String>,
}

pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<()> {
    let file = args.config.ends_with(".toml") && !args.config.contains("://");
    if file && args.one != One::default() {
        return Err(
            Class::Usage.failure("with a configuration everything stands in it: leave the options out")
        );
    }
    match file {
        true => watch::run(&Source::File(args.config.clone().into())),
        false => watch::run(&Source::Text(args.one.configuration(&args.config)?)),
    }
}

impl One {
    /// The configuration that says the same.
    fn configuration(&self, source: &str) -> anyhow::Result<String> {
        let store = self.store.clone();
        let store =
            store.ok_or_else(|| Class::Usage.failure("--store FILE is missing: where is it to be kept?"))?;
        let mut stream = toml::Table::try_from(self)?;
        stream.insert("source".into(), source.into());
        stream.entry("name").or_insert("stream".into());
        let mut all = toml::Table::new();
        all.insert("store".into(), toml::Value::try_from(store)?);
        all.insert("metrics".into(), "127.0.0.1:0".into());
        all.insert("allow-networks".into(), self.allow_network.clone().into());
        all.insert("stream".into(), vec![stream].into());
        if let Some(url) = &self.webhook {
            let mut endpoint = toml::Table::new();
            endpoint.insert("name".into(), "webhook".into());
            endpoint.insert("url".into(), url.as_str().into());
            endpoint.insert("secret-files".into(), toml::Value::try_from(Vec::from_iter(&self.secret_file))?);
            all.insert("endpoint".into(), vec![endpoint].into());
        }
        Ok(all.to_string())
    }
}

/// Configurations of `streamgist watch`
#[derive(Args, Debug)]
pub(crate) struct ConfigArgs {
    #[command(subcommand)]
    command: ConfigCommand,
}

#[derive(Subcommand, Debug)]
enum ConfigCommand {
    /// Tells what is wrong with one, and in which line
    Check {
        /// The file
        #[arg(value_name = "CONFIG.toml")]
        config: PathBuf,
    },
    /// Prints one that says what each line is for
    Example,
}

pub(crate) fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    match &args.command {
        ConfigCommand::Check { config } => {
            let Checked { config: read, receivers, .. } = Checked::read(&Source::File(config.clone()))?;
            let (streams, endpoints) = (read.streams.len(), receivers.len());
            outln!("{}: right; {streams} streams, {endpoints} endpoints", config.display());
        }
        ConfigCommand::Example => out!("{EXAMPLE}"),
    }
    Ok(())
}
