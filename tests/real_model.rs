//! The small real model (`make test` fetches it) from transcript to chapters: what is constrained must hold whatever
//! so small a model writes.

use std::path::Path;
use std::process::Command;

fn run(dir: &Path, transcript: &str, args: &[&str]) -> Vec<serde_json::Value> {
    std::fs::write(dir.join("talk.srt"), transcript).expect("write");
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgist"));
    command.current_dir(dir).args([
        "chapters",
        "talk.srt",
        "--model",
        "qwen2.5-coder-0.5b",
        "--json",
        "out.jsonl",
    ]);
    let output = command.args(args).output().expect("runs");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{stderr}\n(`streamgist model pull qwen2.5-coder-0.5b` fetches the model)"
    );
    let lines = std::fs::read_to_string(dir.join("out.jsonl")).expect("events");
    lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn han(text: &str) -> bool {
    text.chars().any(|c| ('\u{4e00}'..='\u{9fff}').contains(&c))
}

/// Two topics of about a minute and a half each.
fn talk() -> String {
    let nodes = [
        "A node that has just started knows nobody.",
        "So it asks a seed for the addresses of other nodes.",
        "The seed answers with twenty addresses of peers.",
        "The node writes the addresses of these peers into a table.",
        "From then on it asks its peers for more addresses.",
        "A peer that does not answer is removed from the table.",
    ];
    let fees = [
        "The next topic is the market for fees.",
        "Space in a block is scarce and has a price.",
        "Whoever offers a higher fee is served first.",
        "In a quiet week the fee falls to one satoshi.",
        "Wallets estimate the fee from the last blocks.",
        "An estimate that is too low can be replaced by a higher fee.",
    ];
    let lines = nodes.iter().cycle().take(12).chain(fees.iter().cycle().take(12));
    let stamp = |s: usize| format!("00:{:02}:{:02},000", s / 60, s % 60);
    let cues = lines
        .enumerate()
        .map(|(i, line)| format!("{}\n{} --> {}\n{line}\n\n", i + 1, stamp(i * 8), stamp(i * 8 + 7)));
    cues.collect()
}

#[test]
fn a_chinese_prompt_gets_chapters_in_order_with_conclusions_and_an_assessment() {
    let dir = tempfile::tempdir().expect("tempdir");
    let prompt = "请总结每一章的核心观点和关键术语,按时间顺序列出每章的起止时间,每章给出结论,最后给出整体评价和进一步学习的建议。";
    let events = run(dir.path(), &talk(), &["--prompt", prompt, "--markdown", "out.md"]);
    let closed: Vec<_> = events.iter().filter(|event| event["type"] == "closed").collect();
    assert!(!closed.is_empty());
    let mut end = 0.0;
    for chapter in &closed {
        assert_eq!(chapter["start"].as_f64(), Some(end), "in time order, without holes");
        end = chapter["end"].as_f64().expect("an end");
        assert_eq!(chapter["language"], "Chinese");
        // A conclusion that only repeats the summary is left out.
        for field in ["title", "summary"] {
            assert!(chapter[field].as_str().is_some_and(|text| !text.is_empty()), "{field} of {chapter}");
        }
        assert!(!chapter["keywords"].as_array().expect("keywords").is_empty());
        for point in chapter["points"].as_array().expect("points") {
            let (from, to) = (point["start"].as_f64().expect("start"), point["end"].as_f64().expect("end"));
            let (start, end) = (chapter["start"].as_f64().expect("start"), end);
            assert!(start <= from && from <= to && to <= end, "a point lies within its chapter: {chapter}");
        }
    }
    assert_eq!(end, 191.0, "the last chapter ends with the talk");
    let digest = events.last().expect("an event");
    assert_eq!((digest["type"].as_str(), digest["final"].as_bool()), (Some("digest"), Some(true)));
    assert_eq!(digest["language"], "Chinese");
    let text = digest["text"].as_str().expect("a text");
    for part in ["**总体评价。** ", "**进一步学习**", "1. "] {
        assert!(text.contains(part), "{text}");
    }
    assert!(!text.contains("Assessment") && !text.contains("Further study"), "{text}");
    let written: String =
        closed.iter().map(|c| c["summary"].to_string()).chain([digest["text"].to_string()]).collect();
    assert!(han(&written), "{written}");
    let markdown = std::fs::read_to_string(dir.path().join("out.md")).expect("markdown");
    assert!(
        markdown.starts_with("# ") && markdown.contains("\n## ") && markdown.contains("\n> "),
        "{markdown}"
    );
}
