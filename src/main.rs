//! `streamgist`: chapters with timestamps for any live or recorded video, while it plays.

// A command-line program speaks by printing.
#![allow(clippy::print_stdout, clippy::print_stderr)]

mod cli;
mod eval;
mod pull;
mod run;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(cli.log_filter()).init();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamgist: {error:#}");
            ExitCode::from(cli::exit::Class::of(&error) as u8)
        }
    }
}
