//! Which frames of a recording are taken, and the time stamps that stand before the pairs in the prompt.

/// The least number of frames taken of a recording, if it has so many (`min_frames`).
const MIN_FRAMES: usize = 4;
/// The most (`max_frames`).
const MAX_FRAMES: usize = 768;

/// How many frames are taken of a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum FrameCount {
    /// So many a second (the released checkpoints: 2), and 4 to 768 of them.
    PerSecond(f64),
    /// Exactly so many; more than there are repeats some.
    Exactly(usize),
}

/// The frames to take of a recording of `total` frames at `fps` a second: evenly from the first to the last.
///
/// `sample_frames` of transformers' Qwen3-VL video processor, with `numpy.linspace` in f64 and rounding half to even.
/// A rate that is not known is taken for 24 there. A recording without frames gives none.
pub fn sample_indices(total: usize, fps: f64, count: FrameCount) -> Vec<usize> {
    let Some(last) = total.checked_sub(1) else { return Vec::new() };
    let count = match count {
        FrameCount::PerSecond(rate) => {
            let wanted = (total as f64 / fps * rate) as usize;
            wanted.clamp(MIN_FRAMES, MAX_FRAMES).min(total)
        }
        FrameCount::Exactly(count) => count,
    };
    let step = if count > 1 { last as f64 / (count - 1) as f64 } else { 0.0 };
    let mut indices: Vec<usize> = (0..count).map(|i| (i as f64 * step).round_ties_even() as usize).collect();
    // linspace sets the last one instead of adding up to it.
    if count > 1 {
        indices[count - 1] = last;
    }
    indices
}

/// The time of each pair in seconds: the mean of its two frames. An odd last frame is a pair of its own, twice.
///
/// `indices` count frames of the recording, not those that were taken; `fps` is its rate.
pub fn pair_times(indices: &[usize], fps: f64) -> Vec<f64> {
    let time = |index: usize| index as f64 / fps;
    let pair = |pair: &[usize]| (time(pair[0]) + time(pair[pair.len() - 1])) / 2.0;
    indices.chunks(2).map(pair).collect()
}

/// The stamp before a pair, as in `<12.5 seconds>`: one decimal, halves of the binary number to even (0.25 is 0.2 and
/// 0.75 is 0.8), which is how Python prints and how Rust does.
pub fn stamp(seconds: f64) -> String {
    format!("<{seconds:.1} seconds>")
}
