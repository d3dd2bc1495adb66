//! The small JSON files of a checkpoint, each with a bound on its size and its values read with suspicion.

use std::io::Read;
use std::path::Path;

use serde_json::{Map, Value};

use crate::error::LoadError;

/// Configs may take this much; those of the family take 2 kB, with a chat template 11 kB.
const MAX_CONFIG: u64 = 1 << 20;

/// Reads a text file of at most `max` bytes; `None` when there is no such file.
///
/// # Errors
/// When it is larger, no regular file or not UTF-8.
pub(crate) fn text(path: &Path, max: u64) -> Result<Option<String>, LoadError> {
    let (file, length) = match crate::weights::open(path) {
        Ok(open) => open,
        Err(LoadError::NotFound(_)) => return Ok(None),
        Err(e) => return Err(e),
    };
    if length > max {
        let what = format!("it has {length} bytes, more than {max}");
        return Err(LoadError::Invalid { path: path.into(), what });
    }
    let mut bytes = Vec::new();
    file.take(max).read_to_end(&mut bytes).map_err(|source| LoadError::Io { path: path.into(), source })?;
    let text = String::from_utf8(bytes);
    text.map(Some).map_err(|_| LoadError::Invalid { path: path.into(), what: "it is not UTF-8".into() })
}

/// Reads a config; `None` when there is no such file.
///
/// # Errors
/// As [`text`], and when it is not a JSON object.
pub(crate) fn config(path: &Path) -> Result<Option<Map<String, Value>>, LoadError> {
    let Some(text) = text(path, MAX_CONFIG)? else { return Ok(None) };
    let what = |e| format!("it is not a JSON object: {e}");
    let parsed = serde_json::from_str(&text);
    parsed.map(Some).map_err(|e| LoadError::Invalid { path: path.into(), what: what(e) })
}

/// Reads a file of text that may be as long as a config.
///
/// # Errors
/// As [`text`].
pub(crate) fn template(path: &Path) -> Result<Option<String>, LoadError> {
    text(path, MAX_CONFIG)
}

/// The error about weights that only other programs read, with the name of a file that can be read.
pub(crate) fn quantized(folder: &Path, method: &str) -> LoadError {
    let method = method.chars().filter(|c| !c.is_control()).take(40).collect();
    LoadError::Quantized { path: folder.into(), method, instead: gguf_repository(folder) }
}

/// Refuses a checkpoint by its `config.json` alone when its weights are quantised in a way that only other programs
/// read (GPTQ, AWQ, FP8). `folder` is what it is called, or where it lies.
///
/// # Errors
/// [`LoadError::Quantized`] for such a checkpoint, others for a config that can't be read.
pub fn refuse_quantized(config: &Path, folder: &Path) -> Result<(), LoadError> {
    let Some(map) = self::config(config)? else { return Ok(()) };
    let root = Object::new(config, &map);
    [Some(root), root.object("text_config", "text_config.")?]
        .into_iter()
        .flatten()
        .try_for_each(|part| part.refuse_quantized(folder))
}

/// The repository with GGUF files of the model in `folder`, as far as its path tells: the hub's cache and most people
/// name a folder after the repository.
fn gguf_repository(folder: &Path) -> String {
    const FAMILY: &str = "Qwen3-VL-";
    let names = folder.components().rev().filter_map(|c| c.as_os_str().to_str());
    let model =
        names.filter_map(|name| name.find(FAMILY).map(|at| &name[at + FAMILY.len()..])).find_map(|rest| {
            let end =
                rest.find("Instruct").map(|i| i + 8).or_else(|| rest.find("Thinking").map(|i| i + 8))?;
            let size = rest[..end - 8].strip_suffix('-')?;
            let plain = !size.is_empty() && size.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            plain.then(|| &rest[..end])
        });
    format!("Qwen/{FAMILY}{}-GGUF", model.unwrap_or("2B-Instruct"))
}

/// An object of a JSON file.
#[derive(Clone, Copy)]
pub(crate) struct Object<'a> {
    path: &'a Path,
    /// Where in the file it is, with a dot at its end: `text_config.`.
    place: &'static str,
    map: &'a Map<String, Value>,
}

impl<'a> Object<'a> {
    pub(crate) fn new(path: &'a Path, map: &'a Map<String, Value>) -> Self {
        Self { path, place: "", map }
    }

    pub(crate) fn invalid(&self, what: impl Into<String>) -> LoadError {
        LoadError::Invalid { path: self.path.into(), what: what.into() }
    }

    pub(crate) fn unsupported(&self, what: impl Into<String>) -> LoadError {
        LoadError::Unsupported { path: self.path.into(), what: what.into() }
    }

    /// A value; `null` is none.
    pub(crate) fn get(&self, key: &str) -> Option<&'a Value> {
        self.map.get(key).filter(|value| !value.is_null())
    }

    fn wrong(&self, key: &str, wanted: &str) -> LoadError {
        match self.get(key) {
            None => self.invalid(format!("{}{key} is missing", self.place)),
            Some(found) => {
                let found: String = found.to_string().chars().take(60).collect();
                self.invalid(format!("{}{key} is {found}, not {wanted}", self.place))
            }
        }
    }

    /// An object inside; `place` is its path in the file and ends with `key` and a dot.
    pub(crate) fn object(&self, key: &str, place: &'static str) -> Result<Option<Self>, LoadError> {
        match self.get(key) {
            None => Ok(None),
            Some(Value::Object(map)) => Ok(Some(Self { path: self.path, place, map })),
            Some(_) => Err(self.wrong(key, "an object")),
        }
    }

    /// As [`Object::object`], for one that must be there.
    pub(crate) fn part(&self, key: &str, place: &'static str) -> Result<Self, LoadError> {
        self.object(key, place)?.ok_or_else(|| self.wrong(key, "an object"))
    }

    /// Refuses weights that the config says are quantised.
    pub(crate) fn refuse_quantized(&self, folder: &Path) -> Result<(), LoadError> {
        match self.object("quantization_config", "quantization_config.")? {
            Some(how) => Err(quantized(folder, how.string("quant_method").unwrap_or("quantised"))),
            None => Ok(()),
        }
    }

    /// An integer in `1..=max`.
    pub(crate) fn size(&self, key: &str, max: usize) -> Result<usize, LoadError> {
        let found = self.get(key).and_then(Value::as_u64).and_then(|n| usize::try_from(n).ok());
        found.filter(|n| (1..=max).contains(n)).ok_or_else(|| self.wrong(key, &format!("1 to {max}")))
    }

    /// Integers in `0..=max`.
    pub(crate) fn sizes(&self, key: &str, max: usize) -> Result<Vec<usize>, LoadError> {
        let size = |v: &Value| v.as_u64().and_then(|n| usize::try_from(n).ok()).filter(|n| *n <= max);
        let list = self.get(key).and_then(Value::as_array);
        list.and_then(|list| list.iter().map(size).collect())
            .ok_or_else(|| self.wrong(key, &format!("a list of numbers up to {max}")))
    }

    /// A token.
    pub(crate) fn token(&self, key: &str) -> Result<u32, LoadError> {
        let found = self.get(key).and_then(Value::as_u64).and_then(|n| u32::try_from(n).ok());
        found.ok_or_else(|| self.wrong(key, "a token id"))
    }

    /// A token or a list of some; empty when there is none.
    pub(crate) fn tokens(&self, key: &str) -> Result<Vec<u32>, LoadError> {
        match self.get(key) {
            None => Ok(Vec::new()),
            Some(Value::Array(list)) if list.len() <= 64 => {
                let token = |v: &Value| v.as_u64().and_then(|n| u32::try_from(n).ok());
                list.iter().map(token).collect::<Option<_>>().ok_or_else(|| self.wrong(key, "token ids"))
            }
            Some(_) => Ok(vec![self.token(key)?]),
        }
    }

    /// A finite number above 0.
    pub(crate) fn positive(&self, key: &str) -> Result<f64, LoadError> {
        let found = self.get(key).and_then(Value::as_f64);
        found.filter(|x| x.is_finite() && *x > 0.0).ok_or_else(|| self.wrong(key, "a number above 0"))
    }

    /// A string.
    pub(crate) fn string(&self, key: &str) -> Result<&'a str, LoadError> {
        self.get(key).and_then(Value::as_str).ok_or_else(|| self.wrong(key, "a string"))
    }

    /// Refuses a value other than the one that is supported; none is taken for that one.
    pub(crate) fn expect(&self, key: &str, wanted: &Value) -> Result<(), LoadError> {
        let same =
            |found: &Value| found == wanted || (found.is_number() && found.as_f64() == wanted.as_f64());
        match self.get(key) {
            Some(found) if !same(found) => {
                let found: String = found.to_string().chars().take(60).collect();
                Err(self.unsupported(format!("{}{key} is {found}; supported is {wanted}", self.place)))
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gguf_of_the_same_model_is_named() {
        for (folder, repository) in [
            ("/m/Qwen3-VL-8B-Instruct-AWQ", "Qwen/Qwen3-VL-8B-Instruct-GGUF"),
            (
                "models--Qwen--Qwen3-VL-30B-A3B-Thinking-FP8/snapshots/1f",
                "Qwen/Qwen3-VL-30B-A3B-Thinking-GGUF",
            ),
            ("/m/cpatonn_Qwen3-VL-4B-Instruct-GPTQ-Int4/", "Qwen/Qwen3-VL-4B-Instruct-GGUF"),
            ("/m/mine", "Qwen/Qwen3-VL-2B-Instruct-GGUF"),
            ("/m/Qwen3-VL-Instruct", "Qwen/Qwen3-VL-2B-Instruct-GGUF"),
            ("/m/Qwen3-VL-é/Instruct-4B", "Qwen/Qwen3-VL-2B-Instruct-GGUF"),
        ] {
            assert_eq!(gguf_repository(folder.as_ref()), repository, "{folder}");
        }
    }
}
