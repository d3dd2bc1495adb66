//! The command line.

mod ask;
mod bench;
pub(crate) mod chapters;
mod describe;
mod doctor;
pub(crate) mod exit;
mod model;
mod parity;
mod plan;
mod sessions;
mod store;
pub(crate) mod stream;
mod table;
mod watch;
mod webhooks;

use clap::{ArgAction, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

use crate::eval;

/// Chapters with timestamps for any live or recorded video, while it plays
///
/// streamgist watches and listens to a video, audio or transcript and writes a chapter as soon as it ends: title,
/// summary, points, key terms and the times they belong to. Everything runs on this machine.
#[derive(Parser, Debug)]
#[command(version, after_help = exit::HELP)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Says more on standard error; twice for details
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// How the log on standard error is written
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text, value_name = "FORMAT")]
    log_format: LogFormat,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    /// For people
    Text,
    /// An object a line
    Json,
}

#[derive(Subcommand, Debug)]
enum Command {
    Ask(Box<ask::AskArgs>),
    Bench(bench::BenchArgs),
    Chapters(Box<chapters::ChaptersArgs>),
    Describe(describe::DescribeArgs),
    Eval(eval::EvalArgs),
    Model(model::ModelArgs),
    Config(watch::ConfigArgs),
    Parity(parity::ParityArgs),
    Plan(plan::PlanArgs),
    Sessions(sessions::SessionsArgs),
    Watch(watch::WatchArgs),
    Webhooks(webhooks::WebhooksArgs),
    /// Tells what is missing on this machine, and the command that mends it
    Doctor,
}

impl Cli {
    /// Whether the log is one of JSON lines.
    pub(crate) fn json_log(&self) -> bool {
        self.log_format == LogFormat::Json
    }

    /// How much the log says: `RUST_LOG` where it is set, else by the number of `-v`.
    pub(crate) fn log_filter(&self) -> EnvFilter {
        // Who watches for weeks wants to know what happens.
        let watching = matches!(self.command, Command::Watch(_));
        let default = match self.verbose + u8::from(watching) {
            0 => "error",
            1 => {
                "warn,streamgist=info,gstgist=info,gist_core=info,gist_qwen=info,gist_whisper=info,gist_screen=info"
            }
            _ => {
                "info,streamgist=debug,gstgist=debug,gist_core=debug,gist_qwen=debug,gist_whisper=debug,gist_screen=debug"
            }
        };
        let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| default.into());
        // It writes down whole requests, with the token that is in them.
        match "ureq_proto::util=off".parse() {
            Ok(never) => filter.add_directive(never),
            Err(_) => filter,
        }
    }

    /// Does what was asked.
    ///
    /// # Errors
    /// One sentence for the user; [`exit::Class::of`] tells the exit code.
    pub(crate) fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Ask(args) => ask::run(&args),
            Command::Bench(args) => bench::run(&args),
            Command::Chapters(args) => chapters::run(&args),
            Command::Config(args) => watch::config(&args),
            Command::Describe(args) => describe::run(&args),
            Command::Doctor => doctor::run(),
            Command::Eval(args) => eval::run(&args),
            Command::Model(args) => model::run(&args),
            Command::Plan(args) => plan::run(&args),
            Command::Parity(args) => parity::run(&args),
            Command::Sessions(args) => sessions::run(&args),
            Command::Watch(args) => watch::run(&args),
            Command::Webhooks(args) => webhooks::run(&args),
        }
    }
}
