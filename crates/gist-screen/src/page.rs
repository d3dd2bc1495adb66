//! What stands on a read picture, and what of it is new.

use std::collections::VecDeque;

/// A line as Tesseract read it.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// The words.
    pub text: String,
    /// Height of its box in pixels of the picture that was read.
    pub height: u32,
    /// Mean confidence of its words, 0 to 100.
    pub confidence: f32,
}

/// Lines below this confidence are texture, logos and hands.
const CONFIDENT: f32 = 60.0;
/// A heading is at least this much higher than the typical line.
const HEADING: f32 = 1.2;
/// Longer lines are body text, whatever their height.
const HEADING_CHARS: usize = 100;
/// Lines of a picture, and lines remembered. A full screen of code has about 60.
const MAX_LINES: usize = 100;
/// Characters of a line.
const MAX_CHARS: usize = 200;
/// A picture on which less than this part of the old text is left is a new slide; the second when the topmost line
/// is gone too, since logos and footers stay on all slides.
const KEPT: f32 = 0.5;
const KEPT_WITHOUT_TOP: f32 = 0.75;

/// The lines of a picture that are text, cleaned.
pub fn clean(lines: Vec<Line>) -> Vec<Line> {
    let cleaned = lines.into_iter().filter(|line| line.confidence >= CONFIDENT).filter_map(|mut line| {
        line.text = tidy(&line.text);
        is_text(&line.text).then_some(line)
    });
    cleaned.take(MAX_LINES).collect()
}

/// Takes off what bullets and rules were read as, joins Chinese characters that were read as words of their own.
fn tidy(text: &str) -> String {
    let lone = |word: &str| !word.chars().any(char::is_alphanumeric) || matches!(word, "e" | "o");
    let mut words: VecDeque<&str> = text.split_whitespace().collect();
    while words.len() > 1 && words.front().is_some_and(|word| lone(word)) {
        words.pop_front();
    }
    while words
        .back()
        .is_some_and(|word| word.chars().all(|c| matches!(c, '|' | '_' | '~' | '—' | '=' | '°')))
    {
        words.pop_back();
    }
    let mut tidied = String::new();
    for word in words {
        let joined = match (tidied.chars().next_back(), word.chars().next()) {
            (Some(left), Some(right)) => is_cjk(left) && is_cjk(right),
            _ => true,
        };
        if !joined {
            tidied.push(' ');
        }
        tidied.push_str(word);
    }
    let start = tidied.trim_start_matches(|c: char| "•·¢*。°©®«»".contains(c) || c.is_whitespace());
    start.chars().take(MAX_CHARS).collect()
}

fn is_cjk(c: char) -> bool {
    matches!(c, '\u{3000}'..='\u{30ff}' | '\u{3400}'..='\u{9fff}' | '\u{f900}'..='\u{faff}' | '\u{ff00}'..='\u{ffef}')
}

/// At least three letters (or a Chinese character), and mostly letters and digits. Two letters are more often a corner
/// of something than a word.
fn is_text(text: &str) -> bool {
    let shown = text.chars().filter(|c| !c.is_whitespace());
    let (mut all, mut letters, mut sound) = (0, 0, 0);
    for c in shown {
        all += 1;
        letters += if is_cjk(c) && c.is_alphabetic() { 3 } else { usize::from(c.is_alphabetic()) };
        sound += usize::from(c.is_alphanumeric());
    }
    letters >= 3 && sound * 2 > all
}

/// The heading: the topmost line that is clearly higher than the typical one, with the lines it runs on in.
pub fn heading(lines: &[Line]) -> Option<String> {
    let mut heights: Vec<u32> = lines.iter().map(|line| line.height).collect();
    heights.sort_unstable();
    let typical = *heights.get(heights.len().checked_sub(1)? / 2)? as f32;
    let large =
        |line: &Line| line.height as f32 >= HEADING * typical && line.text.chars().count() <= HEADING_CHARS;
    // A lone line is a title.
    let first = if lines.len() == 1 { 0 } else { lines.iter().position(large)? };
    let alike = |line: &Line| {
        let (a, b) = (line.height as f32, lines[first].height as f32);
        a.max(b) < 1.4 * a.min(b)
    };
    let rest = lines[first + 1..].iter().take_while(|line| large(line) && alike(line)).take(2);
    let parts: Vec<&str> = lines[first..=first].iter().chain(rest).map(|line| line.text.as_str()).collect();
    Some(parts.join(" "))
}

/// What was on the screen.
#[derive(Debug, Default)]
pub struct Shown {
    /// Keys of the lines of the picture read last.
    page: Vec<String>,
    /// Keys of all lines since the last new slide.
    seen: Vec<String>,
}

/// What is new on a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct News {
    /// Indices of the lines that were not on the screen before.
    pub fresh: Vec<usize>,
    /// Little of the old text is left: a new slide.
    pub full: bool,
}

impl Shown {
    /// Compares `lines` with what was on the screen before and remembers them. A picture without text changes
    /// nothing: the slide may come back after a view of the speaker.
    pub fn update(&mut self, lines: &[Line]) -> News {
        let keys: Vec<String> = lines.iter().map(|line| key(&line.text)).collect();
        if keys.is_empty() {
            return News { fresh: Vec::new(), full: false };
        }
        let left = |old: &&String| keys.iter().any(|new| same(old, new));
        let length = |line: &String| line.chars().count();
        let (all, kept): (usize, usize) =
            (self.page.iter().map(length).sum(), self.page.iter().filter(left).map(length).sum());
        let part = if self.page.first().is_some_and(|top| left(&top)) { KEPT } else { KEPT_WITHOUT_TOP };
        let full = self.page.is_empty() || (kept as f32) < part * all as f32;
        let known = |new: &String| self.seen.iter().any(|old| same(old, new));
        let fresh: Vec<usize> = (0..keys.len()).filter(|&i| !known(&keys[i])).collect();
        if full {
            self.seen.clone_from(&keys);
        } else {
            self.seen.extend(fresh.iter().map(|&i| keys[i].clone()));
            let surplus = self.seen.len().saturating_sub(2 * MAX_LINES);
            self.seen.drain(..surplus);
        }
        self.page = keys;
        News { fresh, full }
    }
}

/// What two readings of a line have in common: letters and digits, in lower case.
fn key(text: &str) -> String {
    text.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Whether two keys are readings of one line. A letter or two may differ, digits may not: `Step 1` is not `Step 2`.
fn same(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (short, long) = (a.len().min(b.len()), a.len().max(b.len()));
    let digits = |text: &str| text.chars().filter(char::is_ascii_digit).collect::<String>();
    long >= 6
        && short * 4 >= long * 3
        && digits(a) == digits(b)
        && strsim::normalized_levenshtein(a, b) >= 0.8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<Line> {
        texts.iter().map(|text| Line { text: (*text).into(), height: 30, confidence: 90.0 }).collect()
    }

    fn fresh(shown: &mut Shown, texts: &[&str]) -> (Vec<String>, bool) {
        let news = shown.update(&lines(texts));
        (news.fresh.iter().map(|&i| texts[i].to_string()).collect(), news.full)
    }

    #[test]
    fn an_added_bullet_is_the_only_news() {
        let mut shown = Shown::default();
        let first = ["Use Cases", "Coloured coins"];
        assert_eq!(fresh(&mut shown, &first), (first.map(String::from).to_vec(), true));
        let more = ["Use Cases", "Colourcd coins", "Decentralised names"];
        assert_eq!(fresh(&mut shown, &more), (vec!["Decentralised names".to_string()], false));
    }

    #[test]
    fn a_line_that_comes_back_is_new_with_a_new_slide_only() {
        let mut shown = Shown::default();
        let (a, b) =
            (["Gravity pulls", "Mass and weight", "Footer of ours"], ["Light waves", "Footer of ours"]);
        fresh(&mut shown, &a);
        assert_eq!(fresh(&mut shown, &a[..2]), (vec![], false));
        assert_eq!(fresh(&mut shown, &a), (vec![], false), "hidden for a while");
        assert_eq!(fresh(&mut shown, &[]), (vec![], false));
        assert_eq!(fresh(&mut shown, &a), (vec![], false), "after a view of the speaker");
        assert_eq!(fresh(&mut shown, &b), (vec!["Light waves".to_string()], true));
        assert_eq!(fresh(&mut shown, &a), (vec![a[0].into(), a[1].into()], true));
    }

    #[test]
    fn digits_tell_lines_apart() {
        assert!(!same("step1", "step2") && !same("exercise12", "exercise13"));
        assert!(same(&key("Proof-of-work is costly"), &key("Proof of work is costIy")));
        assert!(!same("yes", "no"));
    }

    #[test]
    fn junk_goes_and_chinese_is_joined() {
        let read = [
            ("*。 Two megabytes |", 90.0, Some("Two megabytes")),
            ("¢ An open database", 90.0, Some("An open database")),
            ("e Open", 90.0, Some("Open")),
            ("机 器 学 习 with Rust", 90.0, Some("机器学习 with Rust")),
            ("~~ || _ a", 90.0, None),
            ("12:03", 90.0, None),
            ("iw", 90.0, None),
            ("水", 90.0, Some("水")),
            ("Nearly certain", 40.0, None),
        ];
        for (text, confidence, expected) in read {
            let cleaned = clean(vec![Line { text: text.into(), height: 20, confidence }]);
            assert_eq!(cleaned.first().map(|line| line.text.as_str()), expected, "{text}");
        }
    }

    #[test]
    fn the_heading_is_the_topmost_large_line_and_may_run_over_two() {
        let mut page =
            lines(&["Logo text", "Why burning is", "not a problem", "First of all", "Second point"]);
        assert_eq!(heading(&page), None);
        page[1].height = 60;
        page[2].height = 55;
        assert_eq!(heading(&page).as_deref(), Some("Why burning is not a problem"));
        assert_eq!(heading(&page[..0]), None);
        assert_eq!(heading(&page[3..4]).as_deref(), Some("First of all"));
    }
}
