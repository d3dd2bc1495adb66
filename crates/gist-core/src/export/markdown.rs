//! A page for people: a heading per chapter, its points as an ordered list, its conclusion as a quote, the digest.

use super::outline::{Chapter, Outline, millis};
use super::text::{markdown as escape, one_line};
use crate::event::ChapterEvent;
use crate::time::clock;

pub(super) fn render(outline: &Outline) -> String {
    let name = one_line(outline.stream());
    let mut page = format!("# {}\n", if name.is_empty() { "Chapters".into() } else { escape(&name) });
    for chapter in outline.chapters() {
        page += &section(&chapter);
    }
    // The final digest covers the earlier ones.
    if let Some(last) = outline.digests().last().filter(|digest| !digest.text.trim().is_empty()) {
        page += &digest(last);
    }
    page
}

fn section(chapter: &Chapter<'_>) -> String {
    let event = chapter.event;
    let title = if chapter.end.is_none() && event.title.is_empty() {
        "In progress".into()
    } else {
        escape(&chapter.title)
    };
    let mut section = format!("\n## {} {title}\n", link(chapter.start, chapter.end));
    let mut block = |text: String| section += &format!("\n{text}\n");
    if chapter.end.is_none() && !event.title.is_empty() {
        block("*In progress.*".into());
    }
    if event.partial {
        let why = one_line(event.error.as_deref().unwrap_or(""));
        let colon = if why.is_empty() { "" } else { ": " };
        block(format!("*Incomplete{colon}{}*", escape(&why)));
    }
    if let Some(summary) = line(&event.summary) {
        block(summary);
    }
    let list = |number: usize, text: &str, start: f64, end: f64| {
        let (start, end) = (chapter.within(start), chapter.within(end));
        format!("{}. {} {}", number + 1, escape(&one_line(text)), link(start, Some(end)))
    };
    if !event.points.is_empty() {
        let points = event.points.iter().enumerate();
        block(points.map(|(n, p)| list(n, &p.text, p.start, p.end)).collect::<Vec<_>>().join("\n"));
    }
    if !event.subchapters.is_empty() {
        let parts = event.subchapters.iter().enumerate();
        let parts = parts.map(|(n, s)| list(n, &s.title, s.start, s.end)).collect::<Vec<_>>().join("\n");
        block(format!("**Parts**\n\n{parts}"));
    }
    let keywords: Vec<_> = event.keywords.iter().filter_map(|keyword| line(keyword)).collect();
    if !keywords.is_empty() {
        block(format!("**Keywords:** {}", keywords.join(", ")));
    }
    if let Some(conclusion) = line(&event.conclusion) {
        block(format!("> {conclusion}"));
    }
    section
}

/// The digest's own Markdown may have headings, lists, quotes and a bold label at the start of a line. Headings are
/// put below this page's own; all else within a line is plain text.
fn digest(event: &ChapterEvent) -> String {
    let mut section = String::from("\n## Digest\n\n");
    for raw in event.text.trim().lines() {
        section += &digest_line(raw);
        section.push('\n');
    }
    section
}

fn digest_line(raw: &str) -> String {
    let line = one_line(raw);
    let (marker, rest) = line.split_once(' ').unwrap_or(("", &line));
    let number = marker.strip_suffix('.').is_some_and(|n| !n.is_empty() && n.len() < 4 && is_number(n));
    match marker {
        "#" | "##" | "###" => format!("### {}", escape(rest)),
        "####" | "#####" | "######" => format!("#### {}", escape(rest)),
        "-" | "*" | "+" => format!("- {}", escape(rest)),
        ">" => format!("> {}", escape(rest)),
        _ if number => format!("{marker} {}", escape(rest)),
        _ => label(&line).unwrap_or_else(|| escape(&line)),
    }
}

fn label(line: &str) -> Option<String> {
    let (label, rest) = line.strip_prefix("**")?.split_once("**")?;
    Some(format!("**{}**{}", escape(label), escape(rest)))
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

fn line(text: &str) -> Option<String> {
    let line = one_line(text);
    (!line.is_empty()).then(|| escape(&line))
}

/// `[0:00–1:35]` with a media fragment as its target: players that know it jump there.
fn link(start: u64, end: Option<u64>) -> String {
    match end {
        Some(end) => {
            format!("[{}–{}](#t={},{})", clock(start), clock(end), millis(start), millis(end))
        }
        None => format!("[{}–…](#t={})", clock(start), millis(start)),
    }
}
