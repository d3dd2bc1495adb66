//! `lecture titles`: a film of title slides for a model that only reads titles. No sound, no download.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use slides::Random;

use crate::draw::{self, Track};
use crate::talk::{TrueChapter, Truth};

/// Of the model's training.
const SIZE: (u32, u32) = (320, 192);
/// The model was trained on stamps up to about 100 s.
const SLIDES: [f64; 7] = [14.0, 12.0, 15.0, 11.0, 14.0, 12.0, 16.0];

/// Makes titles.mkv and titles.truth.json in `out` from the words in `words`, the same ones for the same `seed`.
pub(crate) fn make(words: &Path, out: &Path, seed: u64) -> Result<()> {
    let text = std::fs::read_to_string(words).with_context(|| format!("cannot read {}", words.display()))?;
    let words: Vec<&str> = text.lines().map(str::trim).filter(|word| !word.is_empty()).collect();
    ensure!(words.len() > 100, "there are too few words to make titles of");
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let mut random = Random(seed);
    let scratch = tempfile::tempdir()?;
    let (mut chapters, mut slides, mut start) = (Vec::new(), Vec::new(), 0.0);
    for (number, length) in SLIDES.iter().enumerate() {
        let title = title(&words, &mut random);
        let path = scratch.path().join(format!("title-{number}.png"));
        draw::title(&title, SIZE, random.below(2) == 0, &path)?;
        chapters.push(TrueChapter { t: start, title });
        slides.push((start, path));
        start += length;
    }
    draw::film(&slides, Track::Silence(start), 30, scratch.path(), &out.join("titles.mkv"))?;
    let truth = Truth { duration: start, chapters, slides: Vec::new() };
    std::fs::write(out.join("titles.truth.json"), serde_json::to_string_pretty(&truth)? + "\n")?;
    println!("{}: {} title slides, {start:.0} s", out.join("titles.mkv").display(), slides.len());
    Ok(())
}

/// One or two words that are not the same.
fn title(words: &[&str], random: &mut Random) -> String {
    let first = words[random.below(words.len())];
    let second = words[random.below(words.len())];
    if random.below(2) == 0 || first == second { first.into() } else { format!("{first} {second}") }
}
