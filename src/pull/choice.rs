//! What of a repository is fetched: what our loaders read, and nothing else.

use gist_models::hub::plain;

use super::listing::Entry;

/// The index of a checkpoint in several files.
pub(crate) const INDEX: &str = "model.safetensors.index.json";

/// The small files of a checkpoint; chat templates come on top.
const SMALL: [&str; 14] = [
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "vocabulary.json",
    "merges.txt",
    "preprocessor_config.json",
    "video_preprocessor_config.json",
    // Which questions a model was trained to answer: our own.
    "gist.json",
    INDEX,
];

/// What is taken of a repository of GGUF files when nothing else is asked for.
const QUANTIZATION: &str = "Q4_K_M";

/// What no small file exceeds; a tokenizer takes 11 MB.
const MAX_SMALL: u64 = 64 << 20;

/// The files to fetch. `pattern` is a part of the name of a GGUF file, in which `*` stands for anything.
///
/// # Errors
/// Why there is no telling, with the names to choose from.
pub(crate) fn choose(entries: &[Entry], pattern: Option<&str>) -> Result<Vec<Entry>, String> {
    // Folders, hidden files and names that mean something to a shell or a server are not looked at.
    let here: Vec<&Entry> = entries.iter().filter(|entry| plain(&entry.path)).collect();
    let chosen = match pattern {
        None if here.iter().any(|entry| is_weights(&entry.path)) => checkpoint(&here)?,
        _ => gguf(&here, pattern)?,
    };
    match chosen.iter().find(|entry| !is_large(&entry.path) && entry.size > MAX_SMALL) {
        Some(entry) => {
            Err(format!("{} has {} bytes, which is too much for what it is", entry.path, entry.size))
        }
        None => Ok(chosen.into_iter().cloned().collect()),
    }
}

fn checkpoint<'a>(here: &[&'a Entry]) -> Result<Vec<&'a Entry>, String> {
    if !here.iter().any(|entry| entry.path == "config.json") {
        return Err("it has weights and no config.json".into());
    }
    let wanted = |name: &str| SMALL.contains(&name) || is_template(name) || is_weights(name);
    Ok(here.iter().copied().filter(|entry| wanted(&entry.path)).collect())
}

fn gguf<'a>(here: &[&'a Entry], pattern: Option<&str>) -> Result<Vec<&'a Entry>, String> {
    let all = here.iter().copied().filter(|entry| is_gguf(&entry.path));
    let (mmprojs, texts): (Vec<_>, Vec<_>) = all.partition(|entry| lower(entry).contains("mmproj"));
    if texts.is_empty() {
        return Err(match pattern {
            Some(_) => "it has no GGUF files to choose from; leave --file out".into(),
            None => "it has neither safetensors (model.safetensors) nor GGUF files".into(),
        });
    }
    let asked = pattern.unwrap_or(QUANTIZATION);
    let fit: Vec<_> = texts.iter().copied().filter(|entry| matches(asked, &entry.path)).collect();
    let [text] = fit[..] else {
        let (how, list) = if fit.is_empty() { ("no file", &texts) } else { ("more than one file", &fit) };
        return Err(format!("{how} matches {asked:?}; say which with --file, one of {}", names(list)));
    };
    let half = |entry: &&&Entry| lower(entry).contains("f16") && !lower(entry).contains("bf16");
    let halves: Vec<_> = mmprojs.iter().filter(half).copied().collect();
    match (&mmprojs[..], &halves[..]) {
        ([], _) => Ok(vec![text]),
        ([mmproj], _) | (_, [mmproj]) => Ok(vec![text, mmproj]),
        _ => Err(format!("it has several vision parts and not one in f16: {}", names(&mmprojs))),
    }
}

/// Whether a file is large by nature.
fn is_large(name: &str) -> bool {
    is_weights(name) || is_gguf(name)
}

fn is_weights(name: &str) -> bool {
    name.starts_with("model") && name.ends_with(".safetensors")
}

pub(crate) fn is_gguf(name: &str) -> bool {
    name.to_ascii_lowercase().ends_with(".gguf")
}

fn is_template(name: &str) -> bool {
    matches!(name, "chat_template.json" | "chat_template.jinja")
}

fn lower(entry: &Entry) -> String {
    entry.path.to_ascii_lowercase()
}

fn names(entries: &[&Entry]) -> String {
    let names: Vec<&str> = entries.iter().map(|entry| entry.path.as_str()).take(40).collect();
    names.join(", ")
}

/// Whether the pieces between the `*` of a pattern are in a name, one after the other.
fn matches(pattern: &str, name: &str) -> bool {
    let (pattern, name) = (pattern.to_ascii_lowercase(), name.to_ascii_lowercase());
    let mut rest = name.as_str();
    pattern.split('*').all(|piece| match rest.find(piece) {
        Some(at) => {
            rest = &rest[at + piece.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::super::listing::Sum;
    use super::*;

    fn chosen(names: &[&str], pattern: Option<&str>) -> Result<Vec<String>, String> {
        let entry = |path: &&str| Entry { path: (*path).into(), size: 1, sum: Sum::GitBlob(String::new()) };
        let entries: Vec<Entry> = names.iter().map(entry).collect();
        choose(&entries, pattern).map(|chosen| chosen.into_iter().map(|entry| entry.path).collect())
    }

    const GGUF: [&str; 8] = [
        "README.md",
        "Qwen3VL-2B-Instruct-F16.gguf",
        "Qwen3VL-2B-Instruct-Q4_K_M.gguf",
        "Qwen3VL-2B-Instruct-Q8_0.gguf",
        "mmproj-Qwen3VL-2B-Instruct-BF16.gguf",
        "mmproj-Qwen3VL-2B-Instruct-F16.gguf",
        "mmproj-Qwen3VL-2B-Instruct-Q8_0.gguf",
        "old/Qwen3VL-2B-Instruct-Q4_K_M.gguf",
    ];

    #[test]
    fn a_checkpoint_is_what_the_loader_reads() {
        let wanted = [
            "chat_template.json",
            "config.json",
            "merges.txt",
            "model-00001-of-00002.safetensors",
            "model-00002-of-00002.safetensors",
            "model.safetensors.index.json",
            "preprocessor_config.json",
            "tokenizer.json",
            "video_preprocessor_config.json",
        ];
        let others = [
            ".gitattributes",
            ".model.safetensors",
            "README.md",
            "pytorch_model.bin",
            "model.pt",
            "onnx/model.onnx",
            "old/config.json",
            "old/model.safetensors",
            "consolidated.safetensors",
            "model;x.safetensors",
        ];
        assert_eq!(chosen(&[&wanted[..], &others].concat(), None).expect("checkpoint"), wanted);
        assert!(chosen(&["model.safetensors"], None).expect_err("no config").contains("config.json"));
        assert!(
            chosen(&["pytorch_model.bin", "config.json"], None)
                .expect_err("no weights")
                .contains("safetensors")
        );
    }

    #[test]
    fn of_gguf_files_one_and_its_vision_part_in_f16() {
        let pair = ["Qwen3VL-2B-Instruct-Q4_K_M.gguf", "mmproj-Qwen3VL-2B-Instruct-F16.gguf"];
        assert_eq!(chosen(&GGUF, None).expect("default"), pair);
        for pattern in ["Q8_0", "q8_0.gguf", "*Q8*", "Qwen*Q8*.gguf"] {
            assert_eq!(chosen(&GGUF, Some(pattern)).expect(pattern)[0], "Qwen3VL-2B-Instruct-Q8_0.gguf");
        }
        let said = chosen(&["config.json", "model.safetensors"], Some("Q8_0")).expect_err("no GGUF");
        assert!(said.contains("leave --file out"), "{said}");
        assert_eq!(chosen(&["qwen2.5-q4_k_m.gguf"], None).expect("text alone"), ["qwen2.5-q4_k_m.gguf"]);
    }

    #[test]
    fn when_it_can_not_be_told_the_names_are_said() {
        for pattern in ["Q5_K_M", "Q"] {
            let said = chosen(&GGUF, Some(pattern)).expect_err(pattern);
            assert!(
                said.contains("Q8_0.gguf") && said.contains("--file") && !said.contains("mmproj"),
                "{said}"
            );
        }
        let said =
            chosen(&["a-Q4_K_M.gguf", "mmproj-q8.gguf", "mmproj-bf16.gguf"], None).expect_err("no f16");
        assert!(said.contains("mmproj-q8.gguf, mmproj-bf16.gguf"), "{said}");
    }
}
