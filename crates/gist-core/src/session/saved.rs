//! A session to a file and back: what is encoded, and what is known about it.

use std::io;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::period::Periods;
use super::writer::Held;
use super::{Identity, Session};
use crate::Config;
use crate::event::ChapterEvent;
use crate::model::{ContextConfig, Model, ModelError, SegmentId};
use crate::time::Span;

/// What a session knows besides its context.
#[derive(Serialize, Deserialize)]
struct Note {
    session: String,
    next_index: u64,
    sequence: u64,
    /// Of the lines in the window, in stream-time.
    spans: Vec<(SegmentId, Span)>,
    /// The texts in the memory.
    memory: Vec<Held>,
    /// Digests so far, and the chapters for the next one.
    #[serde(default)]
    periods: Periods,
    #[serde(default)]
    ended: Vec<ChapterEvent>,
    language: Option<String>,
}

impl Session {
    /// Writes all that is needed to go on later, or to answer questions. Chapters without a text yet are not in it: the
    /// owner calls [`Session::work`] until there are none. The chapter that is open is not gone on with; its lines are
    /// known.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn save(&mut self, to: &mut dyn io::Write) -> Result<(), ModelError> {
        self.trim_spans();
        self.writer.settle(&mut *self.context);
        let note = Note {
            session: self.identity.session.clone(),
            next_index: self.next_index,
            sequence: self.sequence,
            spans: self.spans.iter().copied().collect(),
            memory: self.writer.memory().held().cloned().collect(),
            periods: self.periods.clone(),
            ended: self.writer.ended().cloned().collect(),
            language: self.writer.language().map(str::to_owned),
        };
        let note = serde_json::to_value(note).map_err(|e| ModelError::Backend(e.to_string()))?;
        self.context.save(&note, to)
    }

    /// Takes up a session that was saved. It goes on under the saved session id unless `identity` names one, with the
    /// next chapter; the sizes are the saved ones.
    ///
    /// # Errors
    /// When it is none, of another model or version, or damaged.
    pub fn restore(
        model: Arc<dyn Model>,
        identity: Identity,
        config: Config,
        context: ContextConfig,
        from: &mut dyn io::Read,
    ) -> Result<Self, ModelError> {
        let damaged = || ModelError::Backend("the saved context cannot be used: it is damaged".into());
        let (context, note) = model.restore(from, context)?;
        let note: Note = serde_json::from_value(note).map_err(|_| damaged())?;
        let usage = context.usage();
        let next_segment = note.spans.last().map_or(usage.oldest, |(segment, _)| segment + 1);
        let most = 1 << 53;
        let sane = next_segment < most
            && note.next_index < most
            && note.memory.iter().all(|held| held.first <= held.last && held.last < most);
        let ordered = sane && note.spans.is_sorted_by(|a, b| a.0 < b.0);
        if !ordered || note.memory.len() != usage.memory_texts {
            return Err(damaged());
        }
        let mut session = Self::around(model, identity, config, context);
        if session.identity.session.is_empty() {
            session.identity.session = note.session;
        }
        session.next_index = session.next_index.max(note.next_index);
        session.sequence = note.sequence;
        session.next_segment = next_segment;
        session.spans = note.spans.into();
        session.trim_spans();
        session.periods = note.periods.resume();
        session.writer.take_up(note.memory, note.ended, note.language);
        Ok(session)
    }
}
