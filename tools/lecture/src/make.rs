//! `lecture make`: from the talk to the film.

use crate::talk::Talk;
use crate::voice::Sound;
use crate::{draw, voice};
use anyhow::{Context, Result};
use indicatif::{ProgressBar, ProgressStyle};
use std::path::Path;
use std::time::SystemTime;

/// What is made; the film comes last, so that an interrupted run is repeated.
const OUTPUTS: [&str; 3] = ["lecture.vtt", "lecture.truth.json", "lecture.mkv"];

/// Makes the lecture of `talk_data`/demo-lecture.json in `out`, unless it is there and newer.
pub(crate) fn make(talk_data: &Path, out: &Path) -> Result<()> {
    let source = talk_data.join("demo-lecture.json");
    let talk = Talk::read(&source)?;
    let modified = |path: &Path| std::fs::metadata(path).and_then(|meta| meta.modified());
    let written = modified(&source).unwrap_or_else(|_| SystemTime::now());
    if OUTPUTS.iter().all(|name| modified(&out.join(name)).is_ok_and(|made| made > written)) {
        println!("{} is up to date", out.join("lecture.mkv").display());
        return Ok(());
    }
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;

    let bar = progress(talk.sentences().count(), "speaking");
    let voices = talk.sentences().map(|sentence| {
        bar.inc(1);
        voice::speak(sentence)
    });
    let voices: Vec<Sound> = voices.collect::<Result<_>>()?;
    bar.finish();
    let timeline = talk.timeline(&voices.iter().map(Sound::duration).collect::<Vec<_>>());
    let mut sound = Sound::default();
    for (line, voice) in timeline.spoken.iter().zip(&voices) {
        sound.append(voice, line.start);
    }
    sound.pad(timeline.truth.duration);

    let scratch = tempfile::tempdir()?;
    let bar = progress(timeline.slides.len(), "drawing");
    let mut slides = Vec::new();
    for (number, (start, slide)) in timeline.slides.iter().enumerate() {
        let path = scratch.path().join(format!("slide-{number:02}.png"));
        draw::slide(slide, &path)?;
        slides.push((*start, path));
        bar.inc(1);
    }
    bar.finish();

    let [vtt, truth, film] = OUTPUTS.map(|name| out.join(name));
    println!("encoding {:.0} s of film", sound.duration());
    let unfinished = out.join("unfinished.mkv");
    draw::film(&slides, draw::Track::Voice(&sound), 25, scratch.path(), &unfinished)?;
    std::fs::write(&vtt, timeline.webvtt())?;
    std::fs::write(&truth, serde_json::to_string_pretty(&timeline.truth)? + "\n")?;
    std::fs::rename(&unfinished, &film)?;
    let (chapters, slides) = (timeline.truth.chapters.len(), timeline.truth.slides.len());
    println!("{}: {chapters} chapters, {slides} slides", film.display());
    Ok(())
}

fn progress(length: usize, what: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg:>10} {bar:30} {pos}/{len} {elapsed}");
    let bar = ProgressBar::new(length as u64).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}
