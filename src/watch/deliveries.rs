//! What becomes of messages, for metrics and operators.

use std::sync::{Arc, OnceLock, Weak};
use std::time::SystemTime;

use gist_webhook::{Attempt, Delivery, EventType, Next, Observer, OutboxError};
use serde_json::json;

use super::publisher::Shared;

/// Tells metrics and operators of deliveries.
#[derive(Default)]
pub(super) struct Deliveries(OnceLock<Weak<Shared>>);

impl Deliveries {
    /// What it tells of them; once.
    pub(super) fn tell(&self, shared: &Arc<Shared>) {
        let _ = self.0.set(Arc::downgrade(shared));
    }

    fn shared(&self) -> Option<Arc<Shared>> {
        self.0.get()?.upgrade()
    }
}

impl Observer for Deliveries {
    fn attempted(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) {
        let Some(shared) = self.shared() else { return };
        let outcome = match next {
            Next::Delivered => "delivered",
            Next::Again { .. } => "retried",
            Next::Dead { .. } => "dead",
        };
        shared.metrics.attempted(&delivery.endpoint, outcome);
        let (endpoint, id) = (&delivery.endpoint, &delivery.webhook_id);
        match (&attempt.error, next) {
            (_, Next::Dead { reason }) => tracing::error!(%endpoint, %id, "a message was given up: {reason}"),
            (Some(error), _) => tracing::warn!(%endpoint, %id, "not delivered: {error}"),
            (None, _) => tracing::debug!(%endpoint, %id, "delivered"),
        }
    }

    fn disabled(&self, endpoint: &str, reason: &str) {
        tracing::error!(%endpoint, "the endpoint was disabled: {reason}");
        let Some(shared) = self.shared() else { return };
        let data = json!({"schema": "gist-stream-v1", "endpoint": endpoint, "reason": reason}).to_string();
        let message = shared.message(EventType::AlertRaised, &data, &|name| name != endpoint);
        if let Some(Err(error)) = message.map(|message| shared.store.post(&[message], SystemTime::now())) {
            tracing::error!("nobody could be told of it: {error}");
        }
    }

    fn outbox_failed(&self, endpoint: &str, error: &OutboxError) {
        tracing::error!(%endpoint, "deliveries wait: {error}");
    }
}
