//! A source that comes and goes.

use std::time::{Duration, Instant, SystemTime};

use gist_core::time::Span;
use gist_store::Gap;
use gist_webhook::EventType;
use gst::prelude::*;
use serde_json::json;

use super::backoff::Backoff;
use super::stream::Watch;
use crate::run::pipeline::Pipeline;

/// The way from a source.
pub(super) struct Line {
    pub(super) uri: String,
    pub(super) reconnects: bool,
    backoff: Backoff,
    /// When it is opened again.
    pub(super) retry_at: Option<Instant>,
    /// Something comes of it.
    pub(super) up: bool,
    /// Something came of it at some time in this session.
    started: bool,
    /// Running-time up to which something came, and since when not.
    position: u64,
    pub(super) moved: Instant,
    /// Why nothing came of it before it was opened for the first time, when it was not the source.
    why: Option<String>,
}

impl Line {
    /// One that is opened at once, of a session that has come to `position`, and had `started` before. `why` it was
    /// broken off then, if it was not the source.
    pub(super) fn new(
        uri: String,
        reconnects: bool,
        started: bool,
        position: u64,
        why: Option<String>,
    ) -> Self {
        let now = Instant::now();
        Self {
            uri,
            reconnects,
            backoff: Backoff::default(),
            retry_at: Some(now),
            up: false,
            started,
            position,
            moved: now,
            why,
        }
    }

    /// How long nothing came, if it should.
    pub(super) fn silent(&self) -> Duration {
        if self.retry_at.is_none() { self.moved.elapsed() } else { Duration::ZERO }
    }
}

impl Watch {
    /// Whether something came since the last look.
    pub(super) fn look(&mut self, stats: &gst::Structure, line: &mut Line) {
        let position = stats.get::<u64>("position").unwrap_or(0);
        if position <= line.position || position == u64::MAX {
            return;
        }
        if line.retry_at.is_some() {
            // What was on its way when the source went.
            line.position = position;
            return;
        }
        let gap = Span::new(line.position, position);
        (line.position, line.moved) = (position, Instant::now());
        if std::mem::replace(&mut line.up, true) {
            return;
        }
        line.backoff = Backoff::default();
        self.shared.metrics.up(self.name(), true);
        let Some(publisher) = &mut self.publisher else { return };
        if std::mem::replace(&mut line.started, true) {
            let reason = line.why.take().unwrap_or_else(|| "the source was away".to_owned());
            publisher.gap(Gap { span: gap, at: SystemTime::now(), reason });
            let gap_ms = gap.duration() / 1_000_000;
            publisher.news(EventType::StreamResumed, json!({"gap-ms": gap_ms, "running-time": position}));
        } else {
            publisher.news(EventType::StreamStarted, json!({"running-time": position}));
        }
    }

    /// Nothing comes of the source any more.
    pub(super) fn gone(
        &mut self,
        pipeline: &Pipeline,
        line: &mut Line,
        why: &str,
        stopping: &mut Option<(Instant, &'static str)>,
    ) {
        if stopping.is_some() {
            return;
        }
        self.look(&pipeline.stats(), line);
        if !line.reconnects {
            if !line.up {
                self.alert(why);
            }
            *stopping = Some((Instant::now(), "the stream ended"));
            if !pipeline.finish() {
                let _ = pipeline.element().post_message(gst::message::Eos::new());
            }
            return;
        }
        pipeline.close();
        let pause = line.backoff.next();
        line.retry_at = Some(Instant::now() + pause);
        let name = self.name();
        self.shared.metrics.up(name, false);
        self.shared.metrics.reconnected(name);
        if std::mem::take(&mut line.up) {
            if let Some(publisher) = &mut self.publisher {
                publisher.news(
                    EventType::StreamDisconnected,
                    json!({"reason": why, "running-time": line.position}),
                );
            }
        } else {
            tracing::warn!(stream = name, "{why}; the next attempt is in {:.0} s", pause.as_secs_f64());
        }
    }
}
