//! Pads that come and go, and elements that do.

use super::*;

/// The element with a `chapters` pad and its consumer.
fn with_chapters(source: &str, rest: &str) -> (gst::Pipeline, gst::Element) {
    init();
    let line = format!(
        "{source} ! video/x-raw,width=64,height=48 ! gistsummarizer name=g backend=mock ! fakesink sync=true {rest}"
    );
    let pipeline = launch(&line);
    let element = pipeline.by_name("g").unwrap();
    (pipeline, element)
}

fn release(element: &gst::Element, pad: &str) {
    let (element, pad) = (element.clone(), element.static_pad(pad).unwrap());
    watched("the release of a pad", move || element.release_request_pad(&pad));
}

#[test]
fn a_chapters_pad_may_go_and_come_again_while_it_plays() {
    for state in [gst::State::Paused, gst::State::Playing] {
        let (pipeline, element) =
            with_chapters("videotestsrc", "g.chapters ! application/x-json ! fakesink name=old async=false");
        reaches(&pipeline, state);
        release(&element, "chapters");
        assert!(element.static_pad("chapters").is_none());
        let mut chapters = Harness::with_element(&element, None, Some("chapters"));
        chapters.set_sink_caps_str("application/x-json");
        reaches(&pipeline, gst::State::Playing);
        until("the new pad tells of the open chapter's end", || {
            element.emit_by_name::<()>("split-now", &[&None::<String>]);
            chapters.try_pull().is_some()
        });
        release(&element, "chapters");
        drop(chapters);
        pipeline.set_state(gst::State::Null).unwrap();
    }
}

/// Nobody else has to be there to free a thread that is with a paused sink.
#[test]
fn a_consumer_that_is_paused_does_not_hold_the_pad() {
    let (pipeline, element) = with_chapters("videotestsrc", "g.chapters ! application/x-json ! fakesink");
    reaches(&pipeline, gst::State::Paused);
    release(&element, "chapters");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_chapters_pad_may_stay_unlinked_and_be_linked_late() {
    let mut rig = Rig::new("");
    let pad = rig.element.request_pad_simple("chapters").unwrap();
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    rig.wait("gist-chapter", Some("opened"));
    let mut chapters = rig.chapters();
    assert!(pad.is_linked());
    chapters.set_sink_caps_str("text/x-raw,format=utf8");
    rig.element.emit_by_name::<()>("split-now", &[&Some("Now for titles")]);
    let line = chapters.pull().unwrap().map_readable().unwrap().to_vec();
    assert_eq!(String::from_utf8(line).unwrap(), "0:00 Now for titles", "who wants text gets text");
    rig.end();
    assert_eq!(rig.closed().len(), 2);
}

/// The thread of a text pad may be waiting for the last chapter of a model that is busy.
#[test]
fn a_text_pad_may_go_while_its_thread_waits() {
    init();
    let element = gst::ElementFactory::make("gistsummarizer")
        .property_from_str("backend", "mock")
        .property("model", "steps=1000000000")
        .build()
        .unwrap();
    let mut text = Harness::with_element(&element, Some("text_0"), None);
    text.set_src_caps_str("text/x-raw,format=utf8");
    text.play();
    let mut buffer = gst::Buffer::from_slice(*b"some words");
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::ZERO);
    text.push(buffer).unwrap();
    let end = std::thread::spawn(move || text.push_event(gst::event::Eos::new()));
    until("the worker writes", || {
        let stats = element.property::<gst::Structure>("stats");
        stats.get::<u64>("busy").unwrap() > 0 && stats.get::<u64>("tokens-appended").unwrap() > 0
    });
    release(&element, "text_0");
    watched("the end comes back", move || end.join().is_ok());
    element.set_state(gst::State::Null).unwrap();
}

/// Who is gone is not waited for, whether it was released or only unlinked.
#[test]
fn text_that_is_gone_holds_nobody_up() {
    for released in [true, false] {
        let mut rig =
            Rig::with("", |element| element.set_property("eos-timeout", WATCHDOG.as_nanos() as u64));
        rig.frame(0).unwrap();
        rig.say(0, S, "one line of words");
        let pad = rig.element.static_pad("text_0").unwrap();
        if released {
            release(&rig.element, "text_0");
        } else {
            pad.peer().unwrap().unlink(&pad).unwrap();
        }
        rig.frame(2 * S).unwrap();
        rig.video.push_event(gst::event::Eos::new());
        let closed = rig.closed();
        assert_eq!((closed.len(), closed[0].get("partial")), (1, None), "{closed:#?}");
        assert_eq!(closed[0]["coverage"]["text-lines"], 1);
    }
}

/// A decoder links the video when it has found out what it is; by then captions have been read to their end.
#[test]
fn captions_wait_for_video_that_is_linked_late() {
    init();
    let element =
        gst::ElementFactory::make("gistsummarizer").property_from_str("backend", "mock").build().unwrap();
    let _src = Harness::with_element(&element, None, Some("src"));
    let mut text = Harness::with_element(&element, Some("text_0"), None);
    text.set_src_caps_str("text/x-raw,format=utf8");
    text.play();
    let mut buffer = gst::Buffer::from_slice(*b"some words");
    buffer.get_mut().unwrap().set_pts(gst::ClockTime::SECOND);
    text.push(buffer).unwrap();
    text.push_event(gst::event::Eos::new());
    let mut video = Harness::with_element(&element, Some("sink"), None);
    video.set_src_caps_str(CAPS);
    for second in 0..3 {
        video.push(picture(Some(second * S))).unwrap();
    }
    video.push_event(gst::event::Eos::new());
    let closed = closed(&element);
    assert_eq!(closed.len(), 1, "{closed:#?}");
    let coverage = &closed[0]["coverage"];
    assert_eq!((coverage["text-lines"].as_u64(), coverage["frames"].as_u64()), (Some(1), Some(3)));
    element.set_state(gst::State::Null).unwrap();
}

/// A decoder that is taken down may flush and never say that it is over.
#[test]
fn a_flush_ends_when_its_pad_is_unlinked() {
    let mut rig = Rig::with("", |element| element.set_property("eos-timeout", WATCHDOG.as_nanos() as u64));
    rig.frame(0).unwrap();
    rig.video.push_event(gst::event::FlushStart::new());
    let pad = rig.element.static_pad("sink").unwrap();
    let peer = pad.peer().unwrap();
    peer.unlink(&pad).unwrap();
    rig.say(S, 2 * S, "words that stand alone");
    rig.text.push_event(gst::event::Eos::new());
    let closed = rig.closed();
    assert_eq!((closed.len(), closed[0]["coverage"]["text-lines"].as_u64()), (1, Some(1)), "{closed:#?}");
    assert_eq!(closed[0].get("partial"), None);
}

/// The one that loads says how far it is; the other one waits for it and takes what it has loaded.
#[test]
fn two_elements_load_one_model() {
    init();
    let model = "qwen2.5-coder-0.5b";
    let branch = |name: &str| {
        format!(
            "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! gistsummarizer name={name} model={model} \
             context-length=2048 memory-length=512 ! fakesink sync=false "
        )
    };
    let pipeline = launch(&(branch("a") + &branch("b")));
    pipeline.set_state(gst::State::Playing).unwrap();
    let bus = pipeline.bus().unwrap();
    let mut loaders = std::collections::BTreeSet::new();
    let mut ready = 0;
    while ready < 2 {
        let types = [gst::MessageType::Progress, gst::MessageType::Error];
        let message = bus.timed_pop_filtered(clock_time(WATCHDOG), &types).expect("models load");
        let gst::MessageView::Progress(progress) = message.view() else { panic!("{message:?}") };
        let source = message.src().unwrap().name().to_string();
        match progress.get().0 {
            gst::ProgressType::Continue => _ = loaders.insert(source),
            gst::ProgressType::Complete => ready += 1,
            _ => {}
        }
    }
    assert_eq!(loaders.len(), 1, "{loaders:?}");
    plays_to_its_end(&pipeline);
    for name in ["a", "b"] {
        assert_eq!(pipeline.by_name(name).unwrap().property::<String>("model-state"), "ready");
    }
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn a_hundred_cycles_leave_nothing_behind() {
    init();
    let folder = tempfile::tempdir().unwrap();
    let captions = folder.path().join("talk.srt");
    std::fs::write(&captions, "1\n00:00:00,000 --> 00:00:01,000\nblocks are fetched in parallel\n").unwrap();
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=2 ! video/x-raw,width=64,height=48 ! gistsummarizer name=g backend=mock ! fakesink \
         filesrc location={} ! subparse ! g.text_0  g.chapters ! application/x-json ! fakesink",
        captions.display(),
    ));
    let weak =
        [pipeline.upcast_ref::<gst::Element>().downgrade(), pipeline.by_name("g").unwrap().downgrade()];
    let bus = pipeline.bus().unwrap();
    for _ in 0..100 {
        reaches(&pipeline, gst::State::Playing);
        pipeline.set_state(gst::State::Null).unwrap();
        assert!(bus.pop_filtered(&[gst::MessageType::Error]).is_none());
    }
    drop(bus);
    drop(pipeline);
    // The last worker may hold its element for the blink of an eye.
    until("they are gone", || weak.iter().all(|weak| weak.upgrade().is_none()));
}
