//! The voice: espeak-ng, a sentence at a time, so that exact times are known.

use anyhow::{Context, Result, ensure};
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

/// Words a minute.
const SPEED: &str = "175";

/// Mono 16-bit sound.
#[derive(Debug, Default)]
pub(crate) struct Sound {
    pub(crate) rate: u32,
    pub(crate) samples: Vec<i16>,
}

impl Sound {
    /// Seconds.
    pub(crate) fn duration(&self) -> f64 {
        self.samples.len() as f64 / f64::from(self.rate.max(1))
    }

    /// Puts `other` at `start` seconds, with silence before it. `start` counts from the beginning, so that rounding
    /// never adds up.
    pub(crate) fn append(&mut self, other: &Self, start: f64) {
        self.rate = other.rate;
        self.samples.resize((start * f64::from(self.rate)).round() as usize, 0);
        self.samples.extend(&other.samples);
    }

    /// Silence up to `end` seconds.
    pub(crate) fn pad(&mut self, end: f64) {
        self.samples.resize((end * f64::from(self.rate)).round() as usize, 0);
    }

    /// Writes raw little-endian samples.
    pub(crate) fn write_raw(&self, path: &Path) -> Result<()> {
        let bytes: Vec<u8> = self.samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
        std::fs::write(path, bytes).with_context(|| format!("cannot write {}", path.display()))
    }
}

/// Speaks one sentence.
pub(crate) fn speak(text: &str) -> Result<Sound> {
    let mut espeak = Command::new("espeak-ng")
        .args(["-v", "en-us", "-s", SPEED, "--stdin", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run espeak-ng; install it with: apt-get install espeak-ng")?;
    if let Some(mut stdin) = espeak.stdin.take() {
        stdin.write_all(text.as_bytes())?;
    }
    let output = espeak.wait_with_output()?;
    ensure!(output.status.success(), "espeak-ng failed: {}", output.status);
    parse_wav(&output.stdout).context("espeak-ng gave no sound that can be read")
}

/// The sound of a WAV stream. espeak-ng cannot seek back when it writes to a pipe, so the length in the header is
/// not to be trusted.
fn parse_wav(bytes: &[u8]) -> Result<Sound> {
    let is = |at: usize, tag: &[u8]| bytes.get(at..at + 4) == Some(tag);
    ensure!(is(0, b"RIFF") && is(8, b"WAVE"), "no WAV header");
    let word =
        |at: usize| -> Option<u32> { Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?)) };
    let (mut at, mut rate) = (12, 0);
    while let Some(size) = word(at + 4) {
        let body = at + 8;
        if is(at, b"fmt ") {
            ensure!(word(body) == Some(1 << 16 | 1), "not mono PCM");
            rate = word(body + 4).unwrap_or(0);
        } else if is(at, b"data") {
            ensure!(rate > 0, "no format before the data");
            let end = body.saturating_add(size as usize).min(bytes.len());
            let samples =
                bytes[body..end].chunks_exact(2).map(|s| i16::from_le_bytes([s[0], s[1]])).collect();
            return Ok(Sound { rate, samples });
        }
        at = body.saturating_add(size as usize);
    }
    anyhow::bail!("no data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wav_with_the_length_of_a_pipe() {
        let mut wav = b"RIFF\xff\xff\xff\x7fWAVEfmt \x10\0\0\0\x01\0\x01\0\x22\x56\0\0".to_vec();
        wav.extend(b"\0\0\0\0\x02\0\x10\0data\xff\xff\xff\x7f\x01\0\xff\xff");
        let sound = parse_wav(&wav).unwrap();
        assert_eq!((sound.rate, sound.samples), (22050, vec![1, -1]));
        for cut in 0..44 {
            assert!(parse_wav(&wav[..cut]).is_err(), "{cut}");
        }
    }

    #[test]
    fn sentences_lie_where_the_timeline_says() {
        let tone = Sound { rate: 1000, samples: vec![7; 500] };
        let mut sound = Sound::default();
        sound.append(&tone, 0.0);
        sound.append(&tone, 0.85);
        sound.pad(2.0);
        assert_eq!(sound.samples.len(), 2000);
        assert_eq!((sound.samples[849], sound.samples[850], sound.samples[1350]), (0, 7, 0));
        assert!((sound.duration() - 2.0).abs() < 1e-9);
    }
}
