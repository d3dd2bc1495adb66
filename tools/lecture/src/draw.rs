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
    fonts()?;
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

/// Draws a slide that is nothing but a title as PNG, light on dark or dark on light.
pub(crate) fn title(title: &str, (width, height): (u32, u32), dark: bool, path: &Path) -> Result<()> {
    fonts()?;
    let mut text = Text { directory: path.with_extension("text"), filter: String::new(), count: 0 };
    std::fs::create_dir_all(&text.directory)?;
    let (ground, ink) = if dark { ("0x101830", "0xf0f0f0") } else { ("0xf4f2ea", "0x202020") };
    text.draw(title, "DejaVuSans.ttf", if title.len() > 20 { 20 } else { 26 }, ink, 14, 14)?;
    let filter = text.filter.trim_end_matches(',');
    let source = format!("color={ground}:s={width}x{height}");
    run(ffmpeg().args(["-f", "lavfi", "-i", &source, "-vf", filter, "-frames:v", "1"]).arg(path))
}

fn fonts() -> Result<()> {
    ensure!(
        Path::new(FONTS).join("DejaVuSans.ttf").exists(),
        "no fonts to draw with; install them with: apt-get install fonts-dejavu-core"
    );
    Ok(())
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

/// What is heard with the slides.
pub(crate) enum Track<'a> {
    /// A voice; AAC at 44.1 kHz in the film.
    Voice(&'a Sound),
    /// Nothing, for so many seconds: the film has no sound at all.
    Silence(f64),
}

/// Joins slides (`start` in seconds, PNG) and sound into a Matroska file with H.264 at `fps` frames a second.
pub(crate) fn film(
    slides: &[(f64, PathBuf)],
    track: Track<'_>,
    fps: u32,
    scratch: &Path,
    out: &Path,
) -> Result<()> {
    let length = match track {
        Track::Voice(sound) => sound.duration(),
        Track::Silence(seconds) => seconds,
    };
    let mut list = String::from("ffconcat version 1.0\n");
    let ends = slides.iter().skip(1).map(|(start, _)| *start).chain([length]);
    for ((start, picture), end) in slides.iter().zip(ends) {
        let name = picture.file_name().unwrap_or_default().display();
        write!(list, "file {name}\nduration {:.6}\n", end - start)?;
    }
    let concat = scratch.join("slides.ffconcat");
    std::fs::write(&concat, list)?;
    let mut command = ffmpeg();
    command.args(["-f", "concat", "-i"]).arg(&concat);
    if let Track::Voice(sound) = track {
        let raw = scratch.join("voice.raw");
        sound.write_raw(&raw)?;
        command.args(["-f", "s16le", "-ar", &sound.rate.to_string(), "-ac", "1", "-i"]).arg(&raw);
        command.args(["-c:a", "aac", "-b:a", "96k", "-ar", "44100"]);
    }
    // The last picture has no successor that would end it, so it is held for as long as the film lasts. A key frame
    // every two seconds lets a client that joins late see something soon.
    let filter = format!("format=yuv420p,fps={fps},tpad=stop=-1:stop_mode=clone");
    command.args(["-vf", &filter, "-t", &format!("{length:.6}"), "-c:v", "libx264", "-preset", "ultrafast"]);
    command.args(["-tune", "stillimage", "-crf", "24", "-g", &(2 * fps).to_string()]).arg(out);
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
