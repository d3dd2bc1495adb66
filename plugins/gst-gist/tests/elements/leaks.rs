//! The plugin as `gst-launch-1.0` loads it, under GStreamer's leak tracer.

use std::path::PathBuf;
use std::process::Command;

/// Where cargo put the plugin: beside this test, or one up.
pub(crate) fn plugin_dir() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let places = [test.parent().unwrap(), test.parent().unwrap().parent().unwrap()];
    let found = places.iter().find(|place| place.join("libgstgist.so").is_file());
    found.expect("cargo builds the plugin with its tests").to_path_buf()
}

#[test]
fn a_whole_stream_leaks_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let talk = dir.path().join("talk.srt");
    std::fs::write(&talk, "1\n00:00:01,000 --> 00:00:03,000\nblocks are fetched in parallel\n").unwrap();
    let line = format!(
        "videotestsrc num-buffers=100 ! video/x-raw,width=320,height=240 ! gistsummarizer name=g backend=mock \
         ! fakesink sync=false  filesrc location={} ! subparse ! g.text_0 \
         g.chapters ! application/x-json ! tee name=t  t. ! queue ! gistchaptersink location={} \
         t. ! queue ! gistwebhooksink url=http://127.0.0.1:1 allow-private=127.0.0.1 spool-location={}",
        talk.display(),
        dir.path().join("out.jsonl").display(),
        dir.path().join("spool").display(),
    );
    let output = Command::new("gst-launch-1.0")
        .args(line.split_whitespace())
        .env("GST_PLUGIN_PATH", plugin_dir())
        .env("GST_REGISTRY", dir.path().join("registry.bin"))
        .env("GST_TRACERS", "leaks")
        .env("GST_DEBUG", "GST_TRACER:7")
        .env("GST_DEBUG_NO_COLOR", "1")
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{log}");
    assert!(log.contains("object-alive, type-name=(string)%s"), "the tracer ran: {log}");
    let alive: Vec<_> = log.lines().filter(|l| l.contains("object-alive, type-name=(string)Gst")).collect();
    assert!(alive.is_empty(), "{alive:#?}");
    let chapters = std::fs::read_to_string(dir.path().join("out.jsonl")).unwrap();
    assert!(chapters.contains("\"closed\""), "and wrote its chapter: {chapters}");
}
