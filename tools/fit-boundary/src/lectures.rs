//! Lectures with slides, composed from the sections of talks: six sections cut to a minute or so, each with two or
//! three slides of its own words, and one change of section without a new slide.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::Path;

use crate::data::{Item, Line, Mark};

/// xorshift64*: the same lectures on every machine.
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn next(&mut self) -> f64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 11) as f64 / (1u64 << 53) as f64
    }

    fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * self.next()
    }
}

/// Up to two lectures per talk, with the talk's index.
pub(crate) fn compose(talks: &[Item], seed: u64) -> Vec<(usize, Item)> {
    let mut random = Random::new(seed);
    let mut lectures = Vec::new();
    for (i, talk) in talks.iter().enumerate() {
        let sections = sections(talk);
        if sections.len() >= 6 {
            lectures.push((i, lecture(talk, &sections[..6], &mut random)));
        }
        // The second one takes every other section.
        let sparse: Vec<_> = sections.iter().skip(1).step_by(2).take(6).cloned().collect();
        if sparse.len() == 6 {
            lectures.push((i, lecture(talk, &sparse, &mut random)));
        }
    }
    lectures
}

/// Writes the lectures as a data set.
pub(crate) fn write(lectures: &[(usize, Item)], path: &Path) -> anyhow::Result<()> {
    let mut file = std::io::BufWriter::new(std::fs::File::create(path)?);
    for (_, item) in lectures {
        let line = |l: &Line| serde_json::json!({"t": l.t, "end": l.end, "text": l.text});
        let object = serde_json::json!({
            "id": item.id, "duration": item.duration,
            "chapters": item.chapters.iter().map(|c| serde_json::json!({"t": c.t, "title": c.title})).collect::<Vec<_>>(),
            "lines": item.lines.iter().map(line).collect::<Vec<_>>(),
            "slides": item.slides.iter().map(line).collect::<Vec<_>>(),
        });
        writeln!(file, "{object}")?;
    }
    file.flush()?;
    Ok(())
}

type Section = (Option<String>, Vec<String>);

/// Title and sentences of each section that is long enough.
fn sections(talk: &Item) -> Vec<Section> {
    let ends = talk.chapters.iter().skip(1).map(|c| c.t).chain([talk.duration]);
    talk.chapters
        .iter()
        .zip(ends)
        .filter(|(c, end)| end - c.t >= 60.0)
        .map(|(c, end)| {
            let text: Vec<&str> = talk
                .lines
                .iter()
                .filter(|l| l.t >= c.t - 2.0 && l.t < end - 5.0)
                .map(|l| l.text.as_str())
                .collect();
            (c.title.clone(), sentences(&text.join(" ")))
        })
        .filter(|(_, sentences)| sentences.iter().map(|s| s.len()).sum::<usize>() > 900)
        .collect()
}

fn sentences(text: &str) -> Vec<String> {
    let mut out = Vec::new();
    let mut sentence = String::new();
    for word in text.split_whitespace() {
        if !sentence.is_empty() {
            sentence.push(' ');
        }
        sentence.push_str(word);
        let ended = word.ends_with(['.', '?', '!']) && sentence.len() > 20;
        if ended || sentence.len() > 160 {
            out.push(std::mem::take(&mut sentence));
        }
    }
    if !sentence.is_empty() {
        out.push(sentence);
    }
    out
}

fn lecture(talk: &Item, sections: &[Section], random: &mut Random) -> Item {
    let all: Vec<&String> = sections.iter().flat_map(|s| &s.1).collect();
    let unmarked = 1 + (random.next() * 5.0) as usize % 5;
    let (mut chapters, mut lines, mut slides) = (Vec::new(), Vec::new(), Vec::<Line>::new());
    let mut t = random.between(0.2, 1.0);
    for (k, (title, sentences)) in sections.iter().enumerate() {
        let start = t;
        let length = random.between(55.0, 105.0);
        chapters.push(Mark { t: if k == 0 { 0.0 } else { start }, title: title.clone() });
        let first = lines.len();
        for sentence in sentences {
            // espeak says about 15 characters a second.
            let end = t + (sentence.len() as f64 / 15.0).clamp(1.5, 14.0);
            lines.push(Line { t, end, text: sentence.clone(), turn: false });
            t = end + random.between(0.15, 0.7);
            if t - start > length {
                break;
            }
        }
        // One takes a breath before the next section, and a transcript has it only roughly.
        t += random.between(-0.1, 0.5);
        let said = &lines[first..];
        let shown = if random.next() < 0.4 { 2 } else { 3 };
        let per = said.len().div_ceil(shown);
        for (j, part) in said.chunks(per.max(1)).enumerate() {
            if k == unmarked && j == 0 {
                continue;
            }
            let at = if j == 0 && k > 0 {
                part[0].t - random.between(0.0, 0.8)
            } else {
                part[0].t + random.between(-1.0, 1.0)
            };
            let heading = if j == 0 { title.clone() } else { None };
            slides.push(Line { t: at.max(0.0), end: at, text: slide(part, &all, heading), turn: false });
        }
    }
    let duration = t + 0.5;
    let next: Vec<f64> = slides.iter().skip(1).map(|s| s.t).chain([duration]).collect();
    slides.iter_mut().zip(next).for_each(|(slide, end)| slide.end = end.max(slide.t));
    Item { id: format!("lecture of {}", talk.id), duration, chapters, lines, slides }
}

/// A heading and the stretches of the sentences around their rarest words.
fn slide(part: &[Line], all: &[&String], heading: Option<String>) -> String {
    let mut count: BTreeMap<String, usize> = BTreeMap::new();
    for sentence in all {
        for word in words(sentence).into_iter().collect::<BTreeSet<_>>() {
            *count.entry(word).or_default() += 1;
        }
    }
    let key = |line: &Line| -> Option<String> {
        let plain: Vec<&str> = line.text.split_whitespace().collect();
        let rare = |w: &str| {
            let w = words(w).pop().unwrap_or_default();
            if w.len() < 5 { f64::MIN } else { w.len() as f64 / 4.0 - *count.get(&w).unwrap_or(&1) as f64 }
        };
        let best = (0..plain.len()).max_by(|&a, &b| rare(plain[a]).total_cmp(&rare(plain[b])))?;
        let phrase = &plain[best.saturating_sub(1)..(best + 3).min(plain.len())];
        (line.text.len() > 40).then(|| phrase.join(" ").trim_matches([',', '.', '?']).to_owned())
    };
    let mut phrases: Vec<String> = part.iter().filter_map(key).take(5).collect();
    let heading = heading.unwrap_or_else(|| phrases.pop().unwrap_or_else(|| "More".to_owned()));
    std::iter::once(heading).chain(phrases).collect::<Vec<_>>().join("\n")
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).map(str::to_lowercase).collect()
}
