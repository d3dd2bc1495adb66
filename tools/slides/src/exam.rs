//! What nano-vl is asked beside the reference: the slides and streams that `tools/nano_reference.py` has the answers to.

use gist_core::picture::Pair;

use crate::{Artist, Random};

/// Other slides than those of the model's training, whose numbers come from another generator.
const TITLES_SEED: u64 = 1;
const STREAMS_SEED: u64 = 2;

/// Pairs of pictures one after another.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Pairs, with the title that is shown and the stamp in seconds, a multiple of 0.1.
    pub pairs: Vec<(Pair, String, f64)>,
}

/// Streams of one pair, for the question `title?`.
pub fn titles(artist: &Artist, count: usize) -> Vec<Stream> {
    let mut random = Random(TITLES_SEED);
    (0..count)
        .map(|_| {
            let slide = artist.draw(&mut random);
            let pair = slide.pair(&mut random);
            Stream { pairs: vec![(pair, slide.title, stamps(1, &mut random)[0])] }
        })
        .collect()
}

/// Streams of two to four pairs in which the slide changes now and then, for `at T seconds?`.
pub fn streams(artist: &Artist, count: usize) -> Vec<Stream> {
    let mut random = Random(STREAMS_SEED);
    (0..count)
        .map(|number| {
            let mut slide = artist.draw(&mut random);
            let stamps = stamps(2 + number % 3, &mut random);
            let mut pairs = Vec::new();
            for stamp in stamps {
                if !pairs.is_empty() && random.percent(60) {
                    slide = artist.draw(&mut random);
                }
                pairs.push((slide.pair(&mut random), slide.title.clone(), stamp));
            }
            Stream { pairs }
        })
        .collect()
}

/// Stamps that follow each other as those of the model's training did, below 100 s.
fn stamps(count: usize, random: &mut Random) -> Vec<f64> {
    loop {
        let step = if random.percent(80) {
            *random.choose(&[5, 10, 10, 10, 20, 30, 50])
        } else {
            random.among(4..=64)
        };
        let gaps: &[usize] = if random.percent(60) { &[1] } else { &[1, 1, 2, 3] };
        let mut next = if random.percent(40) {
            2
        } else {
            let range = *random.choose(&[5, 40, 80]);
            *random.choose(&[0, 1, 2, 5, 8]) + 10 * random.below(range)
        };
        let mut tenths = Vec::new();
        for _ in 0..count {
            tenths.push(next);
            next += step * random.choose(gaps);
        }
        if tenths.iter().all(|tenth| *tenth < 1000) {
            return tenths.into_iter().map(|tenth| tenth as f64 / 10.0).collect();
        }
    }
}
