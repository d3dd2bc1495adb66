//! One attempt: a signed POST to an address that was checked, and what came back.

use std::fmt;
use std::io::Read;
use std::time::{Duration, SystemTime};

use ureq::Agent;
use ureq::config::Config;
use ureq::http::{HeaderName, HeaderValue, Uri};
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{DefaultConnector, NextTimeout};
use url::Url;

use crate::guard::{Guard, GuardError};
use crate::{Secret, sign};

/// How long an attempt may take in all unless the endpoint says otherwise.
pub const TIMEOUT: Duration = Duration::from_secs(15);
/// How long of that connecting may take: a host that is down is known earlier than one that is slow.
const CONNECT: Duration = Duration::from_secs(10);
/// How much of an answer is read.
const ANSWER: u64 = 1024;
/// For how many addresses of a host there is room in [`ResolvedSocketAddrs`].
const ADDRESSES: usize = 16;
/// Headers that are not the endpoint's to set, besides `webhook-…`.
const RESERVED: [&str; 9] = [
    "connection",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Why a header can't be sent along.
#[derive(Debug, thiserror::Error)]
pub enum HeaderError {
    /// Not the endpoint's to set.
    #[error("the header {0:?} is set by streamgist itself: leave it out")]
    Reserved(String),
    /// HTTP knows no such name.
    #[error("{0:?} is no name of a header: letters, digits and - make one")]
    Name(String),
    /// HTTP knows no such value. It is not shown, as it may be a token.
    #[error("the value of the header {0:?} has signs that a header can't hold")]
    Value(String),
}

/// Where messages go, and what proves who sent them.
#[derive(Clone)]
pub struct Target {
    url: Url,
    secrets: Vec<Secret>,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Target {
    /// An address that [`Guard::webhook`] has checked. With several secrets every message has a signature of each; with
    /// none it is not signed, for receivers that know nothing of signatures.
    pub fn new(url: Url, secrets: Vec<Secret>) -> Self {
        Self { url, secrets, headers: Vec::new() }
    }

    /// Sends a header along, such as `Authorization`.
    ///
    /// # Errors
    /// When it is none, or set by the client.
    pub fn with_header(mut self, name: &str, value: &str) -> Result<Self, HeaderError> {
        let header: HeaderName = name.parse().map_err(|_| HeaderError::Name(name.to_owned()))?;
        if header.as_str().starts_with("webhook-") || RESERVED.contains(&header.as_str()) {
            return Err(HeaderError::Reserved(name.to_owned()));
        }
        let value = value.parse().map_err(|_| HeaderError::Value(name.to_owned()))?;
        self.headers.push((header, value));
        Ok(self)
    }

    /// The host, to be shown: the path of a webhook is a secret with some receivers.
    pub fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("host", &self.host()).finish_non_exhaustive()
    }
}

/// What came of an attempt.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Answer {
    /// HTTP status, if there was an answer.
    pub status: Option<u16>,
    /// How long the receiver wants to be left alone.
    pub retry_after: Option<Duration>,
    /// The first 1,024 bytes of what it said, what is no UTF-8 replaced.
    pub text: String,
    /// Why the attempt failed and what to do, without secrets; `None` for 2xx.
    pub error: Option<String>,
}

/// Sends. It follows no redirect, takes no proxy from the environment, and connects to no address but those its guard
/// has just checked.
#[derive(Debug)]
pub struct Client {
    agent: Agent,
    timeout: Duration,
}

impl Client {
    /// A client whose attempts take at most `timeout`, all in all.
    pub fn new(guard: Guard, timeout: Duration) -> Self {
        let config = Agent::config_builder()
            .timeout_global(Some(timeout))
            .timeout_connect(Some(timeout.min(CONNECT)))
            .max_redirects(0)
            .http_status_as_error(false)
            .proxy(None)
            // Messages are rare: a connection kept since the last one is most likely dead, and the POST would fail.
            .max_idle_connections(0)
            .user_agent(concat!("streamgist/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::with_parts(config, DefaultConnector::default(), Guarded(guard));
        Self { agent, timeout }
    }

    /// Sends `body` as the message `id`, signed for now.
    pub fn post(&self, target: &Target, id: &str, body: &[u8]) -> Answer {
        let now = SystemTime::now();
        let timestamp = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let mut request = self.agent.post(target.url.as_str());
        for (name, value) in &target.headers {
            request = request.header(name, value);
        }
        request = request
            .header("content-type", "application/json")
            .header(sign::ID, id)
            .header(sign::TIMESTAMP, timestamp.to_string());
        if !target.secrets.is_empty() {
            request = request.header(sign::SIGNATURE, sign::sign(&target.secrets, id, timestamp, body));
        }
        let mut response = match request.send(body) {
            Ok(response) => response,
            Err(error) => {
                let error = Some(self.in_words(&error, target.host()));
                return Answer { error, ..Answer::default() };
            }
        };
        let status = response.status().as_u16();
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(|value| wait(value, now));
        let mut text = Vec::new();
        // The status is what counts: an answer that breaks off is one all the same.
        let _ = response.body_mut().as_reader().take(ANSWER).read_to_end(&mut text);
        let text = String::from_utf8_lossy(&text).into_owned();
        Answer { status: Some(status), retry_after, text, error: complaint(status) }
    }

    fn in_words(&self, error: &ureq::Error, host: &str) -> String {
        match error {
            ureq::Error::Timeout(ureq::Timeout::Connect | ureq::Timeout::Resolve) => {
                format!(
                    "{host} can't be reached in time: check that it is up and that no firewall is in between"
                )
            }
            ureq::Error::Timeout(_) => format!(
                "{host} did not answer within {:?}: let the receiver answer first and work then",
                self.timeout
            ),
            ureq::Error::Io(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                format!("{host} refuses the connection: check that the receiver runs, and its port")
            }
            ureq::Error::Io(error) => format!("the connection to {host} failed: {error}"),
            ureq::Error::ConnectionFailed => format!("{host} can't be connected to: check that it is up"),
            ureq::Error::Rustls(error) => {
                format!("no secure connection to {host}: {error}; check its certificate")
            }
            ureq::Error::Other(error) if error.is::<GuardError>() => error.to_string(),
            error => format!("{host}: {error}"),
        }
    }
}

/// What is wrong with a status.
fn complaint(status: u16) -> Option<String> {
    let advice = match status {
        200..=299 => return None,
        300..=399 => "redirects are not followed, set the address it moved to",
        401 | 403 => "check the secret and the headers that the receiver expects",
        404 | 405 => "check the path of the address",
        410 => "it wants no more messages, so the endpoint is disabled",
        413 => "let the receiver accept larger messages",
        429 => "it wants fewer messages, so they are sent more slowly",
        400..=499 => "look into the log of the receiver for what it did not like",
        _ => "look into the log of the receiver; it is tried again",
    };
    Some(format!("the receiver answered {status}: {advice}"))
}

/// The value of `Retry-After`: seconds, or a moment as HTTP writes it.
fn wait(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(value).ok()?.duration_since(now).ok())
}

/// Resolves through the guard. What it returns is what is connected to.
#[derive(Debug)]
struct Guarded(Guard);

impl Resolver for Guarded {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let other = |error: GuardError| ureq::Error::Other(error.into());
        let url = Url::parse(&uri.to_string()).map_err(|e| other(GuardError::Unreadable(e)))?;
        let mut addresses = self.empty();
        for address in self.0.resolve(&url, *timeout.after).map_err(other)?.into_iter().take(ADDRESSES) {
            addresses.push(address);
        }
        Ok(addresses)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_says_how_long_to_wait_in_seconds_or_as_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        assert_eq!(wait("120", now), Some(Duration::from_secs(120)));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:37 GMT", now), Some(Duration::from_secs(60)));
        for nothing in ["Sun, 06 Nov 1994 08:48:37 GMT", "soon", "-1", "1.5", "99999999999999999999999"] {
            assert_eq!(wait(nothing, now), None, "{nothing}");
        }
    }

    #[test]
    fn headers_of_an_endpoint_are_not_those_of_the_protocol() {
        let target = || Target::new("https://a.example/".parse().expect("url"), Vec::new());
        target().with_header("Authorization", "Bearer x").expect("allowed");
        for name in ["Webhook-Id", "webhook-signature", "Host", "content-length", "Transfer-Encoding"] {
            assert!(matches!(target().with_header(name, "x"), Err(HeaderError::Reserved(_))), "{name}");
        }
        assert!(matches!(target().with_header("a b", "x"), Err(HeaderError::Name(_))));
        let error = target().with_header("x-token", "secret\r\nHost: evil").expect_err("refused").to_string();
        assert!(!error.contains("secret"), "{error}");
    }
}
