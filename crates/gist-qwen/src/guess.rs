//! What an answer says next, guessed: texts about a talk repeat its words. Tokens that are guessed are encoded together
//! with the one that is known, which takes little longer than that one alone, as weights are read once for all of them
//! ([`gist_kernels::DRAFT`]). Those that turn out right are steps saved; those that do not are cut off again, so but for
//! the rounding of sums an answer is the same with guesses and without. The idea is known as prompt lookup decoding
//! (Saxena 2023).

/// Tokens in a row that have to have been said before in the same order.
const LEAST: usize = 2;
/// Of longer runs than this, none is better than another.
const ENOUGH: usize = 8;

/// All that was said so far: what is in view, the question, the answer up to now.
#[derive(Debug)]
pub(crate) struct Guesser {
    said: Vec<u32>,
    /// How many tokens were guessed.
    pub(crate) guessed: usize,
    /// How many of them the answer went on with.
    pub(crate) right: usize,
}

impl Guesser {
    pub(crate) fn new(said: Vec<u32>) -> Self {
        Self { said, guessed: 0, right: 0 }
    }

    pub(crate) fn push(&mut self, token: u32) {
        self.said.push(token);
    }

    /// At most `most` tokens that followed when the last tokens were said before: where the most of these agree, and of
    /// such places the latest. One less than agree: a place where two do is right one time in three, and each token more
    /// costs some time.
    pub(crate) fn next(&self, most: usize) -> &[u32] {
        let Some((last, before)) = self.said.split_last() else { return &[] };
        let alike = |end: usize| {
            let (old, new) = (before[..end].iter().rev(), before.iter().rev());
            1 + old.zip(new).take(ENOUGH - 1).take_while(|(a, b)| a == b).count()
        };
        let places = (0..before.len()).filter(|at| before[*at] == *last);
        match places.map(|at| (alike(at), at)).max() {
            Some((length, at)) if length >= LEAST => {
                let follows = &self.said[at + 1..];
                &follows[..most.min(length - 1).min(follows.len())]
            }
            _ => &[],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_followed_the_longest_and_latest_match_is_guessed() {
        let guess = |said: &[u32], most| Guesser::new(said.to_vec()).next(most).to_vec();
        assert_eq!(guess(&[0, 1, 2, 3, 4, 5, 9, 0, 1, 2], 3), [3, 4], "three agree");
        assert_eq!(guess(&[0, 1, 2, 3, 4, 5, 9, 0, 1, 2], 1), [3], "more is not wanted");
        assert_eq!(guess(&[1, 2, 3, 4, 5, 9, 1, 2], 3), [3], "two are less sure");
        assert_eq!(guess(&[7, 1, 2, 3, 8, 1, 2, 4, 7, 1, 2], 1), [3], "a longer match is the better one");
        assert_eq!(guess(&[1, 2, 3, 8, 1, 2, 4, 5, 1, 2], 2), [4], "of two as long the later one");
        assert_eq!(guess(&[2, 3, 9, 2], 3), [] as [u32; 0], "a single token says little");
        assert_eq!(guess(&[5, 5, 5], 9), [5], "a run goes on");
        assert_eq!(guess(&[], 3), [] as [u32; 0]);
    }
}
