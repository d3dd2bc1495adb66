//! Pictures for a model that sees.

use std::collections::VecDeque;

use super::chapter::longest_shown;
use super::{Line, Session};
use crate::model::{Context, Dialect, ModelError, Request, SegmentId, Step, View};
use crate::observation::{Observation, Source};
use crate::picture::{Gate, Pair, Seen};
use crate::prompt;
use crate::time::{Span, seconds};

/// When this share of the picture changed at once, a chapter may begin there.
const NEW_PICTURE: f32 = 0.1;
/// Tokens of a title.
const TITLE_TOKENS: usize = 60;

impl Session {
    /// Encodes a pair of pictures; `span` runs from the first to the second. What shows nothing new costs nothing.
    ///
    /// # Errors
    /// When the model fails or does not see; the pair is then lost for the context.
    pub fn see(&mut self, pair: &Pair, span: Span, gate: Gate) -> Result<(), ModelError> {
        self.begin(span.start);
        let label = match self.model.dialect() {
            Dialect::Instruct => format!("[{}] ", self.next_segment),
            Dialect::Titles => String::new(),
        };
        let stamp = (seconds(span.start) + seconds(span.end)) / 2.0;
        let seen = self.context.append_pair(&label, pair, stamp, gate);
        let seen = seen.inspect_err(|error| {
            self.errors += 1;
            self.last_error = Some(error.to_string());
        })?;
        self.watermark = self.watermark.max(span.start);
        let Seen::Segment { segment, changed } = seen else {
            if let Some(line) = self.lines.iter_mut().rev().find(|line| line.stamp.is_some()) {
                line.span.end = span.end;
            }
            return Ok(());
        };
        tracing::debug!(segment, at = crate::time::clock(span.start), changed, "a picture is encoded");
        if changed >= NEW_PICTURE {
            let picture = Observation { source: Source::Picture, span, text: String::new(), turn: false };
            self.detector.observe(segment, &picture);
        }
        self.note(Line { segment, source: Source::Picture, span, text: String::new(), stamp: Some(stamp) });
        Ok(())
    }
}

/// The question for the title at a picture, for a model that only names titles.
pub(super) fn title_request((segment, stamp): (SegmentId, f64)) -> Request {
    Request {
        view: View { segments: segment..segment + 1, memory: false },
        prompt: prompt::title_at(stamp),
        schema: Some(prompt::title_schema()),
        max_tokens: TITLE_TOKENS,
        temperature: 0.0,
        seed: 0,
    }
}

/// For such a model: 1 when the picture at `segment` has another title than the chapter before it, which begins with
/// the segment `first`.
pub(super) fn other_title(
    context: &mut dyn Context,
    lines: &VecDeque<Line>,
    first: SegmentId,
    segment: SegmentId,
) -> Option<f32> {
    let mut title = |picture| {
        let mut generation = context.generate(title_request(picture)).ok()?;
        loop {
            if let Step::Done { text, .. } = generation.step().ok()? {
                return Some(text);
            }
        }
    };
    let chapter = lines.iter().filter(|line| (first..segment).contains(&line.segment));
    let before = title(longest_shown(chapter)?)?;
    let now = title(longest_shown(lines.iter().filter(|line| line.segment == segment))?)?;
    Some(if before == now { 0.0 } else { 1.0 })
}
