//! What waits for the worker, and what it weighs.

use gist_core::reorder::{Reorder, Track};

use super::Item;

/// Bytes of pictures that may wait: 73 of the default size. Two pictures may wait however large they are.
const MAX_PICTURE_BYTES: usize = 64 << 20;

/// The reorder buffer with a count of what is in it.
#[derive(Default)]
pub(super) struct Waiting {
    order: Reorder<Item>,
    pub(super) texts: usize,
    pictures: usize,
    bytes: usize,
}

impl std::ops::Deref for Waiting {
    type Target = Reorder<Item>;

    fn deref(&self) -> &Self::Target {
        &self.order
    }
}

fn is_picture(item: &Item) -> bool {
    matches!(item, Item::Frame(_))
}

impl Waiting {
    /// Adds a track, or lets one that has ended go on.
    pub(super) fn add(&mut self, track: Track) {
        self.order.add(track);
    }

    pub(super) fn remove(&mut self, track: Track) {
        self.order.remove(track);
    }

    pub(super) fn advance(&mut self, track: Track, time: u64) {
        self.order.advance(track, time);
    }

    pub(super) fn end(&mut self, track: Track) {
        self.order.end(track);
    }

    /// Puts an item in; returns whether it is late.
    pub(super) fn push(&mut self, track: Track, time: u64, item: Item) -> bool {
        match &item {
            Item::Frame(picture) => {
                self.pictures += 1;
                self.bytes += picture.bytes();
            }
            Item::Text(_) => self.texts += 1,
            Item::Cut(_) | Item::Missed(_) | Item::Timeline(_) => {}
        }
        self.order.push(track, time, item)
    }

    pub(super) fn pop(&mut self, latency: Option<u64>) -> Option<(u64, Item)> {
        let (time, item) = self.order.pop(latency)?;
        self.gone(&item);
        Some((time, item))
    }

    /// The track begins anew: what it has pushed is dropped.
    pub(super) fn flush(&mut self, track: Track) {
        for item in self.order.flush(track) {
            self.gone(&item);
        }
    }

    /// Time begins anew.
    pub(super) fn restart(&mut self) {
        self.order.restart();
    }

    pub(super) fn drop_oldest_picture(&mut self) -> bool {
        let dropped = self.order.drop_first(is_picture);
        dropped.inspect(|item| self.gone(item)).is_some()
    }

    /// Drops pictures, evenly over the time that waits, until they weigh no more than they may; returns how many.
    pub(super) fn lighten(&mut self) -> u64 {
        let mut dropped = 0;
        while self.is_heavy()
            && let Some(item) = self.order.drop_densest(is_picture)
        {
            self.gone(&item);
            dropped += 1;
        }
        dropped
    }

    /// Whether the pictures weigh more than they may.
    pub(super) fn is_heavy(&self) -> bool {
        self.bytes > MAX_PICTURE_BYTES && self.pictures > 2
    }

    /// Takes out everything, in order.
    pub(super) fn take_all(&mut self) -> Vec<(u64, Item)> {
        (self.texts, self.pictures, self.bytes) = (0, 0, 0);
        self.order.take_all().collect()
    }

    fn gone(&mut self, item: &Item) {
        match item {
            Item::Frame(picture) => {
                self.pictures -= 1;
                self.bytes -= picture.bytes();
            }
            Item::Text(_) => self.texts -= 1,
            Item::Cut(_) | Item::Missed(_) | Item::Timeline(_) => {}
        }
    }
}
