//! Checkpoints from a hub that is broken, hostile, or does not give them.

use std::collections::BTreeMap;
use std::fs;

use serde_json::json;

use super::loopback::Hub;
use super::pull::{ID, SHARD_1, SHARD_2, folder, is_intact, names, pulls, refused, run, tiny};
use super::{Desk, text};

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
    lists.push(with(&|entry| entry["type"] = json!(["\u{1b}[2J".repeat(1000)])));
    lists.push(with(&|entry| entry["size"] = json!("\u{1b}[2J".repeat(1000))));
    lists.push("[".repeat(100_000));
    lists.push("{}".into());
    lists.push(format!("[{}]", " ".repeat(17 << 20)));
    for list in lists {
        hub.faults().listing = Some(list.clone());
        let said = refused(&desk, &hub, 4);
        assert!(said.len() < 600 && !said.contains('\u{1b}'), "{said}");
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
