use std::path::Path;

use serde_json::json;

use super::{Checkpoint, PixelBudgets};
use crate::error::LoadError;
use crate::picture::PixelBudget;
use crate::weights::tests::{copy, edit, fixture, nano_vl};

const TEXT: &str = "gguf/tiny-tied-f16.gguf";
const MMPROJ: &str = "gguf/mmproj-tiny-tied-f16.gguf";

fn error(path: &Path, mmproj: Option<&Path>) -> LoadError {
    Checkpoint::open(path, mmproj).err().expect("it opens")
}

/// A folder with copies of some fixtures.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, name) in files {
        std::fs::copy(fixture(file), folder.path().join(name)).unwrap();
    }
    folder
}

#[test]
fn a_trained_model_has_all_parts() {
    let checkpoint = Checkpoint::open(&nano_vl(), None).unwrap_or_else(|e| panic!("{e}"));
    assert!(checkpoint.tokenizer.is_some() && checkpoint.vision.is_some() && !checkpoint.thinking);
    assert_eq!(checkpoint.tokens.unwrap().eos, [276, 274]);
    assert_eq!(checkpoint.config.vocab, 288);
    assert!(!checkpoint.text.contains("output.weight"));
    assert_eq!(checkpoint.budgets.image, PixelBudget { min_pixels: 4096, max_pixels: 16_777_216 });
    assert_eq!(checkpoint.budgets.video, PixelBudget::VIDEO);
}

#[test]
fn a_folder_without_a_tokenizer_has_none() {
    let checkpoint = Checkpoint::open(&fixture("models/tiny-untied"), None).unwrap();
    assert!(checkpoint.tokenizer.is_none());
    assert_eq!(checkpoint.budgets, PixelBudgets::default());
    assert!(checkpoint.text.contains("output.weight"));
}

#[test]
fn a_gguf_alone_reads_text_and_with_its_mmproj_pictures() {
    let alone = Checkpoint::open(&fixture(TEXT), None).unwrap();
    assert!(alone.vision.is_none() && alone.pictures.is_none());
    let tokens = alone.tokens.unwrap();
    assert_eq!((tokens.image_pad, tokens.vision_end, tokens.eos), (500, 503, vec![506, 504]));
    let pair = Checkpoint::open(&fixture(TEXT), Some(&fixture(MMPROJ))).unwrap();
    assert_eq!(pair.vision.as_ref().unwrap().deepstack, [0, 1, 3]);
    assert!(pair.tensor_bytes() > pair.text.tensor_bytes());
}

#[test]
fn files_are_found_in_a_folder_when_only_one_can_be_meant() {
    let one = folder(&[(TEXT, "a.gguf"), (MMPROJ, "b.gguf")]);
    assert!(Checkpoint::open(one.path(), None).unwrap().vision.is_some());
    assert!(Checkpoint::open(folder(&[(TEXT, "a.GGUF")]).path(), None).unwrap().vision.is_none());

    let texts = folder(&[(TEXT, "a.gguf"), (TEXT, "b.gguf"), (MMPROJ, "c.gguf")]);
    let message = error(texts.path(), None).to_string();
    assert!(message.ends_with("holds several models; name the file to load: a.gguf, b.gguf"), "{message}");
    let mmprojs = folder(&[(TEXT, "a.gguf"), (MMPROJ, "b.gguf"), (MMPROJ, "c.gguf")]);
    let message = error(mmprojs.path(), None).to_string();
    assert!(message.ends_with("several vision parts; name the one to take: b.gguf, c.gguf"), "{message}");
    let chosen = mmprojs.path().join("c.gguf");
    assert!(Checkpoint::open(mmprojs.path(), Some(&chosen)).unwrap().vision.is_some());
    let message = error(folder(&[(MMPROJ, "b.gguf")]).path(), None).to_string();
    assert!(message.contains("only the vision part of a model: b.gguf"), "{message}");
}

#[test]
fn what_is_no_model_is_told() {
    assert!(matches!(error(tempfile::tempdir().unwrap().path(), None), LoadError::NoModel(_)));
    assert!(matches!(error("/nowhere".as_ref(), None), LoadError::NotFound(_)));
    assert!(matches!(error("/dev/null".as_ref(), None), LoadError::NotGguf(_)));
    let message = error(&fixture(MMPROJ), None).to_string();
    assert!(message.contains("vision part of a model; name the file with the text part"), "{message}");
    let message = error(&fixture("models/tiny-tied"), Some(&fixture(MMPROJ))).to_string();
    assert!(message.contains("a vision tower of its own"), "{message}");
    let message = error(&fixture(TEXT), Some(&fixture(TEXT))).to_string();
    assert!(message.contains("`qwen3vl`"), "{message}");
}

#[test]
fn a_vision_part_of_another_size_is_refused() {
    let message = error(&fixture("gguf/tiny-text-q4_k_m.gguf"), Some(&fixture(MMPROJ))).to_string();
    assert!(message.contains("does not belong to"), "{message}");
    assert!(message.contains("rows of 64 values, the model takes 256"), "{message}");
}

#[test]
fn config_and_tokenizer_must_agree() {
    let folder = copy(&nano_vl());
    edit(&folder.path().join("config.json"), |config| config["image_token_id"] = json!(279));
    let message = error(folder.path(), None).to_string();
    assert!(message.contains("<|image_pad|> is token 279"), "{message}");
}

#[test]
fn the_template_is_taken_from_whichever_file_has_it() {
    let thinking = "{% if add_generation_prompt %}<think>";
    for (file, content) in [
        ("chat_template.jinja", thinking.to_owned()),
        ("chat_template.json", json!({ "chat_template": thinking }).to_string()),
        ("tokenizer_config.json", json!({ "chat_template": thinking }).to_string()),
        (
            "tokenizer_config.json",
            json!({ "chat_template": [{ "name": "default", "template": thinking }] }).to_string(),
        ),
    ] {
        let folder = copy(&fixture("models/tiny-tied"));
        std::fs::write(folder.path().join(file), content).unwrap();
        assert!(Checkpoint::open(folder.path(), None).unwrap().thinking, "{file}");
    }
}

#[test]
fn pictures_prepared_in_another_way_are_refused() {
    for (key, value, what) in [
        ("image_mean", json!([0.48, 0.45, 0.4]), "image_mean"),
        ("patch_size", json!(14), "patch_size is 14; supported is 16"),
        ("size", json!({ "shortest_edge": 9, "longest_edge": 8 }), "at least 9 and at most 8"),
        ("size", json!({ "height": 9, "width": 8 }), "size.shortest_edge is missing"),
        ("size", json!(null), "min_pixels is missing"),
    ] {
        let folder = copy(&fixture("models/tiny-tied"));
        edit(&folder.path().join("video_preprocessor_config.json"), |config| config[key] = value);
        let message = error(folder.path(), None).to_string();
        assert!(message.contains(what), "{message}");
    }
}

#[test]
fn large_configs_are_refused_unread() {
    for name in ["config.json", "generation_config.json", "preprocessor_config.json", "chat_template.jinja"] {
        let folder = copy(&fixture("models/tiny-tied"));
        std::fs::File::create(folder.path().join(name)).unwrap().set_len(2 << 20).unwrap();
        let message = error(folder.path(), None).to_string();
        assert!(message.contains("more than 1048576"), "{name}: {message}");
    }
}
