//! What is set, and what it comes to.

use std::path::PathBuf;
use std::time::Duration;

use gist_webhook::guard::{Guard, networks};
use gist_webhook::{Endpoint, EventFilter, Secret, Spool, Target};

/// Events that are sent unless others are named.
pub(super) const EVENTS: &str = "chapter.closed,chapter.revised,digest.created";
/// How long the end waits for deliveries.
pub(super) const FLUSH_TIMEOUT: Duration = Duration::from_secs(10);

#[derive(Clone, Debug)]
pub(super) struct Settings {
    pub(super) url: Option<String>,
    pub(super) secret: Option<Hidden>,
    pub(super) secret_file: Option<PathBuf>,
    pub(super) events: String,
    pub(super) spool_location: Option<PathBuf>,
    pub(super) allow_private: Option<String>,
    pub(super) flush_timeout: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            secret: None,
            secret_file: None,
            events: EVENTS.to_owned(),
            spool_location: None,
            allow_private: None,
            flush_timeout: FLUSH_TIMEOUT,
        }
    }
}

/// A text that no debug output shows.
#[derive(Clone)]
pub(super) struct Hidden(pub(super) String);

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// What the settings come to.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) endpoint: Endpoint,
    pub(super) events: EventFilter,
    pub(super) spool: PathBuf,
}

impl Settings {
    /// # Errors
    /// Why nothing can be sent, and what to set.
    pub(super) fn plan(&self) -> Result<Plan, gst::ErrorMessage> {
        let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) else {
            return Err(gst::error_msg!(
                gst::ResourceError::NotFound,
                ("No address to send to: set 'url', for example url=https://example.com/hook.")
            ));
        };
        let allowed = networks(self.allow_private.as_deref().unwrap_or_default());
        let allowed = allowed.map_err(|error| wrong("allow-private", &error))?;
        // Who writes the pipeline chooses the port; what is asked of this guard is to keep out of networks.
        let guard = Guard::new(allowed).with_ports(Vec::new());
        let url = guard.webhook(url).map_err(|error| wrong("url", &error))?;
        let given = self.secret.as_ref().map_or("", |Hidden(text)| text);
        let given = given.split_whitespace().map(str::parse::<Secret>).collect::<Result<Vec<_>, _>>();
        let mut secrets = given.map_err(|error| wrong("secret", &error))?;
        if let Some(file) = &self.secret_file {
            secrets.push(Secret::from_file(file).map_err(|error| wrong("secret-file", &error))?);
        }
        let events = self.events.parse().map_err(|error| wrong("events", &error))?;
        let spool = self.spool_location.clone().unwrap_or_else(|| Spool::default_path(&url));
        let mut endpoint = Endpoint::new(Spool::ENDPOINT, Target::new(url, secrets));
        endpoint.guard = guard;
        Ok(Plan { endpoint, events, spool })
    }
}

fn wrong(property: &str, why: &dyn std::fmt::Display) -> gst::ErrorMessage {
    gst::error_msg!(gst::ResourceError::Settings, ("Property '{property}': {why}."))
}
