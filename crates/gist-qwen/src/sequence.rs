//! Tokens with their positions on the three axes of M-RoPE, and the rows of the vision tower that stand in for some
//! of them.
//!
//! Positions follow transformers' `get_rope_index`: text counts up on all axes alike; the tokens of a picture stand at
//! one time, spread over height and width, and advance the counter by the longer side, not by their number.

use std::ops::Range;
use std::sync::Arc;

use crate::vision::Encoded;

/// A row of a pair of pictures: which pair of the sequence, and which of its tokens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Visual {
    pair: usize,
    token: usize,
}

/// A run of tokens to be encoded.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sequence {
    ids: Vec<u32>,
    /// Time, height and width of each token, counted from the position at which the sequence begins.
    positions: Vec<[i64; 3]>,
    visuals: Vec<Option<Visual>>,
    pairs: Vec<Arc<Encoded>>,
    /// Where the next token would stand.
    end: i64,
}

impl Sequence {
    pub(crate) fn ids(&self) -> &[u32] {
        &self.ids
    }

    /// Plain text.
    pub(crate) fn text(ids: &[u32]) -> Self {
        let mut sequence = Self::default();
        sequence.push_text(ids);
        sequence
    }

    /// Adds text.
    pub(crate) fn push_text(&mut self, ids: &[u32]) {
        self.ids.extend(ids);
        self.positions.extend((self.end..).take(ids.len()).map(|p| [p; 3]));
        self.visuals.resize(self.ids.len(), None);
        self.end += ids.len() as i64;
    }

    /// Adds a picture or a pair, `pad` in place of each of its tokens. With `kept`, only these of its tokens, in
    /// order; their positions are what they would be in the whole.
    pub(crate) fn push_pair(&mut self, pad: u32, encoded: Arc<Encoded>, kept: Option<&[usize]>) {
        let (height, width) = encoded.grid;
        let pair = self.pairs.len();
        let mut push = |token: usize| {
            self.ids.push(pad);
            let at = |offset: usize| self.end + offset as i64;
            self.positions.push([self.end, at(token / width), at(token % width)]);
            self.visuals.push(Some(Visual { pair, token }));
        };
        match kept {
            Some(kept) => kept.iter().copied().for_each(&mut push),
            None => (0..height * width).for_each(&mut push),
        }
        self.end += height.max(width) as i64;
        self.pairs.push(encoded);
    }

    pub(crate) fn len(&self) -> usize {
        self.ids.len()
    }

    /// The part `range` as a sequence of its own.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let chunk = self.chunk(range.clone());
        Self {
            ids: chunk.ids().to_vec(),
            positions: chunk.positions(0).collect(),
            visuals: self.visuals[range].to_vec(),
            pairs: self.pairs.clone(),
            end: chunk.advance(),
        }
    }

    /// Stretches the axes, for fixtures that tell which frequency follows which.
    pub(crate) fn stretch(&mut self, factors: [i64; 3]) {
        for position in &mut self.positions {
            position.iter_mut().zip(factors).for_each(|(p, factor)| *p *= factor);
        }
        self.end *= factors[0];
    }

    /// The part `range` as it is computed in one go.
    pub(crate) fn chunk(&self, range: Range<usize>) -> Chunk<'_> {
        Chunk { sequence: self, range }
    }

    /// All of it in parts of at most `size` tokens.
    pub(crate) fn chunks(&self, size: usize) -> impl Iterator<Item = Chunk<'_>> {
        (0..self.len()).step_by(size).map(move |at| self.chunk(at..self.len().min(at + size)))
    }
}

/// A part of a [`Sequence`].
#[derive(Clone, Debug)]
pub(crate) struct Chunk<'a> {
    sequence: &'a Sequence,
    range: Range<usize>,
}

impl Chunk<'_> {
    pub(crate) fn ids(&self) -> &[u32] {
        &self.sequence.ids[self.range.clone()]
    }

    /// Positions `[time, height, width]` when the first token stands at time `first`.
    pub(crate) fn positions(&self, first: i64) -> impl ExactSizeIterator<Item = [i64; 3]> {
        let offset = first - self.time(self.range.start);
        self.sequence.positions[self.range.clone()].iter().map(move |p| p.map(|p| p + offset))
    }

    /// How far the chunk moves the counter.
    pub(crate) fn advance(&self) -> i64 {
        self.time(self.range.end) - self.time(self.range.start)
    }

    /// Calls `f` with the number in the chunk, the pair and the token of each row that a picture gives.
    pub(crate) fn for_visuals(&self, mut f: impl FnMut(usize, &Encoded, usize)) {
        for (row, visual) in self.sequence.visuals[self.range.clone()].iter().enumerate() {
            if let Some(visual) = visual {
                f(row, &self.sequence.pairs[visual.pair], visual.token);
            }
        }
    }

    fn time(&self, index: usize) -> i64 {
        self.sequence.positions.get(index).map_or(self.sequence.end, |p| p[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(height: usize, width: usize) -> Arc<Encoded> {
        Arc::new(Encoded { grid: (height, width), rows: Vec::new(), deepstack: Vec::new() })
    }

    #[test]
    fn a_picture_moves_the_counter_by_its_longer_side() {
        let mut sequence = Sequence::text(&[1, 2]);
        sequence.push_pair(9, pair(2, 3), None);
        sequence.push_text(&[3]);
        let whole: Vec<_> = sequence.chunk(0..9).positions(10).collect();
        assert_eq!(whole[..2], [[10; 3], [11; 3]]);
        assert_eq!(whole[2..5], [[12, 12, 12], [12, 12, 13], [12, 12, 14]]);
        assert_eq!(whole[5..8], [[12, 13, 12], [12, 13, 13], [12, 13, 14]]);
        assert_eq!(whole[8], [15; 3]);
        assert_eq!(sequence.chunk(0..9).advance(), 6);
    }

    #[test]
    fn chunks_join_seamlessly_wherever_they_are_cut() {
        let mut sequence = Sequence::text(&[1]);
        sequence.push_pair(9, pair(2, 2), None);
        sequence.push_pair(9, pair(1, 4), Some(&[1, 3]));
        sequence.push_text(&[3, 4]);
        let whole: Vec<_> = sequence.chunk(0..sequence.len()).positions(5).collect();
        for size in 1..=sequence.len() {
            let (mut next, mut joined) = (5, Vec::new());
            for chunk in sequence.chunks(size) {
                joined.extend(chunk.positions(next));
                next += chunk.advance();
            }
            assert_eq!((&joined, next), (&whole, 5 + 1 + 2 + 4 + 2));
        }
    }
}
