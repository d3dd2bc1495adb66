//! The final digest.

use serde::Deserialize;

use crate::event::ChapterEvent;
use crate::prompt;
use crate::time::Span;

#[derive(Debug, Default, Deserialize)]
pub(in crate::session) struct DigestText {
    assessment: String,
    suggestions: Vec<String>,
}

/// The final digest.
pub(in crate::session) struct Digest {
    pub(in crate::session) period: Span,
    pub(in crate::session) text: DigestText,
    pub(in crate::session) language: String,
    pub(in crate::session) tokens: usize,
    pub(in crate::session) error: Option<String>,
}

impl Digest {
    pub(in crate::session) fn fill(self, event: &mut ChapterEvent, position: u64) {
        event.period_start = Some(self.period.start);
        event.period_end = Some(self.period.end);
        event.is_final = true;
        event.emitted_at = position;
        event.language = self.language;
        event.tokens = self.tokens as u64;
        event.partial = self.error.is_some();
        event.error = self.error;
        if !self.text.assessment.is_empty() {
            let (assessment, study) = prompt::digest_labels(&event.language);
            event.text = format!("**{assessment}** {}\n", prompt::flat(&self.text.assessment));
            event.text += &format!("\n**{study}**\n\n");
            for (i, suggestion) in self.text.suggestions.iter().enumerate() {
                event.text += &format!("{}. {}\n", i + 1, prompt::flat(suggestion));
            }
        }
    }
}
