//! What breaks down in the program itself, and what is left behind by who went away.

use std::fs;

use crate::camera::{Camera, film};
use crate::process::Run;
use crate::receiver::Receiver;
use crate::stored::Stored;
use crate::{Desk, get, stream, told, value};

/// Lets the thread of a stream panic, where the program can be asked for that.
fn breaks(desk: &Desk, run: &mut Run, stream: &str) {
    fs::create_dir_all(desk.path("faults")).expect("a folder");
    fs::write(desk.path("faults").join(stream), "").expect("written");
    run.until("that it broke down", |run| run.err().contains("a test wants it"));
}

#[test]
#[cfg(debug_assertions)]
fn a_stream_that_panics_is_seen_and_begun_again_and_others_go_on() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    let second = stream(&camera.url(), "").replace("\"hall\"", "\"yard\"");
    desk.configure(&camera.url(), &second, &told(&receiver));
    let mut run = desk.watch();
    let of = |run: &Run, stream: &str, kind: &str| {
        let events = run.events();
        events.iter().filter(|event| event["stream"] == stream && event["type"] == kind).count()
    };
    run.until("chapters of both", |run| of(run, "hall", "closed") > 0 && of(run, "yard", "closed") > 0);
    breaks(&desk, &mut run, "hall");
    run.until("an alert", |_| !receiver.of("alert.raised").is_empty());
    let alert = receiver.of("alert.raised")[0].clone();
    assert_eq!(alert["stream"], "hall");
    assert!(alert["reason"].as_str().is_some_and(|why| why.contains("this is a bug")), "{alert}");
    let before = (of(&run, "hall", "closed"), of(&run, "yard", "closed"));
    run.until("chapters of both again", |run| {
        of(run, "hall", "closed") > before.0 + 1 && of(run, "yard", "closed") > before.1
    });
    run.until("that it is back", |_| {
        receiver.of("stream.resumed").iter().any(|message| message["stream"] == "hall")
    });
    let page = get(run.port(), "/metrics").1;
    let breakdowns = "streamgist_breakdowns_total{stream=\"hall\",cause=\"panic\"}";
    assert_eq!(value(&page, breakdowns), Some(1.0), "{page}");
    assert!(receiver.of("stream.disconnected").iter().all(|message| message["stream"] == "hall"));
    let ended = run.stopped_after_a_panic();
    assert!(ended.status.success(), "{}", ended.err);
    assert_eq!(ended.err.matches("panicked").count(), 1, "{}", ended.err);
    let stored = Stored::of(&desk, "hall");
    let gap = stored.gaps.iter().find(|gap| gap.reason.contains("broke down"));
    assert!(gap.is_some(), "{:?}", stored.gaps);
    stored.is_in_order();
    stored.was_delivered(&receiver.got());
    assert_eq!(stored.sessions.len(), 2, "both go on");
}

#[test]
fn sessions_of_streams_that_are_watched_no_more_have_ended() {
    let desk = Desk::new();
    let camera = Camera::start(&film(desk.folder.path()));
    let receiver = Receiver::good();
    let second = stream(&camera.url(), "").replace("\"hall\"", "\"yard\"");
    desk.configure(&camera.url(), &second, &told(&receiver));
    let mut run = desk.watch();
    let both =
        |run: &Run| ["hall", "yard"].iter().all(|name| run.events().iter().any(|e| e["stream"] == **name));
    run.until("events of both", both);
    // As a power cut leaves it: nobody has ended them.
    run.kill();
    desk.configure(&camera.url(), "", &told(&receiver));
    let mut run = desk.watch();
    run.chapters(1);
    let running = |name: &str| Stored::sessions_of(&desk, name)[0].ended.clone();
    let left = running("yard").expect("ended");
    assert_eq!(left.note, "not watched any more");
    assert_eq!(running("hall"), None, "goes on");
    run.stop();
    // And it goes on when it is watched again.
    desk.configure(&camera.url(), &second, &told(&receiver));
    let mut run = desk.watch();
    run.until("events of both", both);
    run.stop();
    assert_eq!(Stored::sessions_of(&desk, "yard").len(), 1);
}
