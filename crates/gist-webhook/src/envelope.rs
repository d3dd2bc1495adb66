//! What is sent: `{"type", "timestamp", "data"}`, and which of it an endpoint wants.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

/// The last moment RFC 3339 can write, 9999-12-31T23:59:59Z.
const LAST: Duration = Duration::from_secs(253_402_300_799);

macro_rules! event_types {
    ($($(#[$doc:meta])* $variant:ident => $name:literal,)*) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum EventType {
            $($(#[$doc])* $variant,)*
        }

        impl EventType {
            /// All there are.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its name, `chapter.closed`.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }
        }
    };
}

event_types! {
    /// A chapter began.
    ChapterOpened => "chapter.opened",
    /// The open chapter's text or end changed.
    ChapterUpdated => "chapter.updated",
    /// A chapter ended and its text is written.
    ChapterClosed => "chapter.closed",
    /// A closed chapter was changed once more.
    ChapterRevised => "chapter.revised",
    /// A digest of a period is written.
    DigestCreated => "digest.created",
    /// A stream plays for the first time.
    StreamStarted => "stream.started",
    /// Nothing comes of a stream any more.
    StreamDisconnected => "stream.disconnected",
    /// A stream plays again.
    StreamResumed => "stream.resumed",
    /// A stream is over.
    StreamEnded => "stream.ended",
    /// Something wants a person to look at it.
    AlertRaised => "alert.raised",
    /// Sent to try an endpoint.
    EndpointTest => "endpoint.test",
}

impl fmt::Display for EventType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for EventType {
    type Err = FilterError;

    fn from_str(name: &str) -> Result<Self, FilterError> {
        let known = Self::ALL.iter().find(|event| event.name() == name);
        known.copied().ok_or_else(|| FilterError(name.to_owned()))
    }
}

/// A name that stands for no event.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no event {0:?}: name some of {names}, a group such as chapter.*, or *",
    names = EventType::ALL.iter().map(|event| event.name()).collect::<Vec<_>>().join(", ")
)]
pub struct FilterError(String);

/// Which events an endpoint wants: names with commas between them, `chapter.*` for a group, `*` for all.
/// `endpoint.test` is sent to try an endpoint and comes whatever the filter says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventFilter(Vec<EventType>);

impl EventFilter {
    /// Everything.
    pub fn all() -> Self {
        Self(EventType::ALL.to_vec())
    }

    /// Whether `event` is wanted.
    pub fn wants(&self, event: EventType) -> bool {
        event == EventType::EndpointTest || self.0.contains(&event)
    }
}

impl FromStr for EventFilter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let mut wanted = Vec::new();
        for pattern in text.split(',').map(str::trim).filter(|pattern| !pattern.is_empty()) {
            let matches = |event: &&EventType| match pattern.strip_suffix('*') {
                Some("") => true,
                Some(group) => group.ends_with('.') && event.name().starts_with(group),
                None => event.name() == pattern,
            };
            let before = wanted.len();
            wanted.extend(EventType::ALL.iter().filter(matches).copied());
            if wanted.len() == before {
                return Err(FilterError(pattern.to_owned()));
            }
        }
        Ok(Self(wanted))
    }
}

/// `data` is no JSON object.
#[derive(Debug, thiserror::Error)]
#[error("the data of an event must be a JSON object: {0}")]
pub struct NoObject(String);

/// The body of a message: what happened, when (RFC 3339, milliseconds), and `data`, a JSON object, which goes in as it
/// is written, so that no number of it is rounded and no field reordered.
///
/// # Errors
/// When `data` is no JSON object.
pub fn envelope(event: EventType, at: SystemTime, data: &str) -> Result<Vec<u8>, NoObject> {
    let data = data.trim();
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(data)
        .map_err(|e| NoObject(e.to_string()))?;
    let since = at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().min(LAST);
    let timestamp = humantime::format_rfc3339_millis(SystemTime::UNIX_EPOCH + since);
    Ok(format!("{{\"type\":\"{event}\",\"timestamp\":\"{timestamp}\",\"data\":{data}}}").into_bytes())
}
