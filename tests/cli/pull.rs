//! Whole checkpoints from a hub on this machine.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::json;

use super::loopback::Hub;
use super::{Desk, events, make, text};

const ID: &str = "tiny/Qwen3-VL-tiny";
const SHARD_1: &str = "model-00001-of-00002.safetensors";
const SHARD_2: &str = "model-00002-of-00002.safetensors";

/// The files of a folder of this repository, and some that nobody wants.
fn folder(path: &str) -> BTreeMap<String, Vec<u8>> {
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
fn tiny() -> Hub {
    Hub::start(ID, folder("crates/gist-qwen/tests/data/qwen3vl/models/tiny-untied"))
}

fn run(desk: &Desk, hub: &Hub, args: &[&str]) -> Output {
    let mut command = desk.command(args);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", hub.endpoint()).env_remove("HF_TOKEN");
    command.env("NO_PROXY", "127.0.0.1").output().expect("runs")
}

fn pulls(desk: &Desk, hub: &Hub) -> String {
    let output = run(desk, hub, &["model", "pull", ID]);
    assert!(output.status.success(), "{}", text(&output.stderr));
    text(&output.stdout) + &text(&output.stderr)
}

/// Whether what is there is whole, read through again.
fn is_intact(desk: &Desk) -> bool {
    desk.command(&["model", "verify", ID]).output().expect("runs").status.success()
}

/// What is said when a pull fails.
fn refused(desk: &Desk, hub: &Hub, code: i32) -> String {
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
fn names(desk: &Desk) -> Vec<String> {
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
fn a_corrupt_shard_is_fetched_again_and_then_refused() {
    let (desk, hub) = (Desk::new(), tiny());
    hub.faults().corrupt = Some((SHARD_1, 1));
    assert!(pulls(&desk, &hub).contains("wrong checksum"));
    assert_eq!(hub.asked().iter().filter(|asked| *asked == SHARD_1).count(), 2);

    // One checked by SHA-256, one by git's sum.
    for name in [SHARD_2, "video_preprocessor_config.json"] {
        let desk = Desk::new();
        hub.faults().corrupt = Some((name, usize::MAX));
        let said = refused(&desk, &hub, 4);
        assert!(said.contains(&format!("{name} came with a wrong checksum, again")), "{said}");
        assert!(!names(&desk).contains(&name.to_owned()) && !is_intact(&desk));
    }
}

#[test]
fn a_file_of_another_size_is_refused() {
    for (size, said) in
        [(500_000, "longer than the 500000 bytes"), (600_000, "504760 bytes instead of 600000")]
    {
        let (desk, hub) = (Desk::new(), tiny());
        let mut listing = hub.listing();
        let shard = listing.iter_mut().find(|entry| entry["path"] == SHARD_1).expect("listed");
        shard["lfs"]["size"] = json!(size);
        hub.faults().listing = Some(json!(listing).to_string());
        let message = refused(&desk, &hub, 4);
        assert!(message.contains(said), "{message}");
        assert!(!names(&desk).contains(&SHARD_1.to_owned()));
    }
}

#[test]
fn a_hostile_list_is_refused_before_anything_is_fetched() {
    let (desk, hub) = (Desk::new(), tiny());
    let listed = hub.listing();
    let with = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut listing = listed.clone();
        change(listing.iter_mut().find(|entry| entry["path"] == SHARD_1).expect("listed"));
        json!(listing).to_string()
    };
    let paths = [
        "../model.safetensors",
        "/tmp/model.safetensors",
        "..\\model.safetensors",
        "a/../../model.safetensors",
    ];
    let mut lists: Vec<String> =
        paths.iter().map(|path| with(&|entry| entry["path"] = json!(path))).collect();
    lists.push(with(&|entry| entry["path"] = json!("config.json")));
    lists.push(with(&|entry| entry["lfs"]["oid"] = json!("../../x")));
    lists.push(with(&|entry| entry["lfs"]["size"] = json!(u64::MAX)));
    lists.push(with(&|entry| entry["lfs"]["size"] = json!(-1)));
    lists.push("[".repeat(100_000));
    lists.push("{}".into());
    lists.push(format!("[{}]", " ".repeat(17 << 20)));
    for list in lists {
        hub.faults().listing = Some(list.clone());
        let said = refused(&desk, &hub, 4);
        assert!(said.len() < 600, "{said}");
        assert!(hub.asked().is_empty(), "{said}");
    }
    // A hidden name is left alone; the index says that it is missed.
    hub.faults().listing = Some(with(&|entry| entry["path"] = json!(format!(".{SHARD_1}"))));
    assert!(refused(&desk, &hub, 4).contains("which is not among its files"));
    assert!(!hub.asked().iter().any(|asked| asked.contains("safetensors") && !asked.contains("index")));
    assert_eq!(
        fs::read_dir(desk.path("models")).expect("dir").flatten().count(),
        2,
        "nothing beside hub and lock"
    );
}

#[test]
fn a_list_that_goes_on_elsewhere_or_for_ever_is_refused() {
    let (desk, hub) = (Desk::new(), tiny());
    let other = Hub::start(ID, BTreeMap::new());
    for next in [format!("{}/x", other.endpoint()), format!("{}9/x", hub.endpoint())] {
        hub.faults().next = Some(next);
        assert!(refused(&desk, &hub, 4).contains("goes on at another address"));
    }
    assert!(other.seen().is_empty());
    let commit = "c0ffee".repeat(7)[..40].to_owned();
    hub.faults().next = Some(format!("{}/api/models/{ID}/tree/{commit}?recursive=true", hub.endpoint()));
    assert!(refused(&desk, &hub, 4).contains("can't be right"));
}

#[test]
fn what_the_hub_does_not_give_is_said_with_what_to_do() {
    for (path, status, words) in [
        ("/revision/", 401, "set HF_TOKEN"),
        ("/resolve/", 401, "set HF_TOKEN"),
        ("/resolve/", 403, "accept its terms"),
        ("/revision/", 404, "no such repository"),
    ] {
        let (desk, hub) = (Desk::new(), tiny());
        hub.faults().status = Some((path, status));
        let said = refused(&desk, &hub, 4);
        let page = status == 404 || said.contains(&format!("{}/{ID}", hub.endpoint()));
        assert!(said.contains(words) && said.contains(&status.to_string()) && page, "{said}");
    }
    let desk = Desk::new();
    let said = desk.ends(4, &["model", "pull", ID]);
    assert!(said.contains("HF_HUB_OFFLINE"), "{said}");
}

#[test]
fn the_token_is_for_the_hub_alone() {
    let (desk, hub) = (Desk::new(), tiny());
    let mut command = desk.command(&["-vv", "model", "pull", ID]);
    command.env_remove("HF_HUB_OFFLINE").env("HF_ENDPOINT", hub.endpoint()).env("NO_PROXY", "127.0.0.1");
    let output = command.env("HF_TOKEN", "hf_hush").env("RUST_LOG", "trace").output().expect("runs");
    assert!(output.status.success(), "{}", text(&output.stderr));
    // What goes over the wire is logged sixteen bytes a line.
    let log = text(&output.stderr);
    assert!(
        log.contains("TRACE") && !log.contains("hf_hush") && !log.contains("ureq_proto::util"),
        "a secret in the log"
    );
    let seen = hub.seen();
    assert!(seen.iter().any(|seen| seen.server == "storage"));
    for seen in seen {
        let expected = if seen.server == "hub" { "bearer hf_hush" } else { "" };
        assert_eq!(seen.authorization, expected, "{}", seen.path);
    }
}

#[test]
fn weights_for_other_programs_are_refused_by_the_config_alone() {
    let mut files = folder("crates/gist-qwen/tests/data/qwen3vl/models/tiny-untied");
    let mut config: serde_json::Value = serde_json::from_slice(&files["config.json"]).expect("JSON");
    config["quantization_config"] = json!({ "quant_method": "awq", "bits": 4 });
    files.insert("config.json".into(), config.to_string().into());
    let id = "someone/Qwen3-VL-4B-Instruct-AWQ";
    let (desk, hub) = (Desk::new(), Hub::start(id, files));
    for _ in 0..2 {
        let output = run(&desk, &hub, &["model", "pull", id]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("awq") && said.contains("model pull Qwen/Qwen3-VL-4B-Instruct-GGUF"), "{said}");
        assert!(!hub.asked().iter().any(|asked| asked.ends_with(".safetensors")), "{said}");
        assert!(!desk.path("models/hub").join(id).exists());
    }
}

#[test]
fn too_little_room_is_said_before_a_shard_is_fetched() {
    let (desk, hub) = (Desk::new(), tiny());
    let mut listing = hub.listing();
    for entry in &mut listing {
        if entry["path"] == SHARD_1 || entry["path"] == SHARD_2 {
            entry["lfs"]["size"] = json!(1u64 << 40);
        }
    }
    hub.faults().listing = Some(json!(listing).to_string());
    let said = refused(&desk, &hub, 6);
    assert!(said.contains("2199.0 GB are still to be fetched") && said.contains("too few"), "{said}");
    assert!(!hub.asked().iter().any(|asked| asked.ends_with(".safetensors")));
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

const SLIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/models/nano-vl/examples/slide0.png");

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
