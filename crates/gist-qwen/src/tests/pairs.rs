//! Pictures appended pair by pair, against the same prompt encoded in one go.

use std::sync::Arc;

use gist_core::model::{Context, ContextConfig, View};
use gist_core::picture::{Gate, Pair, Seen};

use crate::chat::Chat;
use crate::context::QwenContext;
use crate::decoder::CHUNK;
use crate::kv::{KvType, Part, Target};
use crate::model::QwenModel;
use crate::picture::{Frame, stamp};
use crate::weights::tests::nano_vl;
use crate::{LoadOptions, VideoLayout};

enum Shown {
    Line(&'static str),
    Pair(Pair, f64),
}

/// A picture that is nowhere the same.
fn frame(width: usize, height: usize, seed: usize) -> Arc<[u8]> {
    (0..3 * width * height).map(|i| ((i * (31 + seed) / 7 + i / 640 * seed * 13) % 251) as u8).collect()
}

fn pair(width: usize, height: usize, seeds: [usize; 2], seconds: f64) -> Shown {
    Shown::Pair(Pair { width, height, frames: seeds.map(|seed| frame(width, height, seed)) }, seconds)
}

/// Text among pictures, another size from one pair to the next, a last picture that is a pair by itself.
fn stream() -> Vec<Shown> {
    vec![
        Shown::Line("[0 0:00] good morning\n"),
        pair(320, 192, [1, 2], 0.5),
        pair(320, 192, [3, 4], 2.5),
        Shown::Line("[3 0:03] the next slide is a small one\n"),
        pair(160, 64, [5, 6], 4.25),
        pair(224, 96, [7, 8], 6.5),
        Shown::Line("[6 0:07] and that is the end\n"),
        pair(320, 192, [9, 9], 8.0),
    ]
}

fn open(model: &QwenModel) -> QwenContext {
    let config = ContextConfig {
        system: "you watch".into(),
        context_length: 4096,
        max_pixels: 320 * 192,
        ..Default::default()
    };
    model.open_context(config).unwrap()
}

/// All keys and values of the window.
fn keys_and_values(model: &QwenModel, context: &QwenContext) -> Vec<f32> {
    let config = model.config();
    let (region, mut all) = (context.region(Target::Window), Vec::new());
    let mut buffer = vec![0.0; config.head_dim];
    for row in 0..region.len() {
        for (layer, head) in (0..config.layers).flat_map(|l| (0..config.kv_heads).map(move |h| (l, h))) {
            for part in [Part::Key, Part::Value] {
                region.read(layer, part, head, row, &mut buffer);
                all.extend_from_slice(&buffer);
            }
        }
    }
    all
}

fn difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
}

#[test]
fn pair_by_pair_is_the_same_as_in_one_go() {
    for video_layout in [VideoLayout::Stamped, VideoLayout::Nested] {
        let options = LoadOptions { kv_type: KvType::F32, video_layout, ..LoadOptions::default() };
        let model = QwenModel::load(&nano_vl(), options).unwrap();
        let engine = &model.engine;
        let eyes = engine.eyes.as_ref().unwrap();
        let (mut pieces, mut whole) = (open(&model), open(&model));
        let mut prompt = Chat::new(&engine.tokenizer);
        for shown in stream() {
            match shown {
                Shown::Line(line) => {
                    pieces.append(line).unwrap();
                    prompt = prompt.text(line);
                }
                Shown::Pair(pair, seconds) => {
                    let seen = pieces.append_pair("", &pair, seconds, Gate::Off).unwrap();
                    assert!(matches!(seen, Seen::Segment { .. }));
                    // All sizes here are the model's own, so nothing is resized.
                    let [a, b] =
                        pair.frames.each_ref().map(|f| Frame::new(pair.width, pair.height, &**f).unwrap());
                    let encoded = engine.see(eyes, &a, &b).unwrap().0;
                    prompt = prompt
                        .text(&stamp(seconds))
                        .special(eyes.tokens.vision_start)
                        .picture(eyes.tokens.video_pad, encoded, None)
                        .special(eyes.tokens.vision_end);
                }
            }
        }
        let prompt = prompt.sequence();
        assert!(prompt.len() > 3 * CHUNK, "several chunks, cut within pictures");
        whole.append_sequence(&prompt).unwrap();
        assert_eq!(pieces.usage().tokens, whole.usage().tokens);
        assert_eq!(pieces.region(Target::Window).positions(), whole.region(Target::Window).positions());
        let [a, b] = [&pieces, &whole].map(|context| keys_and_values(&model, context));
        let off = difference(&a, &b);
        assert!(off < 1e-4, "keys and values differ by {off}");
        let all = View { segments: 0..u64::MAX, memory: true };
        let [a, b] = [&pieces, &whole].map(|c| c.logits(&all, "at 2.5 seconds?").unwrap());
        let off = difference(&a, &b);
        assert!(off < 1e-4, "logits differ by {off}");
    }
}
