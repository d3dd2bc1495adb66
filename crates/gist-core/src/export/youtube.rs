//! Lines for a YouTube description.
//!
//! YouTube takes a list only when it starts at 0:00, has at least three lines in rising order and no chapter is
//! shorter than ten seconds; one broken rule and it drops them all. So short chapters are merged, and a list that
//! cannot meet the rules is empty.

use super::{Outline, text};
use crate::time::SECOND;

/// No chapter may be shorter, in seconds.
const SHORTEST: u64 = 10;
/// No list may have fewer lines.
const FEWEST: usize = 3;
/// No title may be longer, in characters.
const LONGEST_TITLE: usize = 100;

struct Line {
    start: u64,
    /// Length of the chapter that the title comes from.
    length: u64,
    title: String,
}

pub(super) fn render(outline: &Outline) -> String {
    let closed = outline.closed(1);
    let Some((first, last)) = closed.first().zip(closed.last()) else { return String::new() };
    let end = last.1.end / SECOND;
    let mut lines: Vec<Line> = Vec::new();
    // What lies before the first chapter is a line of its own when it is long enough to be one.
    if first.1.start / SECOND >= SHORTEST {
        lines.push(Line { start: 0, length: first.1.start / SECOND, title: "Start".into() });
    }
    for (chapter, span) in &closed {
        let line = Line {
            start: span.start / SECOND,
            length: span.duration() / SECOND,
            title: title(&chapter.title),
        };
        match lines.last_mut() {
            None => lines.push(Line { start: 0, ..line }),
            Some(previous) if line.start < previous.start + SHORTEST => previous.absorb(line),
            Some(_) => lines.push(line),
        }
    }
    while lines.last().is_some_and(|line| end < line.start.saturating_add(SHORTEST)) {
        let short = lines.pop();
        if let (Some(previous), Some(short)) = (lines.last_mut(), short) {
            previous.absorb(short);
        }
    }
    if lines.len() < FEWEST {
        return String::new();
    }
    let hours = lines.last().is_some_and(|line| line.start >= 3600);
    lines.iter().map(|line| format!("{} {}\n", clock(line.start, hours), line.title)).collect()
}

impl Line {
    /// Two chapters become one line, named after the longer of them.
    fn absorb(&mut self, other: Self) {
        if other.length > self.length {
            self.length = other.length;
            self.title = other.title;
        }
    }
}

/// `M:SS`, or `H:MM:SS` for every line of a list that reaches an hour.
fn clock(s: u64, hours: bool) -> String {
    let (h, m, s) = (s / 3600, s / 60, s % 60);
    if hours { format!("{h}:{:02}:{s:02}", m % 60) } else { format!("{m}:{s:02}") }
}

/// YouTube refuses angle brackets in descriptions, and would take a second time on the line for a chapter.
fn title(line: &str) -> String {
    let line = line.replace('<', "‹").replace('>', "›");
    let chars: Vec<char> = line.chars().collect();
    let digit = |at: Option<usize>| at.and_then(|at| chars.get(at)).is_some_and(char::is_ascii_digit);
    let without_times: String = (0..chars.len())
        .map(|at| {
            if chars[at] == ':' && digit(at.checked_sub(1)) && digit(Some(at + 1)) { '.' } else { chars[at] }
        })
        .collect();
    text::shorten(&without_times, LONGEST_TITLE)
}
