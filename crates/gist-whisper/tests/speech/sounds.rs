//! Sounds to listen to, 16 kHz mono.

use std::f32::consts::TAU;
use std::process::Command;

use gist_whisper::SAMPLE_RATE;

/// `text` spoken by espeak-ng.
pub(crate) fn speech(text: &str) -> Vec<f32> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("speech.wav");
    let status = Command::new("espeak-ng")
        .args(["-v", "en-us", "-s", "150", "-w"])
        .arg(&file)
        .arg(text)
        .status()
        .expect("espeak-ng is needed: apt install espeak-ng");
    assert!(status.success());
    let wav = std::fs::read(file).unwrap();
    let rate = u32::from_le_bytes(wav[24..28].try_into().unwrap());
    let data = wav.windows(4).position(|w| w == b"data").unwrap() + 8;
    let samples: Vec<f32> =
        wav[data..].as_chunks().0.iter().map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0).collect();
    resample(&samples, rate as f32 / SAMPLE_RATE as f32)
}

/// Every `step`th sample, by a windowed sinc that keeps what is above the new Nyquist frequency out.
fn resample(samples: &[f32], step: f32) -> Vec<f32> {
    const REACH: i64 = 16;
    let count = (samples.len() as f32 / step) as usize;
    (0..count)
        .map(|i| {
            let centre = i as f32 * step;
            (centre as i64 - REACH..=centre as i64 + REACH)
                .filter_map(|j| {
                    let sample = samples.get(usize::try_from(j).ok()?)?;
                    let x = (j as f32 - centre) / step;
                    let sinc = if x.abs() < 1e-4 { 1.0 } else { (x * TAU / 2.0).sin() / (x * TAU / 2.0) };
                    let window = (TAU / 4.0 * (j as f32 - centre) / (REACH + 1) as f32).cos();
                    Some(sample * sinc * window / step)
                })
                .sum()
        })
        .collect()
}

pub(crate) fn silence(seconds: f32) -> Vec<f32> {
    vec![0.0; (seconds * SAMPLE_RATE as f32) as usize]
}

/// White noise, the same every time.
pub(crate) fn noise(seconds: usize, level: f32) -> Vec<f32> {
    let mut x = 1u32;
    let mut uniform = || {
        x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (x >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..seconds * SAMPLE_RATE).map(|_| level * (uniform() + uniform() + uniform())).collect()
}

/// Mains hum with its harmonics.
pub(crate) fn hum(seconds: usize) -> Vec<f32> {
    let wave = |i: usize| (1..10).map(|k| (50.0 * k as f32 * time(i) * TAU).sin() / k as f32).sum::<f32>();
    (0..seconds * SAMPLE_RATE).map(|i| 0.2 * wave(i)).collect()
}

/// Plucked chords of `beat` seconds with a melody of quarter beats above them.
pub(crate) fn music(seconds: usize, beat: f32) -> Vec<f32> {
    const CHORDS: [[f32; 3]; 4] =
        [[261.6, 329.6, 392.0], [220.0, 261.6, 329.6], [174.6, 220.0, 261.6], [196.0, 246.9, 293.7]];
    const MELODY: [f32; 7] = [523.3, 587.3, 659.3, 587.3, 784.0, 698.5, 440.0];
    let note = |hz: f32, t: f32| {
        let pluck = (-3.0 * t).exp() * (t / 0.01).min(1.0);
        (1..=6).map(|k| (k as f32 * hz * t * TAU).sin() / k as f32).sum::<f32>() * pluck
    };
    (0..seconds * SAMPLE_RATE)
        .map(|i| {
            let (at, quarter) = (time(i) / beat, time(i) / beat * 4.0);
            let chord = CHORDS[at as usize % 4].iter().map(|hz| note(*hz, at.fract() * beat)).sum::<f32>();
            let melody = note(MELODY[quarter as usize % 7], quarter.fract() * beat / 4.0);
            0.08 * chord + 0.12 * melody
        })
        .collect()
}

fn time(i: usize) -> f32 {
    i as f32 / SAMPLE_RATE as f32
}
