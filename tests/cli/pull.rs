//! Whole checkpoints from a hub on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use super::loopback::Hub;
use super::{Desk, events, make, text};

const SLIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/nano-vl/examples/slide0.png");
pub(crate) const ID: &str = "tiny/Qwen3-VL-tiny";
pub(crate) const SHARD_1: &str = "model-00001-of-00002.safetensors";
pub(crate) const SHARD_2: &str = "model-00002-of-00002.safetensors";

/// The files of a folder of this repository, and some that nobody wants.
pub(crate) fn folder(path: &str) -> BTreeMap<String, Vec<u8>> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let files = fs::read_dir(dir).expect("fixture").flatten().filter(|entry| entry.path().is_file());
    let mut files: BTreeMap<String, Vec<u8>> = files
        .map(|entry| (entry.file_name().into_string().expect("UTF-8"), fs::read(entry.path()).expect("read")))
        .collect();
    for other in [".gitattributes", "README.md", "pytorch_model.bin", "onnx/model.onnx"] {
        files.insert(other.into(), b"not wanted".into());
    }
    files
}

/// In two shards.
pub(crate) fn tiny() -> Hub {
    Hub::start(ID, folder("crates/gist-qwen/tests/data/qwen3vl/models/tiny-untied"))
}

pub(crate) fn run(desk: &Desk, hub: &Hub, args: &[&str]) -> Output {
    let mut command = desk.command(args);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", hub.endpoint()).env_remove("HF_TOKEN");
    command.env("NO_PROXY", "127.0.0.1").output().expect("runs")
}

pub(crate) fn pulls(desk: &Desk, hub: &Hub) -> String {
    let output = run(desk, hub, &["model", "pull", ID]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// Whether what is there is whole, read through again.
pub(crate) fn is_intact(desk: &Desk) -> bool {
    desk.command(&["model", "verify", ID]).output().expect("runs").status.success()
}

/// What is said when a pull fails.
pub(crate) fn refused(desk: &Desk, hub: &Hub, code: i32) -> String {
    let output = run(desk, hub, &["model", "pull", ID]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{said}");
    assert!(!said.contains("panicked"), "{said}");
    said
}

fn place(desk: &Desk) -> PathBuf {
    desk.path("models/hub").join(ID)
}

/// What lies in the folder of the checkpoint under its own name.
pub(crate) fn names(desk: &Desk) -> Vec<String> {
    let entries = fs::read_dir(place(desk)).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().into_string().expect("UTF-8")).collect();
    names.retain(|name| !name.starts_with('.'));
    names.sort();
    names
}

#[test]
fn a_checkpoint_comes_whole_and_nothing_else_with_it() {
    let (desk, hub) = (Desk::new(), tiny());
    let said = pulls(&desk, &hub);
    assert!(said.contains("6 files, 917 kB, commit c0ffeec0ffee"), "{said}");
    assert!(said.contains(&format!("fetched: {}", place(&desk).display())), "{said}");
    let wanted = [
        "config.json",
        SHARD_1,
        SHARD_2,
        "model.safetensors.index.json",
        "preprocessor_config.json",
        "video_preprocessor_config.json",
    ];
    assert_eq!(names(&desk), wanted);
    let source = folder("crates/gist-qwen/tests/data/qwen3vl/models/tiny-untied");
    for name in wanted {
        assert_eq!(fs::read(place(&desk).join(name)).expect("read"), source[name], "{name}");
    }
    assert!(text(&desk.command(&["model", "verify", ID]).output().expect("runs").stdout).contains("intact"));
    let list = text(&desk.command(&["model", "list"]).output().expect("runs").stdout);
    assert!(list.lines().any(|line| line.contains(ID) && line.contains(" yes ")), "{list}");
}

#[test]
fn a_revision_lies_beside_the_main_one() {
    let (desk, hub) = (Desk::new(), tiny());
    let pinned = format!("{ID}@v1");
    assert!(run(&desk, &hub, &["model", "pull", &pinned]).status.success());
    assert!(hub.seen().iter().any(|seen| seen.path.ends_with("/revision/v1")));
    assert!(desk.command(&["model", "verify", &pinned]).output().expect("runs").status.success());
    assert!(!is_intact(&desk), "it is not the main one");
}

#[test]
fn a_second_pull_asks_for_no_file_and_none_is_needed_offline() {
    let (desk, hub) = (Desk::new(), tiny());
    pulls(&desk, &hub);
    hub.seen();
    assert!(pulls(&desk, &hub).contains("already on this machine, intact"));
    let paths: Vec<String> = hub.seen().into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, [format!("/api/models/{ID}/revision/main")]);

    let output = desk.command(&["model", "pull", ID]).output().expect("runs");
    assert!(text(&output.stdout).contains("already on this machine"), "{}", text(&output.stderr));
    hub.faults().status = Some(("/api/", 500));
    assert!(pulls(&desk, &hub).contains("already on this machine"));
}

#[test]
fn a_pull_cut_in_the_middle_of_a_shard_goes_on_there() {
    let (desk, hub) = (Desk::new(), tiny());
    hub.faults().cut = Some((SHARD_2, 100_000));
    refused(&desk, &hub, 4);
    assert_eq!(
        hub.asked().last().map(String::as_str),
        Some(&*format!("{SHARD_2} 100000-")),
        "it tried again"
    );
    assert!(names(&desk).contains(&SHARD_1.to_owned()) && !names(&desk).contains(&SHARD_2.to_owned()));
    let said = desk.ends(4, &["describe", SLIDE, "--model", ID]);
    assert!(
        said.contains(&format!("only partly on this machine: run `streamgist model pull {ID}`")),
        "{said}"
    );

    hub.faults().cut = None;
    pulls(&desk, &hub);
    let asked = hub.asked();
    assert_eq!(asked[0], format!("{SHARD_2} 100000-"), "{asked:?}");
    assert!(
        !asked.iter().any(|asked| asked.starts_with(SHARD_1) || asked.starts_with("config")),
        "{asked:?}"
    );
    assert!(is_intact(&desk));
}

#[test]
fn of_gguf_files_one_is_taken_and_the_next_choice_replaces_it() {
    let names_of =
        ["vl-Q4_K_M.gguf", "vl-Q8_0.gguf", "mmproj-vl-F16.gguf", "mmproj-vl-Q8_0.gguf", "README.md"];
    let files = names_of.map(|name| (name.to_owned(), name.repeat(100).into_bytes())).into();
    let (desk, hub) = (Desk::new(), Hub::start(ID, files));
    pulls(&desk, &hub);
    assert_eq!(names(&desk), ["mmproj-vl-F16.gguf", "vl-Q4_K_M.gguf"]);

    let output = run(&desk, &hub, &["model", "pull", ID, "--file", "vl"]);
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(4), "{said}");
    assert!(said.contains("more than one file") && said.contains("vl-Q4_K_M.gguf, vl-Q8_0.gguf"), "{said}");
    assert_eq!(names(&desk), ["mmproj-vl-F16.gguf", "vl-Q4_K_M.gguf"], "what was there stays");

    hub.seen();
    assert!(run(&desk, &hub, &["model", "pull", ID, "--file", "q8_0"]).status.success());
    assert_eq!(hub.asked(), ["vl-Q8_0.gguf"]);
    assert_eq!(names(&desk), ["mmproj-vl-F16.gguf", "vl-Q8_0.gguf"]);
    assert!(pulls(&desk, &hub).contains("already on this machine"), "it stays what was chosen");
    let output = run(&desk, &hub, &["model", "pull", "whisper-base", "--file", "q8"]);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn a_choice_outlives_a_pull_that_was_cut_off_and_a_file_that_was_damaged() {
    let names_of = ["vl-Q4_K_M.gguf", "vl-Q8_0.gguf", "mmproj-vl-F16.gguf"];
    let files = names_of.map(|name| (name.to_owned(), name.repeat(10_000).into_bytes())).into();
    let (desk, hub) = (Desk::new(), Hub::start(ID, files));
    hub.faults().cut = Some(("vl-Q8_0.gguf", 50_000));
    let output = run(&desk, &hub, &["model", "pull", ID, "--file", "Q8_0"]);
    assert_eq!(output.status.code(), Some(4), "{}", text(&output.stderr));
    hub.faults().cut = None;
    hub.seen();
    // As the message says: without the choice.
    pulls(&desk, &hub);
    assert_eq!(hub.asked()[0], "vl-Q8_0.gguf 50000-");
    assert_eq!(names(&desk), ["mmproj-vl-F16.gguf", "vl-Q8_0.gguf"]);

    fs::write(place(&desk).join("vl-Q8_0.gguf"), "damaged").expect("write");
    pulls(&desk, &hub);
    assert_eq!(names(&desk), ["mmproj-vl-F16.gguf", "vl-Q8_0.gguf"]);
    assert!(is_intact(&desk));
}

#[test]
fn what_an_earlier_choice_left_is_not_believed() {
    let names_of = ["model.safetensors", "config.json", "chat_template.jinja", "vl-Q8_0.gguf"];
    let files = names_of.map(|name| (name.to_owned(), b"{}".to_vec())).into();
    let (desk, hub) = (Desk::new(), Hub::start(ID, files));
    pulls(&desk, &hub);
    assert!(names(&desk).contains(&"config.json".to_owned()));
    assert!(run(&desk, &hub, &["model", "pull", ID, "--file", "Q8_0"]).status.success());
    assert_eq!(names(&desk), ["vl-Q8_0.gguf"], "a config beside it would make it another model");
}

#[test]
fn a_newer_commit_is_fetched_beside_the_old_one() {
    let (desk, hub) = (Desk::new(), tiny());
    pulls(&desk, &hub);
    let mut shard = fs::read(place(&desk).join(SHARD_2)).expect("read");
    let old = shard.clone();
    *shard.last_mut().expect("bytes") ^= 1;
    hub.commit("1", SHARD_2, &shard);
    hub.seen();
    hub.faults().cut = Some((SHARD_2, 1000));
    refused(&desk, &hub, 4);
    assert!(is_intact(&desk), "the old one is used until the new one is there");
    assert_eq!(fs::read(place(&desk).join(SHARD_2)).expect("read"), old);

    hub.faults().cut = None;
    hub.seen();
    pulls(&desk, &hub);
    assert_eq!(hub.asked(), [format!("{SHARD_2} 1000-")]);
    assert_eq!(fs::read(place(&desk).join(SHARD_2)).expect("read"), shard);
    assert!(is_intact(&desk));
}

#[test]
fn a_pulled_checkpoint_is_used_by_its_id_and_by_its_name() {
    // The registry's name for a repository, and the files of a model small enough for a test.
    let id = "Qwen/Qwen3-VL-2B-Instruct";
    let (desk, hub) = (Desk::new(), Hub::start(id, folder("models/nano-vl")));
    for name in ["qwen3-vl-2b", id] {
        let said = desk.ends(4, &["describe", SLIDE, "--model", name]);
        assert!(said.contains(&format!("run `streamgist model pull {name}`")), "{said}");
    }
    let output = run(&desk, &hub, &["model", "pull", "qwen3-vl-2b"]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    for name in ["qwen3-vl-2b", id] {
        let output =
            desk.command(&["describe", SLIDE, "--model", name, "--prompt", "title?"]).output().expect("runs");
        assert!(output.status.success(), "{}", text(&output.stderr));
        assert_eq!(text(&output.stdout), "{\"title\":\"Summary\"}\n", "as models/nano-vl/eval.json has it");
    }
    // The element takes the same names.
    make(&format!(
        "filesrc location={SLIDE} ! pngdec ! imagefreeze num-buffers=12 ! videoconvert ! video/x-raw,framerate=1/1 ! \
         matroskamux ! filesink location={}",
        desk.path("film.mkv").display()
    ));
    let args = ["chapters", "film.mkv", "--no-speech", "--model", id, "--json", "all.jsonl"];
    let output = desk.command(&args).output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    let events = events(&desk.path("all.jsonl"));
    assert_eq!(events.last().expect("a chapter")["title"], "Summary");

    // A folder of that name wins.
    fs::create_dir_all(desk.path(id)).expect("mkdir");
    let said = desk.ends(4, &["describe", SLIDE, "--model", id]);
    assert!(said.contains("holds no model"), "{said}");
}
