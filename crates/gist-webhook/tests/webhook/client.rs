//! One attempt against receivers of all kinds.

use std::io::Read;
use std::net::TcpListener;
use std::time::Duration;

use gist_webhook::client::{Answer, Client, Target};
use gist_webhook::{Guard, Secret};
use standardwebhooks::Webhook;
use ureq::http::HeaderMap;

use super::guard::Names;
use super::receiver::{OK, Receiver, Reply};

fn loopback() -> Guard {
    Guard::new(vec!["127.0.0.0/8".parse().unwrap()])
}

fn post(url: &str, guard: Guard) -> Answer {
    let target = Target::new(url.parse().unwrap(), vec![Secret::generate()]);
    Client::new(guard, Duration::from_secs(2)).post(&target, "01K", b"{}")
}

#[test]
fn a_receiver_can_check_who_sent_what() {
    let receiver = Receiver::always(OK);
    let secret = Secret::generate();
    let target = Target::new(receiver.url().parse().unwrap(), vec![secret.clone()]);
    let target = target.with_header("Authorization", "Bearer x").unwrap();
    let answer = Client::new(loopback(), Duration::from_secs(10)).post(&target, "01KABC", b"{\"a\":1}");
    assert_eq!((answer.status, answer.text.as_str(), answer.error), (Some(200), "hello", None));
    let received = receiver.wait_for(1).remove(0);
    assert_eq!((received.path.as_str(), received.body.as_slice()), ("/hook", &b"{\"a\":1}"[..]));
    let header = |name: &str| received.headers[name].clone();
    assert_eq!(header("content-type"), "application/json");
    assert_eq!(header("authorization"), "Bearer x");
    assert_eq!(header("webhook-id"), "01KABC");
    let mut headers = HeaderMap::new();
    for name in ["webhook-id", "webhook-timestamp", "webhook-signature"] {
        headers.insert(name, header(name).parse().unwrap());
    }
    Webhook::new(&secret.reveal()).unwrap().verify(&received.body, &headers).unwrap();
}

#[test]
fn every_failure_is_said_in_words_that_help() {
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (url, status, words) in [
        (Receiver::always(Reply::Status(500, "")).url(), Some(500), "log of the receiver"),
        (Receiver::always(Reply::Status(401, "")).url(), Some(401), "secret"),
        (Receiver::always(Reply::Status(410, "")).url(), Some(410), "disabled"),
        (Receiver::always(Reply::Reset).url(), None, "127.0.0.1"),
        (Receiver::always(Reply::Silence).url(), None, "did not answer"),
        (format!("http://{closed}/"), None, "refuses the connection"),
        ("https://127.0.0.1:1/".into(), None, "refuses the connection"),
    ] {
        let answer = post(&url, loopback());
        let error = answer.error.unwrap();
        assert!(answer.status == status && error.contains(words), "{:?}: {error}", answer.status);
    }
    let answer = post(&Receiver::always(Reply::Status(503, "Retry-After: 7\r\n")).url(), loopback());
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
}

#[test]
fn a_redirect_is_not_followed_wherever_it_leads() {
    let elsewhere = Receiver::always(OK);
    let to = format!("Location: {}\r\n", elsewhere.url()).leak();
    for to in ["Location: http://169.254.169.254/latest/meta-data/\r\n", to] {
        for status in [301, 302, 303, 307, 308] {
            let answer = post(&Receiver::always(Reply::Status(status, to)).url(), loopback());
            assert_eq!(answer.status, Some(status));
            assert!(answer.error.unwrap().contains("redirects are not followed"));
        }
    }
    assert!(elsewhere.received().is_empty());
}

#[test]
fn the_name_is_kept_for_the_certificate() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let hello = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut bytes = vec![0; 4096];
        let n = stream.read(&mut bytes).unwrap();
        bytes.truncate(n);
        bytes
    });
    let guard = loopback().with_lookup(Names::new(&[&["127.0.0.1"]]));
    let answer = post(&format!("https://receiver.example:{port}/"), guard);
    assert!(answer.error.unwrap().contains("receiver.example"));
    let hello = hello.join().unwrap();
    assert!(hello.windows(16).any(|bytes| bytes == b"receiver.example"), "the server name of TLS");
}

#[test]
fn of_an_answer_only_the_beginning_is_read() {
    let answer = post(&Receiver::always(Reply::Endless).url(), loopback());
    assert_eq!((answer.status, answer.text.len()), (Some(200), 1024));
    let answer = post(&Receiver::always(Reply::Drip).url(), loopback());
    assert_eq!((answer.status, answer.error), (Some(200), None), "it has said that it has the message");
}

#[test]
fn a_name_that_moves_inside_is_refused_at_the_next_attempt() {
    let receiver = Receiver::always(OK);
    let port = receiver.address.port();
    let lan = vec!["127.0.0.1/32".parse().unwrap()];
    let names =
        Names::new(&[&["127.0.0.1"], &["127.0.0.2"], &["169.254.169.254"], &["127.0.0.1", "10.0.0.1"]]);
    let guard = Guard::new(lan).with_lookup(names);
    let client = Client::new(guard, Duration::from_secs(10));
    let url = format!("http://receiver.example:{port}/?token=hunter2");
    let target = Target::new(url.parse().unwrap(), Vec::new());
    assert_eq!(
        client.post(&target, "01K", b"{}").status,
        Some(200),
        "connected to the address that was checked"
    );
    assert_eq!(receiver.received()[0].headers["host"], format!("receiver.example:{port}"));
    assert!(!receiver.received()[0].headers.contains_key("webhook-signature"), "there is no secret");
    for _ in 0..3 {
        let error = client.post(&target, "01K", b"{}").error.unwrap();
        assert!(error.starts_with("receiver.example is ") && !error.contains("hunter2"), "{error}");
    }
    assert_eq!(receiver.received().len(), 1);
}
