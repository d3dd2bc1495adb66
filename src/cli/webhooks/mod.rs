//! `streamgist webhooks`: what `streamgist watch` sends, and what became of it.

mod list;

use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use clap::{Args, Subcommand, ValueEnum};
use gist_core::export::text::{one_line, shorten};
use gist_store::{Filter, State, Store};
use gist_webhook::{Client, EventType, Secret, envelope};
use serde_json::json;

use super::exit::Class;
use super::store::{StoreArgs, moment, unique};
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
            list::show(&endpoints, listed, *limit, *json);
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
    let when = "by `streamgist watch` if it runs, or when it is started";
    match count {
        0 => outln!("0 messages: only those that were delivered or given up are sent again"),
        1 => outln!("1 message is sent again, {when}"),
        _ => outln!("{count} messages are sent again, {when}"),
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
