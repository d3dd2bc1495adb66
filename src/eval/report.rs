//! The figures for a data set.

use std::fmt;

use gist_core::boundary::Embed;
use serde::Serialize;

use super::data::Item;
use super::metrics;
use super::texts::Texts;
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
    /// Of the texts; `null` when none were written.
    pub(super) texts: Option<TextFigures>,
}

/// What is told of texts. Shares are 0 to 1; `null` where there was nothing to measure.
#[derive(Clone, Copy, Debug, Serialize)]
pub(super) struct TextFigures {
    /// Chapters that were closed.
    pub(super) chapters: usize,
    /// ROUGE-L of titles with the heading that overlaps them most, mean.
    pub(super) title_rouge_l: Option<f64>,
    /// Cosine of the embeddings of title and heading, mean; `null` without the embedding model.
    pub(super) title_cosine: Option<f64>,
    /// The same with the other headings of the session.
    pub(super) title_cosine_elsewhere: Option<f64>,
    /// Share of the content words of a heading that stand in the chapter that overlaps it most, mean.
    pub(super) source_coverage: Option<f64>,
    /// Share of points that stand in their span.
    pub(super) faithful: Option<f64>,
    /// The same share when points are held against another place of the talk: what chance comes to.
    pub(super) faithful_elsewhere: Option<f64>,
    /// Points that could be judged, and all.
    pub(super) points_judged: usize,
    /// All points.
    pub(super) points: usize,
    /// Share of written points that were left out.
    pub(super) points_dropped: Option<f64>,
    /// Points of a chapter, median.
    pub(super) points_per_chapter: Option<f64>,
    /// Share of texts that repeat an earlier one of the session.
    pub(super) repeated: Option<f64>,
    /// The longest run of words copied from the talk, in words.
    pub(super) longest_copied_run: f64,
    /// Share of chapters whose structure is valid.
    pub(super) valid: Option<f64>,
    /// Share of texts in Han script, of those that were to be Chinese.
    pub(super) han: Option<f64>,
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
    texts: Texts,
}

impl Report {
    /// Adds a session.
    pub(super) fn add(&mut self, item: &Item, watched: &Watched, embed: Option<&dyn Embed>) {
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
        self.texts.add(item, &watched.closed, embed);
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
            texts: (self.written > 0).then(|| self.texts.figures()),
        }
    }
}

impl Texts {
    /// Means, medians and shares.
    fn figures(&self) -> TextFigures {
        let share = |part: usize, all: usize| (all > 0).then(|| part as f64 / all as f64);
        let mean = |all: &[f64]| (!all.is_empty()).then(|| all.iter().sum::<f64>() / all.len() as f64);
        TextFigures {
            chapters: self.chapters,
            title_rouge_l: mean(&self.rouge),
            title_cosine: mean(&self.cosine),
            title_cosine_elsewhere: mean(&self.cosine_elsewhere),
            source_coverage: mean(&self.coverage),
            faithful: share(self.faithful, self.judged),
            faithful_elsewhere: share(self.faithful_elsewhere, self.judged),
            points_judged: self.judged,
            points: self.points,
            points_dropped: share(self.dropped, self.dropped + self.points),
            points_per_chapter: metrics::median(&mut self.points_per_chapter.clone()),
            repeated: share(self.repeated, self.texts),
            longest_copied_run: self.longest_run,
            valid: share(self.valid, self.chapters),
            han: share(self.han, self.chinese),
        }
    }
}

impl fmt::Display for TextFigures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let percent =
            |share: Option<f64>| share.map_or("-".to_owned(), |share| format!("{:.1}", 100.0 * share));
        for (name, share) in [
            ("title ROUGE-L", self.title_rouge_l),
            ("title cosine", self.title_cosine),
            ("  with other headings", self.title_cosine_elsewhere),
            ("headings covered", self.source_coverage),
            ("faithful points", self.faithful),
            ("  held elsewhere", self.faithful_elsewhere),
            ("points dropped", self.points_dropped),
            ("texts repeated", self.repeated),
            ("structure valid", self.valid),
            ("texts in Han script", self.han),
        ] {
            writeln!(f, "{name:<24}{:>8}", percent(share))?;
        }
        writeln!(f, "points judged           {:>8}", format!("{}/{}", self.points_judged, self.points))?;
        let points = self.points_per_chapter.map_or("-".to_owned(), |points| format!("{points:.1}"));
        writeln!(f, "points per chapter      {points:>8}")?;
        writeln!(f, "longest copied run      {:>8.1}", self.longest_copied_run)
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
        if let Some(texts) = figures.texts {
            write!(f, "{texts}")?;
        }
        Ok(())
    }
}
