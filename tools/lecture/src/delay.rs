//! `lecture delay`: how long `gistsummarizer` holds a video buffer, and what its `stats` say at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use gst::prelude::*;

/// Buffers between the two pads at once; more would be a leak of the measurement.
const IN_FLIGHT: usize = 1024;

#[derive(Default)]
struct Delays {
    entered: HashMap<gst::ClockTime, Instant>,
    nanoseconds: Vec<u64>,
}

/// Plays `launch`, which names its summarizer `g`, to its end and prints the delay between probes on its two pads.
pub(crate) fn delay(launch: &str) -> Result<()> {
    gst::init()?;
    let pipeline = gst::parse::launch(launch)?.downcast::<gst::Pipeline>().ok().context("not a pipeline")?;
    let summarizer = pipeline.by_name("g").context("the pipeline has no element named g")?;
    let delays = measure(&summarizer)?;
    pipeline.set_state(gst::State::Playing).context("the pipeline does not play")?;
    let bus = pipeline.bus().context("the pipeline has no bus")?;
    let wanted = [gst::MessageType::Eos, gst::MessageType::Error, gst::MessageType::Warning];
    while let Some(message) = bus.timed_pop_filtered(gst::ClockTime::NONE, &wanted) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Warning(warning) => println!("warning: {}", warning.error()),
            gst::MessageView::Error(error) => bail!("{}", error.error()),
            _ => {}
        }
    }
    let stats = summarizer.property::<Option<gst::Structure>>("stats");
    pipeline.set_state(gst::State::Null)?;
    let mut delays = delays.lock().unwrap_or_else(PoisonError::into_inner);
    delays.nanoseconds.sort_unstable();
    let all = &delays.nanoseconds;
    let last = all.len().checked_sub(1).context("no buffer passed")?;
    let share = |permille: usize| all[last * permille / 1000] as f64 / 1e6;
    println!(
        "{} buffers from sink to src: median {:.3} ms, p99 {:.3} ms, p99.9 {:.3} ms, max {:.3} ms; {} lost",
        all.len(),
        share(500),
        share(990),
        share(999),
        share(1000),
        delays.entered.len()
    );
    println!("{}", stats.map_or_else(String::new, |stats| stats.to_string().replace(", ", "\n  ")));
    Ok(())
}

fn measure(summarizer: &gst::Element) -> Result<Arc<Mutex<Delays>>> {
    let delays = Arc::<Mutex<Delays>>::default();
    let pad = |name| summarizer.static_pad(name).with_context(|| format!("g has no pad {name}"));
    let probe = |pad: &gst::Pad, note: fn(&mut Delays, gst::ClockTime)| {
        let delays = Arc::clone(&delays);
        pad.add_probe(gst::PadProbeType::BUFFER, move |_, info| {
            if let Some(pts) = info.buffer().and_then(|buffer| buffer.pts()) {
                note(&mut delays.lock().unwrap_or_else(PoisonError::into_inner), pts);
            }
            gst::PadProbeReturn::Ok
        });
    };
    probe(&pad("sink")?, |delays, pts| {
        if delays.entered.len() < IN_FLIGHT {
            delays.entered.insert(pts, Instant::now());
        }
    });
    probe(&pad("src")?, |delays, pts| {
        if let Some(entered) = delays.entered.remove(&pts) {
            delays.nanoseconds.push(entered.elapsed().as_nanos() as u64);
        }
    });
    Ok(delays)
}
