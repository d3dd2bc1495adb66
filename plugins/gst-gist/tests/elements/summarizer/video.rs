use super::*;

#[test]
fn video_passes_untouched_while_the_model_is_stuck() {
    let mut rig = Rig::with("delay-ms=600000", |element| {
        element.set_property_from_str("overload-policy", "drop-oldest");
        element.set_property("eos-timeout", 0u64);
    });
    rig.say(0, S, "the model will think about this for ten minutes");
    for i in 0..100 {
        let buffer = picture(Some(i * S));
        let address = buffer.as_ptr();
        rig.video.push(buffer).unwrap();
        let out = rig.video.pull().unwrap();
        assert_eq!(out.as_ptr(), address, "the very same buffer");
    }
    assert!(rig.stat("frames-dropped") > 0);
    assert!(rig.stat("frames-looked-at") == 0, "the worker has not moved");
    let overload = rig.wait("gist-overload", None);
    assert!(overload.get::<u64>("dropped").unwrap() > 0);
}

#[test]
fn sampling_goes_by_running_time_even_without_a_frame_rate() {
    let mut rig = Rig::new("");
    for i in 0..50 {
        rig.frame(i * S / 5).unwrap();
    }
    assert_eq!((rig.stat("frames-in"), rig.stat("frames-sampled")), (50, 10));
}

#[test]
fn another_shape_of_picture_ends_the_chapter_another_size_does_not() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    rig.frame(0).unwrap();
    for (caps, size, at) in [
        ("video/x-raw,format=GRAY8,width=128,height=96,framerate=25/1", 128 * 96, 1),
        ("video/x-raw,format=GRAY8,width=48,height=64,framerate=25/1", 48 * 64, 2),
    ] {
        rig.video.push_event(gst::event::Caps::new(&caps.parse().unwrap()));
        let mut buffer = gst::Buffer::from_mut_slice(vec![0; size]);
        buffer.get_mut().unwrap().set_pts(gst::ClockTime::from_seconds(at));
        rig.video.push(buffer).unwrap();
    }
    rig.end();
    let reasons: Vec<_> = rig.closed().iter().map(|c| c["reason"].as_str().unwrap().to_owned()).collect();
    assert_eq!(reasons, ["caps", "eos"]);
}

#[test]
fn a_restart_of_the_timestamps_goes_on_in_order() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    for at in [100, 101, 102, 0, 1, 2] {
        rig.frame(at * S).unwrap();
    }
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed.len(), 2, "{closed:#?}");
    assert_eq!(closed[0]["reason"], "gap");
    assert!(closed[1]["running-time"].as_u64() >= closed[0]["end-running-time"].as_u64());
    assert_eq!(closed[1]["end-running-time"].as_u64().unwrap() / S, 104);
}

#[test]
fn a_break_too_short_to_end_the_chapter_is_told_of() {
    let mut rig = Rig::with("", |element| element.set_property("digest-interval", 20 * S));
    rig.text.push_event(gst::event::Eos::new());
    for at in (0..5).chain(8..60) {
        let mut buffer = picture(Some(at * S));
        if at == 8 {
            buffer.get_mut().unwrap().set_flags(gst::BufferFlags::DISCONT);
        }
        rig.video.push(buffer).unwrap();
    }
    let digest = rig.wait("gist-digest", None);
    let digest: serde_json::Value = serde_json::from_str(digest.get("json").unwrap()).unwrap();
    assert_eq!(digest["coverage"]["gap-ns"], 4 * S, "from the last picture to the next: {digest}");
    assert!(digest["text"].as_str().unwrap().contains("No signal: 0:04–0:08"), "{digest}");
    rig.end();
    assert_eq!(rig.closed()[0]["reason"], "eos");
}

/// A real source: negotiated caps, a frame rate, a format that needs converting, and all pads linked.
#[test]
fn pictures_of_a_real_source_are_looked_at() {
    init();
    let pipeline = launch(
        "videotestsrc num-buffers=75 pattern=black ! video/x-raw,format=NV12,width=320,height=240,framerate=25/1 \
         ! gistsummarizer name=g backend=mock ! fakesink sync=false  g.chapters ! application/x-json ! fakesink",
    );
    let element = pipeline.by_name("g").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    plays_to_its_end(&pipeline);
    assert_eq!(closed(&element)[0]["coverage"]["frames"], 3);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// Without timestamps frames follow each other: by their durations, else by the frame rate, else by the clock.
#[test]
fn frames_without_a_time_pass_and_time_goes_on() {
    for (caps, duration) in [("0/1", Some(S / 10)), ("10/1", None)] {
        let mut rig = Rig::new("");
        rig.video.set_src_caps_str(&CAPS.replace("0/1", caps));
        rig.text.push_event(gst::event::Eos::new());
        for _ in 0..50 {
            let mut buffer = picture(None);
            buffer.get_mut().unwrap().set_duration(duration.map(gst::ClockTime::from_nseconds));
            rig.video.push(buffer).unwrap();
            assert!(rig.video.pull().unwrap().pts().is_none(), "it passes as it is");
        }
        rig.end();
        assert_eq!((rig.stat("frames-no-pts"), rig.stat("frames-sampled")), (50, 5), "{caps}");
        assert_eq!(rig.closed()[0]["end-running-time"], 5 * S, "{caps}");
    }
    let mut rig = Rig::new("");
    rig.video.use_testclock();
    rig.element.set_base_time(gst::ClockTime::ZERO);
    rig.text.push_event(gst::event::Eos::new());
    for second in 10..15 {
        rig.video.set_time(gst::ClockTime::from_seconds(second)).unwrap();
        rig.video.push(picture(None)).unwrap();
    }
    assert_eq!(rig.stat("frames-sampled"), 5);
    assert_eq!(rig.stat("position"), 14 * S);
}

#[test]
fn who_writes_on_the_video_need_not_copy_it() {
    let mut rig = Rig::new("");
    rig.text.push_event(gst::event::Eos::new());
    let (tell, shared) = mpsc::channel();
    rig.element.static_pad("src").unwrap().add_probe(gst::PadProbeType::BUFFER, move |_, info| {
        let Some(gst::PadProbeData::Buffer(buffer)) = &mut info.data else { unreachable!() };
        tell.send(buffer.get_mut().is_none()).unwrap();
        gst::PadProbeReturn::Ok
    });
    for i in 0..50 {
        rig.frame(i * S / 10).unwrap();
    }
    let shared = shared.try_iter().filter(|shared| *shared).count();
    assert_eq!((shared, rig.stat("frames-sampled")), (5, 5), "only of sampled frames a reference is held");
}

#[test]
fn a_chapter_says_how_many_frames_were_dropped() {
    let mut rig = Rig::with("delay-ms=300", |element| {
        element.set_property_from_str("overload-policy", "drop-oldest");
    });
    rig.say(0, S, "the model thinks about this while the video goes on");
    for i in 0..100 {
        rig.frame(i * S).unwrap();
    }
    rig.end();
    let closed = rig.closed();
    let sum = |name| closed.iter().map(|chapter| chapter["coverage"][name].as_u64().unwrap()).sum::<u64>();
    assert!(sum("frames-dropped") > 0);
    assert_eq!(
        (sum("frames-dropped"), sum("frames")),
        (rig.stat("frames-dropped"), rig.stat("frames-looked-at"))
    );
    assert_eq!(sum("frames-dropped") + sum("frames"), rig.stat("frames-sampled"));
}
