use serde_json::{Value, json};

use super::Tokenizer;
use crate::error::LoadError;
use crate::weights::gguf::Gguf;
use crate::weights::tests::{edit, fixture, nano_vl};

const VOCAB: usize = 288;

fn nano() -> Tokenizer {
    Tokenizer::read_json(&nano_vl().join("tokenizer.json"), VOCAB).unwrap().unwrap()
}

/// nano-vl's tokenizer with something changed.
fn changed(change: impl FnOnce(&mut Value)) -> Result<Tokenizer, LoadError> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    std::fs::copy(nano_vl().join("tokenizer.json"), &file).unwrap();
    edit(&file, change);
    Tokenizer::read_json(&file, VOCAB).map(Option::unwrap)
}

/// Encodes text in which special tokens stand for themselves, as reference tokenizers do; `None` when the tokenizer
/// does not have one of them.
fn with_special(tokenizer: &Tokenizer, text: &str, names: &[&str]) -> Option<Vec<u32>> {
    let next = names.iter().filter_map(|name| Some((text.find(name)?, *name))).min();
    let Some((at, name)) = next else { return Some(tokenizer.encode(text)) };
    let mut tokens = tokenizer.encode(&text[..at]);
    tokens.push(tokenizer.special_id(name)?);
    tokens.extend(with_special(tokenizer, &text[at + name.len()..], names)?);
    Some(tokens)
}

const SPECIAL: [&str; 9] = [
    "<|im_start|>",
    "<|im_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|video_pad|>",
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
];

/// Compares with the ids of Hugging Face's tokenizer and returns how many texts that were.
fn compare(tokenizer: &Tokenizer) -> usize {
    let file = std::fs::read(fixture("pre/token_ids.json")).unwrap();
    let cases: Vec<(String, Vec<u32>)> = serde_json::from_slice(&file).unwrap();
    let mut compared = 0;
    for (text, ids) in cases {
        if let Some(tokens) = with_special(tokenizer, &text, &SPECIAL) {
            assert_eq!(tokens, ids, "{text:?}");
            compared += 1;
        }
    }
    compared
}

/// Qwen2.5 has the vocabulary of Qwen3-VL, but for `<think>`.
#[test]
fn ids_are_those_of_the_reference() {
    let path = gist_models::locate("qwen2.5-coder-0.5b").unwrap_or_else(|e| panic!("{e}"));
    let tokenizer = Tokenizer::read(&Gguf::open(&path).unwrap()).unwrap();
    assert_eq!(compare(&tokenizer), 26);
    assert_eq!(tokenizer.special_id("<|image_pad|>"), Some(151_655));
}

#[test]
fn the_small_model_reads_and_writes_what_it_was_trained_on() {
    let tokenizer = nano();
    assert_eq!(tokenizer.len(), VOCAB);
    let cases: [(&str, &[u32]); 5] = [
        ("title?", &[83, 72, 83, 75, 68, 30]),
        ("at 12.5 seconds?", &[64, 83, 220, 16, 17, 13, 20, 262, 30]),
        ("<0.2 seconds>", &[27, 15, 13, 17, 262, 29]),
        ("{\"title\":\"Growth\"}", &[263, 83, 72, 83, 75, 68, 265, 38, 81, 78, 86, 83, 71, 266]),
        ("user\n", &[84, 82, 68, 81, 198]),
    ];
    for (text, ids) in cases {
        assert_eq!(tokenizer.encode(text), ids, "{text}");
        assert_eq!(tokenizer.decode(ids), text);
    }
    for text in ["日本語 🙂", "a  b\r\n\tc", "naïve", "\u{0}\u{ffff}"] {
        assert_eq!(tokenizer.decode(&tokenizer.encode(text)), text);
    }
}

#[test]
fn no_text_becomes_a_special_token() {
    let tokenizer = nano();
    for name in ["<|im_end|>", "<|video_pad|>", "<|endoftext|>", "[unused 282]"] {
        let id = tokenizer.special_id(name).unwrap();
        let tokens = tokenizer.encode(name);
        assert!(!tokens.contains(&id));
        assert!(tokens.iter().all(|t| tokenizer.is_ordinary(*t)));
        assert_eq!(tokenizer.decode(&tokens), name);
        assert_eq!(tokenizer.decode(&[id]), "");
    }
    assert_eq!(tokenizer.special_id(" seconds"), None);
    assert_eq!(tokenizer.special().im_end, 276);
    assert!(!tokenizer.is_ordinary(287) && !tokenizer.is_ordinary(288));
}

#[test]
fn merges_are_pairs_or_strings() {
    let strings = changed(|file| {
        for merge in file["model"]["merges"].as_array_mut().unwrap() {
            *merge = json!(format!("{} {}", merge[0].as_str().unwrap(), merge[1].as_str().unwrap()));
        }
    });
    let text = "at 12.5 seconds? {\"title\":\"x\"},{\"";
    assert_eq!(strings.unwrap().encode(text), nano().encode(text));
}

#[test]
fn added_tokens_may_be_in_the_vocabulary_too() {
    assert!(changed(|file| file["model"]["vocab"]["<|im_end|>"] = json!(276)).is_ok());
}

#[test]
fn tokenizers_of_other_families_are_refused() {
    for (pointer, value, what) in [
        ("/normalizer", json!(null), "NFC"),
        ("/normalizer/type", json!("NFKC"), "NFC"),
        ("/pre_tokenizer/pretokenizers/0/pattern/Regex", json!("\\w+"), "other words"),
        ("/pre_tokenizer/pretokenizers/0/behavior", json!("Removed"), "other words"),
        ("/pre_tokenizer/pretokenizers/1/add_prefix_space", json!(true), "other words"),
        ("/pre_tokenizer", json!({ "type": "ByteLevel", "add_prefix_space": false }), "other words"),
        ("/pre_tokenizer", json!(null), "other words"),
        ("/model/type", json!("Unigram"), "no BPE"),
        ("/model/ignore_merges", json!(true), "merges"),
        ("/model/byte_fallback", json!(true), "merges"),
        ("/model/dropout", json!(0.1), "merges"),
        ("/model/end_of_word_suffix", json!("</w>"), "merges"),
    ] {
        let error = changed(|file| *file.pointer_mut(pointer).unwrap() = value).err().unwrap();
        assert!(matches!(&error, LoadError::Unsupported { what: w, .. } if w.contains(what)), "{error}");
    }
}

#[test]
fn damaged_vocabularies_are_refused() {
    type Change = fn(&mut Value);
    let changes: [(Change, &str); 9] = [
        (|f| f["model"]["vocab"]["a"] = json!(65), "token 65 is there twice"),
        (|f| f["model"]["vocab"]["zz"] = json!(288), "beyond the 288 rows"),
        (|f| f["added_tokens"][0]["id"] = json!(4_294_967_295u32), "beyond the 288 rows"),
        (|f| f["added_tokens"][0]["id"] = json!(0), "token 0 is there twice"),
        (|f| drop(f["model"]["vocab"].as_object_mut().unwrap().remove("a")), "cover all bytes"),
        (|f| f["model"]["vocab"]["a b"] = json!(283), "byte alphabet"),
        (|f| f["model"]["merges"][0] = json!(["Ġ", "zz"]), "merge"),
        (|f| f["model"]["merges"][0] = json!("Ġs"), "merge"),
        (|f| drop(f["added_tokens"].as_array_mut().unwrap().remove(2)), "<|im_end|> is missing"),
    ];
    for (change, what) in changes {
        let error = changed(change).err().unwrap().to_string();
        assert!(error.contains(what), "{error}");
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokenizer.json");
    assert!(Tokenizer::read_json(&file, VOCAB).unwrap().is_none());
    for text in ["", "{}", "[1", "nul"] {
        std::fs::write(&file, text).unwrap();
        assert!(Tokenizer::read_json(&file, VOCAB).is_err());
    }
    std::fs::File::create(&file).unwrap().set_len(65 << 20).unwrap();
    let error = Tokenizer::read_json(&file, VOCAB).err().unwrap().to_string();
    assert!(error.contains("more than"), "{error}");
}
