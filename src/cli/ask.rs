//! `streamgist ask`.

use clap::Args;

use super::exit::Class;
use super::stream::{StreamArgs, duration};
use crate::run::{Job, Question, Show, run as drive};

/// Answers a question about a video, an audio file, a live stream or a transcript
///
/// The stream is followed to its end as by `streamgist chapters`, or until Ctrl-C; then the question is answered from
/// what the model still has before it and from the texts of earlier chapters. Every statement is followed by the times
/// it comes from.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist ask talk.mp4 \"What does she say about caching?\"
  streamgist ask talk.srt \"Which numbers are named?\" --from 10m --to 15m
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
    let question = Some(Question { text: args.question.clone(), part, json: args.json });
    drive(&Job { question, show: Show::Nothing, ..args.stream.job()? })
}
