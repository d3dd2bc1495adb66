/**
 * SECTION:element-gistwebhooksink
 * @title: gistwebhooksink
 * @see_also: gistsummarizer
 *
 * Sends the chapters of a `gistsummarizer` to a webhook, as Standard Webhooks 1.0.0: signed, tried again for three
 * days, and kept on disk until they are delivered. The stream never waits for the receiver.
 *
 * ## Example pipeline
 * |[
 * gst-launch-1.0 filesrc location=talk.mkv ! decodebin ! videoconvert ! gistsummarizer name=s ! fakesink \
 *   s.chapters ! queue ! gistwebhooksink url=https://example.com/hook secret-file=/run/secrets/hook
 * ]| Posts each chapter as it closes.
 *
 * Since: 0.1.0
 */
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use gist_core::event::Kind;
use gist_webhook::EventType;
use gst::glib;
use gst::prelude::*;
use gst::subclass::prelude::*;
use gst_base::subclass::prelude::*;

use super::delivery::Delivery;
use super::settings::{EVENTS, FLUSH_TIMEOUT, Hidden, Settings};
use crate::events;

static CAT: LazyLock<gst::DebugCategory> = LazyLock::new(|| {
    gst::DebugCategory::new("gistwebhooksink", gst::DebugColorFlags::empty(), Some("Chapters to a webhook"))
});

/// Neither lock is held while something is waited for or a message is posted.
#[derive(Debug, Default)]
pub struct WebhookSink {
    settings: Mutex<Settings>,
    /// From READY to PAUSED and back.
    delivery: Mutex<Option<Arc<Delivery>>>,
    /// Between `unlock` and `unlock_stop` nothing waits.
    unlocked: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl WebhookSink {
    fn delivery(&self) -> Option<Arc<Delivery>> {
        lock(&self.delivery).clone()
    }

    fn open(&self) -> Result<(), gst::ErrorMessage> {
        let plan = lock(&self.settings).clone().plan()?;
        gst::info!(CAT, imp = self, "to {}, spool {}", plan.endpoint.target.host(), plan.spool.display());
        let delivery = Delivery::start(plan, &self.obj())?;
        self.unlocked.store(false, Ordering::SeqCst);
        *lock(&self.delivery) = Some(Arc::new(delivery));
        Ok(())
    }

    /// Counts what could not be read; the bus hears of the 1st, 2nd, 4th, 8th, …
    fn skip(&self, delivery: &Delivery, why: &str) {
        gst::warning!(CAT, imp = self, "skipped an event: {why}");
        let malformed = delivery.progress().note(|counts| {
            counts.malformed += 1;
            counts.malformed
        });
        if malformed.is_power_of_two() {
            gst::element_imp_warning!(
                self,
                gst::StreamError::Decode,
                ("Skipped what is not a gist-chapters-v1 event ({malformed} so far): {why}.")
            );
        }
    }
}

#[glib::object_subclass]
impl ObjectSubclass for WebhookSink {
    const NAME: &'static str = "GistWebhookSink";
    type Type = super::WebhookSink;
    type ParentType = gst_base::BaseSink;
}

impl ObjectImpl for WebhookSink {
    fn properties() -> &'static [glib::ParamSpec] {
        static PROPERTIES: LazyLock<Vec<glib::ParamSpec>> = LazyLock::new(|| {
            let text = |name, nick, blurb| {
                glib::ParamSpecString::builder(name).nick(nick).blurb(blurb).mutable_ready()
            };
            vec![
                text("url", "Address", "Where to send to, http or https").build(),
                text("secret", "Secret", "Signs what is sent: whsec_…, several with blanks between; can't be read back")
                    .build(),
                text("secret-file", "Secret file", "File with a secret, besides 'secret'").build(),
                text("events", "Events", "What to send: names with commas between, chapter.* for a group, * for all")
                    .default_value(Some(EVENTS))
                    .build(),
                text(
                    "spool-location",
                    "Spool location",
                    "Folder in which messages wait until they are delivered; by default one below \
                     $XDG_STATE_HOME/streamgist/spool for each 'url'",
                )
                .build(),
                text(
                    "allow-private",
                    "Allow private",
                    "Networks that are not public and may be sent to all the same, with commas between \
                     (192.168.1.0/24,fd00::/8)",
                )
                .build(),
                glib::ParamSpecUInt64::builder("flush-timeout")
                    .nick("Flush timeout")
                    .blurb("How long the end of the stream, or a stop before it, waits for deliveries that are due (ns)")
                    .default_value(FLUSH_TIMEOUT.as_nanos() as u64)
                    .mutable_ready()
                    .build(),
                glib::ParamSpecBoxed::builder::<gst::Structure>("stats")
                    .nick("Statistics")
                    .blurb("What became of the messages since READY")
                    .read_only()
                    .build(),
            ]
        });
        &PROPERTIES
    }

    fn set_property(&self, _id: usize, value: &glib::Value, pspec: &glib::ParamSpec) {
        let mut settings = lock(&self.settings);
        // The types were checked against the ParamSpec.
        let text = || value.get::<Option<String>>().unwrap_or_default().filter(|text| !text.is_empty());
        match pspec.name() {
            "url" => settings.url = text(),
            "secret" => settings.secret = text().map(Hidden),
            "secret-file" => settings.secret_file = text().map(PathBuf::from),
            "events" => settings.events = text().unwrap_or_default(),
            "spool-location" => settings.spool_location = text().map(PathBuf::from),
            "allow-private" => settings.allow_private = text(),
            "flush-timeout" => settings.flush_timeout = Duration::from_nanos(value.get().unwrap_or_default()),
            _ => {}
        }
    }

    fn property(&self, _id: usize, pspec: &glib::ParamSpec) -> glib::Value {
        if pspec.name() == "stats" {
            return self.delivery().map(|delivery| delivery.stats()).to_value();
        }
        let settings = lock(&self.settings);
        match pspec.name() {
            "url" => settings.url.to_value(),
            "secret" => None::<String>.to_value(),
            "secret-file" => settings.secret_file.to_value(),
            "events" => settings.events.to_value(),
            "spool-location" => settings.spool_location.to_value(),
            "allow-private" => settings.allow_private.to_value(),
            _ => u64::try_from(settings.flush_timeout.as_nanos()).unwrap_or(u64::MAX).to_value(),
        }
    }

    fn constructed(&self) {
        self.parent_constructed();
        events::take_as_they_come(&*self.obj());
    }
}

impl GstObjectImpl for WebhookSink {}

impl ElementImpl for WebhookSink {
    fn metadata() -> Option<&'static gst::subclass::ElementMetadata> {
        static METADATA: LazyLock<gst::subclass::ElementMetadata> = LazyLock::new(|| {
            gst::subclass::ElementMetadata::new(
                "Chapter webhook sink",
                "Sink/Network",
                "Sends chapters to a webhook: signed, tried again, kept on disk until they are delivered",
                "The streamgist authors",
            )
        });
        Some(&METADATA)
    }

    fn pad_templates() -> &'static [gst::PadTemplate] {
        events::sink_templates()
    }

    fn change_state(
        &self,
        transition: gst::StateChange,
    ) -> Result<gst::StateChangeSuccess, gst::StateChangeError> {
        // Not GstBaseSink's start and stop: those belong to NULL and READY, and READY must forget the stream.
        if transition == gst::StateChange::ReadyToPaused {
            self.open().map_err(|message| {
                self.post_error_message(message);
                gst::StateChangeError
            })?;
        }
        let change = self.parent_change_state(transition);
        // Also when the parent could not go on: the threads end with the stream.
        let over = transition == gst::StateChange::PausedToReady
            || (transition == gst::StateChange::ReadyToPaused && change.is_err());
        let timeout = lock(&self.settings).flush_timeout;
        let delivery = if over { lock(&self.delivery).take() } else { None };
        if let Some(delivery) = delivery {
            delivery.stop(timeout);
        }
        change
    }
}

impl BaseSinkImpl for WebhookSink {
    /// Neither network nor disk: an event is put into a queue in memory.
    fn render(&self, buffer: &gst::Buffer) -> Result<gst::FlowSuccess, gst::FlowError> {
        let delivery = self.delivery().ok_or(gst::FlowError::Flushing)?;
        let map = buffer.map_readable().map_err(|_| {
            gst::element_imp_error!(self, gst::ResourceError::Read, ("Could not read a buffer."));
            gst::FlowError::Error
        })?;
        let Ok(text) = std::str::from_utf8(&map) else {
            self.skip(&delivery, "it is not UTF-8");
            return Ok(gst::FlowSuccess::Ok);
        };
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match events::read(line) {
                Ok(event) => delivery.take(event_type(event.kind), line),
                Err(why) => self.skip(&delivery, &why),
            }
        }
        Ok(gst::FlowSuccess::Ok)
    }

    fn event(&self, event: gst::Event) -> bool {
        if event.type_() == gst::EventType::Eos
            && let Some(delivery) = self.delivery()
        {
            let timeout = lock(&self.settings).flush_timeout;
            delivery.flush(timeout, &self.unlocked);
        }
        self.parent_event(event)
    }

    /// A flush, a pause or a stop: an end of the stream that waits goes on.
    fn unlock(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.store(true, Ordering::SeqCst);
        if let Some(delivery) = self.delivery() {
            delivery.wake();
        }
        Ok(())
    }

    fn unlock_stop(&self) -> Result<(), gst::ErrorMessage> {
        self.unlocked.store(false, Ordering::SeqCst);
        Ok(())
    }
}

fn event_type(kind: Kind) -> EventType {
    match kind {
        Kind::Opened => EventType::ChapterOpened,
        Kind::Updated => EventType::ChapterUpdated,
        Kind::Closed => EventType::ChapterClosed,
        Kind::Revised => EventType::ChapterRevised,
        Kind::Digest => EventType::DigestCreated,
    }
}
