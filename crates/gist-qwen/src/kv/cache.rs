//! The three regions of a stream and what new tokens see of them.

use super::{Pool, Region};

/// Which region new tokens go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Target {
    Pinned = 0,
    Memory = 1,
    Window = 2,
}

/// Where the pinned prompt and the memory stand once something of the window was evicted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SinkPositions {
    /// Right before the window, whose positions grow for ever ("moving sinks").
    #[default]
    Moving,
    /// Where they were, with a gap that grows: what masked full attention over everything comes to.
    Keep,
    /// In one line with the window, which is encoded anew after each eviction.
    Recompute,
}

/// What encoding has cost so far, in numbers that do not depend on the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Work {
    /// Pages that were read, once for each layer.
    pub pages: u64,
    /// Bytes of keys and values in them.
    pub bytes: u64,
    /// Heads of queries and keys that were rotated.
    pub rotated: u64,
}

/// All that is encoded of one stream, or of a fork of it.
#[derive(Clone, Debug)]
pub(crate) struct Cache {
    regions: [Region; 3],
    sinks: SinkPositions,
    /// How many pages of the window an answer reads; `None` for all.
    pub(crate) budget: Option<usize>,
    pub(crate) work: Work,
}

/// A region as new tokens see it.
#[derive(Debug)]
pub(crate) struct Section<'a> {
    pub(crate) region: &'a Region,
    /// Added to the region's own positions so that it ends where the next one begins.
    pub(crate) shift: i64,
    /// The new tokens are in this region and see each other causally.
    pub(crate) last: bool,
}

impl Work {
    /// Counts what one layer reads of a section for `rows` new tokens.
    pub(crate) fn read(&mut self, section: &Section<'_>, rows: usize) {
        let visible = section.visible(rows - 1);
        for index in 0..section.region.pages(visible) {
            self.pages += 1;
            self.bytes += section.region.page(index, visible).0.layer_bytes();
        }
    }
}

impl Section<'_> {
    /// Rows of the region that row `row` of the chunk sees: in its own region the tokens before the chunk and those of
    /// the chunk up to itself.
    pub(crate) fn visible(&self, row: usize) -> usize {
        if self.last { self.region.len() + row + 1 } else { self.region.len() }
    }
}

impl Cache {
    pub(crate) fn new(pool: &Pool, sinks: SinkPositions) -> Self {
        let region = || Region::new(pool.clone(), 0);
        Self { regions: [region(), region(), region()], sinks, budget: None, work: Work::default() }
    }

    /// Of regions that were saved.
    pub(crate) fn restored(regions: [Region; 3], sinks: SinkPositions) -> Self {
        Self { regions, sinks, budget: None, work: Work::default() }
    }

    pub(crate) fn keep_sinks(&mut self) {
        self.sinks = SinkPositions::Keep;
    }

    pub(crate) fn regions(&self) -> &[Region; 3] {
        &self.regions
    }

    pub(crate) fn region(&self, target: Target) -> &Region {
        &self.regions[target as usize]
    }

    pub(crate) fn region_mut(&mut self, target: Target) -> &mut Region {
        &mut self.regions[target as usize]
    }

    /// What new tokens of `target` see: its own region and those before it, moved up to stand in one line without
    /// gaps ("moving sinks"). Keys are never touched; a query is rotated by `-shift` for a region instead, which comes
    /// to the same score since only distances count. Nothing evicted and nothing in memory: every shift is 0.
    pub(crate) fn sections(&self, target: Target) -> Vec<Section<'_>> {
        let own = self.region(target);
        let mut sections = vec![Section { region: own, shift: 0, last: true }];
        let mut front = own.positions().start;
        for region in self.regions[..target as usize].iter().rev().filter(|r| !r.is_empty()) {
            let positions = region.positions();
            let shift = match self.sinks {
                SinkPositions::Moving | SinkPositions::Recompute => front - positions.end,
                SinkPositions::Keep => 0,
            };
            front = positions.start + shift;
            sections.push(Section { region, shift, last: false });
        }
        sections.reverse();
        sections
    }

    pub(crate) fn digest(&self) -> u64 {
        let mut state = std::hash::DefaultHasher::new();
        self.regions.iter().for_each(|r| r.digest(&mut state));
        std::hash::Hasher::finish(&state)
    }
}
