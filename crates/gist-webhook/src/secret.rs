//! Secrets of endpoints, which sign what is sent to them.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// What a written secret begins with.
const PREFIX: &str = "whsec_";
/// How many bytes a secret may have.
const LENGTHS: std::ops::RangeInclusive<usize> = 24..=64;
/// No file with a secret is this long.
const MAX_FILE: u64 = 4096;

/// Why something is no secret. None of these repeats it.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// It begins otherwise.
    #[error("a webhook secret begins with {PREFIX}: copy it whole from where the receiver shows it")]
    Prefix,
    /// What follows can't be read.
    #[error("what follows {PREFIX} is not base64: copy the secret whole from where the receiver shows it")]
    Base64,
    /// Too short to be safe, or longer than the standard allows.
    #[error(
        "the webhook secret has {0} bytes, 24 to 64 are allowed: make a new one, for example with \
         `echo whsec_$(head -c 32 /dev/urandom | base64)`"
    )]
    Length(usize),
    /// The file it is in can't be read.
    #[error("can't read the webhook secret from {path}: {why}")]
    File {
        /// The file.
        path: String,
        /// Why not.
        why: String,
    },
}

/// A signing secret, `whsec_` and 24 to 64 bytes as base64 when written. It shows itself nowhere but by
/// [`Secret::reveal`].
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A new one of 32 random bytes.
    pub fn generate() -> Self {
        Self(rand::random::<[u8; 32]>().to_vec())
    }

    /// Reads one from a file, as secrets are handed to services; blanks and newlines around it are no part of it.
    ///
    /// # Errors
    /// When the file can't be read or holds no secret.
    pub fn from_file(path: &Path) -> Result<Self, SecretError> {
        let failed = |why: String| SecretError::File { path: path.display().to_string(), why };
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE).read_to_string(&mut text))
            .map_err(|e| failed(e.to_string()))?;
        text.trim().parse().map_err(|e: SecretError| failed(e.to_string()))
    }

    /// As it is written: to be shown once, to whoever sets up the receiver.
    pub fn reveal(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl FromStr for Secret {
    type Err = SecretError;

    fn from_str(text: &str) -> Result<Self, SecretError> {
        let encoded = text.strip_prefix(PREFIX).ok_or(SecretError::Prefix)?;
        let bytes = STANDARD.decode(encoded).map_err(|_| SecretError::Base64)?;
        if !LENGTHS.contains(&bytes.len()) {
            return Err(SecretError::Length(bytes.len()));
        }
        Ok(Self(bytes))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}
