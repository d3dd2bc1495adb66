use serde_json::Value;

use super::*;
use crate::picture::stamp;
use crate::weights::gguf::Gguf;
use crate::weights::tests::fixture;

fn json(name: &str) -> Value {
    serde_json::from_slice(&std::fs::read(fixture(name)).unwrap()).unwrap()
}

/// A picture of a grid in patches.
fn picture(grid: &Value) -> Encoded {
    let side = |i: usize| grid[i].as_u64().unwrap() as usize / 2;
    Encoded { grid: (side(1), side(2)), rows: Vec::new(), deepstack: Vec::new() }
}

/// A whole conversation in one go, as the reference's processor is given it.
fn render(tokenizer: &Tokenizer, turns: &Value, media: &Value, layout: VideoLayout) -> Sequence {
    let token = |name| tokenizer.special_id(name).unwrap();
    let (start, end) = (token("<|vision_start|>"), token("<|vision_end|>"));
    let mut chat = Chat::new(tokenizer);
    for turn in turns.as_array().unwrap() {
        chat = chat.turn(turn[0].as_str().unwrap());
        for part in turn[1].as_array().unwrap() {
            let (kind, what) = (part[0].as_str().unwrap(), part[1].as_str().unwrap());
            let about = &media[what];
            match kind {
                "text" => chat = chat.text(what),
                "image" => {
                    let image = picture(&about["grid_thw"]);
                    chat = chat.special(start).picture(token("<|image_pad|>"), image, None).special(end);
                }
                _ => {
                    let nested = layout == VideoLayout::Nested;
                    chat = if nested { chat.special(start) } else { chat };
                    for time in about["pair_times"].as_array().unwrap() {
                        let pair = picture(&about["grid_thw"]);
                        chat = chat.text(&stamp(time.as_f64().unwrap())).special(start);
                        chat = chat.picture(token("<|video_pad|>"), pair, None).special(end);
                    }
                    chat = if nested { chat.special(end) } else { chat };
                }
            }
        }
        chat = chat.end();
    }
    chat.turn("assistant").sequence()
}

/// Qwen2.5 has the vocabulary of Qwen3-VL, but for `<think>`.
#[test]
fn prompts_are_those_of_the_reference_in_both_layouts() {
    let path = gist_models::locate("qwen2.5-coder-0.5b").unwrap_or_else(|e| panic!("{e}"));
    let tokenizer = Tokenizer::read(&Gguf::open(&path).unwrap()).unwrap();
    let media = json("pre/pixels.json");
    let prompts = json("pre/prompts.json");
    let chats = prompts["chats"].as_object().unwrap();
    assert_eq!(chats.len(), 7);
    for (name, chat) in chats {
        for (layout, key) in [(VideoLayout::Stamped, "a"), (VideoLayout::Nested, "b")] {
            let got = render(&tokenizer, &chat["chat"], &media, layout);
            let whole = got.chunk(0..got.len());
            let ids: Vec<u32> = serde_json::from_value(chat[format!("ids_{key}")].clone()).unwrap();
            assert_eq!(whole.ids(), ids, "{name} in layout {key}");
            let expected = &chat[format!("positions_{key}")];
            let axes: Vec<Vec<i64>> = serde_json::from_value(expected["position_ids"].clone()).unwrap();
            let positions: Vec<[i64; 3]> = whole.positions(0).collect();
            for (axis, wanted) in axes.iter().enumerate() {
                let found: Vec<i64> = positions.iter().map(|p| p[axis]).collect();
                assert_eq!(&found, wanted, "axis {axis} of {name} in layout {key}");
            }
            assert_eq!(Some(whole.advance()), expected["next_position"].as_i64(), "{name} in layout {key}");
        }
    }
}
