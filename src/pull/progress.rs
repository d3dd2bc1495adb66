//! How far a download is: a bar on a terminal, a line for every tenth elsewhere.

use std::cell::Cell;

use indicatif::{ProgressBar, ProgressStyle};

/// How far one file is.
pub(crate) struct Progress {
    bar: ProgressBar,
    label: String,
    size: u64,
    tenth: Cell<u64>,
}

impl Progress {
    /// Begins with the file `file` of `size` bytes of the model `name`.
    pub(crate) fn new(name: &str, file: &str, size: u64) -> Self {
        let label = format!("{name}/{file}");
        let bar = ProgressBar::new(size);
        if let Ok(style) = ProgressStyle::with_template(
            "{msg} {wide_bar:.cyan/dim} {bytes}/{total_bytes} {bytes_per_sec} {eta}",
        ) {
            bar.set_style(style);
        }
        bar.set_message(label.clone());
        Self { bar, label, size, tenth: Cell::new(0) }
    }

    /// `done` bytes of the file are there.
    pub(crate) fn set(&self, done: u64) {
        self.bar.set_position(done);
        let tenth = done.saturating_mul(10) / self.size.max(1);
        if self.bar.is_hidden() && tenth > self.tenth.replace(tenth) && tenth < 10 {
            self.say(&format!("{}: {}0 % of {}", self.label, tenth, bytes(self.size)));
        }
    }

    /// Says something without tearing the bar.
    pub(crate) fn say(&self, line: &str) {
        self.bar.suspend(|| eprintln!("{line}"));
    }

    /// The file is in its place.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
        self.say(&format!("{}: {}, checksum right", self.label, bytes(self.size)));
    }
}

/// A size for people, in decimal units as disks are sold.
pub(crate) fn bytes(n: u64) -> String {
    match n {
        0..1_000 => format!("{n} B"),
        1_000..1_000_000 => format!("{:.0} kB", n as f64 / 1e3),
        1_000_000..1_000_000_000 => format!("{:.0} MB", n as f64 / 1e6),
        _ => format!("{:.1} GB", n as f64 / 1e9),
    }
}
