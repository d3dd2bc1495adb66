//! How times, sizes and names are written.

use std::fs;
use std::path::Path;

use serde::de::Error;
use serde::{Deserialize, Deserializer};

/// A length of time: `20s`, `30m`, `1h`, `90d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Duration(pub(crate) std::time::Duration);

impl Duration {
    pub(super) const fn seconds<const N: u64>() -> Self {
        Self(std::time::Duration::from_secs(N))
    }

    pub(super) fn nanoseconds(self) -> u64 {
        u64::try_from(self.0.as_nanos()).unwrap_or(u64::MAX)
    }
}

impl<'de> Deserialize<'de> for Duration {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        humantime::parse_duration(&text)
            .map(Self)
            .map_err(|_| D::Error::custom(format!("{text:?} is no time: write 20s, 30m, 1h or 90d")))
    }
}

/// A number of bytes: `500MB`, `10GiB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Bytes(pub(crate) u64);

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let size = text.parse::<bytesize::ByteSize>();
        size.map(|size| Self(size.as_u64()))
            .map_err(|_| D::Error::custom(format!("{text:?} is no size: write 500MB or 10GiB")))
    }
}

/// A file that holds one line, such as an address with a password in it.
///
/// # Errors
/// When it can't be read, or is empty.
pub(super) fn line_of(path: &Path) -> Result<String, String> {
    let text = fs::read_to_string(path).map_err(|e| format!("can't read {}: {e}", path.display()))?;
    match text.trim() {
        "" => Err(format!("{} is empty", path.display())),
        line => Ok(line.to_owned()),
    }
}

/// What a value is called, here and as a property.
pub(super) fn nick(value: impl std::fmt::Debug) -> String {
    let name = format!("{value:?}");
    let kebab = name.char_indices().flat_map(|(at, c)| {
        let dash = (at > 0 && c.is_ascii_uppercase()).then_some('-');
        dash.into_iter().chain(std::iter::once(c.to_ascii_lowercase()))
    });
    kebab.collect()
}
