//! Pictures: read for text, or shown to a model that sees.

use std::sync::atomic::Ordering;

use gist_core::Observation;
use gist_core::observation::Source;
use gist_core::picture::{Gate, Pair};
use gist_core::time::Span;
use gist_screen::{Picture, ScreenReader};

use super::super::busy::Stage;
use super::super::sampler::Sampled;
use super::{Live, Worker};

impl Worker {
    pub(super) fn look(&mut self, live: &mut Live, time: u64, picture: Sampled) {
        self.report.frames_looked_at.fetch_add(1, Ordering::Relaxed);
        live.session.count_frames(1, 0);
        match picture {
            Sampled::Grey(picture) => self.read(live, time, &picture),
            Sampled::Colour { width, height, pixels } => {
                if let Some((pair, span)) = live.pairs.push(time, width, height, pixels) {
                    self.show(live, &pair, span);
                }
            }
        }
    }

    /// Shows a model that sees two pictures.
    fn show(&self, live: &mut Live, pair: &Pair, span: Span) {
        let gate = self.element.upgrade().map_or(Gate::default(), |element| element.gate());
        let before = live.session.usage().vision_ns;
        let seen = live.session.see(pair, span, gate);
        let vision = live.session.usage().vision_ns.saturating_sub(before);
        live.stopwatch.lap_in_two(&self.report.busy, Stage::Vision, Stage::Encode, vision);
        if let Err(error) = seen {
            self.warn(&format!("A picture could not be encoded: {error}"));
        }
    }

    /// A picture that waits for its second gets none: the stream ends or breaks here.
    pub(super) fn show_last(&self, live: &mut Live) {
        if let Some((pair, span)) = live.pairs.finish() {
            self.show(live, &pair, span);
        }
    }

    /// Reads the text on a picture.
    fn read(&mut self, live: &mut Live, time: u64, picture: &Picture) {
        if live.blind {
            return;
        }
        let seen = match &mut live.reader {
            Some(reader) => reader.look(time, picture),
            none => ScreenReader::new(gist_screen::Options::default())
                .and_then(|reader| none.insert(reader).look(time, picture)),
        };
        self.spent(live, Stage::Ocr);
        match seen {
            Ok(None) => {}
            Ok(Some(screen)) => {
                let span = Span::new(screen.since, time);
                self.observe(
                    live,
                    Observation { source: Source::Screen, span, text: screen.text, turn: false },
                );
            }
            Err(error) => {
                self.warn(&format!("Text on the picture is not read any more: {error}"));
                live.blind = true;
            }
        }
    }
}
