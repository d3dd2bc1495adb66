//! What the worker tells of itself.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gist_whisper::Busy;

/// Counted by the worker, read by the property `stats`.
#[derive(Debug, Default)]
pub(super) struct Report {
    gate: AtomicU64,
    encoder: AtomicU64,
    decoder: AtomicU64,
    model_load_ms: AtomicU64,
}

impl Report {
    pub(super) fn add(&self, busy: Busy) {
        let counts = [(&self.gate, busy.gate), (&self.encoder, busy.encoder), (&self.decoder, busy.decoder)];
        for (count, time) in counts {
            count.fetch_add(time.as_nanos() as u64, Ordering::Relaxed);
        }
    }

    pub(super) fn loaded(&self, time: Duration) {
        self.model_load_ms.store(time.as_millis() as u64, Ordering::Relaxed);
    }

    /// Times are nanoseconds.
    pub(super) fn stats(&self) -> gst::Structure {
        let load = |value: &AtomicU64| value.load(Ordering::Relaxed);
        let (gate, encoder, decoder) = (load(&self.gate), load(&self.encoder), load(&self.decoder));
        gst::Structure::builder("application/x-gist-stats")
            .field("busy", gate + encoder + decoder)
            .field("busy-gate", gate)
            .field("busy-encoder", encoder)
            .field("busy-decoder", decoder)
            .field("model-load-ms", load(&self.model_load_ms))
            .build()
    }
}
