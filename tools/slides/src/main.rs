//! `slides WORDS OUT`: the pictures that `tools/nano_reference.py` shows to the reference, and what it asks of them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use image::RgbImage;
use serde_json::{Value, json};
use slides::{Artist, SIZE, Stream, streams, titles};

fn main() -> Result<()> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let [words, out] = &arguments[..] else { bail!("usage: slides WORDS OUT") };
    let artist = Artist::new(words)?;
    std::fs::create_dir_all(out)?;
    let plan = json!({
        "titles": save("title", &titles(&artist, 200), out)?,
        "streams": save("stream", &streams(&artist, 100), out)?,
    });
    std::fs::write(out.join("plan.json"), serde_json::to_string_pretty(&plan)? + "\n")?;
    Ok(())
}

/// Writes each pair as one PNG, the second frame below the first.
fn save(kind: &str, streams: &[Stream], out: &Path) -> Result<Vec<Value>> {
    let mut plan = Vec::new();
    for (number, stream) in streams.iter().enumerate() {
        let mut pairs = Vec::new();
        for (i, (pair, title, stamp)) in stream.pairs.iter().enumerate() {
            let file = format!("{kind}-{number:03}-{i}.png");
            let picture = RgbImage::from_raw(SIZE.0 as u32, 2 * SIZE.1 as u32, pair.frames.concat());
            picture.context("a pair has another size")?.save(out.join(&file))?;
            pairs.push(json!({"file": file, "stamp": stamp, "title": title}));
        }
        plan.push(json!(pairs));
    }
    Ok(plan)
}
