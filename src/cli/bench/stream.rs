//! Hours of stream.

use clap::Args;
use gist_qwen::bench;

use crate::cli::exit::Class;

/// Hours of stream through a small random model: whether the next segment costs the same at the end
#[derive(Args, Debug)]
pub(super) struct StreamArgs {
    /// Of stream, with a segment a second
    #[arg(long, default_value_t = 10.0, value_name = "HOURS")]
    hours: f64,
    /// A JSON object
    #[arg(long)]
    json: bool,
}

pub(super) fn run(&StreamArgs { hours, json }: &StreamArgs) -> anyhow::Result<()> {
    if !(0.0..=1000.0).contains(&hours) {
        return Err(Class::Usage.failure("hours are between 0 and 1000"));
    }
    let bar = indicatif::ProgressBar::new(1000);
    let report =
        bench::stream((hours * 3600.0) as usize, &mut |share| bar.set_position((share * 1e3) as u64));
    bar.finish_and_clear();
    let report = report.map_err(|e| Class::Other.failure(e.to_string()))?;
    if json {
        println!("{}", serde_json::to_string(&report)?);
        return Ok(());
    }
    println!(
        "{} segments of {} tokens through {} layers of {} ({} heads, {} of keys and values), a window of {} tokens in {}",
        report.segments,
        report.segment_tokens,
        report.layers,
        report.hidden,
        report.heads,
        report.kv_heads,
        report.window,
        report.kv_type,
    );
    println!(
        "a segment: {:.2} ms when the window had filled, {:.2} ms at the end, {:.3} times as long",
        report.segment_ms_full, report.segment_ms_end, report.ratio
    );
    println!("resident: {} MiB, then {} MiB", report.rss_full >> 20, report.rss_end >> 20);
    println!("counted: {:?}, then {:?}", report.work_full, report.work_end);
    Ok(())
}
