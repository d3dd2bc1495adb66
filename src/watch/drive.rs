//! A pipeline at work: what it says, and what it is told.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use gist_core::time::Span;
use gist_core::{Observation, observation::Source};
use gst::prelude::*;

use super::config::Stream;
use super::fault;
use super::line::Line;
use super::publisher::Publisher;
use super::session::STOPPED;
use super::stream::{End, Order, Watch};
use crate::run::media::{INPUT_ENDED, NOTHING_TO_SEE_OR_HEAR};
use crate::run::pipeline::Pipeline;
use crate::run::{Job, failure};

/// How often orders, counters and the clock are looked at.
const TICK: Duration = Duration::from_millis(200);
/// How often what waits is put into the store.
const SECOND: Duration = Duration::from_secs(1);
/// How long the end of a stream may take: as long as the element takes for it, and a little.
const END: Duration = Duration::from_secs(75);

impl Watch {
    /// Watches until the stream is over or the pipeline can't go on.
    pub(super) fn drive(&mut self, pipeline: &Pipeline, mut line: Line, job: &Job) -> anyhow::Result<End> {
        let bus = pipeline.element().bus().ok_or_else(|| anyhow::anyhow!("the pipeline has no bus"))?;
        let mut stopping: Option<(Instant, &str)> = None;
        let mut missing = None;
        let mut flushed = Instant::now();
        loop {
            self.beat.fetch_add(1, Ordering::Relaxed);
            while let Ok(order) = self.orders.try_recv() {
                match order {
                    Order::Stop if stopping.is_some() => {}
                    Order::Stop if pipeline.finish() => stopping = Some((Instant::now(), STOPPED)),
                    Order::Stop => return Ok(self.over(STOPPED)),
                    Order::Reload(config) => self.reload(pipeline, *config),
                }
            }
            let gone = match bus.timed_pop(gst::ClockTime::from_mseconds(TICK.as_millis() as u64)) {
                None => None,
                Some(message) => match message.view() {
                    gst::MessageView::Eos(_) => {
                        self.look(&pipeline.stats(), &mut line);
                        return Ok(self.over(stopping.map_or("the stream ended", |(_, note)| note)));
                    }
                    gst::MessageView::Error(error) => {
                        let why = format!("{:#}", failure::explain(error, missing.as_deref(), job));
                        match pipeline.is_of_input(&message) {
                            Some(false) => return Ok(End::Broken(why)),
                            // One seldom comes alone; the others are of what was taken away at the first.
                            None => None,
                            Some(true) => Some(why),
                        }
                    }
                    gst::MessageView::Warning(warning) => {
                        tracing::warn!(stream = self.name(), "{}", failure::warning(warning, job));
                        None
                    }
                    gst::MessageView::Latency(_) => {
                        let _ = pipeline.element().recalculate_latency();
                        None
                    }
                    gst::MessageView::Element(details) => {
                        missing = failure::missing(details).or(missing);
                        details.structure().and_then(|details| self.told(details))
                    }
                    _ => None,
                },
            };
            if let Some(why) = gone.filter(|_| line.retry_at.is_none()) {
                self.gone(pipeline, &mut line, &why, &mut stopping);
            }
            if let Some((since, note)) = stopping {
                if since.elapsed() > END {
                    tracing::warn!(stream = self.name(), "the end of the stream took too long");
                    return Ok(self.over(note));
                }
            } else if line.retry_at.is_some_and(|at| at <= Instant::now()) {
                line.retry_at = None;
                line.moved = Instant::now();
                pipeline.open(&line.uri)?;
            }
            if flushed.elapsed() >= SECOND {
                flushed = Instant::now();
                fault::injected(self.name());
                self.publisher.iter_mut().for_each(Publisher::flush);
                let stats = pipeline.stats();
                self.shared.metrics.stats(self.config.name.get_ref(), &stats);
                self.look(&stats, &mut line);
                let stall = self.config.stall_timeout.0;
                if stopping.is_none() && line.silent() > stall {
                    let why = format!("nothing came for {} s", stall.as_secs());
                    self.gone(pipeline, &mut line, &why, &mut stopping);
                }
            } else if !line.up && line.retry_at.is_none() {
                // How long a break was is told by its end.
                self.look(&pipeline.stats(), &mut line);
            }
        }
    }

    /// What elements tell; the reason when it is that the source is gone.
    fn told(&mut self, details: &gst::StructureRef) -> Option<String> {
        let publisher = self.publisher.as_mut()?;
        match details.name().as_str() {
            "gist-chapter" | "gist-digest" => {
                publisher.event(&details.get::<String>("json").unwrap_or_default());
            }
            "gist-observation" => {
                let time = |name: &str| details.get::<u64>(name).unwrap_or_default();
                let source = details.get::<&str>("source").ok().and_then(Source::named);
                let source = source.unwrap_or(Source::Screen);
                let span = Span::new(time("start"), time("end"));
                let text = details.get::<String>("text").unwrap_or_default();
                publisher.observation(Observation { source, span, text, turn: false });
            }
            "gist-overload" => {
                let dropped: u64 = details.get("dropped").unwrap_or_default();
                tracing::warn!(
                    stream = self.config.name.get_ref(),
                    "this machine is slower than the stream: {dropped} sampled pictures were left out"
                );
            }
            INPUT_ENDED => return Some("the source ended".into()),
            NOTHING_TO_SEE_OR_HEAR => return details.get("why").ok(),
            _ => {}
        }
        None
    }

    /// Prompts and endpoints change while it runs.
    fn reload(&mut self, pipeline: &Pipeline, config: Stream) {
        for (name, value) in config.texts() {
            pipeline.summarizer().set_property_from_str(name, &value);
        }
        if self.config.needs_restart(&config) {
            let stream = config.name.get_ref();
            tracing::warn!(
                stream,
                "source, models, sizes and outputs change with the next start of the program"
            );
        }
        self.take(config);
    }
}
