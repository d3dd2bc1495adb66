//! An hour of a picture that stands still, with a real speech model listening: no chapter is invented. Named `long_`: an
//! hour of sound takes a minute and more to be listened to.

use std::path::Path;

use gst::prelude::*;

/// A minute of a melody over a chord as raw samples, 16 kHz mono.
fn melody(file: &Path) {
    const NOTES: [f32; 8] = [262.0, 330.0, 392.0, 523.0, 440.0, 392.0, 349.0, 294.0];
    let sample = |i: usize| {
        let t = i as f32 / 16_000.0;
        let note = NOTES[(t * 2.0) as usize % NOTES.len()];
        let decay = (-3.0 * (t * 2.0).fract()).exp();
        let wave = |frequency: f32| (std::f32::consts::TAU * frequency * t).sin();
        let tone = decay * (wave(note) + 0.5 * wave(2.0 * note) + 0.25 * wave(3.0 * note));
        let chord = wave(131.0) + wave(165.0) + wave(196.0);
        ((0.2 * tone + 0.05 * chord) * 32_000.0) as i16
    };
    let bytes: Vec<u8> = (0..960_000).flat_map(|i| sample(i).to_le_bytes()).collect();
    std::fs::write(file, bytes).unwrap();
}

/// The closed chapters of an hour of one picture with this sound: type, start, end, title and error.
fn chapters(sound: &str) -> Vec<(f64, f64, String, Option<String>)> {
    super::init();
    let pipeline = gst::parse::launch(&format!(
        "videotestsrc pattern=smpte num-buffers=3600 ! video/x-raw,width=320,height=240,framerate=1/1 ! \
         gistsummarizer name=g backend=mock model=steps=0 ! fakesink sync=false async=false \
         {sound} ! audio/x-raw,format=S16LE,rate=16000,channels=1 ! \
         gisttranscriber model=whisper-tiny.en ! queue ! g.text_0"
    ))
    .unwrap()
    .downcast::<gst::Pipeline>()
    .unwrap();
    pipeline.set_state(gst::State::Playing).unwrap();
    let mut closed = Vec::new();
    for message in pipeline.bus().unwrap().iter_timed(gst::ClockTime::from_seconds(1800)) {
        match message.view() {
            gst::MessageView::Eos(_) => break,
            gst::MessageView::Error(error) => panic!("{error:?}"),
            _ => {}
        }
        let Some(event) = message.structure().filter(|s| s.name() == "gist-chapter") else { continue };
        if event.get::<&str>("type") == Ok("closed") {
            let text = |field: &str| event.get::<String>(field).ok();
            let seconds = |field: &str| event.get::<f64>(field).unwrap();
            closed.push((seconds("start"), seconds("end"), text("title").unwrap_or_default(), text("error")));
        }
    }
    pipeline.set_state(gst::State::Null).unwrap();
    closed
}

fn nothing_happened(sound: &str) {
    let closed = chapters(sound);
    assert_eq!(closed.len(), 1, "{closed:?}");
    let (start, end, title, error) = &closed[0];
    assert!(*start < 1.0 && *end > 3590.0 && title.is_empty(), "{closed:?}");
    assert_eq!(error.as_deref(), Some("nothing was said or shown"));
}

#[test]
fn long_an_hour_of_silence_is_one_chapter_in_which_nothing_happened() {
    nothing_happened("audiotestsrc wave=silence samplesperbuffer=16000 num-buffers=3600");
}

#[test]
fn long_an_hour_of_noise_is_one_chapter_in_which_nothing_happened() {
    nothing_happened("audiotestsrc wave=pink-noise volume=0.3 samplesperbuffer=16000 num-buffers=3600");
}

#[test]
fn long_an_hour_of_music_is_one_chapter_in_which_nothing_happened() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("melody.raw");
    melody(&file);
    nothing_happened(&format!(
        "multifilesrc location={} loop=true num-buffers=60 ! \
         rawaudioparse format=pcm pcm-format=s16le sample-rate=16000 num-channels=1",
        file.display()
    ));
}
