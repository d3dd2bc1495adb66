//! One question about one picture.

use gist_core::model::{ContextConfig, Generation, ModelError, Request, Step, View};

use crate::decoder::CHUNK;
use crate::model::QwenModel;
use crate::sequence::Sequence;
use crate::sight::still;

/// A picture and what is asked about it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// In pixels.
    pub width: usize,
    /// In pixels.
    pub height: usize,
    /// Red, green and blue of each pixel, row by row without padding.
    pub pixels: &'a [u8],
    /// In words.
    pub prompt: &'a str,
    /// The answer is cut off after so many tokens.
    pub max_tokens: usize,
}

impl QwenModel {
    /// Answers a question about a picture; `tell` gets the text piece by piece as it is written. An answer that is
    /// cut off is not an error: what there is was told.
    ///
    /// # Errors
    /// When the model does not see, the picture is malformed, or both do not fit into the model's context.
    pub fn describe(&self, question: Question<'_>, tell: &mut dyn FnMut(&str)) -> Result<(), ModelError> {
        let Question { width, height, pixels, prompt, max_tokens } = question;
        let eyes = self.engine.eyes.as_ref();
        let eyes = eyes.ok_or_else(|| ModelError::Backend(format!("{} does not see pictures", self.name)))?;
        let picture: Sequence = still(&self.engine, eyes, width, height, pixels)?;
        // The pinned part of the prompt has two tokens, a context at least a chunk beyond.
        let context_length = picture.len() + 2 * CHUNK;
        let mut context = self.open_context(ContextConfig { context_length, ..Default::default() })?;
        context.append_sequence(&picture)?;
        let view = View { segments: 0..u64::MAX, memory: false };
        let request =
            Request { view, prompt: prompt.into(), schema: None, max_tokens, temperature: 0.0, seed: 0 };
        let mut answer = context.answer(&request)?;
        let mut told = 0;
        loop {
            let step = match answer.step() {
                Err(ModelError::Truncated(_)) => return Ok(()),
                step => step?,
            };
            let text = answer.text();
            // The last character may be half there.
            let ready =
                if matches!(step, Step::Done { .. }) { &text } else { text.trim_end_matches('\u{FFFD}') };
            if let Some(new) = ready.get(told..).filter(|new| !new.is_empty()) {
                tell(new);
                told = ready.len();
            }
            if matches!(step, Step::Done { .. }) {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoadOptions;
    use crate::weights::tests::nano_vl;

    #[test]
    fn an_answer_is_told_as_it_is_written() {
        let model = QwenModel::load(&nano_vl(), LoadOptions::default()).unwrap();
        let pixels = vec![200; 3 * 160 * 64];
        let question = Question { width: 160, height: 64, pixels: &pixels, prompt: "title?", max_tokens: 12 };
        let mut pieces = Vec::new();
        model.describe(question, &mut |text| pieces.push(text.to_owned())).unwrap();
        assert!(pieces.len() >= 6 && pieces.iter().all(|piece| piece.chars().count() < 12), "{pieces:?}");
    }
}
