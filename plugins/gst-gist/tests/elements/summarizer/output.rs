use super::*;

#[test]
fn the_last_chapter_comes_before_the_end() {
    let mut rig = Rig::new("");
    rig.frame(0).unwrap();
    rig.say(S, 3 * S, "blocks are fetched in parallel");
    rig.frame(4 * S).unwrap();
    rig.end();
    let names = std::iter::from_fn(|| rig.video.try_pull_event()).map(|event| {
        event
            .structure()
            .filter(|s| s.name() == "gist/chapter")
            .map_or_else(|| format!("{:?}", event.type_()), |s| s.get::<String>("type").unwrap())
    });
    let names: Vec<_> = names.collect();
    let at =
        |name: &str| names.iter().position(|n| n == name).unwrap_or_else(|| panic!("no {name} in {names:?}"));
    assert!(at("opened") < at("closed") && at("closed") < at("Eos"), "{names:?}");
    assert!(names.contains(&"Toc".to_owned()));

    let closed = rig.wait("gist-chapter", Some("closed"));
    assert!(closed.get::<&str>("title").unwrap().contains("Blocks are fetched"));
    assert_eq!(closed.get::<&str>("reason"), Ok("eos"));
    assert_eq!(closed.get::<u64>("running-time"), Ok(0));
    assert_eq!(closed.get::<&str>("schema"), Ok("gist-chapters-v1"));
    let points = closed.get::<gst::Array>("points").unwrap();
    let point = points.first().unwrap().get::<gst::Structure>().unwrap();
    assert_eq!((point.get::<f64>("start"), point.get::<f64>("end")), (Ok(1.0), Ok(3.0)));
    assert!(rig.wait("gist-digest", None).get::<bool>("final").unwrap());
}

#[test]
fn text_that_comes_late_still_belongs_to_its_chapter() {
    // A file: the video is far ahead of its transcript. A harness says that it is live: pictures would wait 20 s at most.
    let mut rig = Rig::with("", |element| element.set_property("text-latency", 60 * S));
    for i in 0..40 {
        rig.frame(i * S).unwrap();
    }
    rig.say(2 * S, 5 * S, "first words");
    rig.say(35 * S, 38 * S, "last words");
    rig.end();
    let closed = rig.closed();
    assert_eq!(closed.len(), 1);
    assert_eq!(closed[0]["coverage"]["text-lines"], 2);
    assert_eq!(rig.stat("text-late"), 0);
}

/// A harness says that it is live: somebody waits for the text.
#[test]
fn live_a_text_is_begun_before_its_chapter_is_decided_to_have_ended() {
    let topics = [
        [
            "Okay, so let's talk about baking bread with sourdough.",
            "The flour and the water make a dough with gluten.",
            "A warm oven gives the loaf its brown crust.",
            "Sourdough yeast ferments the flour over night.",
        ],
        [
            "Now let's move on to the next topic: sailing ships.",
            "The mast carries the sails and the rigging.",
            "A keel keeps the hull upright in strong wind.",
            "Sailors trim the sails when the wind turns.",
        ],
    ];
    let mut rig = Rig::new("steps=3");
    let mut begun = None;
    for i in 0..72 {
        let at = 5 * i as u64 * S;
        rig.frame(at).unwrap();
        rig.say(at, at + 4 * S, topics[i / 36][i % 4]);
        until("what was said before is known", || rig.stat("watermark") + 5 * S >= at);
        if begun.is_none() && rig.stat("busy-chapter") > 0 {
            let messages = std::iter::from_fn(|| rig.bus.pop());
            let of_chapters = messages.filter(|m| m.structure().is_some_and(|s| s.name() == "gist-chapter"));
            begun = Some(of_chapters.count());
        }
    }
    rig.end();
    assert_eq!(begun, Some(1), "that the first chapter is open is all that was told of by then");
    let titles: Vec<_> = rig.closed().iter().map(|chapter| chapter["title"].clone()).collect();
    assert_eq!(titles.len(), 2, "{titles:?}");
}

#[test]
fn settings_change_while_playing() {
    let mut rig = Rig::new("");
    rig.frame(0).unwrap();
    rig.element.set_property("prompt", "请用中文写");
    rig.element.set_property("fps", gst::Fraction::new(1, 4));
    for i in 1..=8 {
        rig.frame(i * S).unwrap();
    }
    rig.say(S, 2 * S, "some words");
    rig.end();
    assert!(rig.stat("frames-sampled") <= 4);
    let closed = rig.closed();
    assert_eq!(
        (closed[0]["prompt-revision"].as_u64(), closed[0]["language"].as_str()),
        (Some(1), Some("Chinese"))
    );
}

#[test]
fn a_broken_model_stops_itself_and_not_the_video() {
    let mut rig = Rig::new("panic-at=1");
    rig.say(0, S, "boom");
    rig.text.push_event(gst::event::Eos::new());
    let mut flow = rig.frame(0);
    let error = loop {
        let message = rig.bus.timed_pop(clock_time(WATCHDOG)).expect("an error");
        if let gst::MessageView::Error(error) = message.view() {
            break error.error().to_string();
        }
    };
    assert!(error.contains("bug"), "{error}");
    assert_eq!(rig.element.property::<String>("model-state"), "failed");
    for i in 1..20 {
        flow = rig.frame(i * S).and(flow);
    }
    flow.expect("video goes on");
    rig.end();
}

#[test]
fn a_wrong_model_name_is_said_before_anything_starts() {
    init();
    let element =
        gst::ElementFactory::make("gistsummarizer").property("model", "qwen2.5-coder-15b").build().unwrap();
    let bus = gst::Bus::new();
    element.set_bus(Some(&bus));
    assert!(element.set_state(gst::State::Ready).is_err());
    let message = bus.pop_filtered(&[gst::MessageType::Error]).unwrap();
    let gst::MessageView::Error(error) = message.view() else { unreachable!() };
    let text = error.error().to_string();
    assert!(text.contains("qwen2.5-coder-1.5b") && text.contains("streamgist model list"), "{text}");
}

/// Without video the text alone drives position and end, and chapters come as JSON lines.
#[test]
fn speech_alone_is_enough() {
    init();
    let lines = pull_lines("application/x-json", "caption");
    let events: Vec<serde_json::Value> =
        lines.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = events.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["opened", "closed", "digest"]);
    assert_eq!(events[1]["end"].as_f64(), Some(7.0));
    assert!(lines.iter().all(|line| line.ends_with('\n') && line.matches('\n').count() == 1));
}

#[test]
fn who_wants_text_gets_titles() {
    init();
    let lines = pull_lines("text/x-raw", "caption");
    assert_eq!(lines.len(), 1);
    assert!(lines[0].starts_with("0:00 ") && lines[0].contains("Caption"), "{lines:?}");
}

fn pull_lines(caps: &str, words: &str) -> Vec<String> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("talk.srt");
    std::fs::write(&file, format!("1\n00:00:01,000 --> 00:00:03,000\n{words} one\n\n2\n00:00:05,000 --> 00:00:07,000\nand {words} two\n")).unwrap();
    let line = format!(
        "filesrc location={} ! subparse ! gistsummarizer name=g backend=mock  g.chapters ! {caps} ! appsink name=out sync=false",
        file.display()
    );
    let pipeline = launch(&line);
    let out = pipeline.by_name("out").unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut lines = Vec::new();
    while let Some(sample) =
        out.emit_by_name::<Option<gst::Sample>>("try-pull-sample", &[&(WATCHDOG.as_nanos() as u64)])
    {
        let map = sample.buffer().unwrap().map_readable().unwrap();
        lines.push(String::from_utf8(map.to_vec()).unwrap());
    }
    assert!(out.property::<bool>("eos"), "the end comes through");
    pipeline.set_state(gst::State::Null).unwrap();
    lines
}
