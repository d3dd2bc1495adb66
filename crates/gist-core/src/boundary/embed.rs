//! What texts are about, as directions: how far what follows a candidate is from what came before.

use std::fmt;

use super::history::Entry;

/// Turns text into a vector that is near to those of texts that say something alike.
///
/// The core knows no tensors; `gist-embed` has a network behind this. Without one the words alone decide.
pub trait Embed: fmt::Debug + Send + Sync {
    /// The embedding of one line or slide, of length 1 and always as many numbers; `None` when it can't be had.
    /// Called once for each observation, by the thread that observes: a few milliseconds are fine.
    fn embed(&self, text: &str) -> Option<Vec<f32>>;
}

/// The direction of one observation, and how much it counts.
#[derive(Clone, Debug)]
pub(super) struct Meaning {
    vector: Box<[f32]>,
    weight: f32,
}

/// A line counts by its length up to this many characters: a full caption line says as much as a longer one.
const FULL: usize = 120;

impl Meaning {
    pub(super) fn of(text: &str, embed: &dyn Embed) -> Option<Self> {
        let weight = text.chars().take(FULL).count();
        let vector = if weight > 0 { embed.embed(text)? } else { return None };
        let sound = !vector.is_empty() && vector.iter().all(|x| x.is_finite() && x.abs() <= 1.0);
        sound.then(|| Self { vector: vector.into(), weight: weight as f32 })
    }
}

/// A weighted sum of directions.
#[derive(Clone, Debug, Default)]
pub(super) struct Sum {
    vector: Vec<f32>,
    weight: f32,
}

/// What is usual in a stream fades once this many characters were counted, about three hours of talk.
const MEMORY: f32 = 200_000.0;
/// Until about this many characters were heard it is not known what is usual. Of 300, 1500 and 5000 the middle one was
/// best on held-out talks.
const UNKNOWN: f32 = 1500.0;

impl Sum {
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a Entry>) -> Self {
        let mut sum = Self::default();
        entries.filter_map(|entry| entry.meaning.as_ref()).for_each(|meaning| sum.add(meaning));
        sum
    }

    /// Adds one direction; one of another length than the first is left out.
    pub(super) fn add(&mut self, meaning: &Meaning) {
        if self.vector.is_empty() {
            self.vector = vec![0.0; meaning.vector.len()];
        }
        if self.vector.len() == meaning.vector.len() {
            self.weight += meaning.weight;
            self.vector.iter_mut().zip(&meaning.vector).for_each(|(sum, x)| *sum += x * meaning.weight);
        }
    }

    /// The same, for the whole of a stream: what lies far back fades.
    pub(super) fn count(&mut self, meaning: &Meaning) {
        self.add(meaning);
        if self.weight > MEMORY {
            self.weight /= 2.0;
            self.vector.iter_mut().for_each(|x| *x /= 2.0);
        }
    }

    /// One minus the cosine of two sums, 0 to 2, after what is `usual` in this stream was taken off both: all lines of
    /// a talk are alike in style and subject, and that tells nothing. `None` when one is empty.
    pub(super) fn apart(&self, other: &Self, usual: &Self) -> Option<f32> {
        if self.weight <= 0.0 || other.weight <= 0.0 || self.vector.len() != other.vector.len() {
            return None;
        }
        let (mut dot, mut norms) = (0.0, [0.0; 2]);
        for (i, (a, b)) in self.vector.iter().zip(&other.vector).enumerate() {
            let mean = usual.vector.get(i).map_or(0.0, |sum| sum / (usual.weight + UNKNOWN));
            let (a, b) = (a - mean * self.weight, b - mean * other.weight);
            dot += a * b;
            norms = [norms[0] + a * a, norms[1] + b * b];
        }
        let norms = norms[0] * norms[1];
        (norms > 0.0).then(|| 1.0 - (dot / norms.sqrt()).clamp(-1.0, 1.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Letters(usize);

    impl Embed for Letters {
        /// How often each of the first letters is there, of length 1.
        fn embed(&self, text: &str) -> Option<Vec<f32>> {
            let count = |letter: u8| text.bytes().filter(|b| *b == letter).count() as f32;
            let counts: Vec<f32> = (b'a'..).take(self.0).map(count).collect();
            let norm = counts.iter().map(|x| x * x).sum::<f32>().sqrt();
            Some(counts.iter().map(|x| x / norm).collect())
        }
    }

    fn sum(texts: &[&str], embed: &dyn Embed) -> Sum {
        let mut sum = Sum::default();
        texts.iter().filter_map(|text| Meaning::of(text, embed)).for_each(|meaning| sum.count(&meaning));
        sum
    }

    #[test]
    fn what_all_lines_of_a_stream_share_tells_nothing() {
        let embed = Letters(3);
        let of = |texts: &[&str]| sum(texts, &embed);
        let (a, b) = (of(&["aaab"; 9]), of(&["aaac"; 9]));
        let usual = of(&["aaab", "aaac"].repeat(2000));
        let near = a.apart(&b, &Sum::default()).unwrap_or(2.0);
        let far = a.apart(&b, &usual).unwrap_or(0.0);
        assert!(near < 0.2 && far > 1.5, "{near} {far}");
        assert!(usual.weight <= MEMORY);
    }

    #[test]
    fn an_embedding_that_is_no_direction_or_of_another_length_is_left_out() {
        assert!(Meaning::of("zzz", &Letters(2)).is_none(), "0 / 0");
        assert!(Meaning::of("", &Letters(2)).is_none());
        let mut mixed = sum(&["ab"], &Letters(2));
        Meaning::of("abc", &Letters(3)).iter().for_each(|meaning| mixed.add(meaning));
        assert_eq!(mixed.vector.len(), 2);
        assert_eq!(mixed.apart(&sum(&["abc"], &Letters(3)), &Sum::default()), None);
        assert_eq!(mixed.apart(&Sum::default(), &mixed), None);
    }
}
