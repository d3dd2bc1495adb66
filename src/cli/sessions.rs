//! `streamgist sessions`: what `streamgist watch` has kept.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::Context;
use clap::{Args, Subcommand};
use gist_core::ChapterEvent;
use gist_core::export::text::one_line;
use gist_core::export::{Format, Outline, render};
use gist_core::time::{clock, seconds};
use gist_store::{Session, Store};
use serde_json::json;

use super::chapters::by_name;
use super::exit::Class;
use super::store::{StoreArgs, shown, unique};
use super::table::table;
use crate::run::screen;
use crate::watch::session::{ALL, record_of};

/// Shows and exports what `streamgist watch` has kept of its streams
///
/// A session is one watching of a stream; it goes on over reconnects and short restarts. Times are those of the
/// session: 0:00 is when it began. An id may be shortened as long as only one session begins like that. All of this
/// works while `watch` runs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist sessions list streamgist.toml --stream hall-1
  streamgist sessions show streamgist.toml 01kb3d6q
  streamgist sessions export streamgist.toml 01kb3d6q -o hall-1.vtt
  streamgist sessions export --store copy.db 01kb3d6q --format markdown")]
pub(crate) struct SessionsArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Shows sessions, newest first
    List {
        #[command(flatten)]
        store: StoreArgs,
        /// Only those of this stream
        #[arg(long, value_name = "NAME")]
        stream: Option<String>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        /// Writes an object a line
        #[arg(long)]
        json: bool,
    },
    /// Shows a session: when nothing came, its chapters, its digests
    #[command(allow_missing_positional = true)]
    Show {
        #[command(flatten)]
        store: StoreArgs,
        /// Id of the session, or how it begins
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Writes the chapters of a session in a format that other programs read
    #[command(allow_missing_positional = true)]
    Export {
        #[command(flatten)]
        store: StoreArgs,
        /// Id of the session, or how it begins
        #[arg(value_name = "ID")]
        id: String,
        /// json-lines, webvtt, ffmetadata, youtube, podcast-json, matroska-xml, markdown, or record: all events as
        /// they were published and what was said and shown, which `resume-from` of gistsummarizer takes. Told by the
        /// name of --output when left out
        #[arg(long, short, value_name = "FORMAT", value_parser = Export::from_str)]
        format: Option<Export>,
        /// Writes to a file instead of standard output
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
}

/// What a session is written as.
#[derive(Clone, Copy, Debug)]
enum Export {
    Chapters(Format),
    Record,
}

impl FromStr for Export {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "record" => Ok(Self::Record),
            _ => name.parse().map(Self::Chapters).map_err(|error| format!("{error}, and record")),
        }
    }
}

pub(crate) fn run(args: &SessionsArgs) -> anyhow::Result<()> {
    match &args.command {
        Command::List { store, stream, limit, json } => {
            list(&store.read()?, stream.as_deref(), *limit, *json)
        }
        Command::Show { store, id } => {
            let store = store.read()?;
            let session = session(&store, id)?;
            out!("{}", show(&store, &session)?);
            Ok(())
        }
        Command::Export { store, id, format, output } => {
            let by_name = || by_name(output.as_deref()?).map(Export::Chapters);
            let Some(format) = format.or_else(by_name) else {
                return Err(Class::Usage
                    .failure("say in which format: --format, or a name for --output that tells it"));
            };
            let store = store.read()?;
            let text = export(&store, &session(&store, id)?.id, format)?;
            match output {
                Some(path) => fs::write(path, text)
                    .map_err(|e| Class::Output.failure(format!("can't write {}: {e}", path.display()))),
                None => std::io::stdout()
                    .write_all(text.as_bytes())
                    .map_err(|e| Class::Output.failure(format!("can't write the session: {e}"))),
            }
        }
    }
}

fn session(store: &Store, id: &str) -> anyhow::Result<Session> {
    let find = |prefix: &str, limit| store.session_ids(prefix, limit);
    let id = unique(find, id, ["session", "`streamgist sessions list`"])?;
    store.session(&id)?.context("the session was removed just now")
}

fn list(store: &Store, stream: Option<&str>, limit: usize, json: bool) -> anyhow::Result<()> {
    let mut rows = Vec::new();
    for session in store.sessions(stream, limit)? {
        let chapters = store.closed_chapters(&session.id)?;
        let Session { id, stream, source, model, language, started, ended, .. } = session;
        let (at, note) = ended.map(|ended| (shown(ended.at), ended.note)).unzip();
        if json {
            let line = json!({
                "id": id, "stream": stream, "source": source, "model": model, "language": language,
                "started": shown(started), "ended": at, "note": note, "chapters": chapters,
            });
            outln!("{line}");
        } else {
            let (at, note) = (at.unwrap_or_else(|| "-".into()), note.unwrap_or_else(|| "open".into()));
            rows.push([id, stream, shown(started), at, chapters.to_string(), note]);
        }
    }
    if !json {
        out!("{}", table(["ID", "STREAM", "BEGAN", "ENDED", "CHAPTERS", "HOW"], rows));
    }
    Ok(())
}

fn events(store: &Store, id: &str) -> anyhow::Result<Vec<ChapterEvent>> {
    let parse = |json: &String| serde_json::from_str(json).context("an event of the store can't be read");
    store.events(id, 0, ALL)?.iter().map(parse).collect()
}

/// A session as people read it.
fn show(store: &Store, session: &Session) -> anyhow::Result<String> {
    let Session { id, stream, source, model, language, started, ended, .. } = session;
    let ended = match ended {
        Some(ended) => format!("ended {}: {}", shown(ended.at), ended.note),
        None => "not ended".to_owned(),
    };
    let model = if model.is_empty() { "the default model" } else { model };
    let mut head = vec![
        format!("{stream}, session {id}"),
        format!("source {source}"),
        format!("{model}, language {language}"),
        format!("began {}, {ended}", shown(*started)),
    ];
    for gap in store.gaps(id)? {
        let (from, to) = (clock(gap.span.start), clock(gap.span.end));
        head.push(format!("nothing came {from} – {to}: {}", gap.reason));
    }
    let mut text: String = head.iter().flat_map(|line| [one_line(line), "\n".into()]).collect();
    text.push('\n');
    let bold = screen::bold();
    let outline: Outline = events(store, id)?.into_iter().map(in_session).collect();
    for chapter in outline.chapters() {
        match chapter.end {
            Some(_) => text += &screen::chapter(chapter.event, bold),
            None => text += &format!("{} –  (open)\n\n", clock(chapter.start)),
        }
    }
    for digest in outline.digests().into_iter().filter(|digest| !digest.text.is_empty()) {
        let period = digest.period_start.zip(digest.period_end);
        let (from, to) = period.unwrap_or_default();
        text += &format!("{}Digest of {} – {}{}\n", bold.0, clock(from), clock(to), bold.1);
        text += &screen::digest(digest);
    }
    Ok(text)
}

/// With the times of the session: those of a source begin anew when it is opened again.
fn in_session(mut event: ChapterEvent) -> ChapterEvent {
    let shift = seconds(event.running_time) - event.start;
    event.stream_time = Some(event.running_time);
    event.start += shift;
    event.end = event.end.map(|end| end + shift);
    for point in &mut event.points {
        point.start += shift;
        point.end += shift;
    }
    event
}

fn export(store: &Store, id: &str, format: Export) -> anyhow::Result<String> {
    match format {
        Export::Record => Ok(record_of(&store.events(id, 0, ALL)?, &store.observations(id, 0, ALL)?)),
        Export::Chapters(format) => {
            let mut outline = Outline::with_origin(0);
            outline.extend(events(store, id)?);
            Ok(render(format, &outline))
        }
    }
}
