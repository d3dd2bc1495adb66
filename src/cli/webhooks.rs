//! `streamgist webhooks`: what `streamgist watch` sends, and what became of it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use gist_core::export::text::{one_line, shorten};
use gist_store::{Endpoint, Filter, Listed, State, Store};
use gist_webhook::{Client, EventType, Secret, envelope};
use serde_json::json;

use super::exit::Class;
use super::store::{StoreArgs, moment, shown, unique};
use super::table::table;
use crate::watch::config::{self, Receiver};

/// Sends a test, shows what became of messages, sends them again
///
/// `streamgist watch` keeps every message in its store until the receiver has it. Messages that were given up after
/// three days of attempts are dead letters: they are kept, listed here, and can be sent again. All of this works while
/// `watch` runs.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  streamgist webhooks secret > team.secret
  streamgist webhooks test streamgist.toml team
  streamgist webhooks list streamgist.toml --state dead
  streamgist webhooks replay streamgist.toml --dead --since 2d
  streamgist webhooks enable streamgist.toml team")]
pub(crate) struct WebhooksArgs {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand, Debug)]
enum Command {
    /// Prints a new secret: for secret-files of an endpoint, and for its receiver, which checks signatures with it
    Secret,
    /// Sends one `endpoint.test` message at once, and tells what the receiver answered
    ///
    /// It is signed and goes only where messages may go, but not into the store, and is not tried again.
    Test {
        /// The configuration of `streamgist watch`, which names the endpoints
        #[arg(value_name = "CONFIG.toml")]
        config: PathBuf,
        /// Only this endpoint, not all of them
        #[arg(value_name = "NAME")]
        name: Option<String>,
    },
    /// Shows messages and where they stand, newest first, and before them the endpoints that something waits for
    List {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        which: Which,
        /// Only those that stand there
        #[arg(long, value_enum, value_name = "STATE")]
        state: Option<Stand>,
        /// At most so many
        #[arg(long, default_value_t = 50, value_name = "N")]
        limit: usize,
        /// Writes an object a line
        #[arg(long)]
        json: bool,
    },
    /// Sends messages again that were delivered or given up: same id, same content, new attempts
    ///
    /// A running `streamgist watch` sends them within seconds, or when the endpoint's rest after failures is over;
    /// otherwise the next one does.
    Replay {
        #[command(flatten)]
        store: StoreArgs,
        #[command(flatten)]
        which: Which,
        /// Only those that were given up
        #[arg(long)]
        dead: bool,
    },
    /// Lets an endpoint have messages again that was disabled: because it answered 410, or failed for five days
    #[command(allow_missing_positional = true)]
    Enable {
        #[command(flatten)]
        store: StoreArgs,
        /// Name of the endpoint
        #[arg(value_name = "NAME")]
        name: String,
    },
}

/// Which messages.
#[derive(Args, Debug)]
struct Which {
    /// Only this message, by its id or how it begins; may be given several times
    #[arg(long, value_name = "ID")]
    id: Vec<String>,
    /// Only those to this endpoint
    #[arg(long, value_name = "NAME")]
    endpoint: Option<String>,
    /// Only those of this time or later: 2h or 3d (ago), 2026-11-28 or 2026-11-28T16:30:00 (UTC)
    #[arg(long, value_name = "TIME", value_parser = moment)]
    since: Option<SystemTime>,
    /// Only those of before this time
    #[arg(long, value_name = "TIME", value_parser = moment)]
    until: Option<SystemTime>,
}

/// Where a message stands.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Stand {
    /// It waits for its time, or for its endpoint to be enabled
    Pending,
    /// The receiver has it
    Delivered,
    /// It was given up
    Dead,
}

impl From<Stand> for State {
    fn from(stand: Stand) -> Self {
        match stand {
            Stand::Pending => Self::Pending,
            Stand::Delivered => Self::Delivered,
            Stand::Dead => Self::Dead,
        }
    }
}

pub(crate) fn run(args: &WebhooksArgs) -> anyhow::Result<()> {
    match &args.command {
        Command::Secret => outln!("{}", Secret::generate().reveal()),
        Command::Test { config, name } => test(config, name.as_deref())?,
        Command::List { store, which, state, limit, json } => {
            let store = store.read()?;
            let mut listed = Vec::new();
            for filter in which.filters(&store, state.map(State::from))? {
                listed.extend(store.deliveries(&filter, None, limit.saturating_add(1))?);
            }
            let endpoints = store.counts()?.endpoints;
            list(&endpoints, listed, *limit, *json);
        }
        Command::Replay { store, which, dead } => replay(&store.change()?, which, *dead)?,
        Command::Enable { store, name } => enable(&store.change()?, name)?,
    }
    Ok(())
}

impl Which {
    fn filters(&self, store: &Store, state: Option<State>) -> anyhow::Result<Vec<Filter>> {
        let Self { id, endpoint, since, until } = self;
        let all = Filter { endpoint: endpoint.clone(), state, webhook_id: None, from: *since, to: *until };
        if id.is_empty() {
            return Ok(vec![all]);
        }
        let whole = |prefix: &String| {
            let find = |prefix: &str, limit| store.message_ids(prefix, limit);
            unique(find, prefix, ["message", "`streamgist webhooks list`"])
        };
        let of = |id: &String| Ok(Filter { webhook_id: Some(whole(id)?), ..all.clone() });
        id.iter().map(of).collect()
    }
}

fn test(config: &Path, name: Option<&str>) -> anyhow::Result<()> {
    let mut receivers = config::receivers(config)?;
    let names: Vec<_> = receivers.iter().map(|receiver| receiver.endpoint.name.clone()).collect();
    receivers.retain(|receiver| name.is_none_or(|name| receiver.endpoint.name == name));
    if receivers.is_empty() {
        let file = config.display();
        let why = match (name, &names[..]) {
            (Some(name), [_, ..]) => format!("{file} has no endpoint {name:?}, but {}", names.join(", ")),
            _ => format!("{file} has no endpoint: add an [[endpoint]]"),
        };
        return Err(Class::Usage.failure(why));
    }
    let mut failed = 0;
    for receiver in &receivers {
        failed += u32::from(!try_out(receiver)?);
    }
    match failed {
        0 => Ok(()),
        _ => {
            let all = receivers.len();
            Err(Class::Output.failure(format!(
                "{failed} of {all} endpoints did not take the message: see above, and test again"
            )))
        }
    }
}

/// Sends a test and tells what came of it: whether it was taken.
fn try_out(Receiver { endpoint, .. }: &Receiver) -> anyhow::Result<bool> {
    let data = json!({
        "schema": "gist-stream-v1",
        "endpoint": endpoint.name,
        "reason": "sent by `streamgist webhooks test`",
    });
    let body = envelope(EventType::EndpointTest, SystemTime::now(), &data.to_string())?;
    let client = Client::new(endpoint.guard.clone(), endpoint.timeout);
    let began = Instant::now();
    let answer = client.post(&endpoint.target, &ulid::Ulid::generate().to_string(), &body);
    let took = began.elapsed().as_millis();
    let status = answer.status.map_or("no answer".to_owned(), |status| format!("status {status}"));
    let said = one_line(answer.text.trim().lines().next().unwrap_or_default());
    let said = if said.is_empty() { said } else { format!(": {}", shorten(&said, 200)) };
    outln!("{}: {status} after {took} ms{said}", endpoint.name);
    if let Some(error) = &answer.error {
        outln!("  {}", one_line(error));
    }
    Ok(answer.error.is_none())
}

fn list(endpoints: &[Endpoint], mut listed: Vec<Listed>, limit: usize, json: bool) {
    let more = listed.len() > limit;
    listed.truncate(limit);
    let now = SystemTime::now();
    let waiting = endpoints.iter().filter(|e| e.pending > 0 || e.dead > 0 || e.disabled.is_some());
    if json {
        waiting.for_each(|endpoint| outln!("{}", endpoint_json(endpoint)));
        listed.iter().for_each(|delivery| outln!("{}", delivery_json(delivery)));
    } else {
        let waiting: Vec<_> = waiting.map(|endpoint| endpoint_row(endpoint, now)).collect();
        if !waiting.is_empty() {
            out!("{}\n", table(["ENDPOINT", "PENDING", "DEAD", "OLDEST", "DISABLED"], waiting));
        }
        let head = ["ID", "TYPE", "ENDPOINT", "STATE", "ATTEMPTS", "STATUS", "LATENCY", "NEXT", "REASON"];
        out!("{}", table(head, listed.iter().map(|delivery| delivery_row(delivery, now)).collect()));
    }
    if more {
        eprintln!("There are more: --limit shows them.");
    }
}

fn endpoint_json(Endpoint { name, pending, dead, oldest_pending, disabled }: &Endpoint) -> serde_json::Value {
    json!({
        "kind": "endpoint",
        "endpoint": name,
        "pending": pending,
        "dead": dead,
        "oldest-pending": oldest_pending.map(shown),
        "disabled-since": disabled.as_ref().map(|(since, _)| shown(*since)),
        "reason": disabled.as_ref().map(|(_, why)| why),
    })
}

fn endpoint_row(
    Endpoint { name, pending, dead, oldest_pending, disabled }: &Endpoint,
    now: SystemTime,
) -> [String; 5] {
    let disabled = disabled.as_ref().map(|(since, why)| format!("since {}: {why}", shown(*since)));
    let oldest = oldest_pending.map(|at| whole_seconds(now.duration_since(at).unwrap_or_default()));
    [
        name.clone(),
        pending.to_string(),
        dead.to_string(),
        oldest.unwrap_or_else(none),
        disabled.unwrap_or_else(none),
    ]
}

/// Why it is where it is.
fn reason(delivery: &Listed) -> Option<&str> {
    let last = delivery.last.as_ref().and_then(|attempt| attempt.error.as_deref());
    delivery.reason.as_deref().or(last.filter(|_| delivery.state == State::Pending))
}

fn delivery_json(delivery: &Listed) -> serde_json::Value {
    let last = delivery.last.as_ref();
    json!({
        "kind": "delivery",
        "id": delivery.webhook_id,
        "type": delivery.event_type,
        "endpoint": delivery.endpoint,
        "session": delivery.session,
        "sequence": delivery.sequence,
        "created": shown(delivery.created),
        "state": delivery.state.nick(),
        "attempts": delivery.attempts,
        "last-attempt": last.map(|attempt| shown(attempt.at)),
        "last-status": last.and_then(|attempt| attempt.status),
        "last-answer": last.map(|attempt| &attempt.answer),
        "latency-ms": last.map(|attempt| attempt.latency.as_millis() as u64),
        "next-attempt": delivery.next_at.map(shown),
        "reason": reason(delivery),
    })
}

fn delivery_row(delivery: &Listed, now: SystemTime) -> [String; 9] {
    let last = delivery.last.as_ref();
    let next = delivery.next_at.map(|at| match at.duration_since(now) {
        Ok(wait) if wait >= Duration::from_secs(1) => format!("in {}", whole_seconds(wait)),
        _ => "now".to_owned(),
    });
    [
        delivery.webhook_id.clone(),
        delivery.event_type.clone(),
        delivery.endpoint.clone(),
        delivery.state.nick().to_owned(),
        delivery.attempts.to_string(),
        last.and_then(|attempt| attempt.status).map_or_else(none, |status| status.to_string()),
        last.map_or_else(none, |attempt| format!("{} ms", attempt.latency.as_millis())),
        next.unwrap_or_else(none),
        reason(delivery).map_or_else(none, str::to_owned),
    ]
}

fn none() -> String {
    "-".to_owned()
}

fn whole_seconds(duration: Duration) -> String {
    humantime::format_duration(Duration::from_secs(duration.as_secs())).to_string()
}

fn replay(store: &Store, which: &Which, dead: bool) -> anyhow::Result<()> {
    let all = which.id.is_empty() && which.endpoint.is_none() && which.since.or(which.until).is_none();
    if all && !dead {
        let why = "say which messages: --id, --endpoint, --since, --until or --dead; `streamgist webhooks list` shows them";
        return Err(Class::Usage.failure(why));
    }
    let mut count = 0;
    for filter in which.filters(store, dead.then_some(State::Dead))? {
        count += store.replay(&filter, SystemTime::now())?;
    }
    match count {
        0 => outln!(
            "0 messages: none that was delivered or given up is among these; what is pending is sent anyway"
        ),
        _ => {
            outln!("{count} messages are sent again, by `streamgist watch` if it runs, or when it is started")
        }
    }
    for endpoint in store.counts()?.endpoints {
        let meant = which.endpoint.as_ref().is_none_or(|name| *name == endpoint.name);
        if meant && endpoint.disabled.is_some() {
            let name = endpoint.name;
            eprintln!("{name} is disabled: what is for it waits until `streamgist webhooks enable`");
        }
    }
    Ok(())
}

fn enable(store: &Store, name: &str) -> anyhow::Result<()> {
    if store.enable(name)? {
        outln!("{name} is enabled: what waits for it is sent when its time has come");
        return Ok(());
    }
    let known: Vec<_> = store.counts()?.endpoints.into_iter().map(|endpoint| endpoint.name).collect();
    if known.iter().any(|known| known == name) {
        outln!("{name} was not disabled");
        return Ok(());
    }
    let names = if known.is_empty() { "none at all".to_owned() } else { known.join(", ") };
    Err(Class::Input.failure(format!("nothing was ever sent to an endpoint {name:?}; there is {names}")))
}
