//! Regions to a file and back: the pages as they lie in memory, and a description that is checked before it is believed.

use std::io::{self, Read, Write};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{PAGE, Page, Pool, Region};

/// What a region holds besides its pages.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Saved {
    /// Rows from the first of the first page.
    rows: [usize; 2],
    /// Positions of the tokens held: how often each comes, one after the other.
    times: Vec<(i64, usize)>,
    next: i64,
    /// Which pages are still open.
    open: Vec<bool>,
}

impl Region {
    /// The description of what [`Region::save`] writes.
    pub(crate) fn describe(&self) -> Saved {
        let times = self.times.iter().copied().collect::<Vec<_>>();
        Saved {
            rows: [self.rows.start, self.rows.end],
            times: times.chunk_by(|a, b| a == b).map(|run| (run[0], run.len())).collect(),
            next: self.next,
            open: self.pages.iter().map(|page| page.is_open()).collect(),
        }
    }

    /// Writes all pages.
    pub(crate) fn save(&self, to: &mut dyn Write) -> io::Result<()> {
        self.pages.iter().try_for_each(|page| to.write_all(page.bytes()))
    }

    /// Reads what was saved; at most `most` tokens are believed.
    ///
    /// # Errors
    /// When the description contradicts itself, or the pages are cut off.
    pub(crate) fn restore(saved: &Saved, most: usize, pool: &Pool, from: &mut dyn Read) -> io::Result<Self> {
        let damaged = || io::Error::new(io::ErrorKind::InvalidData, "its description contradicts itself");
        let Saved { rows: [start, end], times, next, open } = saved;
        let held = end.checked_sub(*start).filter(|held| *held <= most).ok_or_else(damaged)?;
        let sum = times.iter().try_fold(0usize, |sum, (_, count)| sum.checked_add(*count));
        let ascending =
            times.is_sorted_by(|a, b| a.0 < b.0) && times.last().is_none_or(|last| last.0 <= *next);
        let near = |position: i64| position.unsigned_abs() < 1 << 53;
        let near = near(*next) && times.iter().all(|(time, _)| near(*time));
        if sum != Some(held) || !ascending || !near || *start >= PAGE || open.len() != end.div_ceil(PAGE) {
            return Err(damaged());
        }
        let mut region = Self::new(pool.clone(), *next);
        region.rows = *start..*end;
        region.times = times.iter().flat_map(|(time, count)| std::iter::repeat_n(*time, *count)).collect();
        for open in open {
            let mut page = if *open { Page::open(pool) } else { Page::full(pool) };
            from.read_exact(page.bytes_mut())?;
            region.pages.push_back(Arc::new(page));
        }
        Ok(region)
    }
}
