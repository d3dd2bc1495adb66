//! What commands on a real model have in common: the model, and text of real talks.

use std::path::Path;
use std::sync::Arc;

use gist_qwen::{LoadError, LoadOptions, QwenModel};

use crate::cli::exit::Class;

pub(super) fn failed(error: LoadError) -> anyhow::Error {
    Class::Model.failure(error.to_string())
}

pub(super) fn load(model: &str, options: LoadOptions<'_>) -> anyhow::Result<Arc<QwenModel>> {
    QwenModel::load(&gist_models::locate(model)?, options).map_err(failed)
}

/// The first `limit` sessions of a file that have `tokens` tokens, each as one text; if none has so many, one session
/// after the other as a single text.
pub(super) fn texts(data: &Path, tokens: usize, limit: usize) -> anyhow::Result<Vec<String>> {
    let sessions = crate::eval::data::read(data, None)?;
    let text = |lines: &[crate::eval::data::Line]| lines.iter().map(|l| format!("{}\n", l.text)).collect();
    // Few texts have as little as four letters a token: what is shorter need not be read to be left out.
    let enough = |text: &String| text.len() > 4 * tokens;
    let mut texts: Vec<String> = sessions.iter().map(|s| text(&s.lines)).filter(enough).take(limit).collect();
    if texts.is_empty() {
        texts.push(sessions.iter().map(|s| text(&s.lines)).collect());
    }
    if !enough(&texts[0]) || tokens < 2 {
        return Err(Class::Input.failure(format!("no session has {tokens} tokens")));
    }
    Ok(texts)
}
