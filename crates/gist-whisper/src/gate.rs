//! Which frames hold speech.
//!
//! Two questions, both answered from the log-mel frames the encoder needs anyway. *Is a frame louder than the
//! background?* finds pauses and cuts windows. *Does the shape of the spectrum move as it does in speech?* decides
//! whether a window is worth decoding: phonemes change the shape all the time, a steady noise or hum never, and
//! music only from note to note.

use std::collections::VecDeque;

use crate::mel::{FLOOR, FRAMES_PER_SECOND};

/// Frames after a frame that must be known before it is judged: a pause within the next second shows the background.
pub(crate) const LOOK_AHEAD: usize = FRAMES_PER_SECOND;
/// Frames before it that do the same.
const LOOK_BACK: usize = 4 * FRAMES_PER_SECOND;
/// A frame is active from this far above the background, in powers of ten: 6 dB.
const MARGIN: f32 = 0.6;
/// Nothing below this level is active: about 70 dB below full scale.
const QUIETEST: f32 = -5.0;
/// Frames the level is averaged over.
const SMOOTH: usize = 5;

/// Spectral change of speech, per block of two seconds. Synthetic speech in seven languages, some of it with heavy
/// reverberation and noise, has 0.33 to 0.77; white and brown noise 0.26 at most, hum 0.16, chords and melodies 0.13.
const MIN_FLUX: f32 = 0.285;
const BLOCK: usize = 2 * FRAMES_PER_SECOND;
/// Frames between the two spectra compared.
const LAG: usize = 5;
/// Fewer active frames than this (a click, a cough) are no speech.
const MIN_ACTIVE: usize = 20;

/// The bands looked at, 100 Hz to 3.4 kHz: what a telephone lets through.
fn band(frame: &[f32]) -> &[f32] {
    &frame[frame.len() * 3 / 80..frame.len() * 56 / 80]
}

/// Judges one frame after the other, [`LOOK_AHEAD`] late.
#[derive(Default)]
pub(crate) struct Gate {
    /// Levels not yet averaged, at most [`SMOOTH`].
    raw: VecDeque<f32>,
    /// Averaged levels from [`LOOK_BACK`] before the next frame to judge.
    levels: VecDeque<f32>,
    /// Index in `levels` of the next frame to judge.
    next: usize,
}

impl Gate {
    /// Takes in a frame.
    pub(crate) fn push(&mut self, frame: &[f32]) {
        let band = band(frame);
        let power = band.iter().map(|x| 10f32.powf(*x)).sum::<f32>() / band.len() as f32;
        if self.raw.len() == SMOOTH {
            self.raw.pop_front();
        }
        self.raw.push_back(power);
        self.levels.push_back((self.raw.iter().sum::<f32>() / self.raw.len() as f32).max(1e-10).log10());
    }

    /// Whether the next frame is active; `None` until enough is known. `last` says that no more frames come.
    pub(crate) fn judge(&mut self, last: bool) -> Option<bool> {
        let level = *self.levels.get(self.next)?;
        if !last && self.levels.len() <= self.next + LOOK_AHEAD {
            return None;
        }
        let background =
            self.levels.iter().take(self.next + LOOK_AHEAD + 1).copied().fold(f32::MAX, f32::min);
        if self.next == LOOK_BACK {
            self.levels.pop_front();
        } else {
            self.next += 1;
        }
        Some(level > QUIETEST && level > background + MARGIN)
    }
}

/// Whether a window of log10-mel frames moves as speech does, anywhere for two seconds. `active` is its gate.
pub(crate) fn speech_like(frames: &[f32], mels: usize, active: &[bool]) -> bool {
    let n = active.len().min(frames.len() / mels);
    let blocks = (0..=n.saturating_sub(BLOCK)).step_by(BLOCK / 2);
    let strongest = blocks.filter_map(|b| {
        let range = b..(b + BLOCK).min(n);
        flux(&frames[range.start * mels..range.end * mels], mels, &active[range])
    });
    let strongest = strongest.fold(0.0, f32::max);
    tracing::trace!(strongest, n, "gate");
    strongest >= MIN_FLUX
}

/// The 30th percentile, over active frames, of the mean change per band within 50 ms, loudness taken out.
fn flux(frames: &[f32], mels: usize, active: &[bool]) -> Option<f32> {
    let bands: Vec<&[f32]> = frames.chunks_exact(mels).map(band).collect();
    let max = bands.iter().flat_map(|b| b.iter()).copied().fold(FLOOR, f32::max);
    let loud: Vec<bool> =
        bands.iter().zip(active).map(|(b, a)| *a && b.iter().any(|x| *x > max - 3.0)).collect();
    let clamped = |x: f32| x.max(-6.0).max(max - 5.0);
    let smooth: Vec<Vec<f32>> = bands
        .windows(3)
        .map(|w| (0..w[0].len()).map(|i| w.iter().map(|b| clamped(b[i])).sum::<f32>() / 3.0).collect())
        .collect();
    let mut values: Vec<f32> = smooth
        .windows(LAG + 1)
        .zip(loud.iter().skip(LAG.div_ceil(2)))
        .filter(|(_, loud)| **loud)
        .map(|(w, _)| {
            let (a, b) = (&w[0], &w[LAG]);
            let mean = a.iter().zip(b).map(|(a, b)| b - a).sum::<f32>() / a.len() as f32;
            a.iter().zip(b).map(|(a, b)| (b - a - mean).abs()).sum::<f32>() / a.len() as f32
        })
        .collect();
    if values.len() < MIN_ACTIVE {
        return None;
    }
    let rank = values.len() * 3 / 10;
    Some(*values.select_nth_unstable_by(rank, f32::total_cmp).1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mel::{MelStream, SAMPLE_RATE};

    fn judged(samples: &[f32]) -> (Vec<f32>, Vec<bool>) {
        let mut frames = Vec::new();
        let mut mel = MelStream::new(80);
        mel.push(samples, &mut frames);
        mel.finish(&mut frames);
        let mut gate = Gate::default();
        frames.chunks_exact(80).for_each(|f| gate.push(f));
        let active = std::iter::from_fn(|| gate.judge(true)).collect();
        (frames, active)
    }

    fn noise(n: usize) -> Vec<f32> {
        let mut x = 1u32;
        let mut uniform = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        (0..n).map(|_| 0.1 * (uniform() + uniform() + uniform())).collect()
    }

    #[test]
    fn silence_and_steady_noise_are_not_active() {
        for samples in [vec![0.0; 5 * SAMPLE_RATE], noise(5 * SAMPLE_RATE)] {
            let (_, active) = judged(&samples);
            assert_eq!(active.len(), 501);
            assert!(active.iter().filter(|a| **a).count() < 5);
        }
    }

    #[test]
    fn a_burst_out_of_the_background_is_active() {
        let mut samples: Vec<f32> = noise(4 * SAMPLE_RATE).iter().map(|x| x * 0.05).collect();
        for (i, x) in samples[2 * SAMPLE_RATE..3 * SAMPLE_RATE].iter_mut().enumerate() {
            *x += 0.2 * (i as f32 * 0.1).sin();
        }
        let (_, active) = judged(&samples);
        assert!(active[205..295].iter().all(|a| *a), "the burst");
        assert!(!active[..195].iter().any(|a| *a), "before it");
    }

    #[test]
    fn noise_that_starts_suddenly_is_active_but_not_speech() {
        let samples: Vec<f32> = std::iter::repeat_n(0.0, SAMPLE_RATE).chain(noise(3 * SAMPLE_RATE)).collect();
        let (frames, active) = judged(&samples);
        assert!(active[150..250].iter().all(|a| *a));
        assert!(!speech_like(&frames, 80, &active));
    }
}
