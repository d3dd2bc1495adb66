//! Streams of pictures, on a model that sees what the test tells it.

use std::sync::Arc;

use super::{Identity, Session};
use crate::Config;
use crate::event::{ChapterEvent, Kind};
use crate::model::{
    Context, ContextConfig, Dialect, Generation, Model, ModelError, Request, SegmentId, Step, Usage, View,
};
use crate::picture::{Gate, Pair, Seen};
use crate::time::{SECOND, Span};

/// The first byte of a picture is what it shows; a picture that shows the same is unchanged.
struct Eyes(Dialect);

struct Sight {
    dialect: Dialect,
    shown: Vec<u8>,
}

struct Answer(String);

impl Model for Eyes {
    fn name(&self) -> &str {
        "eyes"
    }

    fn max_context(&self) -> usize {
        1000
    }

    fn sees(&self) -> bool {
        true
    }

    fn dialect(&self) -> Dialect {
        self.0
    }

    fn open(&self, config: ContextConfig) -> Result<Box<dyn Context>, ModelError> {
        assert_eq!(config.system.is_empty(), self.0 == Dialect::Titles, "such a model knows no instructions");
        Ok(Box::new(Sight { dialect: self.0, shown: Vec::new() }))
    }
}

impl Context for Sight {
    fn append(&mut self, _: &str) -> Result<SegmentId, ModelError> {
        Err(ModelError::Backend("nobody speaks here".into()))
    }

    fn append_pair(&mut self, label: &str, pair: &Pair, _: f64, _: Gate) -> Result<Seen, ModelError> {
        assert_eq!(label.is_empty(), self.dialect == Dialect::Titles);
        let shows = pair.frames[1][0];
        if self.shown.last() == Some(&shows) {
            return Ok(Seen::Unchanged);
        }
        self.shown.push(shows);
        Ok(Seen::Segment { segment: self.shown.len() as u64 - 1, changed: 1.0 })
    }

    fn remember(&mut self, _: &str) -> Result<(), ModelError> {
        assert_eq!(self.dialect, Dialect::Instruct, "such a model was never told of chapters");
        Ok(())
    }

    /// Pictures from 10 on begin something new.
    fn forget(&mut self, _: usize) {}

    fn yes_probability(&mut self, _: &View, question: &str) -> Result<f32, ModelError> {
        let segment = question.split(['[', ']']).nth(1).and_then(|n| n.parse::<usize>().ok());
        Ok(if segment.is_some_and(|segment| self.shown[segment] >= 10) { 0.9 } else { 0.1 })
    }

    fn generate(&mut self, request: Request) -> Result<Box<dyn Generation>, ModelError> {
        let shown = self.shown[request.view.segments.start as usize];
        Ok(Box::new(Answer(format!("{{\"title\":\"Picture {shown} of the day\"}}"))))
    }

    fn reset(&mut self) {
        self.shown.clear();
    }

    fn usage(&self) -> Usage {
        Usage { capacity: 1000, ..Usage::default() }
    }
}

impl Generation for Answer {
    fn step(&mut self) -> Result<Step, ModelError> {
        Ok(Step::Done { text: self.0.clone(), tokens: 1 })
    }
}

/// A pair every two seconds; `shown` tells what each shows. The closed chapters.
fn watch(dialect: Dialect, shown: &[u8]) -> Vec<ChapterEvent> {
    let config =
        Config { min_chapter_duration: 6 * SECOND, look_ahead: 4 * SECOND, write: true, ..Config::default() };
    let context = ContextConfig { context_length: 500, ..ContextConfig::default() };
    let mut session = Session::new(Arc::new(Eyes(dialect)), Identity::default(), config, context).unwrap();
    let mut events = Vec::new();
    for (i, shows) in shown.iter().enumerate() {
        let at = 2 * i as u64 * SECOND;
        session.advance(at);
        let frame: Arc<[u8]> = vec![*shows; 3].into();
        let pair = Pair { width: 1, height: 1, frames: [frame.clone(), frame] };
        session.see(&pair, Span::new(at, at + SECOND), Gate::Frames).unwrap();
        while session.work(at) {}
        events.extend(session.events());
    }
    session.finish(2 * shown.len() as u64 * SECOND);
    while session.work(0) {}
    events.extend(session.events());
    events.retain(|event| event.kind == Kind::Closed);
    events
}

#[test]
fn without_words_the_model_decides_where_a_picture_begins_a_chapter() {
    // A slide that is built up (1, 2, 3), then another one (10), which changes once (4).
    let closed = watch(Dialect::Instruct, &[1, 1, 2, 3, 3, 3, 10, 10, 10, 10, 4, 4, 4, 4]);
    let starts: Vec<f64> = closed.iter().map(|chapter| chapter.start).collect();
    assert_eq!(starts, [0.0, 12.0]);
}

#[test]
fn a_model_that_only_names_titles_begins_a_chapter_with_each_new_one() {
    let closed = watch(Dialect::Titles, &[1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 3, 2, 2, 2, 2]);
    let chapters: Vec<(f64, &str)> = closed.iter().map(|c| (c.start, c.title.as_str())).collect();
    // Picture 3 comes in time for a chapter of its own, picture 2 again too early after it.
    assert_eq!(
        chapters,
        [(0.0, "Picture 1 of the day"), (10.0, "Picture 2 of the day"), (20.0, "Picture 2 of the day")],
    );
    assert!(closed.iter().all(|chapter| !chapter.partial), "{closed:#?}");
}
