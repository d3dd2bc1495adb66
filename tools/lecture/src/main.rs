//! Makes the demo lecture, serves it over RTSP and compares found with true chapters.
//!
//! Not a product: `make demo` and the end-to-end tests use it.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command-line tool")]

mod delay;
mod draw;
mod launch_log;
mod make;
mod matching;
mod report;
mod serve;
mod talk;
mod titles;
mod voice;

use clap::{Parser, Subcommand};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Parser)]
#[command(version, about)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Make lecture.mkv, lecture.vtt and lecture.truth.json, unless they are newer than the talk
    Make {
        /// Directory of demo-lecture.json
        #[arg(long, value_name = "DIR")]
        talk_data: PathBuf,
        /// Where the lecture goes
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Make titles.mkv and titles.truth.json: title slides for a model that reads titles, such as models/nano-vl
    Titles {
        /// One word a line
        #[arg(long, value_name = "FILE")]
        words: PathBuf,
        /// Where the film goes
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
        /// Other titles
        #[arg(long, default_value_t = 1)]
        seed: u64,
    },
    /// Serve a file in real time at rtsp://127.0.0.1:PORT/lecture
    Serve {
        /// A Matroska file with H.264 and AAC
        #[arg(long)]
        file: PathBuf,
        /// 0 takes a free one
        #[arg(long, default_value_t = 8554)]
        port: u16,
        /// Exit when the client has left or the file has ended
        #[arg(long)]
        once: bool,
    },
    /// Play a pipeline whose summarizer is named g, and tell how long its video buffers took from pad to pad
    Delay {
        /// As for gst-launch-1.0
        launch: Vec<String>,
    },
    /// Compare found with true chapters: a table, and a JSON file
    Report {
        /// lecture.truth.json
        #[arg(long, value_name = "FILE")]
        truth: PathBuf,
        /// gist-chapters-v1 lines, as gistchaptersink writes them
        #[arg(long, value_name = "FILE")]
        chapters: PathBuf,
        /// What gst-launch-1.0 -m printed
        #[arg(long, value_name = "FILE")]
        log: PathBuf,
        /// Seconds the pipeline took
        #[arg(long, value_name = "SECONDS")]
        wall: Option<f64>,
        /// Where the report goes
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    match run(Cli::parse().command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Make { talk_data, out } => make::make(&talk_data, &out),
        Command::Titles { words, out, seed } => titles::make(&words, &out, seed),
        Command::Serve { file, port, once } => serve::serve(&file, port, once),
        Command::Delay { launch } => delay::delay(&launch.join(" ")),
        Command::Report { truth, chapters, log, wall, out } => {
            report::report(&report::Inputs { truth, chapters, log, wall }, &out)
        }
    }
}
