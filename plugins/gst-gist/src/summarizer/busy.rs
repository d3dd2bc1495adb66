//! What the worker's time is spent on, always counted: two readings of the clock a stage.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use gist_core::session::Task;

/// What the worker does, by its field in `stats`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// Looks at pictures and reads the text on them.
    Ocr,
    /// Brings pictures before a model that sees.
    Vision,
    /// Encodes lines and pictures into the context.
    Encode,
    /// Asks the model about boundaries.
    Probe,
    Chapter,
    Digest,
    Question,
    /// Merges old texts of the memory.
    Memory,
    /// All else: events that go out, contexts that are saved.
    Other,
}

impl Stage {
    const ALL: [(Self, &str); 9] = [
        (Self::Ocr, "busy-ocr"),
        (Self::Vision, "busy-vision"),
        (Self::Encode, "busy-encode"),
        (Self::Probe, "busy-probe"),
        (Self::Chapter, "busy-chapter"),
        (Self::Digest, "busy-digest"),
        (Self::Question, "busy-question"),
        (Self::Memory, "busy-memory"),
        (Self::Other, "busy-other"),
    ];
}

impl From<Option<Task>> for Stage {
    fn from(task: Option<Task>) -> Self {
        match task {
            Some(Task::Chapter) => Self::Chapter,
            Some(Task::Digest) => Self::Digest,
            Some(Task::Question) => Self::Question,
            Some(Task::Memory) => Self::Memory,
            None => Self::Other,
        }
    }
}

/// Nanoseconds by stage.
#[derive(Debug, Default)]
pub(super) struct Busy([AtomicU64; Stage::ALL.len()]);

impl Busy {
    fn add(&self, stage: Stage, nanoseconds: u64) {
        self.0[stage as usize].fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Each stage by its field, at one moment: whoever adds them up has the whole.
    pub(super) fn stages(&self) -> [(&'static str, u64); Stage::ALL.len()] {
        Stage::ALL.map(|(stage, name)| (name, self.0[stage as usize].load(Ordering::Relaxed)))
    }
}

/// Times stage after stage of a turn, so that every moment of it belongs to one.
#[derive(Debug)]
pub(super) struct Stopwatch(Instant);

impl Stopwatch {
    /// A turn begins.
    pub(super) fn start() -> Self {
        Self(Instant::now())
    }

    /// What was done since the last call was `stage`.
    pub(super) fn lap(&mut self, busy: &Busy, stage: Stage) {
        self.lap_in_two(busy, stage, stage, 0);
    }

    /// The same of two stages, when the `first` took so many nanoseconds of it.
    pub(super) fn lap_in_two(&mut self, busy: &Busy, first: Stage, second: Stage, nanoseconds: u64) {
        let now = Instant::now();
        let all = now.duration_since(std::mem::replace(&mut self.0, now)).as_nanos() as u64;
        let part = nanoseconds.min(all);
        busy.add(first, part);
        busy.add(second, all - part);
    }
}
