//! How good the texts of a session are, without a model that judges: against the headings that people wrote, against
//! what was said, and against each other.

use std::collections::HashSet;

use gist_core::ChapterEvent;
use gist_core::boundary::Embed;
use gist_core::event::Point;

use super::data::{Item, Mark};
use super::likeness::{Rarity, content, dice, is_han, longest_run, pieces, rouge_l, words};

/// At least this share of what a point says, by pieces of words, stands in its lines.
const FAITHFUL: f64 = 0.5;
/// Two texts that are so alike are one.
const ALIKE: f64 = 0.85;

/// Sums over sessions.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts {
    /// ROUGE-L of each title that can be compared.
    pub(super) rouge: Vec<f64>,
    /// Cosine of each such title's embedding with that of its heading, and with those of the session's other headings on
    /// average: what sharing a subject comes to.
    pub(super) cosine: Vec<f64>,
    pub(super) cosine_elsewhere: Vec<f64>,
    /// Which share of the content words of each heading stands in the chapter.
    pub(super) coverage: Vec<f64>,
    /// Points that are faithful, would be if they named another place of the talk, could be looked at, and all.
    pub(super) faithful: usize,
    pub(super) faithful_elsewhere: usize,
    pub(super) judged: usize,
    pub(super) points: usize,
    pub(super) dropped: usize,
    /// Points of each chapter.
    pub(super) points_per_chapter: Vec<f64>,
    pub(super) repeated: usize,
    pub(super) texts: usize,
    /// In words.
    pub(super) longest_run: f64,
    pub(super) valid: usize,
    pub(super) chapters: usize,
    /// Texts of sessions in Chinese, and those of them in Han script.
    pub(super) chinese: usize,
    pub(super) han: usize,
}

/// A line of the talk.
struct Line {
    start: f64,
    end: f64,
    text: String,
    pieces: HashSet<String>,
}

impl Texts {
    /// Adds the closed chapters of a session.
    pub(super) fn add(&mut self, item: &Item, chapters: &[ChapterEvent], embed: Option<&dyn Embed>) {
        let said = item.lines.iter().chain(&item.slides);
        let mut lines: Vec<Line> = said
            .map(|line| Line {
                start: line.t,
                end: line.end.max(line.t),
                text: line.text.clone(),
                pieces: pieces(&line.text),
            })
            .collect();
        lines.sort_by(|a, b| a.start.total_cmp(&b.start));
        let rarity = Rarity::of(lines.iter().map(|line| &line.pieces));
        let mut before: Vec<HashSet<String>> = Vec::new();
        for chapter in chapters {
            self.chapters += 1;
            self.valid += usize::from(is_valid(chapter));
            self.points_per_chapter.push(chapter.points.len() as f64);
            self.points += chapter.points.len();
            self.dropped += chapter.points_dropped as usize;
            let around = (chapter.start - 60.0, chapter.end.unwrap_or(chapter.start) + 60.0);
            let near: Vec<String> = overlapping(&lines, around).flat_map(|line| words(&line.text)).collect();
            for text in texts(chapter) {
                self.longest_run = self.longest_run.max(longest_run(text, &near));
                self.texts += 1;
                let pieces = pieces(text);
                if before.iter().any(|other| dice(other, &pieces) >= ALIKE) {
                    self.repeated += 1;
                    tracing::info!(start = chapter.start, text, "a text is repeated");
                }
                before.push(pieces);
                if chapter.language.contains("Chinese") {
                    self.chinese += 1;
                    self.han += usize::from(is_in_han(text));
                }
            }
            for point in &chapter.points {
                let Some(faithful) = faithful(&lines, &rarity, point, (point.start, point.end)) else {
                    continue;
                };
                self.judged += 1;
                self.faithful += usize::from(faithful);
                if !faithful {
                    tracing::info!(start = point.start, text = point.text, "its lines do not say this point");
                }
                // The same words held against half a talk away tell what the rule is worth.
                let length = point.end - point.start;
                let at = (point.start + item.duration / 2.0) % item.duration.max(1.0);
                let elsewhere = super::texts::faithful(&lines, &rarity, point, (at, at + length.max(10.0)));
                self.faithful_elsewhere += usize::from(elsewhere == Some(true));
            }
        }
        let headings = headings(item);
        if !chapters.is_empty() {
            self.compare_titles(&headings, chapters, embed);
            self.cover(&headings, chapters);
        }
    }

    /// Titles against the headings of people, where both are in the same script.
    fn compare_titles(
        &mut self,
        headings: &[Heading<'_>],
        chapters: &[ChapterEvent],
        embed: Option<&dyn Embed>,
    ) {
        let embed = |text: &str| embed.and_then(|embed| embed.embed(text));
        let directions: Vec<_> = headings.iter().map(|(heading, _)| embed(heading)).collect();
        for chapter in chapters.iter().filter(|chapter| !chapter.title.is_empty()) {
            let span = (chapter.start, chapter.end.unwrap_or(chapter.start));
            let nearest = (0..headings.len())
                .max_by(|a, b| overlap(headings[*a].1, span).total_cmp(&overlap(headings[*b].1, span)))
                .filter(|i| same_script(headings[*i].0, &chapter.title));
            let Some(nearest) = nearest else { continue };
            self.rouge.push(rouge_l(&chapter.title, headings[nearest].0));
            let Some(title) = embed(&chapter.title) else { continue };
            let cosines = directions.iter().map(|heading| Some(cosine(&title, heading.as_ref()?)));
            let (mut others, mut count) = (0.0, 0);
            for (i, cosine) in cosines.enumerate() {
                match cosine {
                    Some(cosine) if i == nearest => self.cosine.push(cosine),
                    Some(cosine) => (others, count) = (others + cosine, count + 1),
                    None => {}
                }
            }
            if count > 0 {
                self.cosine_elsewhere.push(others / f64::from(count));
            }
        }
    }

    /// How much of what people's headings name stands in the chapters, where both are in the same script.
    fn cover(&mut self, headings: &[Heading<'_>], chapters: &[ChapterEvent]) {
        for (heading, span) in headings {
            let wanted = content(heading);
            let best = chapters.iter().max_by(|a, b| {
                let of = |chapter: &ChapterEvent| {
                    overlap((chapter.start, chapter.end.unwrap_or(chapter.start)), *span)
                };
                of(a).total_cmp(&of(b))
            });
            let Some(chapter) = best.filter(|chapter| same_script(heading, &chapter.title)) else { continue };
            if wanted.is_empty() {
                continue;
            }
            let has: HashSet<String> = texts(chapter).flat_map(words).collect();
            let found = wanted.iter().filter(|word| has.contains(*word)).count();
            self.coverage.push(found as f64 / wanted.len() as f64);
        }
    }
}

/// Of unit vectors.
fn cosine(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(a, b)| f64::from(a * b)).sum()
}

/// Title, summary, conclusion and points.
fn texts(chapter: &ChapterEvent) -> impl Iterator<Item = &str> {
    let all = [&chapter.title, &chapter.summary, &chapter.conclusion].into_iter();
    let points = chapter.points.iter().map(|point| &point.text);
    all.chain(points).map(String::as_str).filter(|text| !text.is_empty())
}

/// What people wrote over a chapter, and its span in seconds.
type Heading<'a> = (&'a str, (f64, f64));

fn headings(item: &Item) -> Vec<Heading<'_>> {
    let mut marks: Vec<&Mark> = item.chapters.iter().filter(|mark| mark.t < item.duration).collect();
    marks.sort_by(|a, b| a.t.total_cmp(&b.t));
    let ends = marks.iter().skip(1).map(|mark| mark.t).chain(std::iter::once(item.duration));
    let spans = marks.iter().zip(ends).map(|(mark, end)| (mark.title.as_deref(), (mark.t, end)));
    spans.filter_map(|(title, span)| Some((title?, span))).collect()
}

fn overlap(a: (f64, f64), b: (f64, f64)) -> f64 {
    (a.1.min(b.1) - a.0.max(b.0)).max(0.0)
}

fn overlapping(lines: &[Line], span: (f64, f64)) -> impl Iterator<Item = &Line> {
    // A line that only touches the span is not in it; one of no length is where it stands.
    lines.iter().filter(move |line| {
        let shared = overlap((line.start, line.end), span);
        shared > 0.25 || line.start >= span.0 && line.end <= span.1
    })
}

fn same_script(a: &str, b: &str) -> bool {
    a.chars().any(is_han) == b.chars().any(is_han)
}

/// Whether what a point says stands in the lines of a span: at least half of its rarity-weighted pieces, and every
/// number. Of a point in Han script about a talk in another, its numbers and what it holds in Latin letters; `None` when
/// it holds neither.
fn faithful(lines: &[Line], rarity: &Rarity, point: &Point, span: (f64, f64)) -> Option<bool> {
    let inside: Vec<&Line> = overlapping(lines, span).collect();
    let crossed = point.text.chars().any(is_han) && !lines.iter().any(|line| line.text.chars().any(is_han));
    let said: HashSet<String> = inside.iter().flat_map(|line| words(&line.text)).collect();
    let claimed = words(&point.text);
    let number = |word: &String| word.chars().all(|c| c.is_ascii_digit());
    let spoken = |digits: &str| {
        ["ten", "twelve", "twenty", "thirty", "fifty", "hundred"]
            .iter()
            .zip(["10", "12", "20", "30", "50", "100"])
            .any(|(word, n)| n == digits && said.contains(*word))
    };
    let numbers = claimed.iter().filter(|word| number(word)).all(|word| said.contains(word) || spoken(word));
    let text = if crossed {
        let latin: Vec<String> = claimed.into_iter().filter(|word| word.is_ascii()).collect();
        if latin.is_empty() {
            return None;
        }
        latin.join(" ")
    } else {
        point.text.clone()
    };
    let pieces_inside: Vec<&HashSet<String>> = inside.iter().map(|line| &line.pieces).collect();
    Some(numbers && rarity.contained(&pieces(&text), &pieces_inside) >= FAITHFUL)
}

/// At least as many Han characters as words in other scripts, and two.
fn is_in_han(text: &str) -> bool {
    let (han, others): (Vec<String>, Vec<String>) =
        words(text).into_iter().partition(|word| word.chars().all(is_han));
    han.len() >= others.len().max(2)
}

/// What every reader of the contract counts on: a title of one to eight words, a summary, a point, all points in order and
/// within the chapter, nothing partial.
fn is_valid(chapter: &ChapterEvent) -> bool {
    let end = chapter.end.unwrap_or(f64::NAN);
    let words = chapter.title.split_whitespace().count();
    let inside = |point: &Point| chapter.start <= point.start && point.start <= point.end && point.end <= end;
    (1..=8).contains(&words)
        && !chapter.partial
        && !chapter.summary.is_empty()
        && !chapter.points.is_empty()
        && chapter.points.iter().all(inside)
        && chapter.points.is_sorted_by(|a, b| a.start <= b.start)
        && chapter.start < end
}

#[cfg(test)]
mod tests {
    use gist_core::event::Kind;

    use super::*;

    const ITEM: &str = r#"{"id":"a","duration":120.0,"chapters":[{"t":0,"title":"How nodes find peers"},{"t":60}],
        "lines":[{"t":0,"end":10,"text":"A node asks a seed for the addresses of 20 peers."},
                 {"t":60,"end":70,"text":"Miners choose the transactions that pay the highest fee."}]}"#;

    fn chapter(points: &[&str]) -> ChapterEvent {
        let mut event = ChapterEvent::new(Kind::Closed, "x", 0, 0);
        event.title = "How nodes find their peers".into();
        event.summary = "Seeds tell new nodes of others.".into();
        event.end = Some(60.0);
        event.language = "English".into();
        let point = |text: &&str| Point { text: (*text).to_owned(), start: 0.0, end: 10.0 };
        event.points = points.iter().map(point).collect();
        event
    }

    /// Texts point where their letters do.
    #[derive(Debug)]
    struct Letters;

    impl Embed for Letters {
        fn embed(&self, text: &str) -> Option<Vec<f32>> {
            let letters = text.to_lowercase();
            let counts: Vec<f32> = ('a'..='z').map(|c| letters.matches(c).count() as f32).collect();
            let length = counts.iter().map(|n| n * n).sum::<f32>().sqrt();
            (length > 0.0).then(|| counts.iter().map(|n| n / length).collect())
        }
    }

    fn measured(chapters: &[ChapterEvent]) -> Texts {
        let mut texts = Texts::default();
        texts.add(&serde_json::from_str(ITEM).unwrap(), chapters, Some(&Letters));
        texts
    }

    #[test]
    fn a_point_is_faithful_where_its_span_says_so() {
        let good = measured(&[chapter(&["A node asks a seed for addresses of peers."])]);
        assert_eq!((good.faithful, good.judged, good.faithful_elsewhere), (1, 1, 0));
        let bad =
            measured(&[chapter(&["Miners choose transactions.", "A node asks a seed for 25 addresses."])]);
        assert_eq!((bad.faithful, bad.judged), (0, 2));
    }

    #[test]
    fn a_heading_is_covered_by_the_words_of_the_chapter() {
        let texts = measured(&[chapter(&["A node asks a seed."])]);
        assert_eq!(texts.coverage, [1.0]);
        assert!(texts.rouge[0] > 0.8, "{:?}", texts.rouge);
        assert!(texts.cosine[0] > 0.9, "{:?}", texts.cosine);
        assert!(texts.cosine_elsewhere.is_empty(), "there is no other heading");
    }

    #[test]
    fn a_title_is_nearer_to_its_own_heading_than_to_the_others() {
        let item = ITEM.replace(r#"{"t":60}"#, r#"{"t":60,"title":"Which fees miners choose"}"#);
        let mut texts = Texts::default();
        texts.add(&serde_json::from_str(&item).unwrap(), &[chapter(&["A node."])], Some(&Letters));
        assert!(texts.cosine[0] > texts.cosine_elsewhere[0], "{texts:?}");
    }

    #[test]
    fn what_is_said_twice_is_repeated_and_what_is_out_of_its_chapter_is_not_valid() {
        let mut second = chapter(&["A node asks a seed."]);
        second.points[0].end = 90.0;
        let texts = measured(&[chapter(&["A node asks a seed."]), second]);
        assert_eq!((texts.repeated, texts.texts), (3, 6));
        assert_eq!((texts.valid, texts.chapters), (1, 2));
    }

    #[test]
    fn a_chinese_text_of_an_english_talk_is_judged_by_its_names_and_numbers() {
        let mut chinese = chapter(&["节点向种子询问20个地址。", "节点询问地址。", "A node asks."]);
        chinese.language = "Chinese".into();
        let texts = measured(&[chinese]);
        assert_eq!((texts.judged, texts.faithful), (2, 2), "the second holds nothing to look up");
        assert_eq!((texts.chinese, texts.han), (5, 2), "title, summary and a point are in English");
    }
}
