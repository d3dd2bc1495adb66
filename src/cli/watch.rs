//! `streamgist watch` and `streamgist config`.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use crate::watch;
use crate::watch::config::{Checked, EXAMPLE};

/// Watches streams for as long as they last: chapters and digests into a store, files and webhooks
///
/// Sources are opened anew when they fail; a session goes on after a restart. Each event is in the store before it is
/// shown: it goes to standard output as a line of JSON then, to the files and to the webhooks. SIGHUP takes prompts and
/// endpoints from the file as it is then; SIGTERM or Ctrl-C closes the open chapters first.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist config example > streamgist.toml
  streamgist config check streamgist.toml
  streamgist watch streamgist.toml")]
pub(crate) struct WatchArgs {
    /// The configuration; `streamgist config example` prints one
    #[arg(value_name = "CONFIG.toml")]
    config: PathBuf,
}

pub(crate) fn run(args: &WatchArgs) -> anyhow::Result<()> {
    watch::run(&args.config)
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
            let Checked { config: read, receivers, .. } = Checked::read(config)?;
            let (streams, endpoints) = (read.streams.len(), receivers.len());
            outln!("{}: right; {streams} streams, {endpoints} endpoints", config.display());
        }
        ConfigCommand::Example => out!("{EXAMPLE}"),
    }
    Ok(())
}
