//! The read-only properties.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;

use gst::glib;
use gst::prelude::*;

use super::imp::{GistSummarizer, Run, lock};

impl GistSummarizer {
    /// The value of a property that is only read.
    pub(super) fn read_only(&self, name: &str) -> glib::Value {
        let run = self.run();
        match (name, run) {
            ("model-state", None) => "unloaded".to_value(),
            ("model-state", Some(run)) => {
                let state = *run.report.model_state.lock().unwrap_or_else(PoisonError::into_inner);
                if state.is_empty() { "loading" } else { state }.to_value()
            }
            ("chapters-json", None) => "[]".to_value(),
            ("chapters-json", Some(run)) => lock(&run.ledger).json().to_value(),
            ("current-chapter", run) => run.and_then(|run| lock(&run.ledger).current()).to_value(),
            (_, run) => run.map(|run| stats(&run)).to_value(),
        }
    }
}

/// Times are nanoseconds; `realtime-factor` is stream time over the time the worker was busy with it.
fn stats(run: &Run) -> gst::Structure {
    let counters = run.intake.counters();
    let report = &run.report;
    let load = |value: &std::sync::atomic::AtomicU64| value.load(Ordering::Relaxed);
    let ledger = lock(&run.ledger);
    let stages = report.busy.stages();
    let busy: u64 = stages.iter().map(|(_, nanoseconds)| nanoseconds).sum();
    let factor = if busy == 0 { 0.0 } else { load(&report.watermark) as f64 / busy as f64 };
    let stats = gst::Structure::builder("application/x-gist-stats")
        .field("frames-in", counters.frames_in)
        .field("frames-sampled", counters.frames_sampled)
        .field("frames-looked-at", load(&report.frames_looked_at))
        .field("frames-dropped", counters.frames_dropped)
        .field("frames-no-pts", counters.frames_no_pts)
        .field("text-lines", counters.text_in)
        .field("text-late", counters.text_late)
        .field("queue-level", counters.queued)
        .field("queue-time", counters.queue_time)
        .field("position", counters.position)
        .field("watermark", load(&report.watermark))
        .field("lag", ledger.lag)
        .field("lag-max", ledger.lag_max)
        .field("realtime-factor", factor)
        .field("busy", busy)
        .field("sampling", counters.sampling)
        .field("kv-tokens", load(&report.kv_tokens))
        .field("kv-capacity", load(&report.kv_capacity))
        .field("kv-evicted-tokens", load(&report.kv_evicted))
        .field("kv-bytes", load(&report.kv_bytes))
        .field("tokens-appended", load(&report.appended))
        .field("pairs-encoded", load(&report.pairs_encoded))
        .field("pairs-known", load(&report.pairs_known))
        .field("chapters", ledger.closed)
        .field("digests", ledger.digests)
        .field("errors", load(&report.errors))
        .field("last-error", lock(&report.last_error).as_str())
        .field("model-load-ms", load(&report.model_load_ms))
        .field("uptime", run.started.elapsed().as_nanos() as u64);
    stages.into_iter().fold(stats, |stats, (name, nanoseconds)| stats.field(name, nanoseconds)).build()
}
