//! The change test: when is there something new to read?
//!
//! Pictures are compared as 64×36 block means. A block has *moved* when its mean differs by more than codec noise does.
//! * Patches of at most 3×3 blocks are a cursor, a caret or a blinking light: ignored.
//! * Blocks that keep moving are a talking head or a film inset: ignored while they do.
//! * What is left, compared with the picture that was read last, is a *change*; when nothing of it moves any more
//!   between two looks, it has *settled*.

use crate::Picture;
use std::collections::VecDeque;

/// Blocks across.
pub const COLUMNS: usize = 64;
/// Blocks down.
pub const ROWS: usize = 36;
const BLOCKS: usize = COLUMNS * ROWS;

/// Codec noise moves a block mean by up to about 3 of 255, a line of small grey text by 8 and more.
const NOISE: u8 = 6;
/// Looks remembered, one bit each.
const HISTORY: usize = 16;
/// A block that moved in this many of the last 16 looks, and in one of the last 8, is restless.
const RESTLESS: u32 = 5;
const RECENT: u16 = 0xff;

/// Block means of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thumbnail(Vec<u8>);

impl Thumbnail {
    /// Block means of `picture`, which must not be empty. Of large blocks, at most 24 rows are looked at.
    pub fn of(picture: &Picture) -> Self {
        let edge = |i: usize, blocks: usize, side: usize| i * side / blocks;
        let mut means = Vec::with_capacity(BLOCKS);
        let mut sums = [0u32; COLUMNS];
        for row in 0..ROWS {
            let top = edge(row, ROWS, picture.height);
            let bottom = edge(row + 1, ROWS, picture.height).max(top + 1);
            let step = ((bottom - top) / 24).max(1);
            sums.fill(0);
            let mut rows = 0;
            for y in (top..bottom).step_by(step) {
                let pixels = picture.row(y);
                rows += 1;
                for (column, sum) in sums.iter_mut().enumerate() {
                    let left = edge(column, COLUMNS, picture.width);
                    let right = edge(column + 1, COLUMNS, picture.width).max(left + 1);
                    *sum += pixels[left..right].iter().map(|&p| u32::from(p)).sum::<u32>();
                }
            }
            for (column, &sum) in sums.iter().enumerate() {
                let left = edge(column, COLUMNS, picture.width);
                let right = edge(column + 1, COLUMNS, picture.width).max(left + 1);
                means.push((sum / (rows * (right - left) as u32)) as u8);
            }
        }
        Self(means)
    }
}

/// What a look came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing new since the picture that was accepted last.
    Same,
    /// Something new, still on the move.
    Changing,
    /// Something new, and it stands still.
    Settled {
        /// Running-time of the first look that showed it as it is now, nanoseconds.
        since: u64,
    },
    /// More than half of the picture is restless: a film.
    Film,
}

/// Compares looks.
#[derive(Debug)]
pub struct Watch {
    /// Of the picture read last.
    read: Option<Thumbnail>,
    last: Option<Thumbnail>,
    /// Per block, bit k set when it moved k looks ago.
    history: Vec<u16>,
    /// Times of the looks, the latest first.
    times: VecDeque<u64>,
    changed_at: Option<u64>,
}

impl Default for Watch {
    fn default() -> Self {
        Self {
            read: None,
            last: None,
            history: vec![0; BLOCKS],
            times: VecDeque::with_capacity(HISTORY + 1),
            changed_at: None,
        }
    }
}

impl Watch {
    /// Takes the next look at `time`, in running-time nanoseconds.
    pub fn look(&mut self, time: u64, thumbnail: Thumbnail) -> Verdict {
        self.times.push_front(time);
        self.times.truncate(HISTORY);
        let Some(last) = self.last.replace(thumbnail) else {
            self.changed_at = Some(time);
            return Verdict::Changing;
        };
        let Some(now) = &self.last else { return Verdict::Same };
        let moved = Mask::between(&last, now);
        for (bits, &moved) in self.history.iter_mut().zip(&moved.0) {
            *bits = *bits << 1 | u16::from(moved);
        }
        let restless = self.restless();
        let change = match &self.read {
            Some(read) => Mask::between(read, now),
            None => Mask(vec![true; BLOCKS]),
        };
        let moving = moved.clone().without(&restless).without_specks().count() > 0;
        // When only specks move, such as a cursor, they are no part of the change either: where the cursor was when
        // the picture was read and where it is now may lie together like a word.
        let change = if moving { change } else { change.without(&moved) };
        let change = change.without(&restless).without_specks();
        if change.count() == 0 {
            self.changed_at = None;
            let film = restless.count() * 2 > BLOCKS;
            return if film { Verdict::Film } else { Verdict::Same };
        }
        let changed_at = *self.changed_at.get_or_insert(time);
        if moving {
            if self.read.is_none() {
                self.changed_at = Some(time);
            }
            return Verdict::Changing;
        }
        Verdict::Settled { since: self.since(&change).unwrap_or(changed_at) }
    }

    /// The picture of the last look was read: from now on it is what others are compared with.
    pub fn accept(&mut self) {
        self.read.clone_from(&self.last);
        self.changed_at = None;
    }

    /// When the change that has not been accepted yet came up, if there is one.
    pub fn pending(&self) -> Option<u64> {
        self.changed_at
    }

    /// The latest look at which a good part of what is new moved. A change in many small steps (typing) has none.
    fn since(&self, change: &Mask) -> Option<u64> {
        let part = (change.count() * 3).div_ceil(10);
        let blocks = || change.0.iter().zip(&self.history).filter(|(changed, _)| **changed);
        let moved = |age: usize| blocks().filter(|(_, history)| **history >> age & 1 == 1).count();
        (0..self.times.len()).find(|&age| moved(age) >= part).map(|age| self.times[age])
    }

    /// Blocks that keep moving, with a border of one: what moves wanders a little.
    fn restless(&self) -> Mask {
        let restless = |&bits: &u16| bits.count_ones() >= RESTLESS && bits & RECENT != 0;
        Mask(self.history.iter().map(restless).collect()).grown()
    }
}

/// A set of blocks.
#[derive(Clone, Debug)]
struct Mask(Vec<bool>);

impl Mask {
    fn between(a: &Thumbnail, b: &Thumbnail) -> Self {
        Self(a.0.iter().zip(&b.0).map(|(a, b)| a.abs_diff(*b) > NOISE).collect())
    }

    fn count(&self) -> usize {
        self.0.iter().filter(|&&set| set).count()
    }

    fn without(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(&other.0).for_each(|(set, other)| *set &= !other);
        self
    }

    fn grown(&self) -> Self {
        let mut grown = self.clone();
        for at in (0..BLOCKS).filter(|&at| self.0[at]) {
            neighbours(at, 1).for_each(|next| grown.0[next] = true);
        }
        grown
    }

    /// Without patches of at most 3×3 blocks. Blocks belong to a patch across a gap of one, as words of a line do.
    fn without_specks(mut self) -> Self {
        let mut seen = vec![false; BLOCKS];
        let mut patch = Vec::new();
        for start in 0..BLOCKS {
            if !self.0[start] || seen[start] {
                continue;
            }
            seen[start] = true;
            patch.clear();
            patch.push(start);
            let mut next = 0;
            while let Some(&at) = patch.get(next) {
                next += 1;
                for near in neighbours(at, 2).filter(|&near| self.0[near]) {
                    if !seen[near] {
                        seen[near] = true;
                        patch.push(near);
                    }
                }
            }
            let across = patch.iter().map(|at| at % COLUMNS);
            let down = patch.iter().map(|at| at / COLUMNS);
            let extent = |lowest: Option<usize>, highest: Option<usize>| {
                highest.unwrap_or_default() - lowest.unwrap_or_default() + 1
            };
            let (wide, high) =
                (extent(across.clone().min(), across.max()), extent(down.clone().min(), down.max()));
            if wide <= 3 && high <= 3 {
                patch.iter().for_each(|&at| self.0[at] = false);
            }
        }
        self
    }
}

/// Blocks at most `reach` away, `at` itself included.
fn neighbours(at: usize, reach: usize) -> impl Iterator<Item = usize> {
    let (x, y) = (at % COLUMNS, at / COLUMNS);
    let rows = y.saturating_sub(reach)..(y + reach + 1).min(ROWS);
    let columns = x.saturating_sub(reach)..(x + reach + 1).min(COLUMNS);
    rows.flat_map(move |y| columns.clone().map(move |x| y * COLUMNS + x))
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
