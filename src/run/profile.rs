//! What a run spent its time on, as the elements counted it.

use std::fmt::Write;
use std::time::Duration;

use gist_core::time::{clock, seconds};
use gst::prelude::*;

use super::pipeline::Pipeline;

/// Threads of ours begin so; those that OCR and Whisper compute on take the name of who starts them.
const OURS: &str = "gist-";

/// The summarizer's thread, by fields of `stats`.
const SUMMARIZER: [(&str, &str); 9] = [
    ("busy-ocr", "pictures compared, text on them read"),
    ("busy-vision", "pictures scaled, vision tower"),
    ("busy-encode", "lines and pictures encoded"),
    ("busy-probe", "boundaries asked about"),
    ("busy-chapter", "chapter texts"),
    ("busy-digest", "digest"),
    ("busy-question", "questions"),
    ("busy-memory", "old texts merged"),
    ("busy-other", "all else"),
];
/// The transcriber's.
const TRANSCRIBER: [(&str, &str); 3] = [
    ("busy-gate", "voice activity"),
    ("busy-encoder", "Whisper, encoder"),
    ("busy-decoder", "Whisper, decoder"),
];

/// CPU time of the process.
struct Cpu {
    all: Duration,
    /// Of threads of ours; `None` where the system does not tell.
    ours: Option<Duration>,
}

/// The table of a run that took `wall`, while its elements are still there to ask.
pub(super) fn of(pipeline: &Pipeline, wall: Duration) -> String {
    let transcriber = pipeline.transcriber().and_then(|element| element.property("stats"));
    let length = pipeline.position().map_or(0, gst::ClockTime::nseconds);
    table(&pipeline.stats(), transcriber.as_ref(), length, wall) + &cpu().table(wall)
}

/// Each thread with its stages, which together are the whole of the run, and what came of it.
fn table(
    summarizer: &gst::Structure,
    transcriber: Option<&gst::Structure>,
    length: u64,
    wall: Duration,
) -> String {
    let mut out = format!("{:<42} {:>9}  of the run\n", "", "seconds");
    thread(&mut out, "Language model and screen", summarizer, &SUMMARIZER, wall);
    if let Some(transcriber) = transcriber {
        thread(&mut out, "Speech, beside it", transcriber, &TRANSCRIBER, wall);
    }
    row(&mut out, "Video, beside it: frames copied and scaled", count(summarizer, "sampling"), wall);
    let _ = write!(out, "Whole run: {:.1} s for {} of input", wall.as_secs_f64(), clock(length));
    if length > 0 && !wall.is_zero() {
        let _ = write!(out, ", {:.1} x real time", seconds(length) / wall.as_secs_f64());
    }
    out + "\n"
}

fn thread(out: &mut String, name: &str, stats: &gst::Structure, stages: &[(&str, &str)], wall: Duration) {
    let _ = writeln!(out, "{name}");
    let load = Duration::from_millis(stats.get("model-load-ms").unwrap_or_default());
    let mut waiting = wall.saturating_sub(load);
    row(out, "  model loaded", load, wall);
    for (field, stage) in stages {
        let time = count(stats, field);
        waiting = waiting.saturating_sub(time);
        row(out, &format!("  {stage}"), time, wall);
    }
    row(out, "  waiting", waiting, wall);
}

/// A line, unless it is of something that was not done.
fn row(out: &mut String, name: &str, time: Duration, wall: Duration) {
    if !time.is_zero() {
        let share = 100.0 * time.as_secs_f64() / wall.as_secs_f64().max(f64::MIN_POSITIVE);
        let _ = writeln!(out, "{name:<42} {:>9.2}  {share:>8.1} %", time.as_secs_f64());
    }
}

fn count(stats: &gst::Structure, field: &str) -> Duration {
    Duration::from_nanos(stats.get(field).unwrap_or_default())
}

impl Cpu {
    fn table(&self, wall: Duration) -> String {
        let all = self.all.as_secs_f64();
        let mut out =
            format!("CPU time: {all:.1} s, {:.2} cores", all / wall.as_secs_f64().max(f64::MIN_POSITIVE));
        if let Some(ours) = self.ours {
            let rest = self.all.saturating_sub(ours).as_secs_f64();
            let _ = write!(
                out,
                "; {:.1} s models and OCR, {rest:.1} s decoding, conversion and all else",
                ours.as_secs_f64()
            );
        }
        out
    }
}

/// What this process and its threads have computed so far. Threads of ours live as long as their elements; others may
/// have ended, which only the whole process remembers.
fn cpu() -> Cpu {
    let all = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    let all = Duration::new(all.tv_sec.unsigned_abs(), all.tv_nsec.unsigned_abs() as u32);
    let ours = std::fs::read_dir("/proc/self/task").ok().and_then(|threads| {
        let mut ours = None;
        for thread in threads.flatten() {
            let read = |name| std::fs::read_to_string(thread.path().join(name)).ok();
            if read("comm").is_some_and(|name| name.starts_with(OURS)) {
                // Nanoseconds on a CPU come first.
                let time: u64 = read("schedstat")?.split(' ').next()?.parse().ok()?;
                *ours.get_or_insert(Duration::ZERO) += Duration::from_nanos(time);
            }
        }
        ours
    });
    Cpu { all, ours }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_stages_of_a_thread_and_its_waiting_are_the_whole_run() {
        gst::init().expect("GStreamer");
        let stats = gst::Structure::builder("stats")
            .field("model-load-ms", 1_000_u64)
            .field("busy-encode", 3_000_000_000_u64)
            .field("busy-chapter", 4_000_000_000_u64)
            .field("sampling", 500_000_000_u64)
            .build();
        let speech = gst::Structure::builder("stats").field("busy-decoder", 5_000_000_000_u64).build();
        let table = table(&stats, Some(&speech), 30_000_000_000, Duration::from_secs(10));
        let shares = |line: &str| line.rsplit_once("  ").map(|(_, share)| share.trim().to_owned());
        let lines: Vec<(String, String)> = table
            .lines()
            .filter_map(|line| Some((line.get(..42)?.trim().to_owned(), shares(line)?)))
            .filter(|(_, share)| share.ends_with('%'))
            .collect();
        let told: Vec<(&str, &str)> = lines.iter().map(|(name, share)| (&**name, &**share)).collect();
        let expected = [
            ("model loaded", "10.0 %"),
            ("lines and pictures encoded", "30.0 %"),
            ("chapter texts", "40.0 %"),
            ("waiting", "20.0 %"),
            ("Whisper, decoder", "50.0 %"),
            ("waiting", "50.0 %"),
            ("Video, beside it: frames copied and scaled", "5.0 %"),
        ];
        assert_eq!(told, expected, "{table}");
        assert!(table.ends_with("Whole run: 10.0 s for 0:30 of input, 3.0 x real time\n"), "{table}");
    }
}
