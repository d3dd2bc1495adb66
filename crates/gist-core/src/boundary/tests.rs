use proptest::prelude::*;

use super::*;
use crate::config::Granularity;
use crate::observation::Source;
use crate::time::{Span, nanoseconds};

fn at(seconds: f64) -> u64 {
    nanoseconds(seconds)
}

fn observation(source: Source, start: f64, end: f64, text: &str) -> Observation {
    Observation { source, span: Span::new(at(start), at(end)), text: text.into(), turn: false }
}

/// Runs a stream through a detector, deciding after each line.
fn run(observations: &[Observation], config: &Config) -> Vec<Boundary> {
    let mut detector = Detector::new(0);
    let mut found = Vec::new();
    for (i, o) in observations.iter().enumerate() {
        detector.observe(i as u64, o);
        while let Some(b) = detector.decide(o.span.start, config, &mut |_| None) {
            found.push(b);
        }
    }
    let end = observations.iter().map(|o| o.span.end).max().unwrap_or(0);
    while let Some(b) = detector.finish(end, config, &mut |_| None) {
        found.push(b);
    }
    found
}

/// Sentences of five seconds, the words of each taken in turn from the topic's list.
pub(crate) fn talk(topics: &[&[&str]], lines: usize) -> Vec<Observation> {
    let mut out = Vec::new();
    for (t, sentences) in topics.iter().enumerate() {
        for i in 0..lines {
            let start = 5.0 * (t * lines + i) as f64;
            out.push(observation(Source::Speech, start, start + 4.8, sentences[i % sentences.len()]));
        }
    }
    out
}

pub(crate) const BREAD: &[&str] = &[
    "Okay, so let's talk about baking bread with sourdough.",
    "The flour and the water make a dough with gluten.",
    "A warm oven gives the loaf its brown crust.",
    "Sourdough yeast ferments the flour over night.",
    "Knead the dough until the gluten of the flour holds.",
    "The crust of the loaf cracks in the oven.",
];
pub(crate) const SHIPS: &[&str] = &[
    "Now let's move on to the next topic: sailing ships.",
    "The mast carries the sails and the rigging.",
    "A keel keeps the hull upright in strong wind.",
    "Sailors trim the sails when the wind turns.",
    "The rigging of the mast must stand the wind.",
    "The hull and the keel of these ships were oak.",
];
const BREAD_HAN: &[&str] = &[
    "首先谈谈面包烘焙，面粉加酵母发酵。",
    "面团放进烤箱，面包外皮酥脆。",
    "酵母发酵让面团膨胀。",
    "烤箱温度影响面包外皮。",
];
const SHIPS_HAN: &[&str] = &[
    "接下来谈谈帆船航行，桅杆挂着船帆。",
    "船体龙骨抵抗海风。",
    "水手调整船帆顺着海风。",
    "桅杆绳索支撑帆船。",
];

#[test]
fn a_change_of_topic_is_found_where_its_first_sentence_begins() {
    for topics in [[BREAD, SHIPS], [BREAD_HAN, SHIPS_HAN]] {
        let found = run(&talk(&topics, 36), &Config::default());
        assert_eq!(found.iter().map(|b| b.at).collect::<Vec<_>>(), [at(180.0)]);
        assert_eq!(found[0].segment, 36);
        assert_eq!(found[0].reason, Reason::Model);
        assert!(found[0].decided_at <= at(215.0), "within the look-ahead and one line");
    }
}

#[test]
fn one_topic_is_one_chapter() {
    assert_eq!(run(&talk(&[&BREAD[1..]], 60), &Config::default()), []);
}

#[test]
fn a_slide_with_other_words_starts_a_chapter_and_one_of_the_same_topic_does_not() {
    let mut stream = talk(&[BREAD, SHIPS], 18);
    for (t, text) in [
        (0.0, "Sourdough bread\nFlour, water, yeast\nGluten"),
        (44.8, "The loaf\nSourdough dough, flour, yeast\nOven and crust"),
        (89.9, "Sailing ships\nMast, sails, rigging\nKeel and hull"),
        (134.9, "Wind\nSails and rigging\nThe mast of ships, keel, hull"),
    ] {
        stream.push(observation(Source::Screen, t, t + 45.0, text));
    }
    stream.sort_by_key(|o| o.span.start);
    let found = run(&stream, &Config::default());
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].at.abs_diff(at(90.0)) <= at(0.2), "{found:?}");
}

#[test]
fn a_slide_in_the_middle_of_a_sentence_does_not_cut_it() {
    let mut stream = talk(&[BREAD, SHIPS], 18);
    stream.push(observation(
        Source::Screen,
        92.0,
        180.0,
        "Sailing ships\nMast, sails, rigging\nKeel and hull",
    ));
    stream.sort_by_key(|o| o.span.start);
    let starts: Vec<u64> =
        stream.iter().filter(|o| o.source == Source::Speech).map(|o| o.span.start).collect();
    let found = run(&stream, &Config::default());
    assert!(!found.is_empty());
    assert!(found.iter().all(|b| starts.contains(&b.at)), "{found:?}");
}

/// A sixth of the look-ahead behind the slide is known; the sentence begins half a second later.
#[test]
fn what_is_not_known_yet_says_nothing_of_a_slide() {
    let slide = observation(Source::Screen, 10.0, 60.0, "Sailing ships\nMast, sails, rigging");
    let sentence = observation(Source::Speech, 15.5, 20.0, "Okay, so let's talk about sailing ships.");
    let config = Config::default();
    let seen = |stream: &[&Observation], known| {
        let mut detector = Detector::new(0);
        stream.iter().enumerate().for_each(|(i, o)| detector.observe(i as u64, o));
        detector.look(0, at(10.0) + known, &config)
    };
    let part = config.look_ahead / PARTS;
    assert_eq!(seen(&[&slide], part), seen(&[&slide, &sentence], part));
    assert_ne!(seen(&[&slide], 2 * part), seen(&[&slide, &sentence], 2 * part));
}

#[test]
fn finer_granularity_gives_no_fewer_chapters() {
    let topics = [BREAD, SHIPS, BREAD, SHIPS, BREAD, SHIPS];
    let count = |granularity| run(&talk(&topics, 14), &Config { granularity, ..Config::default() }).len();
    let counts = [count(Granularity::Coarse), count(Granularity::Normal), count(Granularity::Fine)];
    assert!(counts[0] <= counts[1] && counts[1] <= counts[2] && counts[2] > 0, "{counts:?}");
}

#[test]
fn a_chapter_too_long_is_cut_at_a_sentence_of_its_later_half() {
    let config = Config { max_chapter_duration: at(100.0), ..Config::default() };
    let found = run(&talk(&[BREAD], 60), &config);
    assert!(found.iter().any(|b| b.reason == Reason::MaxDuration));
    assert!(found[0].at > at(45.0) && found[0].at <= at(100.0), "{found:?}");
}

#[test]
fn silence_has_no_chapters() {
    let mut detector = Detector::new(0);
    assert_eq!(detector.decide(at(3600.0), &Config::default(), &mut |_| None), None);
    assert_eq!(detector.finish(at(3600.0), &Config::default(), &mut |_| None), None);
}

#[test]
fn the_model_is_asked_only_in_doubt_and_its_answer_counts() {
    let stream = talk(&[BREAD, SHIPS, BREAD], 40);
    let ask = |answer: &dyn Fn(u64) -> f32| {
        let (mut detector, mut asked, mut found) = (Detector::new(0), Vec::new(), Vec::new());
        for (i, o) in stream.iter().enumerate() {
            detector.observe(i as u64, o);
            let mut probe = |segment| {
                asked.push(segment);
                Some(answer(segment))
            };
            while let Some(b) = detector.decide(o.span.start, &Config::default(), &mut probe) {
                found.push(b.segment);
            }
        }
        (asked, found)
    };
    let (asked, never) = ask(&|_| 0.02);
    assert!(asked.len() * 5 < stream.len(), "{} of {} were asked", asked.len(), stream.len());
    let (_, always) = ask(&|_| 0.98);
    assert!(never.len() < always.len(), "{never:?} {always:?}");
}

#[test]
fn after_a_restart_nothing_before_it_is_judged() {
    let stream = talk(&[BREAD, SHIPS], 36);
    let mut detector = Detector::new(0);
    stream.iter().enumerate().for_each(|(i, o)| detector.observe(i as u64, o));
    detector.restart(at(200.0));
    while let Some(b) = detector.finish(at(360.0), &Config::default(), &mut |_| None) {
        assert!(b.at >= at(220.0), "{b:?}");
    }
}

#[test]
fn a_long_chapter_has_parts_where_it_moves_on() {
    let stream = talk(&[BREAD, SHIPS], 36);
    let end = stream[71].span.end;
    let config =
        Config { min_chapter_duration: at(3600.0), max_chapter_duration: at(7200.0), ..Config::default() };
    let mut detector = Detector::new(0);
    stream.iter().enumerate().for_each(|(i, o)| detector.observe(i as u64, o));
    assert_eq!(detector.finish(end, &config, &mut |_| None), None);
    let parts = detector.parts(Span::new(0, end));
    assert!(parts.iter().any(|part| (34..=38).contains(part)), "{parts:?}");
    assert!(parts.windows(2).all(|two| two[0] < two[1]));
    assert_eq!(detector.parts(Span::new(end, 2 * end)), [0; 0], "those of another chapter are not its own");
}

#[test]
fn memory_does_not_grow_with_the_stream() {
    let mut detector = Detector::new(0);
    let config = Config::default();
    for i in 0..3_000u64 {
        let start = i as f64 * 4.0;
        let text = format!("word{} term{} thing{} {}", i % 7919, i % 104_729, i, "x".repeat(20));
        detector.observe(i, &observation(Source::Speech, start, start + 4.0, &text));
        while detector.decide(at(start), &config, &mut |_| None).is_some() {}
        assert!(detector.history.len() < 200);
        assert!(detector.passed.len() <= MAX_PASSED);
    }
    assert!(detector.history.rarity.len() <= 16_384);
}

#[test]
fn a_flood_of_lines_in_one_instant_is_survived() {
    let mut detector = Detector::new(0);
    for i in 0..3000u64 {
        detector.observe(i, &observation(Source::Speech, 10.0, 10.0, "flood of words"));
    }
    assert!(detector.history.len() <= 1024);
    while detector.decide(at(60.0), &Config::default(), &mut |_| None).is_some() {}
}

/// Streams of sentences and slides of random topics, lengths and pauses.
fn streams() -> impl Strategy<Value = Vec<Observation>> {
    let step = (0usize..4, 0usize..6, 0.5f64..12.0, 0.0f64..20.0, 0u8..8, any::<bool>());
    proptest::collection::vec(step, 1..120).prop_map(|steps| {
        let mut t = 0.0;
        let topics = [BREAD, SHIPS, BREAD_HAN, SHIPS_HAN];
        let of = |(topic, line, length, pause, kind, turn): (usize, usize, f64, f64, u8, bool)| {
            let source = match kind {
                0 => Source::Note,
                1 | 2 => Source::Screen,
                _ => Source::Speech,
            };
            let text = topics[topic][line % topics[topic].len()];
            let mut o = observation(source, t, t + length, text);
            o.turn = turn;
            t += if source == Source::Speech { length } else { 0.3 } + (pause - 15.0).max(0.0);
            o
        };
        steps.into_iter().map(of).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn boundaries_come_in_order_and_keep_the_limits(
        stream in streams(), min in 0u64..60, extra in 0u64..200
    ) {
        let (min, max) = (min * SECOND, (min + 30 + extra) * SECOND);
        let config = Config { min_chapter_duration: min, max_chapter_duration: max, ..Config::default() };
        let found = run(&stream, &config);
        prop_assert_eq!(&found, &run(&stream, &config), "the same again");
        let mut start = 0;
        for b in &found {
            prop_assert!(b.at > start && b.at - start >= min);
            prop_assert!(b.at <= b.decided_at);
            let first = &stream[b.segment as usize];
            prop_assert_eq!(first.span.start, b.at, "a chapter begins with a line or slide");
            prop_assert!(first.source != Source::Note);
            let missed = stream.iter().filter(|o| o.source == Source::Speech).any(|o| {
                o.span.start >= start + min.max(1) && o.span.start <= start + max
            });
            prop_assert!(b.at - start <= max || !missed, "too long though there was a place to cut");
            start = b.at;
        }
    }

    #[test]
    fn what_lies_beyond_the_look_ahead_changes_nothing(stream in streams(), cut in 0usize..120) {
        let config = Config::default();
        let cut = cut.min(stream.len() - 1);
        let horizon = stream[cut].span.start;
        let mut other = stream.clone();
        for o in other.iter_mut().skip(cut).filter(|o| o.span.start >= horizon) {
            o.text = "Something else entirely, let's talk about quantum chromodynamics.".into();
        }
        let settled = |found: Vec<Boundary>| -> Vec<u64> {
            found.iter().map(|b| b.at).filter(|at| at + config.look_ahead <= horizon).collect()
        };
        let far = Config { max_chapter_duration: u64::MAX, ..config.clone() };
        prop_assert_eq!(settled(run(&stream, &far)), settled(run(&other, &far)));
    }

    #[test]
    fn deciding_late_decides_the_same(stream in streams()) {
        let config = Config { max_chapter_duration: u64::MAX, ..Config::default() };
        let mut detector = Detector::new(0);
        stream.iter().enumerate().for_each(|(i, o)| detector.observe(i as u64, o));
        let mut late = Vec::new();
        let end = stream.iter().map(|o| o.span.end).max().unwrap_or(0);
        while let Some(b) = detector.finish(end, &config, &mut |_| None) {
            late.push(b.at);
        }
        let soon: Vec<u64> = run(&stream, &config).iter().map(|b| b.at).collect();
        prop_assert_eq!(soon, late);
    }
}
