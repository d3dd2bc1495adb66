//! What is under way to one endpoint.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use super::shared::{Shared, Stopped, backoff, lock};
use super::{DISABLE_AFTER, Endpoint};
use crate::client::{Answer, Client};
use crate::clock::until;
use crate::schedule::{self, HORIZON, Outcome};
use crate::{Attempt, Delivery, Next, Outbox, OutboxError};

/// At most this long nothing is looked at: a clock set forward, or a message nobody told of, is noticed then.
const LOOK: Duration = Duration::from_secs(30);
/// The same while all that is due is under way.
const BUSY: Duration = Duration::from_secs(1);
/// Later than all that waits, and within what a database counts in nanoseconds.
const CENTURY: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// The way to one endpoint, which outlives its configuration: whatever is under way is not sent once more because a file
/// was read again.
#[derive(Debug)]
pub(super) struct Lane {
    name: String,
    shared: Arc<Shared>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Counts configurations; a thread of an earlier one ends.
    generation: u64,
    under_way: HashSet<String>,
    /// Attempts in a row that failed, since when, and for how long before that.
    failures: u32,
    failing: Option<(Instant, Duration)>,
    /// Nothing is sent before: the receiver wants a rest, the rate is used up, the outbox failed.
    not_before: Option<SystemTime>,
    outbox_failures: u32,
    /// The message that holds up the others, and when it is tried again.
    head: Option<(String, SystemTime)>,
}

/// What a thread does next.
enum Job {
    Send(Delivery),
    /// Something is to be sent, but not yet.
    Hold(Duration),
    /// Nothing is due.
    Idle(Duration),
    Failed(OutboxError, Duration),
    End,
}

impl Lane {
    pub(super) fn new(name: &str, shared: Arc<Shared>) -> Self {
        Self { name: name.to_owned(), shared, state: Mutex::default() }
    }

    /// Ends its threads once their attempts have ended.
    pub(super) fn retire(&self) {
        lock(&self.state).generation += 1;
    }

    /// Goes on with `endpoint`, in threads of its own.
    pub(super) fn start(self: &Arc<Self>, endpoint: Endpoint) -> io::Result<()> {
        let generation = {
            let mut state = lock(&self.state);
            // Whoever changes an endpoint wants to see at once whether it is better now.
            *state = State {
                generation: state.generation + 1,
                under_way: std::mem::take(&mut state.under_way),
                failing: endpoint.failing_for.map(|earlier| (Instant::now(), earlier)),
                ..State::default()
            };
            state.generation
        };
        let workers = endpoint.workers();
        let client = Client::new(endpoint.guard.clone(), endpoint.timeout);
        let work = Arc::new((endpoint, client));
        for _ in 0..workers {
            let (lane, work) = (Arc::clone(self), Arc::clone(&work));
            let working = self.shared.enter();
            thread::Builder::new().name("webhook".into()).spawn(move || {
                let _working = working;
                let (endpoint, client) = &*work;
                // Stopped or replaced, the thread is done.
                lane.work(generation, endpoint, client).ok();
            })?;
        }
        Ok(())
    }

    fn work(&self, generation: u64, endpoint: &Endpoint, client: &Client) -> Result<(), Stopped> {
        loop {
            let seen = self.shared.bell.rings();
            let deadline = self.shared.deadline();
            let left = deadline.map(|deadline| deadline.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(Stopped);
            }
            let wait = match self.job(generation, endpoint)? {
                Job::End => return Ok(()),
                Job::Send(delivery) => {
                    let sent = self.send(&delivery, generation, endpoint, client);
                    lock(&self.state).under_way.remove(&delivery.webhook_id);
                    self.shared.bell.ring();
                    sent?;
                    continue;
                }
                Job::Idle(_) if left.is_some() => return Ok(()),
                Job::Hold(wait) | Job::Idle(wait) => wait,
                Job::Failed(error, wait) => {
                    self.shared.observer.outbox_failed(&self.name, &error);
                    wait
                }
            };
            self.shared.bell.wait(seen, left.map_or(wait, |left| left.min(wait)));
        }
    }

    /// Chooses what to do, and notes it as under way.
    fn job(&self, generation: u64, endpoint: &Endpoint) -> Result<Job, Stopped> {
        let mut state = lock(&self.state);
        if state.generation != generation {
            return Ok(Job::End);
        }
        let now = self.shared.clock.now();
        let wait = state.not_before.map_or(Duration::ZERO, |at| until(at, now));
        if !wait.is_zero() {
            return Ok(Job::Hold(wait.min(LOOK)));
        }
        let found = self.shared.with_outbox(|outbox| {
            if endpoint.strict_order { self.head(outbox, &state, now) } else { self.any(outbox, &state, now) }
        })?;
        match found {
            Ok(job) => {
                state.outbox_failures = 0;
                if let Job::Send(delivery) = &job {
                    state.under_way.insert(delivery.webhook_id.clone());
                    let spacing = endpoint.per_minute.map(|n| Duration::from_secs(60) / n.get());
                    state.not_before = spacing.map(|spacing| now + spacing);
                }
                Ok(job)
            }
            Err(error) => {
                state.outbox_failures += 1;
                let wait = backoff(state.outbox_failures);
                state.not_before = Some(now + wait);
                Ok(Job::Failed(error, wait))
            }
        }
    }

    /// The oldest message that is due and not under way.
    fn any(&self, outbox: &dyn Outbox, state: &State, now: SystemTime) -> Result<Job, OutboxError> {
        let oldest = |now| -> Result<Option<Delivery>, OutboxError> {
            let due = outbox.due(&self.name, now, state.under_way.len() + 1)?;
            Ok(due.into_iter().find(|delivery| !state.under_way.contains(&delivery.webhook_id)))
        };
        if let Some(delivery) = oldest(now)? {
            return Ok(Job::Send(delivery));
        }
        let Some(at) = outbox.next_due(&self.name, now)? else { return Ok(Job::Idle(LOOK)) };
        if at > now + HORIZON
            && let Some(delivery) = oldest(at)?
        {
            return Ok(Job::Send(delivery));
        }
        // What is due by now is under way.
        let wait = until(at, now);
        Ok(if wait.is_zero() { Job::Hold(BUSY) } else { Job::Idle(wait.min(LOOK)) })
    }

    /// The oldest message, if it is due.
    fn head(&self, outbox: &dyn Outbox, state: &State, now: SystemTime) -> Result<Job, OutboxError> {
        let Some(head) = outbox.due(&self.name, now + CENTURY, 1)?.pop() else { return Ok(Job::Idle(LOOK)) };
        if state.under_way.contains(&head.webhook_id) {
            return Ok(Job::Hold(BUSY));
        }
        let first_at = |now| -> Result<bool, OutboxError> {
            let first = outbox.due(&self.name, now, 1)?.pop();
            Ok(first.is_some_and(|first| first.webhook_id == head.webhook_id))
        };
        // Beyond the horizon is what was scheduled while the clock was wrong.
        if first_at(now)? || !first_at(now + HORIZON)? {
            return Ok(Job::Send(head));
        }
        let known = state.head.as_ref().filter(|(id, _)| *id == head.webhook_id);
        let wait = known.map_or(LOOK, |(_, at)| until(*at, now));
        Ok(Job::Idle(wait.clamp(Duration::from_millis(1), LOOK)))
    }

    fn send(
        &self,
        delivery: &Delivery,
        generation: u64,
        endpoint: &Endpoint,
        client: &Client,
    ) -> Result<(), Stopped> {
        let (at, began) = (SystemTime::now(), Instant::now());
        let answer = client.post(&endpoint.target, &delivery.webhook_id, &delivery.body);
        let latency = began.elapsed();
        let next = schedule::next(
            delivery.attempts.saturating_add(1),
            &answer,
            self.shared.clock.now(),
            &mut rand::rng(),
        );
        // Before it is written down: the threads beside this one shall not go on in the meantime.
        let disabled = self.note(delivery, generation, &answer, &next);
        let Answer { status, text, error, .. } = answer;
        let attempt = Attempt { at, latency, status, answer: text, error };
        if let Some(reason) = &disabled {
            self.shared.persist(&self.name, |outbox| outbox.disable(&self.name, reason))?;
        }
        self.shared.persist(&self.name, |outbox| outbox.record(delivery, &attempt, &next))?;
        self.shared.observer.attempted(delivery, &attempt, &next);
        if let Some(reason) = &disabled {
            self.shared.observer.disabled(&self.name, reason);
        }
        Ok(())
    }

    /// Draws the conclusions of an attempt for the endpoint: why it is to be disabled, if it is.
    fn note(&self, delivery: &Delivery, generation: u64, answer: &Answer, next: &Next) -> Option<String> {
        let mut state = lock(&self.state);
        // The answer of an address that was replaced says nothing about the new one.
        if state.generation != generation {
            return None;
        }
        state.head = match next {
            Next::Again { at, .. } => Some((delivery.webhook_id.clone(), *at)),
            Next::Delivered | Next::Dead { .. } => None,
        };
        let outcome = Outcome::of(answer);
        if outcome == Outcome::Delivered {
            (state.failures, state.failing) = (0, None);
            return None;
        }
        state.failures = state.failures.saturating_add(1);
        let now = Instant::now();
        let (since, earlier) = *state.failing.get_or_insert((now, Duration::ZERO));
        let failing = now.duration_since(since).saturating_add(earlier);
        if outcome == Outcome::Gone || failing >= DISABLE_AFTER {
            (state.failures, state.failing) = (0, None);
            let error = answer.error.as_deref().unwrap_or_default();
            return Some(match outcome {
                Outcome::Gone => error.to_owned(),
                _ => format!("no success for {} days: {error}", failing.as_secs() / (24 * 3600)),
            });
        }
        let rest = self.shared.clock.now() + schedule::pause(state.failures, answer);
        state.not_before = state.not_before.max(Some(rest));
        None
    }
}
