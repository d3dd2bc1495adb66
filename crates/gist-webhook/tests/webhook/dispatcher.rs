//! Messages on their way, with receivers that do not always want them.

use std::num::NonZeroU32;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::{Duration, SystemTime};

use gist_webhook::{Attempt, Delivery, Next, Outbox, OutboxError, Spool};

use super::receiver::{OK, PATIENCE, Received, Receiver, Reply};
use super::rig::{Rig, Told, endpoint};

const HOUR: i64 = 3600;
const YEAR: i64 = 365 * 24 * HOUR;

fn bodies(received: &[Received]) -> Vec<String> {
    received.iter().map(|r| String::from_utf8(r.body.clone()).unwrap()).collect()
}

#[test]
fn messages_come_once_and_in_order_and_leave_nothing_behind() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    let ids: Vec<_> = (0..5).map(|n| rig.push(&format!("{{\"n\":{n}}}"))).collect();
    for id in &ids {
        let (delivery, attempt, next) = rig.attempted();
        assert_eq!((&delivery.webhook_id, attempt.status, next), (id, Some(200), Next::Delivered));
        assert_eq!(attempt.answer, "hello");
    }
    assert!(rig.dispatcher.stop(PATIENCE));
    let received = receiver.received();
    assert_eq!(bodies(&received), [r#"{"n":0}"#, r#"{"n":1}"#, r#"{"n":2}"#, r#"{"n":3}"#, r#"{"n":4}"#]);
    assert_eq!(received.iter().map(Received::id).collect::<Vec<_>>(), ids);
    assert_eq!((rig.spool.pending(), rig.spool.dead()), (0, 0));
    assert_eq!(std::fs::read_dir(dir.path().join("pending")).unwrap().count(), 0);
}

#[test]
fn whatever_goes_wrong_the_same_message_comes_again() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| match n {
        0 => Reply::Status(500, ""),
        1 => Reply::Status(429, "Retry-After: 1000\r\n"),
        2 => Reply::Status(301, "Location: http://169.254.169.254/\r\n"),
        3 => Reply::Reset,
        4 => Reply::Silence,
        _ => OK,
    });
    let mut endpoint = endpoint(&receiver);
    endpoint.timeout = Duration::from_secs(1);
    let rig = Rig::new(dir.path(), endpoint);
    let id = rig.push("{}");
    for n in 0..5 {
        let (delivery, attempt, next) = rig.attempted();
        assert!(delivery.attempts == n && attempt.error.is_some(), "{attempt:?}");
        assert!(matches!(next, Next::Again { .. }));
        rig.turn(15 * HOUR);
    }
    assert_eq!(rig.attempted().2, Next::Delivered);
    let received = receiver.received();
    assert!(received.iter().all(|r| r.id() == id && r.body == b"{}"));
    let stamp = |n: usize| received[n].headers["webhook-timestamp"].parse::<u64>().unwrap();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    assert!(stamp(5) >= stamp(0) && stamp(5) <= now, "that of the attempt, by the clock of the machine");
}

#[test]
fn a_message_nobody_takes_is_given_up_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let rig = Rig::new(dir.path(), endpoint(&Receiver::always(Reply::Status(500, ""))));
    let id = rig.push(r#"{"kept":true}"#);
    for _ in 0..9 {
        assert!(matches!(rig.attempted().2, Next::Again { .. }));
        rig.turn(30 * HOUR);
    }
    let Next::Dead { reason } = rig.attempted().2 else { panic!("dead") };
    assert!(reason.contains("10 attempts") && reason.contains("500"), "{reason}");
    assert_eq!((rig.spool.pending(), rig.spool.dead()), (0, 1));
    let kept = std::fs::read_to_string(dir.path().join(format!("dead/{id}.message"))).unwrap();
    assert!(kept.ends_with(r#"{"kept":true}"#));
    let why = std::fs::read_to_string(dir.path().join(format!("dead/{id}.state"))).unwrap();
    assert!(why.contains("10 attempts"), "{why}");
}

#[test]
fn who_answers_410_is_left_alone_and_what_waits_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(Reply::Status(410, ""));
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    rig.push("{}");
    assert_eq!(rig.attempted().1.status, Some(410));
    let Told::Disabled(reason) = rig.next() else { panic!("disabled") };
    assert!(reason.contains("410"), "{reason}");
    rig.push("{}");
    rig.turn(YEAR);
    assert!(rig.dispatcher.stop(PATIENCE), "nothing is due");
    assert_eq!((receiver.received().len(), rig.spool.pending()), (1, 2));
    assert_eq!(rig.spool.disabled(), Some(reason));
}

#[test]
fn an_endpoint_that_fails_for_days_is_disabled() {
    let dir = tempfile::tempdir().unwrap();
    let mut endpoint = endpoint(&Receiver::always(Reply::Status(500, "")));
    endpoint.failing_for = Some(Duration::from_secs(6 * 24 * 3600));
    let rig = Rig::new(dir.path(), endpoint);
    rig.push("{}");
    rig.attempted();
    let Told::Disabled(reason) = rig.next() else { panic!("disabled") };
    assert!(reason.contains("no success for 6 days") && reason.contains("500"), "{reason}");
    assert_eq!(rig.spool.pending(), 1);
}

#[test]
fn in_strict_order_one_message_holds_up_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n < 2 { Reply::Status(500, "") } else { OK });
    let mut endpoint = endpoint(&receiver);
    endpoint.strict_order = true;
    let rig = Rig::new(dir.path(), endpoint);
    for n in 0..3 {
        rig.push(&format!("{{\"n\":{n}}}"));
    }
    for _ in 0..2 {
        rig.attempted();
        rig.turn(HOUR);
    }
    (0..3).for_each(|_| assert_eq!(rig.attempted().2, Next::Delivered));
    let expected = [0, 0, 0, 1, 2].map(|n| format!("{{\"n\":{n}}}"));
    assert_eq!(bodies(&receiver.received()), expected);
}

#[test]
fn without_strict_order_others_pass_and_several_are_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n == 0 { Reply::Silence } else { OK });
    let mut endpoint = endpoint(&receiver);
    (endpoint.concurrency, endpoint.timeout) = (2, PATIENCE);
    let rig = Rig::new(dir.path(), endpoint);
    let first = rig.push("{}");
    receiver.wait_for(1);
    let others = [rig.push("{}"), rig.push("{}")];
    for id in others {
        let (delivery, _, next) = rig.attempted();
        assert_eq!((delivery.webhook_id, next), (id, Next::Delivered));
    }
    rig.dispatcher.stop(Duration::ZERO);
    let ids: Vec<_> = receiver.received().iter().map(|r| r.id().to_owned()).collect();
    assert_eq!(ids.iter().filter(|id| **id == first).count(), 1, "what is under way is not sent twice");
    assert_eq!(rig.spool.pending(), 1);
}

#[test]
fn a_rate_limit_spreads_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    let mut endpoint = endpoint(&receiver);
    endpoint.per_minute = NonZeroU32::new(1);
    let rig = Rig::new(dir.path(), endpoint);
    let ids = [rig.push("{}"), rig.push("{}"), rig.push("{}")];
    for id in ids {
        assert_eq!(rig.attempted().0.webhook_id, id);
        assert!(rig.told.recv_timeout(Duration::from_millis(100)).is_err(), "not before its minute");
        rig.turn(61);
    }
}

/// An outbox whose disk fails now and then.
struct Failing {
    inner: Arc<dyn Outbox>,
    due: AtomicU32,
    record: AtomicU32,
}

impl Failing {
    fn fails(left: &AtomicU32) -> Result<(), OutboxError> {
        let left = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| n.checked_sub(1));
        left.map_or(Ok(()), |_| Err(OutboxError("no space left".into())))
    }
}

impl Outbox for Failing {
    fn due(&self, endpoint: &str, now: SystemTime, limit: usize) -> Result<Vec<Delivery>, OutboxError> {
        Self::fails(&self.due)?;
        self.inner.due(endpoint, now, limit)
    }

    fn next_due(&self, endpoint: &str, now: SystemTime) -> Result<Option<SystemTime>, OutboxError> {
        self.inner.next_due(endpoint, now)
    }

    fn record(&self, delivery: &Delivery, attempt: &Attempt, next: &Next) -> Result<(), OutboxError> {
        Self::fails(&self.record)?;
        self.inner.record(delivery, attempt, next)
    }

    fn disable(&self, endpoint: &str, reason: &str) -> Result<(), OutboxError> {
        self.inner.disable(endpoint, reason)
    }
}

#[test]
fn an_outbox_that_fails_loses_nothing_and_sends_nothing_twice() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(OK);
    let rig = Rig::around(dir.path(), endpoint(&receiver), |inner| {
        Arc::new(Failing { inner, due: AtomicU32::new(1), record: AtomicU32::new(1) })
    });
    let id = rig.push("{}");
    for _ in 0..2 {
        let Told::OutboxFailed(why) = rig.next() else { panic!("it fails") };
        assert_eq!(why, "no space left");
        rig.turn(2);
    }
    let (delivery, _, next) = rig.attempted();
    assert_eq!((delivery.webhook_id, next), (id, Next::Delivered));
    assert_eq!(receiver.received().len(), 1);
    assert_eq!(rig.spool.pending(), 0);
}

#[test]
fn a_clock_that_jumps_neither_stops_deliveries_nor_spends_their_attempts() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n < 4 { Reply::Status(500, "") } else { OK });
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    rig.push("{}");
    rig.attempted();
    rig.turn(YEAR);
    assert_eq!(rig.attempted().0.attempts, 1, "due early, once");
    assert!(rig.told.recv_timeout(Duration::from_millis(100)).is_err(), "and then as scheduled");
    rig.turn(-2 * YEAR);
    rig.push("{}");
    assert_eq!(rig.attempted().0.attempts, 0, "a new message is sent whatever the time");
    assert_eq!(
        rig.attempted().0.attempts,
        1,
        "five seconds later, although the clock says it is two years ago"
    );
    drop(rig);
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    (0..2).for_each(|_| assert_eq!(rig.attempted().2, Next::Delivered));
}

#[test]
fn in_strict_order_a_message_of_another_time_holds_up_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n < 2 { Reply::Status(500, "") } else { OK });
    let strict = || {
        let mut endpoint = endpoint(&receiver);
        endpoint.strict_order = true;
        endpoint
    };
    let rig = Rig::new(dir.path(), strict());
    rig.push("{}");
    rig.attempted();
    rig.turn(YEAR);
    assert_eq!(rig.attempted().0.attempts, 1);
    drop(rig);
    let rig = Rig::new(dir.path(), strict());
    rig.push("{}");
    assert_eq!(rig.attempted().0.attempts, 2);
    assert_eq!(rig.attempted().0.attempts, 0);
}

#[test]
fn a_stop_delivers_what_is_due_and_leaves_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::new(|n, _| if n == 0 { Reply::Status(500, "") } else { OK });
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    rig.push("{}");
    rig.attempted();
    (0..20).for_each(|_| drop(rig.push("{}")));
    assert!(rig.dispatcher.stop(PATIENCE));
    assert_eq!((receiver.received().len(), rig.spool.pending()), (21, 1));
    drop(rig);
    let rig = Rig::new(dir.path(), endpoint(&receiver));
    rig.turn(HOUR);
    assert_eq!(rig.attempted().0.attempts, 1, "an earlier run counts");
}

#[test]
fn a_stop_does_not_wait_for_a_receiver_that_says_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let receiver = Receiver::always(Reply::Silence);
    let mut endpoint = endpoint(&receiver);
    endpoint.timeout = PATIENCE;
    let rig = Rig::new(dir.path(), endpoint);
    rig.push("{}");
    receiver.wait_for(1);
    assert!(!rig.dispatcher.stop(Duration::from_millis(10)));
    drop(rig);
    let spool = Spool::open(dir.path(), 1 << 20).expect("the attempt under way does not hold the folder");
    assert_eq!(spool.pending(), 1);
}

#[test]
fn endpoints_are_replaced_while_an_attempt_is_under_way() {
    let dir = tempfile::tempdir().unwrap();
    let (go, gate) = mpsc::channel();
    let gate = Mutex::new(gate);
    let old = Receiver::new(move |_, _| {
        let _ = gate.lock().unwrap().recv_timeout(PATIENCE);
        Reply::Status(410, "")
    });
    let new = Receiver::always(OK);
    let mut slow = endpoint(&old);
    slow.timeout = PATIENCE;
    let rig = Rig::new(dir.path(), slow);
    let first = rig.push("{}");
    old.wait_for(1);
    rig.dispatcher.set_endpoints(vec![endpoint(&new)]).unwrap();
    let second = rig.push("{}");
    assert_eq!(
        rig.attempted().0.webhook_id,
        second,
        "what is under way is not sent to the new address as well"
    );
    go.send(()).unwrap();
    let (delivery, attempt, _) = rig.attempted();
    assert_eq!((&delivery.webhook_id, attempt.status), (&first, Some(410)));
    assert_eq!(rig.attempted().2, Next::Delivered);
    assert_eq!(new.received().iter().map(Received::id).collect::<Vec<_>>(), [&second, &first]);
    assert_eq!(rig.spool.disabled(), None, "the old address wants no more, not the new one");
    rig.dispatcher.set_endpoints(Vec::new()).unwrap();
    rig.push("{}");
    assert!(rig.dispatcher.stop(PATIENCE));
    assert_eq!((old.received().len(), new.received().len(), rig.spool.pending()), (1, 2, 1));
}
