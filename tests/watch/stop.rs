//! Signals, and what is served to who watches the watcher.

use std::fs;

use rustix::process::Signal;

use crate::camera::{Camera, film};
use crate::receiver::Receiver;
use crate::stored::Stored;
use crate::{Desk, endpoint, get, told, value};

#[test]
fn a_stop_closes_the_chapter_and_the_next_start_goes_on() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    let outputs = format!("outputs = [{:?}, {:?}]", desk.path("all.jsonl"), desk.path("all.vtt"));
    desk.configure(&camera.url(), &outputs, &told(&receiver));
    let mut shown = Vec::new();
    for _ in 0..2 {
        let mut run = desk.watch();
        run.chapters(1);
        let out = run.stop().out;
        let last = out
            .iter()
            .rev()
            .take(3)
            .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON"));
        let last: Vec<_> = last.collect();
        assert!(last.iter().any(|event| event["type"] == "closed" && event["reason"] == "eos"), "{last:?}");
        assert!(last[0]["type"] == "digest" && last[0]["final"] == true, "{last:?}");
        let digests = receiver.of("digest.created");
        assert!(digests.contains(&last[0]), "the final digest is delivered before it ends");
        shown.extend(out);
        // As a kill may leave it: the last line half written. It is in the store, and so it comes into the file.
        let file = fs::read_to_string(desk.path("all.jsonl")).expect("written");
        fs::write(desk.path("all.jsonl"), &file[..file.len() - 40]).expect("written");
    }
    let mut run = desk.watch();
    run.chapters(1);
    shown.extend(run.stop().out);
    let stored = Stored::read(&desk);
    assert_eq!(stored.sessions.len(), 1);
    stored.holds_shown(&shown);
    assert_eq!(shown, stored.lines);
    stored.was_delivered(&receiver.got());
    stored.is_in_order();
    stored.is_in_file(&desk.path("all.jsonl"));
    let vtt = fs::read_to_string(desk.path("all.vtt")).expect("written");
    let closed = stored.events().filter(|event| event["type"] == "closed").count();
    assert_eq!(vtt.matches(" --> ").count(), closed, "{vtt}");
    let left: Vec<_> = fs::read_dir(desk.path("tmp")).expect("a folder").collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn prompts_and_endpoints_change_while_it_runs_and_a_broken_file_changes_nothing() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let (first, second) = (Receiver::good(), Receiver::good());
    desk.configure(&camera.url(), "", &told(&first));
    let mut run = desk.watch();
    run.chapters(1);

    desk.configure(&camera.url(), "fsp = 3", &told(&second));
    run.signal(Signal::HUP);
    run.until("a complaint", |run| run.err().contains("nothing is changed"));
    let text = fs::read_to_string(desk.path("watch.toml")).expect("written");
    let line = text.lines().position(|line| line == "fsp = 3").expect("there") + 1;
    let told_of = format!("watch.toml:{line}: unknown field `fsp`");
    assert!(run.err().contains(&told_of), "{}", run.err());
    run.chapters(1);
    assert!(second.got().is_empty());

    desk.configure(&camera.url(), "prompt = \"Name the fish.\"", &[endpoint("other", &second.url(), "")]);
    run.signal(Signal::HUP);
    run.until("the new file", |run| run.err().contains("the configuration was read again"));
    run.until("an event by the new prompt", |run| {
        run.events().iter().any(|event| event["type"] == "closed" && event["prompt-revision"] == 1)
    });
    run.until("a message", |_| second.of("chapter.closed").iter().any(|data| data["prompt-revision"] == 1));
    run.stop();
    assert!(first.of("chapter.closed").iter().all(|data| data["prompt-revision"] == 0), "not told any more");
}

#[test]
fn what_is_served_is_what_prometheus_reads() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    desk.configure(&camera.url(), "", &told(&receiver));
    let mut run = desk.watch();
    let port = run.port();
    run.chapters(2);
    run.until("a delivery", |_| !receiver.of("chapter.closed").is_empty());
    // Counters of the pipeline are read once a second.
    run.until("pictures", |_| {
        value(&get(port, "/metrics").1, "streamgist_stream_frames{stream=\"hall\",stage=\"in\"}")
            .is_some_and(|n| n > 0.0)
    });
    let (status, page) = get(port, "/metrics");
    assert_eq!(status, "HTTP/1.1 200 OK");
    for line in page.lines().filter(|line| !line.starts_with('#')) {
        let (name, value) = line.rsplit_once(' ').expect("a name and a value");
        assert!(value.parse::<f64>().is_ok(), "{line}");
        let (name, labels) = name.split_once('{').unwrap_or((name, "}"));
        assert!(name.starts_with("streamgist_") && labels.ends_with('}'), "{line}");
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
    }
    assert!(page.ends_with("# EOF\n"), "{page}");
    for (name, least) in [
        ("streamgist_stream_up{stream=\"hall\"}", 1.0),
        ("streamgist_chapters_total{stream=\"hall\",state=\"closed\"}", 2.0),
        ("streamgist_webhook_deliveries_total{endpoint=\"team\",outcome=\"delivered\"}", 1.0),
        ("streamgist_disk_bytes", 1.0),
        ("streamgist_lost_events", 0.0),
    ] {
        assert!(value(&page, name).is_some_and(|value| value >= least), "{name}: {page}");
    }
    assert!(!page.contains("rtsp://"), "{page}");
    assert_eq!(get(port, "/livez"), ("HTTP/1.1 200 OK".into(), "alive\n".into()));
    assert_eq!(get(port, "/readyz"), ("HTTP/1.1 200 OK".into(), "ready\n".into()));
    assert_eq!(get(port, "/").0, "HTTP/1.1 404 Not Found");
    run.stop();
}
