//! The scripts in `pipelines/`, as far as they go without a camera or a model.

use std::path::Path;
use std::process::Command;

use super::leaks::plugin_dir;

/// Exit code and standard error of a script in an empty directory.
fn run(dir: &Path, script: &str, args: &[&str]) -> (Option<i32>, String) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../pipelines");
    let output = Command::new("bash")
        .arg(scripts.join(script))
        .args(args)
        .current_dir(dir)
        .env("GST_PLUGIN_PATH", plugin_dir())
        .env("GST_REGISTRY", dir.join("registry.bin"))
        .output()
        .unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The script once went on with an empty address, and ended with the code and words of `gst-launch-1.0`.
#[test]
fn a_file_that_is_not_there_ends_a_script() {
    let dir = tempfile::tempdir().unwrap();
    for (script, args) in [
        ("file.sh", &["gone.mkv"][..]),
        ("captions.sh", &["gone.mkv", "registry.bin"]),
        ("captions.sh", &["gone.mkv", "gone.vtt"]),
        ("audio.sh", &["gone.mp3", "chapters.json"]),
        ("ndjson.sh", &["gone.mkv"]),
        ("several.sh", &["registry.bin", "gone.mkv"]),
        ("webhook.sh", &["gone.mkv", "https://example.com/hook"]),
        ("mpegts-udp.sh", &["0", "gone.mkv"]),
    ] {
        let (code, said) = run(dir.path(), script, args);
        assert_eq!(code, Some(3), "{script}: {said}");
        assert!(said.starts_with("There is no file gone") && said.lines().count() == 1, "{script}: {said}");
    }
}

#[test]
fn a_script_without_arguments_shows_how_it_is_called() {
    let dir = tempfile::tempdir().unwrap();
    for script in [
        "audio.sh",
        "captions.sh",
        "file.sh",
        "hls.sh",
        "ndjson.sh",
        "record.sh",
        "rtsp.sh",
        "several.sh",
        "webhook.sh",
    ] {
        let (code, said) = run(dir.path(), script, &[]);
        assert_eq!(code, Some(2), "{script}: {said}");
        assert!(said.contains(&format!("pipelines/{script} ")), "{script}: {said}");
    }
}
