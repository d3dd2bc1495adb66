//! nano-vl on slides it never saw, beside Hugging Face transformers on the same pixels: right as often, and mostly in
//! the very same words. `tools/nano_reference.py` made the file of the reference's answers.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a test may, and the numbers are worth seeing")]

use std::path::{Path, PathBuf};

use gist_core::model::{Context, ContextConfig, Request, Step, View};
use gist_core::picture::Gate;
use gist_core::prompt;
use gist_qwen::{LoadOptions, QwenContext, QwenModel};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use slides::{Artist, Stream};

fn here(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn artist() -> Artist {
    Artist::new(&here("../../models/nano-vl/words.txt")).unwrap()
}

fn reference(kind: &str) -> Vec<Value> {
    let file = std::fs::read(here("tests/data/nano-vl/reference.json")).unwrap();
    serde_json::from_slice::<Value>(&file).unwrap()[kind].as_array().unwrap().clone()
}

fn hash(stream: &Stream) -> String {
    let mut hash = Sha256::new();
    stream.pairs.iter().flat_map(|(pair, ..)| &pair.frames).for_each(|frame| hash.update(frame));
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn ask(context: &mut QwenContext, question: String) -> String {
    let view = View { segments: 0..u64::MAX, memory: false };
    let request = Request { view, prompt: question, schema: None, max_tokens: 60, temperature: 0.0, seed: 0 };
    let mut answer = context.generate(request).unwrap();
    loop {
        if let Step::Done { text, .. } = answer.step().unwrap() {
            return text;
        }
    }
}

/// Answers in so many cases.
#[derive(Debug, Default)]
struct Tally {
    asked: usize,
    right: usize,
    reference_right: usize,
    same: usize,
}

/// Shows each stream to a context of its own and asks `question` of the stamp of each of its pairs.
fn compare(kind: &str, streams: &[Stream], question: impl Fn(f64) -> String) -> Tally {
    let model = QwenModel::load(&here("../../models/nano-vl"), LoadOptions::default()).unwrap();
    let known = reference(kind);
    assert_eq!(streams.len(), known.len());
    let mut tally = Tally::default();
    for (number, (stream, known)) in streams.iter().zip(&known).enumerate() {
        assert_eq!(hash(stream), known["sha256"].as_str().unwrap(), "{kind} {number} shows other pixels");
        let answers = known["answers"].as_array().unwrap();
        assert_eq!(answers.len(), stream.pairs.len());
        let config = ContextConfig { context_length: 4096, max_pixels: 320 * 192, ..Default::default() };
        let mut context = model.open_context(config).unwrap();
        for (pair, _, stamp) in &stream.pairs {
            context.append_pair("", pair, *stamp, Gate::Off).unwrap();
        }
        for ((_, title, stamp), theirs) in stream.pairs.iter().zip(answers) {
            let (ours, theirs) = (ask(&mut context, question(*stamp)), theirs.as_str().unwrap());
            let truth = json!({ "title": title }).to_string();
            tally.asked += 1;
            tally.right += usize::from(ours == truth);
            tally.reference_right += usize::from(theirs == truth);
            tally.same += usize::from(ours == theirs);
            if ours != theirs {
                println!("{kind} {number} at {stamp}: {ours}, the reference {theirs}, shown {title}");
            }
        }
    }
    println!("{kind}: {tally:?}");
    tally
}

impl Tally {
    fn check(&self) {
        let points = |right: usize| 100.0 * right as f64 / self.asked as f64;
        let (ours, theirs) = (points(self.right), points(self.reference_right));
        assert!(
            (ours - theirs).abs() <= 3.0,
            "{ours:.1} % are right, of the reference's answers {theirs:.1} %"
        );
        // Where two letters are as likely, rounding may choose: not in more than one answer of fifty.
        assert!(
            self.same * 50 >= self.asked * 49,
            "{} answers of {} are the reference's",
            self.same,
            self.asked
        );
    }
}

#[test]
fn titles_of_200_fresh_slides_are_read_as_the_reference_reads_them() {
    let tally = compare("titles", &slides::titles(&artist(), 200), |_| "title?".into());
    assert_eq!(tally.asked, 200);
    tally.check();
}

#[test]
fn titles_at_a_time_in_100_streams_are_those_of_the_reference() {
    let tally = compare("streams", &slides::streams(&artist(), 100), prompt::title_at);
    assert!(tally.asked > 200);
    tally.check();
}
