//! From pairs of pictures to segments: one size for the whole session, a gate before the model, and the prompt layout
//! of the family.

use std::time::{Duration, Instant};

use gist_core::model::ModelError;
use gist_core::picture::{Gate, Pair};

use crate::chat::Chat;
use crate::model::{Engine, Eyes};
use crate::picture::{Frame, PictureError, Resizer, TokenGate, fit, stamp};
use crate::sequence::Sequence;

/// Pixels of a picture unless a session sets its own: 112 tokens, such as 448 × 256.
const MAX_PIXELS: u64 = 112 * 32 * 32;

/// A picture of that many pixels in patches.
pub(crate) const DEFAULT_GRID: (usize, usize) = (16, 28);

/// How the pictures of one stream are brought before the model.
#[derive(Default)]
pub(crate) struct Sight {
    max_pixels: u64,
    /// For pictures of this size.
    resizer: Option<((usize, usize), Resizer)>,
    gate: TokenGate,
    /// How many pairs went through the vision tower, and how many were known.
    pub(crate) pairs: Pairs,
    /// What all of [`Sight::see`] took.
    pub(crate) busy: Duration,
}

/// Counts pairs by where their rows came from.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Pairs {
    pub(crate) encoded: u64,
    pub(crate) known: u64,
}

impl Pairs {
    fn count(&mut self, known: bool) {
        *(if known { &mut self.known } else { &mut self.encoded }) += 1;
    }
}

/// A pair that shows something new.
pub(crate) struct Sighted {
    pub(crate) segment: Sequence,
    /// Share of its tokens that changed, 0 to 1.
    pub(crate) changed: f32,
}

impl Sight {
    /// For pictures of at most `max_pixels`, 0 for the default.
    pub(crate) fn new(max_pixels: usize) -> Self {
        let max_pixels = if max_pixels == 0 { MAX_PIXELS } else { max_pixels as u64 };
        Self { max_pixels, ..Self::default() }
    }

    /// Forgets what was seen; the next pair is kept whole.
    pub(crate) fn reset(&mut self) {
        self.gate.reset();
    }

    /// Encodes a pair behind `label` and its stamp; `None` when the gate finds nothing new in it.
    pub(crate) fn see(
        &mut self,
        engine: &Engine,
        label: &str,
        pair: &Pair,
        seconds: f64,
        gate: Gate,
    ) -> Result<Option<Sighted>, ModelError> {
        let start = Instant::now();
        let sighted = self.encode(engine, label, pair, seconds, gate);
        self.busy += start.elapsed();
        sighted
    }

    fn encode(
        &mut self,
        engine: &Engine,
        label: &str,
        pair: &Pair,
        seconds: f64,
        gate: Gate,
    ) -> Result<Option<Sighted>, ModelError> {
        let eyes = engine
            .eyes
            .as_ref()
            .ok_or_else(|| ModelError::Backend("the model has no vision tower".into()))?;
        let told = |e: PictureError| ModelError::Backend(format!("a picture cannot be read: {e}"));
        let size = (pair.width, pair.height);
        let [first, second] =
            [0, 1].map(|i| Frame::new(pair.width, pair.height, &*pair.frames[i]).map_err(told));
        let (first, second) = (first?, second?);
        if self.resizer.as_ref().is_none_or(|(from, _)| *from != size) {
            let (width, height) = fit(pair.width, pair.height, self.max_pixels);
            self.resizer = Some((size, Resizer::new(width, height).map_err(told)?));
        }
        let Some((_, resizer)) = &mut self.resizer else { return Ok(None) };
        let (first, second) = (resizer.resize(&first).into_owned(), resizer.resize(&second));
        let kept = self.gate.keep(&first, &second).map_err(told)?;
        if kept.is_empty() && gate != Gate::Off {
            return Ok(None);
        }
        let (encoded, known) = engine.see(eyes, &first, &second).map_err(told)?;
        self.pairs.count(known);
        let changed = kept.len() as f32 / (encoded.grid.0 * encoded.grid.1).max(1) as f32;
        let only = (gate == Gate::Tokens).then_some(&kept[..]);
        let segment = Chat::new(&engine.tokenizer)
            .text(label)
            .text(&stamp(seconds))
            .special(eyes.tokens.vision_start)
            .picture(eyes.tokens.video_pad, encoded, only)
            .special(eyes.tokens.vision_end)
            .sequence();
        Ok(Some(Sighted { segment, changed }))
    }
}

/// A still picture as a sequence of its own, in the layout and within the pixels of the model's own preprocessor.
pub(crate) fn still(
    engine: &Engine,
    eyes: &Eyes,
    width: usize,
    height: usize,
    pixels: &[u8],
) -> Result<Sequence, ModelError> {
    let told = |e: PictureError| ModelError::Backend(format!("the picture cannot be read: {e}"));
    let frame = Frame::new(width, height, pixels).map_err(told)?;
    let (width, height) =
        crate::picture::smart_resize_image(width, height, eyes.budgets.image).map_err(told)?;
    let mut resizer = Resizer::new(width, height).map_err(told)?;
    let frame = resizer.resize(&frame);
    let (encoded, _) = engine.see(eyes, &frame, &frame).map_err(told)?;
    Ok(Chat::new(&engine.tokenizer)
        .special(eyes.tokens.vision_start)
        .picture(eyes.tokens.image_pad, encoded, None)
        .special(eyes.tokens.vision_end)
        .sequence())
}
