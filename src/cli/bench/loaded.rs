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

/// The first `limit` sessions of a file that have `tokens` tokens, each as one text.
pub(super) fn texts(data: &Path, tokens: usize, limit: usize) -> anyhow::Result<Vec<String>> {
    let sessions = crate::eval::data::read(data, None)?;
    let texts = sessions.iter().map(|s| s.lines.iter().map(|l| format!("{}\n", l.text)).collect());
    // No token is longer than 16 letters for long: what is shorter need not be read to be left out.
    let texts: Vec<String> = texts.filter(|text: &String| text.len() > 4 * tokens).take(limit).collect();
    if texts.is_empty() || tokens < 2 {
        return Err(Class::Input.failure(format!("no session has {tokens} tokens")));
    }
    Ok(texts)
}
