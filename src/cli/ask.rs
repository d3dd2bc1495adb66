//! `streamgist ask`.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;
use std::time::Instant;

use anyhow::Context;
use clap::Args;
use gist_core::export::text::one_line;
use gist_core::model::{ContextConfig, ModelError};
use gist_core::session::Identity;
use gist_core::time::Span;
use gist_core::{Config, Session};
use serde_json::json;

use super::exit::Class;
use super::stream::{StreamArgs, duration};
use crate::run::{Job, Question, Show, run as drive};

/// Answers a question about a video, an audio file, a live stream or a transcript
///
/// The stream is followed to its end as by `streamgist chapters`, or until Ctrl-C; then the question is answered from
/// what the model still has before it and from the texts of earlier chapters. Every statement is followed by the times
/// it comes from. INPUT may also be a context that `streamgist chapters --save-context` wrote: nothing is played then.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist ask talk.mp4 \"What does she say about caching?\"
  streamgist ask talk.srt \"Which numbers are named?\" --from 10m --to 15m
  streamgist ask talk.gistctx \"What was the result?\"
  streamgist ask talk.mp4 \"Who asks the first question?\" --json | jq .statements")]
pub(crate) struct AskArgs {
    #[command(flatten)]
    stream: StreamArgs,
    /// In any language; it is answered in that language
    #[arg(value_name = "QUESTION")]
    question: String,
    /// Only what happened from here on counts: 90, 90s, 15m, 1h
    #[arg(long, value_name = "TIME", value_parser = duration)]
    from: Option<u64>,
    /// Only what happened up to here counts
    #[arg(long, value_name = "TIME", value_parser = duration)]
    to: Option<u64>,
    /// Writes the answer as a JSON object
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &AskArgs) -> anyhow::Result<()> {
    let part = match (args.from, args.to) {
        (None, None) => None,
        (from, to) => Some((from.unwrap_or(0), to.unwrap_or(u64::MAX))),
    };
    if part.is_some_and(|(from, to)| from >= to) {
        return Err(Class::Usage.failure("--from has to be before --to"));
    }
    if args.question.trim().is_empty() {
        return Err(Class::Usage.failure("the question is empty"));
    }
    if let Some(saved) = args.stream.saved_context() {
        return ask_saved(args, &saved, part);
    }
    let question = Some(Question { text: args.question.clone(), part, json: args.json });
    drive(&Job { question, show: Show::Nothing, ..args.stream.job()? })
}

/// Answers from a saved context, without a pipeline.
fn ask_saved(args: &AskArgs, saved: &Path, part: Option<(u64, u64)>) -> anyhow::Result<()> {
    let start = Instant::now();
    let model = args.stream.load()?;
    let loaded = start.elapsed();
    let refused = |e: ModelError| Class::Input.failure(format!("{}: {e}", saved.display()));
    let file = File::open(saved).map_err(|e| Class::Input.failure(format!("{}: {e}", saved.display())))?;
    let (identity, context) = (Identity::default(), ContextConfig::default());
    let config = Config { language: args.stream.language().into(), ..Config::default() };
    let mut file = BufReader::with_capacity(1 << 20, file);
    let mut session = Session::restore(model, identity, config, context, &mut file).map_err(refused)?;
    session.ask(&args.question, part.map(|(from, to)| Span::new(from, to)));
    while session.work(0) {}
    let answer = session.answers().next().context("no answer came")?;
    if let Some(error) = answer.error {
        return Err(Class::Other.failure(format!("there is no answer: {error}")));
    }
    let text = if args.json {
        json!({"question": answer.question, "statements": answer.statements_json()}).to_string()
    } else {
        answer.text()
    };
    let lines: Vec<String> = text.lines().map(one_line).collect();
    println!("{}", lines.join("\n"));
    if args.stream.profile() {
        let answered = (start.elapsed() - loaded).as_secs_f64();
        eprintln!("Model loaded in {:.2} s, answered in {answered:.2} s", loaded.as_secs_f64());
    }
    Ok(())
}
