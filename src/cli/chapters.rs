//! `streamgist chapters`.

use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::Args;
use gist_core::export::Format;

use super::exit::Class;
use super::stream::StreamArgs;
use crate::run::{Job, Output, Show, run as drive};

/// Writes the chapters of a video, an audio file, a live stream or a transcript
///
/// Chapters are shown as they end, while the input plays; a file is read as fast as this machine can. Pictures are
/// read for text, speech is transcribed, and both go into one language model, all on this machine.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist chapters talk.mp4
  streamgist chapters talk.mp4 --transcript talk.vtt --output talk.chapters.vtt --markdown talk.md
  streamgist chapters rtsp://camera.local/stream --json chapters.jsonl
  streamgist chapters talk.srt --language Chinese --json - | jq .title")]
pub(crate) struct ChaptersArgs {
    /// Writes every event as a line of JSON; `-` for standard output
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    json: Option<PathBuf>,
    /// Writes chapters, points and digest as a Markdown page
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    markdown: Option<PathBuf>,
    /// Writes the chapters to a file; may be given several times
    ///
    /// The format is told by --format, or else by the name: .vtt WebVTT, .jsonl JSON lines, .json Podcasting 2.0,
    /// .ffmeta FFmpeg metadata, .txt YouTube description, .xml Matroska, .md Markdown.
    #[arg(long, short, value_name = "FILE", help_heading = "Output")]
    output: Vec<PathBuf>,
    /// Format of --output; given several times, one for each in order
    #[arg(long, short, value_name = "FORMAT", value_parser = Format::from_str, help_heading = "Output")]
    #[arg(
        requires = "output",
        long_help = "Format of --output: json-lines, webvtt, ffmetadata, youtube, podcast-json, \
        matroska-xml or markdown. Given several times, one for each --output in order"
    )]
    format: Vec<Format>,

    /// Saves what the model has before it at the end, to go on later or to ask about it with `streamgist ask FILE`
    #[arg(long, value_name = "FILE", help_heading = "Output")]
    save_context: Option<PathBuf>,

    #[command(flatten)]
    stream: StreamArgs,
}

pub(crate) fn run(args: &ChaptersArgs) -> anyhow::Result<()> {
    drive(&args.job()?)
}

impl ChaptersArgs {
    fn job(&self) -> anyhow::Result<Job> {
        let job = self.stream.job()?;
        let (outputs, json_to_stdout) = self.outputs()?;
        let written = outputs.iter().map(|output| &output.path).chain(&self.save_context);
        for (read, written) in written.flat_map(|path| self.stream.files().map(move |read| (read, path))) {
            if same_file(written, read) {
                let name = written.display();
                return Err(
                    Class::Usage.failure(format!("{name} is read: the chapters would be written over it"))
                );
            }
        }
        if let Some(path) = &self.save_context
            && path.to_str().is_none()
        {
            return Err(Class::Usage.failure(format!("{}: the name is not UTF-8", path.display())));
        }
        let show = if json_to_stdout { Show::Json } else { Show::Chapters };
        Ok(Job { outputs, show, save_context: self.save_context.clone(), ..job })
    }

    fn outputs(&self) -> anyhow::Result<(Vec<Output>, bool)> {
        if self.format.len() > 1 && self.format.len() != self.output.len() {
            return Err(Class::Usage.failure(format!(
                "{} formats for {} outputs: give one --format for all, or one for each",
                self.format.len(),
                self.output.len()
            )));
        }
        let mut outputs = Vec::new();
        for (i, path) in self.output.iter().enumerate() {
            let format =
                self.format.get(i).or_else(|| self.format.first()).copied().or_else(|| by_name(path));
            let format = format.ok_or_else(|| {
                Class::Usage.failure(format!("{}: its name tells no format; add --format", path.display()))
            })?;
            outputs.push(Output { path: path.clone(), format });
        }
        let json_to_stdout = self.json.as_ref().is_some_and(|path| path.as_os_str() == "-");
        let json = self.json.iter().filter(|_| !json_to_stdout);
        outputs.extend(json.map(|path| Output { path: path.clone(), format: Format::JsonLines }));
        outputs
            .extend(self.markdown.iter().map(|path| Output { path: path.clone(), format: Format::Markdown }));
        Ok((outputs, json_to_stdout))
    }
}

fn same_file(a: &Path, b: &Path) -> bool {
    matches!((a.canonicalize(), b.canonicalize()), (Ok(a), Ok(b)) if a == b)
}

/// The format a file name stands for.
pub(crate) fn by_name(path: &Path) -> Option<Format> {
    Some(match path.extension()?.to_str()?.to_ascii_lowercase().as_str() {
        "jsonl" | "ndjson" => Format::JsonLines,
        "vtt" => Format::WebVtt,
        "ffmeta" | "ffmetadata" => Format::FfMetadata,
        "txt" => Format::YouTube,
        "json" => Format::PodcastJson,
        "xml" => Format::MatroskaXml,
        "md" => Format::Markdown,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_extension_stands_for_the_format_other_programs_expect() {
        for (name, format) in
            [("a.vtt", Format::WebVtt), ("a.JSONL", Format::JsonLines), ("a.md", Format::Markdown)]
        {
            assert_eq!(by_name(name.as_ref()), Some(format));
        }
        assert_eq!(by_name("chapters".as_ref()), None);
    }
}
