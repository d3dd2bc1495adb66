//! One session, played as a stream.

use std::sync::Arc;

use anyhow::Context;
use gist_core::boundary::{Detector, Embed};
use gist_core::event::{Kind, Reason};
use gist_core::mock::{Mock, Script};
use gist_core::model::{ContextConfig, Model};
use gist_core::session::{Identity, Session};
use gist_core::time::{nanoseconds, seconds};
use gist_core::{ChapterEvent, Config};
use gist_qwen::{LoadOptions, QwenModel};

use super::data::{Item, known_until};

/// What came of a session.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// Where chapters were found to begin, in seconds, without the first; in order.
    pub(super) boundaries: Vec<f64>,
    /// How long after each of them it was decided, in seconds of stream-time.
    pub(super) delays: Vec<f64>,
    /// Chapters with a whole text.
    pub(super) written: usize,
    /// Chapters whose text is missing or incomplete.
    pub(super) partial: usize,
    /// The closed chapters; none where no session was played.
    pub(super) closed: Vec<ChapterEvent>,
}

/// Plays sessions.
pub(super) struct Watcher {
    model: Option<Arc<dyn Model>>,
    embed: Option<Arc<dyn Embed>>,
    config: Config,
}

impl Watcher {
    /// Loads the model if one is needed: named, or for the texts the default one.
    pub(super) fn new(
        model: Option<&str>,
        config: Config,
        embed: Option<Arc<dyn Embed>>,
    ) -> anyhow::Result<Self> {
        let model = match model {
            Some("mock") => Some(Arc::new(Mock::new(Script::default())) as Arc<dyn Model>),
            Some(name) => Some(load(name)?),
            None if config.write => {
                let default = gist_models::default_model(gist_models::Kind::Text);
                Some(load(&default.context("no default text model")?.name)?)
            }
            None => None,
        };
        Ok(Self { model, embed, config })
    }

    /// The name of the model, if there is one.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref().map(Model::name)
    }

    pub(super) fn watch(&self, item: &Item) -> anyhow::Result<Watched> {
        match &self.model {
            Some(model) => self.session(model.clone(), item),
            None => Ok(self.detector(item)),
        }
    }

    /// Words alone, no model.
    fn detector(&self, item: &Item) -> Watched {
        let mut watched = Watched::default();
        let mut detector = Detector::with_embedder(0, self.embed.clone());
        let observations = item.observations();
        for (i, (observation, now)) in observations.iter().zip(known_until(&observations)).enumerate() {
            detector.observe(i as u64, observation);
            while let Some(found) = detector.decide(now, &self.config, &mut |_| None) {
                watched.add(found.at, found.decided_at);
            }
        }
        while let Some(found) = detector.finish(nanoseconds(item.duration), &self.config, &mut |_| None) {
            watched.add(found.at, found.decided_at);
        }
        watched
    }

    /// The same path as a pipeline's: the model holds the words, is asked, and writes.
    fn session(&self, model: Arc<dyn Model>, item: &Item) -> anyhow::Result<Watched> {
        let identity = Identity { session: item.id.clone(), ..Identity::default() };
        let context = ContextConfig { memory_length: 4096, ..ContextConfig::default() };
        let mut session = Session::new(model, identity, self.config.clone(), context)?;
        if let Some(embed) = &self.embed {
            session.embed_with(embed.clone());
        }
        let mut watched = Watched::default();
        session.begin(0);
        let observations = item.observations();
        let known: Vec<u64> = known_until(&observations).collect();
        for (observation, now) in observations.into_iter().zip(known) {
            session.observe(observation).with_context(|| item.id.clone())?;
            session.advance(now);
            while session.work(now) {}
            session.events().for_each(|event| watched.take(&event));
        }
        let end = nanoseconds(item.duration);
        session.finish(end);
        while session.work(end) {}
        session.events().for_each(|event| watched.take(&event));
        Ok(watched)
    }
}

impl Watched {
    /// What came of a session that was played before.
    pub(super) fn of(closed: &[ChapterEvent]) -> Self {
        let mut watched = Self::default();
        closed.iter().for_each(|event| watched.take(event));
        watched
    }

    fn add(&mut self, at: u64, decided_at: u64) {
        self.boundaries.push(seconds(at));
        self.delays.push(seconds(decided_at.saturating_sub(at)));
    }

    fn take(&mut self, event: &ChapterEvent) {
        if event.kind != Kind::Closed {
            return;
        }
        if event.reason != Some(Reason::Eos)
            && let (Some(end), Some(decided_at)) = (event.end_running_time, event.decided_at)
        {
            self.add(end, decided_at);
        }
        self.closed.push(event.clone());
        if event.partial || event.title.is_empty() {
            self.partial += 1;
        } else {
            self.written += 1;
        }
    }
}

/// The embedding model, if it is on this machine; else says how to get it.
pub(crate) fn embedder() -> anyhow::Result<Option<Arc<dyn Embed>>> {
    match gist_models::locate(EMBEDDER) {
        Ok(path) => Ok(Some(Arc::new(gist_embed::Embedder::load(&path)?))),
        Err(why) => {
            eprintln!("boundaries are decided by words alone: {why}");
            Ok(None)
        }
    }
}

const EMBEDDER: &str = "all-minilm-l6-v2";

fn load(name: &str) -> anyhow::Result<Arc<dyn Model>> {
    let path = gist_models::locate(name)?;
    eprintln!("loading {}", path.display());
    Ok(QwenModel::load(&path, LoadOptions { name: Some(name.to_owned()), ..LoadOptions::default() })?)
}
