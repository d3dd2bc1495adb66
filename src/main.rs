//! `streamgist`: chapters with timestamps for any live or recorded video, while it plays.

// A command-line program speaks by printing.
#![allow(clippy::print_stdout, clippy::print_stderr)]

/// `print!` that takes a reader that went away (`| head`) for what it is: no failure, and no panic.
macro_rules! out {
    ($($text:tt)*) => {{
        use std::io::Write;
        let mut out = std::io::stdout().lock();
        let _ = write!(out, $($text)*).and_then(|()| out.flush());
    }};
}

/// `println!` of the same kind.
macro_rules! outln {
    ($text:literal $($rest:tt)*) => { out!("{}\n", format_args!($text $($rest)*)) };
}

mod cli;
mod eval;
mod pull;
mod run;
mod watch;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    let cli = cli::Cli::parse();
    let log = tracing_subscriber::fmt().with_writer(std::io::stderr).with_env_filter(cli.log_filter());
    if cli.json_log() {
        log.json().flatten_event(true).init();
    } else {
        log.init();
    }
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("streamgist: {}", run::input::redact(&format!("{error:#}")));
            ExitCode::from(cli::exit::Class::of(&error) as u8)
        }
    }
}
