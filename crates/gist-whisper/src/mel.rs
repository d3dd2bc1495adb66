//! The log-mel spectrogram, computed once as samples arrive.
//!
//! Whisper's own (`whisper/audio.py`): 400-sample Hann window every 160 samples, power spectrum, Slaney mel filters,
//! log10. Whisper normalises by the loudest bin of a window, so frames are kept as plain log10 and normalised when a
//! window is cut out. A window then sees the real samples around its edges instead of a reflection.

use std::sync::Arc;

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex32};

/// The sample rate Whisper was trained at.
pub const SAMPLE_RATE: usize = 16_000;
/// Nanoseconds from one sample to the next, exactly. Times are samples times this: a count of samples times 10⁹, to be
/// divided afterwards, no longer fits into 64 bits after 13 days of sound.
pub const SAMPLE_NS: u64 = 1_000_000_000 / SAMPLE_RATE as u64;
/// Samples from one frame to the next: 10 ms.
pub(crate) const HOP: usize = 160;
/// Frames in a second.
pub(crate) const FRAMES_PER_SECOND: usize = SAMPLE_RATE / HOP;
const WINDOW: usize = 400;
const BINS: usize = WINDOW / 2 + 1;
/// The quietest value a bin can have.
pub(crate) const FLOOR: f32 = -10.0;

/// Turns samples into log10-mel frames. Frame `i` is centred on sample `160 i`.
pub(crate) struct MelStream {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: Vec<f32>,
    filters: Vec<Filter>,
    /// Samples from `frames * HOP - WINDOW / 2` on.
    pending: Vec<f32>,
    input: Vec<f32>,
    spectrum: Vec<Complex32>,
    power: Vec<f32>,
}

/// The triangle of one mel band: its first bin and the weights from there.
struct Filter {
    first: usize,
    weights: Vec<f32>,
}

impl MelStream {
    pub(crate) fn new(mels: usize) -> Self {
        let fft = RealFftPlanner::new().plan_fft_forward(WINDOW);
        let hann =
            (0..WINDOW).map(|i| (std::f32::consts::PI * i as f32 / WINDOW as f32).sin().powi(2)).collect();
        Self {
            input: fft.make_input_vec(),
            spectrum: fft.make_output_vec(),
            fft,
            hann,
            filters: filters(mels),
            pending: vec![0.0; WINDOW / 2],
            power: vec![0.0; BINS],
        }
    }

    /// Appends the frames that `samples` complete to `frames`.
    pub(crate) fn push(&mut self, samples: &[f32], frames: &mut Vec<f32>) {
        // Samples outside the legal range, infinities and NaN among them, must not poison a whole window.
        self.pending.extend(samples.iter().map(|s| if s.is_finite() { s.clamp(-1.0, 1.0) } else { 0.0 }));
        let mut at = 0;
        while at + WINDOW <= self.pending.len() {
            for ((x, s), w) in self.input.iter_mut().zip(&self.pending[at..]).zip(&self.hann) {
                *x = s * w;
            }
            // The buffers have the planned lengths, the only thing that can be wrong.
            if self.fft.process(&mut self.input, &mut self.spectrum).is_ok() {
                for (p, c) in self.power.iter_mut().zip(&self.spectrum) {
                    *p = c.norm_sqr();
                }
            }
            frames.extend(self.filters.iter().map(|f| {
                let energy: f32 = f.weights.iter().zip(&self.power[f.first..]).map(|(w, p)| w * p).sum();
                energy.max(1e-10).log10()
            }));
            at += HOP;
        }
        self.pending.drain(..at);
    }

    /// Completes the last frames with silence. Nothing can be pushed after.
    pub(crate) fn finish(&mut self, frames: &mut Vec<f32>) {
        self.push(&[0.0; WINDOW / 2], frames);
    }
}

/// What the encoder reads: `[1 + length + 1, mels]`, the first and the last row zero, the others clamped to 8 decades below the loudest bin and scaled as in training;
/// frames beyond `frames` are silence.
pub(crate) fn normalise(frames: &[f32], mels: usize, length: usize) -> Vec<f32> {
    let max = frames.iter().copied().fold(FLOOR, f32::max);
    let scale = |x: f32| (x.max(max - 8.0) + 4.0) / 4.0;
    let mut out = vec![0.0; mels * (length + 2)];
    let inner = &mut out[mels..mels * (length + 1)];
    inner.fill(scale(FLOOR));
    inner.iter_mut().zip(frames).for_each(|(out, x)| *out = scale(*x));
    out
}

/// Slaney's mel filters over 0 to 8 kHz, each of unit area (`librosa.filters.mel`).
fn filters(mels: usize) -> Vec<Filter> {
    // Linear to 1 kHz (15 mel), logarithmic above.
    let step = 6.4f64.ln() / 27.0;
    let to_mel = |hz: f64| if hz < 1000.0 { hz * 3.0 / 200.0 } else { 15.0 + (hz / 1000.0).ln() / step };
    let to_hz = |mel: f64| if mel < 15.0 { mel * 200.0 / 3.0 } else { 1000.0 * (step * (mel - 15.0)).exp() };
    let nyquist = SAMPLE_RATE as f64 / 2.0;
    let edge = |i: usize| to_hz(to_mel(nyquist) * i as f64 / (mels + 1) as f64);
    (0..mels)
        .map(|m| {
            let (low, centre, high) = (edge(m), edge(m + 1), edge(m + 2));
            let weight = |bin: usize| {
                let hz = bin as f64 * SAMPLE_RATE as f64 / WINDOW as f64;
                let triangle = ((hz - low) / (centre - low)).min((high - hz) / (high - centre));
                (triangle.max(0.0) * 2.0 / (high - low)) as f32
            };
            let first = (0..BINS).find(|b| weight(*b) > 0.0).unwrap_or(0);
            let weights = (first..BINS).map(weight).take_while(|w| *w > 0.0).collect();
            Filter { first, weights }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f32, n: usize) -> Vec<f32> {
        (0..n).map(|i| (i as f32 * hz * std::f32::consts::TAU / SAMPLE_RATE as f32).sin()).collect()
    }

    #[test]
    fn a_tone_lands_in_its_band() {
        let mut frames = Vec::new();
        MelStream::new(80).push(&tone(1000.0, SAMPLE_RATE), &mut frames);
        let frame = &frames[50 * 80..51 * 80];
        let loudest = (0..80).max_by(|a, b| frame[*a].total_cmp(&frame[*b])).unwrap();
        // 1 kHz is mel 15 of 45.2 over 81 steps: the 26th centre.
        assert!((25..=27).contains(&loudest), "band {loudest}");
    }

    #[test]
    fn the_size_of_pushes_does_not_matter() {
        let samples = tone(440.0, 5000);
        let (mut whole, mut parts) = (Vec::new(), Vec::new());
        let mut stream = MelStream::new(80);
        stream.push(&samples, &mut whole);
        stream.finish(&mut whole);
        let mut stream = MelStream::new(80);
        samples.chunks(37).for_each(|c| stream.push(c, &mut parts));
        stream.finish(&mut parts);
        assert_eq!(whole, parts);
        assert_eq!(whole.len() / 80, 5000 / HOP + 1);
    }

    #[test]
    fn samples_that_are_no_numbers_are_silence() {
        let mut frames = Vec::new();
        MelStream::new(80).push(&[f32::NAN, f32::INFINITY, 1e30, -1e30].repeat(200), &mut frames);
        assert!(frames.iter().all(|x| x.is_finite()));
    }
}
