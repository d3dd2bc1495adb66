//! The end of a stream, in time and forced, and what comes after it.

use super::*;

/// `eos-timeout` runs out while most of the text was not even read.
#[test]
fn what_there_was_no_time_for_is_counted_and_comes_before_the_end() {
    for ended in [true, false] {
        let mut rig = Rig::with("delay-ms=300", |element| element.set_property("eos-timeout", 0u64));
        rig.frame(0).unwrap();
        for i in 0..20 {
            rig.say(i * S / 4, i * S / 4 + S / 5, "a line that takes its time");
        }
        rig.frame(5 * S).unwrap();
        if ended {
            rig.text.push_event(gst::event::Eos::new());
        }
        rig.video.push_event(gst::event::Eos::new());
        let mut events = Vec::new();
        while let Some(event) = rig.video.try_pull_event() {
            match event.structure().filter(|s| s.name().starts_with("gist/")) {
                Some(structure) => events.push(structure.get::<String>("type").unwrap()),
                None if event.type_() == gst::EventType::Eos => events.push("EOS".into()),
                None => {}
            }
        }
        assert_eq!(events, ["opened", "closed", "digest", "EOS"], "text ended: {ended}");
        let closed = &rig.closed()[0];
        assert_eq!((closed["partial"].as_bool(), closed["reason"].as_str()), (Some(true), Some("eos")));
        assert!(closed["error"].as_str().unwrap().contains("eos-timeout"));
        assert_eq!(closed["coverage"]["text-lines"], 20);
        assert_eq!(closed["end-running-time"], 5 * S);
        // What comes after the end is no chapter.
        if !ended {
            rig.say(6 * S, 7 * S, "too late");
        }
        rig.element.emit_by_name::<()>("split-now", &[&None::<String>]);
        rig.text.push_event(gst::event::Eos::new());
        assert_eq!(rig.stat("chapters"), 1);
        assert!(rig.element.property::<Option<gst::Structure>>("current-chapter").is_none());
    }
}

/// Gapless playback: the pads get another stream after their end.
#[test]
fn the_next_film_has_its_chapters_too() {
    let mut rig = Rig::with("", |element| element.set_property("eos-timeout", WATCHDOG.as_nanos() as u64));
    let mut chapters = rig.chapters();
    for film in 0..2 {
        let mut segment = gst::FormattedSegment::<gst::ClockTime>::new();
        segment.set_base(gst::ClockTime::from_seconds(4 * film));
        for harness in [&mut rig.video, &mut rig.text] {
            harness.push_event(gst::event::StreamStart::new(&format!("film {film}")));
            harness.push_event(gst::event::Segment::new(&segment));
        }
        rig.frame(0).unwrap();
        rig.frame(S).unwrap();
        rig.say(S, 2 * S, ["first words", "second words"][film as usize]);
        rig.end();
        assert_eq!(
            (rig.stat("chapters"), rig.stat("digests")),
            (film + 1, film + 1),
            "before the end came through"
        );
        let lines: Vec<_> = (0..3).map(|_| chapters.pull().unwrap()).collect();
        assert!(lines.iter().all(|line| line.size() > 0), "opened, closed, digest");
        until("the end of the chapters", || {
            std::iter::from_fn(|| chapters.try_pull_event()).any(|event| event.type_() == gst::EventType::Eos)
        });
    }
    let closed = rig.closed();
    let titles: Vec<_> = closed.iter().map(|chapter| chapter["title"].as_str().unwrap()).collect();
    assert!(titles[0].contains("First") && titles[1].contains("Second"), "{titles:?}");
    assert_eq!((closed[1]["running-time"].as_u64(), closed[1]["start"].as_f64()), (Some(4 * S), Some(0.0)));
    assert_eq!(closed[1].get("partial"), None);
}
