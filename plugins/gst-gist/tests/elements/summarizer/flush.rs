use std::sync::Mutex;

use super::*;

#[test]
fn a_seek_without_flush_ends_the_chapter() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(S).unwrap();
    rig.frame(2 * S).unwrap();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(60));
    segment.set_time(gst::ClockTime::from_seconds(60));
    segment.set_base(gst::ClockTime::from_seconds(3));
    rig.video.push_event(gst::event::Segment::new(&segment));
    rig.frame(60 * S).unwrap();
    rig.frame(61 * S).unwrap();
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed[0]["reason"], "segment");
    assert_eq!((closed[1]["running-time"].as_u64(), closed[1]["start"].as_f64()), (Some(3 * S), Some(60.0)));
}

/// The stream is flushed in the middle of a delivery: several chapters have opened at once, one of them is told.
#[test]
fn results_of_a_stream_that_was_flushed_stay_away() {
    let mut rig = Rig::with("", |element| {
        element.set_property("min-chapter-duration", 0u64);
        element.set_property("max-chapter-duration", 2 * S);
    });
    let (at_the_gate, arrived) = mpsc::channel();
    let (open, gate) = mpsc::channel::<()>();
    let gate = Mutex::new(gate);
    rig.bus.set_sync_handler(move |_, message| {
        let structure = message.structure().filter(|s| s.name() == "gist-chapter");
        if structure.is_some_and(|s| s.get("type") == Ok("opened") && s.get("index") == Ok(1u64)) {
            at_the_gate.send(()).unwrap();
            gate.lock().unwrap().recv_timeout(WATCHDOG).unwrap();
        }
        gst::BusSyncReply::Pass
    });
    rig.frame(0).unwrap();
    for second in 0..10 {
        rig.say(second * S, (second + 1) * S, "old words");
    }
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(50 * S).unwrap();
    arrived.recv_timeout(WATCHDOG).expect("the second chapter opens");
    rig.flush();
    open.send(()).unwrap();
    rig.frame(0).unwrap();
    rig.video.push_event(gst::event::Eos::new());
    let closed = rig.closed();
    assert_eq!(closed.len(), 1, "{closed:#?}");
    assert!(closed[0]["index"].as_u64() > Some(2), "more chapters had opened: {closed:#?}");
    assert_eq!(closed[0]["running-time"], 0);
    let messages = std::iter::from_fn(|| rig.bus.pop()).filter_map(|message| {
        let structure = message.structure().filter(|s| s.has_field("sequence"))?;
        Some((structure.get("type").unwrap(), structure.get("sequence").unwrap()))
    });
    let messages: Vec<(String, u64)> = messages.collect();
    let kinds: Vec<_> = messages.iter().map(|(kind, _)| kind.as_str()).collect();
    assert_eq!(kinds, ["opened", "opened", "opened", "closed", "digest"]);
    assert!(messages.iter().map(|(_, number)| *number).eq(0..5), "no hole: {messages:?}");
}

#[test]
fn a_flush_never_waits_for_a_model_that_is_busy_and_drops_what_it_writes() {
    let mut rig = Rig::new("steps=1000000000");
    rig.say(0, S, "old words");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(2 * S).unwrap();
    until("the words are read", || rig.stat("tokens-appended") > 0);
    rig.element.emit_by_name::<()>("split-now", &[&Some("Old title")]);
    while rig.wait("gist-chapter", Some("opened")).get::<u64>("index") != Ok(1) {}
    rig.flush();
    rig.frame(0).unwrap();
    // The chapter of now has no words, so that its end needs no model.
    rig.video.push_event(gst::event::Eos::new());
    let closed = rig.closed();
    assert_eq!((closed.len(), closed[0]["index"].as_u64()), (1, Some(2)), "{closed:#?}");
}

/// Text of another source is not flushed with the video: it is neither turned away nor waited for once more.
#[test]
fn a_flush_of_the_video_alone_leaves_the_text_alone() {
    for ended in [false, true] {
        let mut rig =
            Rig::with("", |element| element.set_property("eos-timeout", WATCHDOG.as_nanos() as u64));
        rig.frame(0).unwrap();
        rig.say(0, S, "one");
        until("the first line is read", || rig.stat("tokens-appended") > 0);
        rig.video.push_event(gst::event::FlushStart::new());
        rig.say(2 * S, 3 * S, "two, taken although the video flushes");
        if ended {
            rig.text.push_event(gst::event::Eos::new());
        }
        rig.video.push_event(gst::event::FlushStop::new(true));
        rig.video.push_event(gst::event::Segment::new(&gst::FormattedSegment::<gst::ClockTime>::new()));
        for second in 0..5 {
            rig.frame(second * S).unwrap();
        }
        if !ended {
            rig.text.push_event(gst::event::Eos::new());
        }
        rig.video.push_event(gst::event::Eos::new());
        let closed = rig.closed();
        assert_eq!((closed.len(), closed[0].get("partial")), (1, None), "{closed:#?}");
        assert_eq!(closed[0]["coverage"]["text-lines"], 1);
    }
}

#[test]
fn a_flushed_chapter_is_neither_current_nor_in_the_table_of_contents() {
    let mut rig = Rig::new("");
    let (tell, told) = mpsc::channel();
    rig.element.connect_notify(Some("current-chapter"), move |element, _| {
        let current = element.property::<Option<gst::Structure>>("current-chapter");
        tell.send(current.map(|chapter| chapter.get::<u64>("index").unwrap())).unwrap();
    });
    let current = || told.recv_timeout(WATCHDOG).unwrap();
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    assert_eq!(current(), Some(0));
    rig.element.emit_by_name::<()>("split-now", &[&Some("Kept")]);
    rig.wait("gist-chapter", Some("closed"));
    assert_eq!(current(), Some(1));
    rig.flush();
    assert_eq!(current(), None);
    rig.frame(0).unwrap();
    assert_eq!(current(), Some(2));
    rig.frame(S).unwrap();
    let mut last = None;
    while let Some(event) = rig.video.try_pull_event() {
        if let gst::EventView::Toc(toc) = event.view() {
            last = Some(toc.toc().0.entries().iter().map(|entry| entry.uid().to_owned()).collect::<Vec<_>>());
        }
    }
    let uids = last.unwrap();
    let indexes: Vec<_> = uids.iter().map(|uid| uid.rsplit('-').next().unwrap()).collect();
    assert_eq!(indexes, ["0", "2"], "{uids:?}");
    rig.end();
    assert_eq!(current(), None);
}

/// The consumer may be waiting for just that flush.
#[test]
fn a_flush_frees_a_consumer_of_chapters_that_blocks() {
    init();
    let (tell_begin, begun) = mpsc::channel();
    let (tell_blocked, blocked) = mpsc::channel();
    let (free, flushed) = mpsc::channel::<()>();
    let flushed = Mutex::new(flushed);
    let consumer = gst::Pad::builder(gst::PadDirection::Sink)
        .chain_function(move |_, _, _| {
            tell_blocked.send(()).unwrap();
            match flushed.lock().unwrap().recv_timeout(WATCHDOG) {
                Ok(()) => Err(gst::FlowError::Flushing),
                Err(_) => Ok(gst::FlowSuccess::Ok),
            }
        })
        .event_function(move |_, _, event| {
            match event.type_() {
                gst::EventType::StreamStart => tell_begin.send(()).unwrap(),
                gst::EventType::FlushStart => free.send(()).unwrap(),
                _ => {}
            }
            true
        })
        .build();
    consumer.set_active(true).unwrap();
    let mut rig = Rig::new("");
    let chapters = rig.element.request_pad_simple("chapters").unwrap();
    chapters.link(&consumer).unwrap();
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    blocked.recv_timeout(WATCHDOG).expect("a chapter is opened");
    begun.recv_timeout(WATCHDOG).unwrap();
    rig.flush();
    begun.recv_timeout(WATCHDOG).expect("the stream begins anew while the consumer could still be waiting");
    let _ = consumer.set_active(false);
}

#[test]
fn a_reset_closes_the_open_chapter_and_forgets_the_screen() {
    let slide = slide();
    let caps = slide.caps().unwrap().to_owned();
    let mut rig = Rig::new("");
    rig.video.set_src_caps(caps);
    rig.text.push_event(gst::event::Eos::new());
    let show = |rig: &mut Rig, seconds: std::ops::Range<u64>| {
        for second in seconds.clone() {
            let mut buffer = slide.buffer_owned().unwrap();
            buffer.make_mut().set_pts(gst::ClockTime::from_seconds(second));
            rig.video.push(buffer).unwrap();
        }
        until("it is looked at", || rig.stat("frames-looked-at") == seconds.end);
    };
    show(&mut rig, 0..5);
    rig.element.emit_by_name::<()>("reset-context", &[]);
    let first = rig.wait("gist-chapter", Some("closed"));
    assert_eq!(first.get("reason"), Ok("manual"));
    assert!(!first.has_field("partial"), "it was written before its words were forgotten: {first:?}");
    show(&mut rig, 5..10);
    rig.end();
    let second = &rig.closed()[1];
    assert_eq!((second["running-time"].as_u64(), second["reason"].as_str()), (Some(4 * S), Some("eos")));
    assert_eq!(second["points"].as_array().map(Vec::len), Some(1), "the slide is new once more: {second:#?}");
    assert_eq!(rig.stat("errors"), 0);
}

/// A picture with text on it.
fn slide() -> gst::Sample {
    init();
    let file = concat!(env!("CARGO_MANIFEST_DIR"), "/../../crates/gist-screen/tests/data/chinese.png");
    let line = format!(
        "filesrc location={file} ! pngdec ! videoconvert ! video/x-raw,format=GRAY8 ! appsink name=out sync=false"
    );
    let pipeline = launch(&line);
    pipeline.set_state(gst::State::Playing).unwrap();
    let out = pipeline.by_name("out").unwrap();
    let sample = out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&(WATCHDOG.as_nanos() as u64)]);
    pipeline.set_state(gst::State::Null).unwrap();
    sample.unwrap()
}

/// A table of contents shows a chapter from its opening on.
#[test]
fn a_chapter_that_opens_after_a_seek_knows_where_it_is() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    rig.wait("gist-chapter", Some("opened"));
    rig.flush();
    let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
    segment.set_start(gst::ClockTime::from_seconds(60));
    segment.set_time(gst::ClockTime::from_seconds(60));
    rig.video.push_event(gst::event::Segment::new(&segment));
    rig.frame(59 * S).unwrap();
    rig.frame(60 * S).unwrap();
    let opened = rig.wait("gist-chapter", Some("opened"));
    assert_eq!((opened.get("running-time"), opened.get("start")), (Ok(0u64), Ok(60.0)));
    rig.end();
    assert_eq!(rig.closed()[0]["coverage"]["frames"], 1, "what lies before the target is not looked at");
}
