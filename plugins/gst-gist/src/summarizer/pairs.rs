//! Sampled pictures two by two, for a model that sees.

use std::sync::Arc;

use gist_core::picture::Pair;
use gist_core::time::Span;

/// A picture that waits for its second.
struct First {
    time: u64,
    width: usize,
    height: usize,
    pixels: Arc<[u8]>,
}

/// Joins pictures in the order they come.
#[derive(Default)]
pub(super) struct Pairs(Option<First>);

impl Pairs {
    /// Takes a picture; returns the pair that is complete with it. After a change of size the one that waited is a pair
    /// with itself.
    pub(super) fn push(
        &mut self,
        time: u64,
        width: usize,
        height: usize,
        pixels: Arc<[u8]>,
    ) -> Option<(Pair, Span)> {
        match self.0.take() {
            Some(first) if (first.width, first.height) == (width, height) => {
                let pair = Pair { width, height, frames: [first.pixels, pixels] };
                Some((pair, Span::new(first.time, time)))
            }
            before => {
                self.0 = Some(First { time, width, height, pixels });
                before.map(First::twice)
            }
        }
    }

    /// The stream ends or breaks: the one that waits is a pair with itself, as the last frame of an odd number is.
    pub(super) fn finish(&mut self) -> Option<(Pair, Span)> {
        self.0.take().map(First::twice)
    }

    /// Forgets the one that waits.
    pub(super) fn reset(&mut self) {
        self.0 = None;
    }
}

impl First {
    fn twice(self) -> (Pair, Span) {
        let Self { time, width, height, pixels } = self;
        (Pair { width, height, frames: [Arc::clone(&pixels), pixels] }, Span::new(time, time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(shade: u8, pixels: usize) -> Arc<[u8]> {
        vec![shade; 3 * pixels].into()
    }

    #[test]
    fn the_last_of_an_odd_number_is_shown_twice() {
        let mut pairs = Pairs::default();
        assert!(pairs.push(0, 2, 1, picture(1, 2)).is_none());
        let (pair, span) = pairs.push(10, 2, 1, picture(2, 2)).expect("a pair");
        assert_eq!((pair.frames[0][0], pair.frames[1][0], span), (1, 2, Span::new(0, 10)));
        assert!(pairs.push(20, 2, 1, picture(3, 2)).is_none());
        let (pair, span) = pairs.finish().expect("the one that waits");
        assert_eq!((pair.frames[0][0], pair.frames[1][0], span), (3, 3, Span::new(20, 20)));
        assert!(pairs.finish().is_none());
    }

    #[test]
    fn pictures_of_two_sizes_are_no_pair() {
        let mut pairs = Pairs::default();
        assert!(pairs.push(0, 2, 1, picture(1, 2)).is_none());
        let (pair, span) = pairs.push(10, 1, 1, picture(2, 1)).expect("the first twice");
        assert_eq!((pair.width, pair.frames[1][0], span), (2, 1, Span::new(0, 0)));
        let (pair, _) = pairs.push(20, 1, 1, picture(3, 1)).expect("a pair of the new size");
        assert_eq!((pair.frames[0][0], pair.frames[1][0]), (2, 3));
    }
}
