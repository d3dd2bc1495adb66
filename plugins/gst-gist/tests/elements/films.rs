//! Films of title slides, seen pair by pair by nano-vl through a window that slides: what is read in the end is read as
//! well as at the beginning.
//!
//! How well the model reads depends above all on whether one title is in view or several, and in the first pairs of a
//! film, whose slides stand for 4 s at least, it is always one. So the late pairs are not compared with the first ones
//! but with themselves: with what a context answers to which the three pairs in view are the first ones of a stream, at
//! the stamps that the first ones have, and with one that sees them at their own stamps.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gist_core::model::{Context, ContextConfig, Request, Step, View};
use gist_core::picture::{Gate, Pair};
use gist_core::prompt;
use gist_qwen::{LoadOptions, QwenContext, QwenModel};
use gst_check::Harness;
use serde_json::json;
use slides::{Artist, Random, SIZE, Slide};

use crate::init;

const FILMS: u64 = 10;
const SECONDS: usize = 80;
const FPS: usize = 30;
/// Pairs in view.
const WINDOW: usize = 3;
/// Tokens of a pair: 60 of the picture, the stamp, two marks. Three pairs fit, and not four.
const CAPACITY: usize = 240;

/// A pair with the title that both of its frames show; `None` when the slide changes between them.
struct Shown {
    pair: Pair,
    title: Option<String>,
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/nano-vl")
}

/// The slides of a film with the frame at which each begins, 4 to 12 s apart.
fn script(artist: &Artist, random: &mut Random) -> Vec<(usize, Slide)> {
    let mut slides = Vec::new();
    let mut start = 0;
    while start < SECONDS * FPS {
        slides.push((start, artist.draw(random)));
        start += random.among(4 * FPS..=12 * FPS);
    }
    slides
}

/// Plays a film through H.264 and takes a frame a second, two of which make a pair.
fn film(artist: &Artist, seed: u64) -> Vec<Shown> {
    init();
    let mut random = Random(seed);
    let slides = script(artist, &mut random);
    // Threads of the encoder would make other pictures on other machines.
    let mut codec = Harness::new_parse(
        "videoconvert ! x264enc threads=1 speed-preset=ultrafast tune=zerolatency ! h264parse ! avdec_h264 ! videoconvert ! \
         capsfilter caps=video/x-raw,format=RGB",
    );
    let (width, height) = SIZE;
    codec
        .set_src_caps_str(&format!("video/x-raw,format=RGB,width={width},height={height},framerate={FPS}/1"));
    codec.play();
    // Frames are counted: the encoder moves their times.
    let (mut frames, mut sampled) = (0.., Vec::new());
    let mut sample = |codec: &mut Harness| {
        while let Some(buffer) = codec.try_pull() {
            let frame: usize = frames.next().unwrap();
            if frame.is_multiple_of(FPS) {
                sampled.push((frame, Arc::<[u8]>::from(buffer.map_readable().unwrap().as_slice())));
            }
        }
    };
    let mut ends = slides.iter().skip(1).map(|(start, _)| *start).chain([SECONDS * FPS]);
    for (start, slide) in &slides {
        let picture = slide.frame(&mut random);
        for frame in *start..ends.next().unwrap().min(SECONDS * FPS) {
            let mut buffer = gst::Buffer::from_slice(picture.clone());
            let edit = buffer.get_mut().unwrap();
            edit.set_pts(gst::ClockTime::from_nseconds((frame * 1_000_000_000 / FPS) as u64));
            edit.set_duration(gst::ClockTime::from_nseconds((1_000_000_000 / FPS) as u64));
            codec.push(buffer).unwrap();
            sample(&mut codec);
        }
    }
    codec.push_event(gst::event::Eos::new());
    sample(&mut codec);
    assert_eq!(frames.next(), Some(SECONDS * FPS), "every frame came through");
    let slide = |frame: usize| slides.iter().rposition(|(start, _)| *start <= frame).unwrap();
    let pair = |frames: &[(usize, Arc<[u8]>)]| {
        let [first, second] = [slide(frames[0].0), slide(frames[1].0)];
        Shown {
            pair: Pair { width, height, frames: [frames[0].1.clone(), frames[1].1.clone()] },
            title: (first == second).then(|| slides[first].1.title.clone()),
        }
    };
    sampled.chunks_exact(2).map(pair).collect()
}

/// The mean of the running-times of the frames of a pair.
fn stamp(pair: usize) -> f64 {
    2.0 * pair as f64 + 0.5
}

fn open(model: &Arc<QwenModel>) -> QwenContext {
    let config =
        ContextConfig { context_length: CAPACITY, max_pixels: SIZE.0 * SIZE.1, ..Default::default() };
    model.open_context(config).unwrap()
}

fn append(context: &mut QwenContext, shown: &Shown, stamp: f64) {
    context.append_pair("", &shown.pair, stamp, Gate::Off).unwrap();
}

/// The title that the model says was shown.
fn ask(context: &mut QwenContext, stamp: f64) -> String {
    let view = View { segments: 0..u64::MAX, memory: false };
    let prompt = prompt::title_at(stamp);
    let mut answer = context
        .generate(Request { view, prompt, schema: None, max_tokens: 60, temperature: 0.0, seed: 0 })
        .unwrap();
    loop {
        if let Step::Done { text, .. } = answer.step().unwrap() {
            return text;
        }
    }
}

/// The answer about the newest pair of a context that saw nothing but `window`, whose first pair is number `first`.
fn ask_afresh(model: &Arc<QwenModel>, window: &[Shown], first: usize) -> String {
    let mut context = open(model);
    for (i, shown) in window.iter().enumerate() {
        append(&mut context, shown, stamp(first + i));
    }
    ask(&mut context, stamp(first + window.len() - 1))
}

/// Answers; those about a pair in which the slide changes are not counted, since either title would be right.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    right: usize,
    /// Right of the same questions in a context whose window never slid, at the same stamps.
    afresh: usize,
    /// The same at the stamps of the first pairs of a film.
    early: usize,
    /// Running context and afresh in the same words.
    same: usize,
    /// Asked, and right, while only one title was in view.
    alone: [usize; 2],
}

impl Tally {
    fn points(&self, right: usize) -> f64 {
        100.0 * right as f64 / self.asked as f64
    }
}

#[test]
#[allow(clippy::print_stdout, reason = "the numbers are worth seeing")]
fn titles_are_read_as_well_when_the_window_has_slid_ten_times_over() {
    let model = QwenModel::load(&folder(), LoadOptions::default()).unwrap();
    let artist = Artist::new(&folder().join("words.txt")).unwrap();
    // Pairs that come while the first window fills, and those that come when ten windows were let go.
    let (mut first, mut late) = (Tally::default(), Tally::default());
    for seed in 0..FILMS {
        let film = film(&artist, seed);
        let mut context = open(&model);
        let (pinned, mut lengths) = (context.usage().tokens, Vec::new());
        for (i, shown) in film.iter().enumerate() {
            let before = context.usage().appended;
            append(&mut context, shown, stamp(i));
            let usage = context.usage();
            lengths.push((usage.appended - before) as usize);
            let held: usize = lengths.iter().rev().take(WINDOW).sum();
            assert_eq!(usage.tokens - pinned, held, "pair {i}: not three pairs are in view");
            let answer = ask(&mut context, stamp(i));
            let Some(title) = &shown.title else { continue };
            let truth = json!({ "title": title }).to_string();
            if i < WINDOW {
                first.asked += 1;
                first.right += usize::from(answer == truth);
            } else if i + 1 >= 11 * WINDOW {
                let window = i + 1 - WINDOW..i + 1;
                let afresh = ask_afresh(&model, &film[window.clone()], window.start);
                let early = ask_afresh(&model, &film[window.clone()], 0);
                let alone = film[window].iter().all(|shown| shown.title.as_ref() == Some(title));
                late.alone[0] += usize::from(alone);
                late.alone[1] += usize::from(alone && answer == truth);
                late.asked += 1;
                late.right += usize::from(answer == truth);
                late.afresh += usize::from(afresh == truth);
                late.early += usize::from(early == truth);
                late.same += usize::from(afresh == answer);
            }
        }
    }
    println!("first {first:?}\nlate {late:?}");
    assert!(
        first.points(first.right) > 50.0 && late.points(late.right) > 40.0,
        "the titles are not read at all"
    );
    let slid = late.points(late.right);
    for unslid in [late.early, late.afresh].map(|right| late.points(right)) {
        assert!((slid - unslid).abs() <= 5.0, "{slid:.1} % are right, {unslid:.1} % before the window slid");
    }
}
