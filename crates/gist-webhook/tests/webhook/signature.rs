//! Secrets, signatures and bodies, checked by the implementation of the standard.

use std::time::{Duration, SystemTime};

use gist_webhook::envelope::{EventFilter, EventType, envelope};
use gist_webhook::{Secret, sign};
use proptest::prelude::*;
use standardwebhooks::Webhook;
use ureq::http::HeaderMap;

fn headers(id: &str, timestamp: u64, signature: &str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("webhook-id", id.parse().unwrap());
    headers.insert("webhook-timestamp", timestamp.to_string().parse().unwrap());
    headers.insert("webhook-signature", signature.parse().unwrap());
    headers
}

fn now() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn the_example_of_the_standard_is_signed_as_it_says() {
    let secret: Secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap();
    let body = br#"{"test": 2432232314}"#;
    let signature = sign::sign(&[secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
    assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
}

#[test]
fn while_a_secret_is_changed_receivers_with_either_accept() {
    let (old, new) = (Secret::generate(), Secret::generate());
    let signature = sign::sign(&[new.clone(), old.clone()], "01K", now(), b"{}");
    for secret in [&old, &new] {
        let receiver = Webhook::new(&secret.reveal()).unwrap();
        receiver.verify(b"{}", &headers("01K", now(), &signature)).unwrap();
    }
    let stranger = Webhook::new(&Secret::generate().reveal()).unwrap();
    stranger.verify(b"{}", &headers("01K", now(), &signature)).unwrap_err();
    assert!(!sign::verify(&[Secret::generate()], "01K", now(), b"{}", &signature));
}

#[test]
fn what_is_no_secret_is_refused_in_words_that_do_not_repeat_it() {
    let long = Secret::generate().reveal();
    for text in ["", "hunter2hunter2", "whsec_", "whsec_%%%%hunter2", "whsec_aHVudGVyMg==", &long[6..]] {
        let error = text.parse::<Secret>().unwrap_err().to_string();
        assert!(!error.contains("hunter2") && !error.contains("aHVudGVyMg") && !error.contains(&long[6..]));
    }
    let secret: Secret = long.parse().unwrap();
    assert!(!format!("{secret:?} {secret}").contains(&long[6..]));
}

#[test]
fn a_secret_is_read_from_a_file_with_a_newline() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("secret");
    let secret = Secret::generate();
    std::fs::write(&file, format!("{}\n", secret.reveal())).unwrap();
    assert_eq!(Secret::from_file(&file).unwrap(), secret);
    let error = Secret::from_file(&dir.path().join("none")).unwrap_err().to_string();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn a_body_is_the_event_as_it_was_written_in_its_envelope() {
    let data = r#"{"sequence": 18446744073709551615, "b":1, "a": 0.10}"#;
    let at = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
    let body = String::from_utf8(envelope(EventType::ChapterClosed, at, data).unwrap()).unwrap();
    let start = r#"{"type":"chapter.closed","timestamp":"2023-11-14T22:13:20.123Z","data":"#;
    assert_eq!(body, format!("{start}{data}}}"));
    for wrong in ["[]", "1", "", "{} {}", r#"{"a":}"#] {
        envelope(EventType::ChapterClosed, at, wrong).unwrap_err();
    }
    let far = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
    for odd in [SystemTime::UNIX_EPOCH - Duration::from_secs(9), far] {
        envelope(EventType::ChapterClosed, odd, "{}").unwrap();
    }
}

#[test]
fn a_filter_names_events_groups_or_everything() {
    let wanted = |filter: &str| -> Vec<_> {
        let filter: EventFilter = filter.parse().unwrap();
        let all = EventType::ALL.iter().filter(|event| **event != EventType::EndpointTest);
        all.filter(|event| filter.wants(**event)).map(|event| event.name()).collect()
    };
    assert_eq!(wanted("chapter.closed, digest.created"), ["chapter.closed", "digest.created"]);
    assert_eq!(wanted("stream.*").len(), 4);
    assert_eq!(wanted("*").len(), EventType::ALL.len() - 1);
    assert!(wanted("").is_empty());
    assert!("".parse::<EventFilter>().unwrap().wants(EventType::EndpointTest), "a test always comes");
    for wrong in ["chapter", "chapter*", "chapter.close", "*.closed", "x.*"] {
        let error = wrong.parse::<EventFilter>().unwrap_err().to_string();
        assert!(error.contains(wrong) && error.contains("chapter.closed"), "{error}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_signature_is_accepted_as_it_is_and_not_otherwise(
        body in proptest::collection::vec(any::<u8>(), 1..200),
        id in "[A-Za-z0-9_]{1,40}",
        flip in any::<proptest::sample::Index>(),
    ) {
        let (secret, timestamp) = (Secret::generate(), now());
        let signature = sign::sign(std::slice::from_ref(&secret), &id, timestamp, &body);
        let receiver = Webhook::new(&secret.reveal()).unwrap();
        // The standard's crate takes text only.
        if std::str::from_utf8(&body).is_ok() {
            receiver.verify(&body, &headers(&id, timestamp, &signature)).unwrap();
        }
        let secrets = [secret];
        prop_assert!(sign::verify(&secrets, &id, timestamp, &body, &signature));
        let mut other = body.clone();
        other[flip.index(body.len())] ^= 1;
        prop_assert!(!sign::verify(&secrets, &id, timestamp, &other, &signature));
        prop_assert!(!sign::verify(&secrets, &id, timestamp + 1, &body, &signature));
        let longer = format!("{id}x");
        prop_assert!(!sign::verify(&secrets, &longer, timestamp, &body, &signature));
        let mut text = signature.into_bytes();
        let at = 3 + flip.index(text.len() - 4);
        text[at] = if text[at] == b'A' { b'B' } else { b'A' };
        let text = String::from_utf8(text).unwrap();
        prop_assert!(!sign::verify(&secrets, &id, timestamp, &body, &text));
    }
}
