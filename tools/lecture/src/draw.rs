//! The pictures: slides drawn by ffmpeg, and the film of them.

use crate::talk::Slide;
use crate::voice::Sound;
use anyhow::{Context, Result, ensure};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Where fonts-dejavu-core puts them.
const FONTS: &str = "/usr/share/fonts/truetype/dejavu";
/// Characters that fit into a line of a heading and of a phrase.
const HEADING_CHARS: usize = 30;
const PHRASE_CHARS: usize = 48;

/// Draws a slide as PNG, 1280×720.
pub(crate) fn slide(slide: &Slide, path: &Path) -> Result<()> {
    ensure!(
        Path::new(FONTS).join("DejaVuSans.ttf").exists(),
        "no fonts to draw with; install them with: apt-get install fonts-dejavu-core"
    );
    let mut text = Text { directory: path.with_extension("text"), filter: String::new(), count: 0 };
    std::fs::create_dir_all(&text.directory)?;
    let mut y = 70;
    for line in wrap(slide.heading.as_deref().unwrap_or_default(), HEADING_CHARS) {
        text.draw(&line, "DejaVuSans-Bold.ttf", 56, "0x1b3a5c", 80, y)?;
        y += 72;
    }
    write!(text.filter, "drawbox=x=80:y={}:w=1120:h=4:color=0xc8773a:t=fill,", y + 6)?;
    y += 56;
    for phrase in &slide.phrases {
        for (i, line) in wrap(phrase, PHRASE_CHARS).iter().enumerate() {
            let (mark, x) = if i == 0 { ("• ", 100) } else { ("", 130) };
            text.draw(&format!("{mark}{line}"), "DejaVuSans.ttf", 36, "0x282828", x, y)?;
            y += 50;
        }
        y += 34;
    }
    let filter = text.filter.trim_end_matches(',');
    let source = "color=0xfaf9f5:s=1280x720";
    run(ffmpeg().args(["-f", "lavfi", "-i", source, "-vf", filter, "-frames:v", "1"]).arg(path))
}

/// Text goes to drawtext by file: nothing in it needs escaping.
struct Text {
    directory: PathBuf,
    filter: String,
    count: usize,
}

impl Text {
    fn draw(&mut self, line: &str, font: &str, size: u32, colour: &str, x: u32, y: u32) -> Result<()> {
        let file = self.directory.join(format!("{}.txt", self.count));
        self.count += 1;
        std::fs::write(&file, line)?;
        let file = file.display();
        write!(
            self.filter,
            "drawtext=fontfile={FONTS}/{font}:textfile='{file}':expansion=none:fontsize={size}:fontcolor={colour}\
             :x={x}:y={y},"
        )?;
        Ok(())
    }
}

/// Breaks a text into lines of at most `width` characters, longer words aside.
fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_string()),
        }
    }
    lines
}

/// Joins slides (`start` in seconds, PNG) and sound into a Matroska file: H.264 at 25 frames a second, AAC at 44.1 kHz.
pub(crate) fn film(slides: &[(f64, PathBuf)], sound: &Sound, scratch: &Path, out: &Path) -> Result<()> {
    let mut list = String::from("ffconcat version 1.0\n");
    let ends = slides.iter().skip(1).map(|(start, _)| *start).chain([sound.duration()]);
    for ((start, picture), end) in slides.iter().zip(ends) {
        let name = picture.file_name().unwrap_or_default().display();
        write!(list, "file {name}\nduration {:.6}\n", end - start)?;
    }
    let (concat, raw) = (scratch.join("slides.ffconcat"), scratch.join("voice.raw"));
    std::fs::write(&concat, list)?;
    sound.write_raw(&raw)?;
    let (rate, duration) = (sound.rate.to_string(), format!("{:.6}", sound.duration()));
    let mut command = ffmpeg();
    command.args(["-f", "concat", "-i"]).arg(&concat);
    command.args(["-f", "s16le", "-ar", &rate, "-ac", "1", "-i"]).arg(&raw);
    // The last picture has no successor that would end it, so it is held for as long as the sound lasts. A key
    // frame every two seconds lets a client that joins late see something soon.
    command.args(["-vf", "format=yuv420p,fps=25,tpad=stop=-1:stop_mode=clone", "-t", &duration]);
    command.args([
        "-c:v",
        "libx264",
        "-preset",
        "ultrafast",
        "-tune",
        "stillimage",
        "-crf",
        "24",
        "-g",
        "50",
    ]);
    command.args(["-c:a", "aac", "-b:a", "96k", "-ar", "44100"]).arg(out);
    run(&mut command)
}

fn ffmpeg() -> Command {
    let mut command = Command::new("ffmpeg");
    command.args(["-v", "error", "-nostdin", "-y"]);
    command
}

fn run(ffmpeg: &mut Command) -> Result<()> {
    let output = ffmpeg.output().context("cannot run ffmpeg; install it with: apt-get install ffmpeg")?;
    ensure!(output.status.success(), "ffmpeg failed: {}", String::from_utf8_lossy(&output.stderr).trim());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_wrapped_between_words() {
        assert_eq!(wrap("one two  three four", 9), ["one two", "three", "four"]);
        assert_eq!(wrap("incomprehensibilities is", 9), ["incomprehensibilities", "is"]);
        assert!(wrap("", 9).is_empty());
    }
}
