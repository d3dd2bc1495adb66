//! Flushing seeks in real files.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::*;

/// Four seconds of video with key frames and a line at each half second, and the lines alone: as Matroska, since
/// `subparse` has been seen to answer a seek with the segment of before.
fn talk(folder: &Path) -> (PathBuf, PathBuf) {
    init();
    let (video, captions, lines) =
        (folder.join("talk.mkv"), folder.join("lines.mkv"), folder.join("lines.srt"));
    let line = |i| format!("{}\n00:00:0{i},500 --> 00:00:0{i},900\nthe line of second {i}\n\n", i + 1);
    std::fs::write(&lines, (0..4).map(line).collect::<String>()).unwrap();
    let pipeline = launch(&format!(
        "videotestsrc num-buffers=100 ! video/x-raw,width=64,height=48,framerate=25/1 ! vp8enc keyframe-max-dist=25 \
         deadline=1 ! matroskamux name=m ! filesink location={}  filesrc location={} ! subparse ! tee name=t \
         t. ! queue ! m.subtitle_0  t. ! queue ! n.subtitle_0 matroskamux name=n ! filesink location={}",
        video.display(),
        lines.display(),
        captions.display(),
    ));
    pipeline.set_state(gst::State::Playing).unwrap();
    plays_to_its_end(&pipeline);
    pipeline.set_state(gst::State::Null).unwrap();
    (video, captions)
}

/// Seeks to second 2 in this state; the chapter is about the rest, and all of it.
fn goes_on_at_second_2(pipeline: &gst::Pipeline, state: gst::State) {
    let element = pipeline.by_name("g").unwrap();
    reaches(pipeline, gst::State::Paused);
    let flushes = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&flushes);
    let kind = gst::PadProbeType::EVENT_DOWNSTREAM | gst::PadProbeType::EVENT_FLUSH;
    element.static_pad("text_0").unwrap().add_probe(kind, move |_, info| {
        let flush = info.event().is_some_and(|event| event.type_() == gst::EventType::FlushStop);
        count.fetch_add(usize::from(flush), Ordering::Relaxed);
        gst::PadProbeReturn::Ok
    });
    reaches(pipeline, state);
    let seek = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let sought = pipeline.clone();
    let done = watched("the seek", move || sought.seek_simple(seek, gst::ClockTime::from_seconds(2)));
    done.expect("files can be sought");
    reaches(pipeline, gst::State::Playing);
    plays_to_its_end(pipeline);
    let closed = closed(&element);
    assert_eq!(closed.len(), 1, "{closed:#?}");
    assert_eq!((closed[0]["reason"].as_str(), closed[0].get("partial")), (Some("eos"), None));
    assert_eq!(closed[0]["coverage"]["text-lines"], 2, "{closed:#?}");
    assert_eq!((closed[0]["start"].as_f64(), closed[0]["running-time"].as_u64()), (Some(2.0), Some(0)));
    assert_eq!(flushes.load(Ordering::Relaxed), 1, "the text was sought once");
    pipeline.set_state(gst::State::Null).unwrap();
}

#[test]
fn captions_of_another_file_go_along() {
    let folder = tempfile::tempdir().unwrap();
    let (video, captions) = talk(folder.path());
    for state in [gst::State::Paused, gst::State::Playing] {
        let line = format!(
            "filesrc location={} ! decodebin ! gistsummarizer name=g backend=mock ! fakesink sync=true \
             filesrc location={} ! matroskademux ! g.text_0  g.chapters ! application/x-json ! fakesink",
            video.display(),
            captions.display(),
        );
        goes_on_at_second_2(&launch(&line), state);
    }
}

#[test]
fn captions_of_the_same_demuxer_are_sought_once() {
    let folder = tempfile::tempdir().unwrap();
    let (video, _) = talk(folder.path());
    for state in [gst::State::Paused, gst::State::Playing] {
        let line = format!(
            "filesrc location={} ! matroskademux name=d  d.video_0 ! queue ! vp8dec ! gistsummarizer name=g backend=mock \
             ! fakesink sync=true  d.subtitle_0 ! queue ! g.text_0",
            video.display(),
        );
        goes_on_at_second_2(&launch(&line), state);
    }
}

#[test]
fn speech_alone_is_sought_by_who_reads_the_chapters() {
    let folder = tempfile::tempdir().unwrap();
    let (_, captions) = talk(folder.path());
    let line = format!(
        "filesrc location={} ! matroskademux ! g.text_0 gistsummarizer name=g backend=mock \
         g.chapters ! application/x-json ! fakesink sync=true",
        captions.display(),
    );
    let pipeline = launch(&line);
    reaches(&pipeline, gst::State::Paused);
    let seek = gst::SeekFlags::FLUSH | gst::SeekFlags::ACCURATE;
    let element = pipeline.by_name("g").unwrap();
    until("the words are read", || {
        element.property::<gst::Structure>("stats").get::<u64>("text-lines").unwrap() == 4
    });
    pipeline.seek_simple(seek, gst::ClockTime::from_seconds(2)).unwrap();
    reaches(&pipeline, gst::State::Playing);
    plays_to_its_end(&pipeline);
    let closed = closed(&element);
    let last = closed.last().unwrap();
    assert_eq!((last["coverage"]["text-lines"].as_u64(), last["start"].as_f64()), (Some(2), Some(2.0)));
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A paused pipeline is where it was sent when every sink has something of the new place, the one of chapters, too.
#[test]
fn a_seek_in_pause_comes_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    let (video, _) = talk(folder.path());
    let pipeline = launch(&format!(
        "filesrc location={} ! matroskademux name=d  d.video_0 ! vp8dec ! gistsummarizer name=g backend=mock ! fakesink \
         g.chapters ! application/x-json ! fakesink",
        video.display(),
    ));
    reaches(&pipeline, gst::State::Paused);
    pipeline.seek_simple(gst::SeekFlags::FLUSH, gst::ClockTime::from_seconds(2)).unwrap();
    reaches(&pipeline, gst::State::Paused);
    pipeline.set_state(gst::State::Null).unwrap();
}

/// A pipeline sends a seek to each of its sinks; whoever brings text may not know it for the same.
#[test]
fn a_seek_that_comes_twice_is_passed_on_once() {
    let mut rig = Rig::new("");
    let mut chapters = rig.chapters();
    let start = (gst::SeekType::Set, gst::ClockTime::SECOND);
    let stop = (gst::SeekType::None, gst::ClockTime::NONE);
    let seek = || gst::event::Seek::new(1.0, gst::SeekFlags::FLUSH, start.0, start.1, stop.0, stop.1);
    let mut arrived = |seeks: [gst::Event; 2]| {
        let [first, second] = seeks;
        chapters.push_upstream_event(first);
        rig.video.push_upstream_event(second);
        [&mut rig.video, &mut rig.text].map(|harness| {
            let events = std::iter::from_fn(|| harness.try_pull_upstream_event());
            events.filter(|event| event.type_() == gst::EventType::Seek).count()
        })
    };
    let once = seek();
    assert_eq!(arrived([once.clone(), once]), [1, 1]);
    assert_eq!(arrived([seek(), seek()]), [2, 2]);
}
