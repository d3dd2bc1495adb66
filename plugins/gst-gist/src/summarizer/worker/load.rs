//! From settings to a session that is ready: model, context, embedder, and what an earlier run left.

use std::fs::File;
use std::io::{BufReader, Read};
use std::sync::atomic::Ordering;
use std::time::Instant;

use gist_core::model::ContextConfig;
use gist_core::session::{Identity, Session};
use gst::prelude::*;

use super::super::{CAT, backend, embedder};
use super::Worker;

/// Bytes of `resume-from` that are read: years of chapters.
const MAX_EVENTS: u64 = 256 << 20;

impl Worker {
    /// Loads the model and opens a context; `None` when the element stopped meanwhile.
    pub(super) fn load(&mut self) -> Result<Option<Session>, String> {
        self.report.state("loading");
        let start = Instant::now();
        let source = std::mem::take(&mut self.source);
        let mut told = 0;
        self.progress(gst::ProgressType::Start, &format!("loading {}", self.settings.model));
        let plan = |plan: &str| {
            let text = format!("{} takes {plan}", self.settings.model);
            self.post_progress(gst::ProgressType::Continue, "gist-memory", &text);
        };
        let model = backend::load(source, &self.settings, plan, |share| {
            let percent = (share * 100.0) as u32;
            if percent >= told + 10 {
                told = percent;
                self.progress(
                    gst::ProgressType::Continue,
                    &format!("loading {}: {percent} %", self.settings.model),
                );
            }
        })?;
        let settings = &self.settings;
        let identity = Identity {
            stream: settings.stream_name.clone(),
            session: settings.session_id.clone(),
            first_index: settings.first_index,
        };
        let context = ContextConfig {
            context_length: settings.context_length as usize,
            memory_length: settings.memory_length as usize,
            max_pixels: settings.max_pixels as usize,
            eviction: settings.eviction.into(),
            attention_budget: settings.attention_budget(),
            token_log: CAT.above_threshold(gst::DebugLevel::Log),
            ..ContextConfig::default()
        };
        let core = settings.core.clone();
        let session = match settings.restore_from() {
            None => Session::new(model, identity, core, context),
            Some(path) => {
                let file =
                    File::open(&path).map_err(|e| format!("{} cannot be read: {e}", path.display()))?;
                Session::restore(model, identity, core, context, &mut BufReader::with_capacity(1 << 20, file))
            }
        };
        let mut session = session.map_err(|error| error.to_string())?;
        let say = |text: &str| self.post_progress(gst::ProgressType::Continue, "gist-embed", text);
        if let Some(embedder) = embedder::load(settings, say)? {
            session.embed_with(embedder);
        }
        if let Some(path) = settings.resume_from() {
            let cannot = |why: String| format!("{} cannot be taken up: {why}", path.display());
            let file = File::open(&path).map_err(|error| cannot(error.to_string()))?;
            let mut lines = String::new();
            file.take(MAX_EVENTS).read_to_string(&mut lines).map_err(|error| cannot(error.to_string()))?;
            let record = gist_core::Record::parse(&lines).map_err(cannot)?;
            session.resume(&record).map_err(|error| cannot(error.to_string()))?;
        }
        let millis = start.elapsed().as_millis() as u64;
        self.report.model_load_ms.store(millis, Ordering::Relaxed);
        self.report.state("ready");
        self.progress(gst::ProgressType::Complete, &format!("{} is ready after {millis} ms", settings.model));
        Ok(Some(session))
    }
}
