//! `streamgist webhooks list`.

use std::time::{Duration, SystemTime};

use gist_store::{Endpoint, Listed, State};
use serde_json::json;

use crate::cli::store::shown;
use crate::cli::table::table;

/// At most `limit` deliveries, and before them the endpoints that something is wrong with or waits for.
pub(super) fn show(endpoints: &[Endpoint], mut listed: Vec<Listed>, limit: usize, json: bool) {
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
