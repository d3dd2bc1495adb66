//! What is heard, when, and what is not.

use std::sync::atomic::Ordering;

use gist_whisper::{Error, Options, Output, SAMPLE_RATE, Transcriber};

use crate::sounds::{hum, music, noise, silence, speech};
use crate::{lines, model, run};

const SENTENCES: [&str; 6] = [
    "Welcome to the third lecture on computer networks.",
    "Today we will talk about how packets travel from one machine to another.",
    "Every frame carries the address of the sender and the address of the receiver.",
    "When the table is full, the oldest entry is thrown away.",
    "Finally, the transport layer makes sure that nothing is lost.",
    "In the next lecture we will write a small program that uses all three layers.",
];

fn words(text: &str) -> Vec<String> {
    let plain = text.to_lowercase().replace(|c: char| !c.is_alphanumeric() && c != '\'', " ");
    plain.split_whitespace().map(str::to_owned).collect()
}

/// Substitutions, insertions and deletions per word of `truth`.
fn word_error_rate(truth: &[String], heard: &[String]) -> f64 {
    let mut row: Vec<usize> = (0..=heard.len()).collect();
    for (i, word) in truth.iter().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, other) in heard.iter().enumerate() {
            let best = (diagonal + usize::from(word != other)).min(row[j] + 1).min(row[j + 1] + 1);
            diagonal = std::mem::replace(&mut row[j + 1], best);
        }
    }
    row[heard.len()] as f64 / truth.len() as f64
}

/// The sentences with half a second between them, and where each starts in seconds.
fn paragraph() -> (Vec<f32>, Vec<f64>) {
    let (mut samples, mut starts) = (silence(2.0), Vec::new());
    for sentence in SENTENCES {
        starts.push(samples.len() as f64 / SAMPLE_RATE as f64);
        let spoken = speech(sentence);
        let end = spoken.iter().rposition(|s| s.abs() > 0.002).unwrap_or(0);
        samples.extend(&spoken[..end]);
        samples.extend(silence(0.5));
    }
    (samples, starts)
}

#[test]
fn a_paragraph_is_read_nearly_word_for_word_with_its_times() {
    let (samples, starts) = paragraph();
    let outputs = run(&samples, SAMPLE_RATE);
    let lines = lines(&outputs);

    let heard = words(&lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>().join(" "));
    let errors = word_error_rate(&words(&SENTENCES.join(" ")), &heard);
    assert!(errors < 0.25, "word error rate {errors:.2}: {lines:#?}");

    for (sentence, start) in SENTENCES.iter().zip(starts) {
        let near = lines.iter().map(|l| (l.start as f64 / 1e9 - start).abs()).fold(f64::MAX, f64::min);
        assert!(near < 1.5, "no line within 1.5 s of \"{sentence}\" at {start:.1} s: {lines:#?}");
    }
    assert!(lines.windows(2).all(|w| w[0].end <= w[1].start), "lines follow one another: {lines:#?}");
    let length = samples.len() as u64 * 1_000_000_000 / SAMPLE_RATE as u64;
    assert!(lines.iter().all(|l| l.start < l.end && l.end <= length));
    assert_eq!(outputs.last(), Some(&Output::Silence { until: length }), "the end is said");
}

#[test]
fn no_line_begins_before_what_was_said_to_be_silent() {
    let (samples, _) = paragraph();
    let mut known = 0;
    for output in run(&samples, 1000) {
        match output {
            Output::Line(line) => assert!(line.start >= known),
            Output::Silence { until } => {
                assert!(until >= known);
                known = until;
            }
        }
    }
}

#[test]
fn the_size_of_pushes_changes_nothing() {
    let samples: Vec<f32> = [silence(1.0), speech(SENTENCES[0]), speech(SENTENCES[1])].concat();
    let whole = run(&samples, samples.len());
    assert!(!lines(&whole).is_empty());
    assert_eq!(run(&samples, 1777), whole);
}

#[test]
fn nothing_is_invented_where_nobody_speaks() {
    let sounds = [
        ("silence", silence(60.0)),
        ("white noise", noise(60, 0.1)),
        ("faint noise", noise(60, 0.001)),
        ("hum", hum(60)),
        ("slow music", music(60, 2.0)),
        ("fast music", music(60, 0.8)),
    ];
    for (name, samples) in sounds {
        let outputs = run(&samples, SAMPLE_RATE);
        assert_eq!(lines(&outputs), [], "{name}");
        // The position moves on all the time.
        let known: Vec<u64> = outputs
            .iter()
            .map(|o| match o {
                Output::Silence { until } => *until,
                Output::Line(_) => 0,
            })
            .collect();
        assert_eq!(known.last(), Some(&60_000_000_000), "{name}");
    }
}

#[test]
fn silence_is_reported_every_second_while_it_lasts() {
    let mut transcriber = Transcriber::new(model(), Options::default()).unwrap();
    let mut known = 0;
    for second in 1..=20u64 {
        transcriber.push(&silence(1.0));
        while let Some(output) = transcriber.poll().unwrap() {
            let Output::Silence { until } = output else { panic!("{output:?}") };
            assert!(until > known);
            known = until;
        }
        assert!(known + 3_000_000_000 >= second * 1_000_000_000, "after {second} s: {known}");
    }
}

#[test]
fn speech_is_found_behind_music_and_in_noise() {
    let quiet: Vec<f32> = noise(60, 0.004);
    let mut samples =
        [music(12, 1.0), silence(1.5), speech(SENTENCES[1]), silence(1.5), music(8, 1.0)].concat();
    samples.iter_mut().zip(&quiet).for_each(|(s, n)| *s += n);
    let lines = lines(&run(&samples, SAMPLE_RATE));
    let heard = words(&lines.iter().map(|l| l.text.as_str()).collect::<Vec<_>>().join(" "));
    let errors = word_error_rate(&words(SENTENCES[1]), &heard);
    assert!(errors <= 0.3, "{lines:#?}");
    assert!(lines[0].start.abs_diff(13_500_000_000) < 1_500_000_000, "{lines:#?}");
}

#[test]
fn an_interrupted_stream_stops_and_goes_on() {
    let options = Options::default();
    let cancel = options.cancel.clone();
    let mut transcriber = Transcriber::new(model(), options).unwrap();
    transcriber.push(&speech(SENTENCES[0]));
    transcriber.finish();
    cancel.store(true, Ordering::Relaxed);
    let mut poll = || loop {
        match transcriber.poll() {
            Ok(Some(_)) => {}
            other => return other,
        }
    };
    assert!(matches!(poll(), Err(Error::Cancelled)));
    assert!(matches!(poll(), Ok(None)), "the lost window is not tried again");
}

#[test]
fn an_english_model_refuses_other_languages() {
    let open = |language: &str| {
        Transcriber::new(model(), Options { language: Some(language.into()), ..Options::default() })
            .map(|_| ())
    };
    assert!(open("en-US").is_ok());
    for language in ["de", "xx", ""] {
        assert!(matches!(open(language), Err(Error::Language(l)) if l == language));
    }
}
