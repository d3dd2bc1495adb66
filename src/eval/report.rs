//! The figures for a data set.

use std::fmt;

use serde::Serialize;

use super::data::Item;
use super::metrics;
use super::watch::Watched;

/// What `--json` prints. Shares are 0 to 1.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct Figures {
    /// F1 of segments, mean over IoU .50 to .95 and over sessions.
    pub(super) f1: f64,
    /// The same at IoU .50.
    pub(super) f1_50: f64,
    /// F1 of boundaries within 5 s, mean over sessions.
    pub(super) boundary_f1_5: f64,
    /// F1 of boundaries within 30 s, mean over sessions.
    pub(super) boundary_f1_30: f64,
    /// WindowDiff, mean over sessions.
    pub(super) window_diff: f64,
    /// Pk, mean over sessions.
    pub(super) pk: f64,
    /// Median over all found boundaries of decision minus boundary, in stream-time; `null` when none was found.
    pub(super) delay_median_s: Option<f64>,
    /// Found boundaries that have no true one within 30 s, per hour.
    pub(super) false_per_hour: f64,
    /// Sessions.
    pub(super) items: usize,
    /// Their length together.
    pub(super) hours: f64,
}

/// Sums over sessions.
#[derive(Debug, Default)]
pub(super) struct Report {
    items: usize,
    seconds: f64,
    f1: f64,
    f1_50: f64,
    boundary_f1_5: f64,
    boundary_f1_30: f64,
    window_diff: f64,
    pk: f64,
    strays: usize,
    found: usize,
    truth: usize,
    delays: Vec<f64>,
    written: usize,
    partial: usize,
}

impl Report {
    /// Adds a session.
    pub(super) fn add(&mut self, item: &Item, watched: &Watched) {
        let (found, truth) = (&watched.boundaries, &item.boundaries());
        let (window_diff, pk) = metrics::window_diff_and_pk(found, truth, item.duration);
        self.items += 1;
        self.seconds += item.duration;
        self.f1 += metrics::segment_f1_mean(found, truth, item.duration);
        self.f1_50 += metrics::segment_f1(found, truth, item.duration, 0.5);
        self.boundary_f1_5 += metrics::boundary_f1(found, truth, 5.0);
        self.boundary_f1_30 += metrics::boundary_f1(found, truth, 30.0);
        self.window_diff += window_diff;
        self.pk += pk;
        self.strays += metrics::strays(found, truth, 30.0);
        self.found += found.len();
        self.truth += truth.len();
        self.delays.extend(&watched.delays);
        self.written += watched.written;
        self.partial += watched.partial;
    }

    /// Means, medians and rates.
    pub(super) fn figures(&self) -> Figures {
        let n = self.items.max(1) as f64;
        let hours = self.seconds / 3600.0;
        Figures {
            f1: self.f1 / n,
            f1_50: self.f1_50 / n,
            boundary_f1_5: self.boundary_f1_5 / n,
            boundary_f1_30: self.boundary_f1_30 / n,
            window_diff: self.window_diff / n,
            pk: self.pk / n,
            delay_median_s: metrics::median(&mut self.delays.clone()),
            false_per_hour: if hours > 0.0 { self.strays as f64 / hours } else { 0.0 },
            items: self.items,
            hours,
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let figures = self.figures();
        let delay = figures.delay_median_s.map_or("-".to_owned(), |d| format!("{d:.1} s"));
        writeln!(f, "sessions                {:>8}", figures.items)?;
        writeln!(f, "hours                   {:>8.2}", figures.hours)?;
        writeln!(f, "true boundaries         {:>8}", self.truth)?;
        writeln!(f, "found boundaries        {:>8}", self.found)?;
        for (name, share) in [
            ("F1 (IoU .50 to .95)", figures.f1),
            ("F1 (IoU .50)", figures.f1_50),
            ("boundary F1 (5 s)", figures.boundary_f1_5),
            ("boundary F1 (30 s)", figures.boundary_f1_30),
            ("WindowDiff", figures.window_diff),
            ("Pk", figures.pk),
        ] {
            writeln!(f, "{name:<24}{:>8.1}", 100.0 * share)?;
        }
        writeln!(f, "median decision delay   {delay:>8}")?;
        writeln!(f, "false per hour          {:>8.1}", figures.false_per_hour)?;
        if self.written > 0 {
            writeln!(f, "chapters written        {:>8}", self.written)?;
            writeln!(f, "chapters without text   {:>8}", self.partial)?;
        }
        Ok(())
    }
}
