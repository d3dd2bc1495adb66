//! What the user sees: chapters on standard output as they close, everything else on standard error.

use std::io::{IsTerminal, Write};
use std::time::Duration;

use gist_core::ChapterEvent;
use gist_core::event::Kind;
use gist_core::export::text::one_line;
use gist_core::time::{clock, nanoseconds};
use indicatif::{ProgressBar, ProgressStyle};

use super::Show;

/// The terminal, or what stands in for it.
pub(super) struct Screen {
    bar: ProgressBar,
    show: Show,
    chapters: usize,
    bold: (&'static str, &'static str),
}

impl Screen {
    pub(super) fn new(show: Show) -> Self {
        let bar = ProgressBar::no_length();
        bar.enable_steady_tick(Duration::from_millis(250));
        let screen = Self { bar, show, chapters: 0, bold: bold() };
        screen.style("{spinner} {msg}");
        screen
    }

    fn style(&self, template: &str) {
        if let Ok(style) = ProgressStyle::with_template(template) {
            let eta = |state: &indicatif::ProgressState, out: &mut dyn std::fmt::Write| {
                let _ = write!(out, "{}", clock(nanoseconds(state.eta().as_secs_f64())));
            };
            self.bar.set_style(style.with_key("left", eta));
        }
    }

    /// The length is known: a bar can be drawn.
    pub(super) fn length(&mut self, length: Option<gst::ClockTime>) {
        if let Some(length) = length
            && self.bar.length() != Some(length.mseconds())
        {
            self.bar.set_length(length.mseconds());
            self.style("{msg} {wide_bar:.cyan/dim} {percent} %, {left} left");
        }
    }

    /// How far the stream is worked through.
    pub(super) fn progress(&mut self, position: Option<gst::ClockTime>, duration: Option<gst::ClockTime>) {
        self.length(duration);
        let Some(position) = position else { return };
        self.bar.set_position(position.mseconds());
        let at = clock(position.nseconds());
        match self.bar.length() {
            Some(length) => self.bar.set_message(format!("{at} of {}", clock(length * 1_000_000))),
            None => self.bar.set_message(at),
        }
    }

    /// The model is being loaded.
    pub(super) fn loading(&mut self, text: &str) {
        self.bar.set_message(text.to_owned());
        tracing::info!("{text}");
    }

    /// Something for the user that is no result.
    pub(super) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// A line of `gist-chapters-v1`.
    pub(super) fn line(&self, json: &str) {
        if self.show == Show::Json {
            self.print(&format!("{json}\n"));
        }
    }

    /// A chapter has its text.
    pub(super) fn chapter(&mut self, event: &ChapterEvent) {
        if event.kind == Kind::Closed {
            self.chapters += 1;
        }
        if self.show == Show::Chapters {
            self.print(&chapter(event, self.bold));
        }
    }

    /// A digest.
    pub(super) fn digest(&self, event: &ChapterEvent) {
        if self.show == Show::Chapters && !event.text.is_empty() {
            self.print(&digest(event));
        }
    }

    /// An answer; what the model wrote is shown without what could control a terminal.
    pub(super) fn answer(&self, text: &str) {
        self.print(&(text.lines().map(one_line).collect::<Vec<_>>().join("\n") + "\n"));
    }

    /// How many chapters closed.
    pub(super) fn chapters(&self) -> usize {
        self.chapters
    }

    /// Takes the bar away.
    pub(super) fn finish(&self) {
        self.bar.finish_and_clear();
    }

    /// A reader that went away (`| head`) is no failure: files are still written.
    fn print(&self, text: &str) {
        self.bar.suspend(|| {
            let mut out = std::io::stdout().lock();
            let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
        });
    }
}

/// What makes text bold where it is shown.
pub(crate) fn bold() -> (&'static str, &'static str) {
    if std::io::stdout().is_terminal() { ("\x1b[1m", "\x1b[0m") } else { ("", "") }
}

/// A digest as text, without what could control a terminal.
pub(crate) fn digest(event: &ChapterEvent) -> String {
    let text: Vec<String> = event.text.lines().map(one_line).collect();
    format!("{}\n\n", text.join("\n").trim())
}

/// A chapter as text. What the model wrote is untrusted: no control characters reach the terminal.
pub(crate) fn chapter(event: &ChapterEvent, (on, off): (&str, &str)) -> String {
    let start = event.stream_time.unwrap_or(event.running_time);
    let end = event.end.map_or(start, nanoseconds);
    let title = match one_line(&event.title) {
        title if title.is_empty() => "(no title)".to_owned(),
        title => title,
    };
    let again = if event.kind == Kind::Revised { " (revised)" } else { "" };
    let mut out = format!("{on}{} – {}  {title}{off}{again}\n", clock(start), clock(end));
    let mut paragraph = |text: &str| {
        if !text.is_empty() {
            out += &format!("  {text}\n");
        }
    };
    paragraph(&one_line(&event.summary));
    for point in &event.points {
        paragraph(&format!("• {} ({})", one_line(&point.text), clock(nanoseconds(point.start))));
    }
    paragraph(&one_line(&event.conclusion));
    if !event.keywords.is_empty() {
        let keywords: Vec<String> = event.keywords.iter().map(|word| one_line(word)).collect();
        out += &format!("  Key terms: {}\n", keywords.join(", "));
    }
    if event.partial {
        out += &format!(
            "  Incomplete: {}\n",
            one_line(event.error.as_deref().unwrap_or("the text could not be written"))
        );
    }
    out + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chapter_is_shown_with_its_times_and_without_control_characters() {
        let event: ChapterEvent = serde_json::from_value(serde_json::json!({
            "schema": "gist-chapters-v1", "sequence": 1, "type": "closed", "id": "a-1", "index": 0, "revision": 0,
            "title": "Hello\u{1b}[31m world", "summary": "One.", "conclusion": "Two.",
            "points": [{"text": "A point", "start": 65.0, "end": 70.0}], "keywords": ["a", "b"],
            "stream-time": 60_000_000_000_u64, "running-time": 0, "start": 60.0, "end": 125.5, "emitted-at": 0,
            "prompt-revision": 0, "partial": true, "error": "cut off"
        }))
        .expect("an event");
        assert_eq!(
            chapter(&event, ("", "")),
            "1:00 – 2:05  Hello[31m world\n  One.\n  • A point (1:05)\n  Two.\n  Key terms: a, b\n  Incomplete: cut off\n\n"
        );
    }
}
