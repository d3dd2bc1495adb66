//! ChatML, the words in which the Qwen family is spoken to: turns, and pictures among their text.
//!
//! Text is tokenised from one special token to the next in one go, as the reference does with a whole prompt: a stamp
//! behind a word may share a token with it.

use std::sync::Arc;

use crate::sequence::Sequence;
use crate::tokenizer::Tokenizer;
use crate::vision::Encoded;

/// How the pairs of a video lie in a turn.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VideoLayout {
    /// One after the other, each behind its stamp, `<1.5 seconds><|vision_start|>…<|vision_end|>`: that of the
    /// processor of transformers 4.57, which the models came with.
    #[default]
    Stamped,
    /// The same between one more `<|vision_start|>` and `<|vision_end|>` around the whole video: that of
    /// transformers 5.
    Nested,
}

/// A part of a conversation in the making.
pub(crate) struct Chat<'a> {
    tokenizer: &'a Tokenizer,
    sequence: Sequence,
    /// Text that is not tokenised yet.
    text: String,
}

impl<'a> Chat<'a> {
    pub(crate) fn new(tokenizer: &'a Tokenizer) -> Self {
        Self { tokenizer, sequence: Sequence::default(), text: String::new() }
    }

    pub(crate) fn text(mut self, text: &str) -> Self {
        self.text.push_str(text);
        self
    }

    pub(crate) fn special(mut self, token: u32) -> Self {
        self.flush();
        self.sequence.push_text(&[token]);
        self
    }

    /// A pair or a still picture, `pad` standing for each of its tokens, or for those that are `kept`.
    pub(crate) fn picture(mut self, pad: u32, encoded: Encoded, kept: Option<&[usize]>) -> Self {
        self.flush();
        self.sequence.push_pair(pad, Arc::new(encoded), kept);
        self
    }

    /// Begins a turn.
    pub(crate) fn turn(self, role: &str) -> Self {
        let start = self.tokenizer.special().im_start;
        self.special(start).text(role).text("\n")
    }

    /// Ends a turn.
    pub(crate) fn end(self) -> Self {
        let end = self.tokenizer.special().im_end;
        self.special(end).text("\n")
    }

    pub(crate) fn sequence(mut self) -> Sequence {
        self.flush();
        self.sequence
    }

    fn flush(&mut self) {
        if !self.text.is_empty() {
            self.sequence.push_text(&self.tokenizer.encode(&self.text));
            self.text.clear();
        }
    }
}

#[cfg(test)]
mod tests;
