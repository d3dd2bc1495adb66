//! Memory for weights, on pages of 2 MB where the system has them (Linux calls them transparent huge pages and gives them
//! to who asks). Each token of an answer reads all weights: on pages of 4 KB that is an address to look up every 64 lines,
//! and where one ends hardware that fetches ahead stops.
//!
//! A matrix alone would leave most of its last page unused, so matrices lie one behind the other in pieces of 64 MB,
//! which go back to the system when the last matrix in them is gone.

// Matrices are parts of a piece, each of one owner.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::ops::{Deref, DerefMut};
use std::ptr::NonNull;
use std::sync::{Arc, Weak};

use memmap2::MmapMut;
use parking_lot::Mutex;

/// What is asked of the system at once.
const PIECE: usize = 64 << 20;
/// Where a matrix may begin: with a cache line, which is what the largest types want, too.
const LINE: usize = 64;

/// A stretch of memory that the system gave.
struct Piece {
    start: NonNull<u8>,
    _memory: MmapMut,
}

// SAFETY: nothing is reached through `start` but by [`Huge`], each of which has a part for itself.
unsafe impl Send for Piece {}
// SAFETY: as above.
unsafe impl Sync for Piece {}

impl Piece {
    fn new(size: usize) -> Self {
        let layout =
            Layout::from_size_align(size, LINE).expect("matrices are far smaller than the address space");
        let Ok(mut memory) = MmapMut::map_anon(size) else { handle_alloc_error(layout) };
        // What has no huge pages to give does without.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let start = NonNull::new(memory.as_mut_ptr()).expect("memory lies somewhere");
        Self { start, _memory: memory }
    }
}

/// The piece that is being filled, and how far it is. It lives as long as a matrix in it.
static FILLING: Mutex<(Weak<Piece>, usize)> = Mutex::new((Weak::new(), 0));

/// Room for `size` bytes, for who asks alone.
fn room(size: usize) -> (Arc<Piece>, NonNull<u8>) {
    if size > PIECE / 2 {
        let piece = Arc::new(Piece::new(size));
        let start = piece.start;
        return (piece, start);
    }
    let mut filling = FILLING.lock();
    let (piece, at) = match filling.0.upgrade() {
        Some(piece) if PIECE - filling.1 >= size => (piece, filling.1),
        _ => (Arc::new(Piece::new(PIECE)), 0),
    };
    *filling = (Arc::downgrade(&piece), (at + size).next_multiple_of(LINE));
    // SAFETY: `at + size` is within the piece, as was just seen or since the piece is new.
    let start = unsafe { piece.start.add(at) };
    (piece, start)
}

/// A slice of values in such memory, which never grows.
pub(crate) struct Huge<T> {
    start: NonNull<T>,
    len: usize,
    _piece: Arc<Piece>,
}

// SAFETY: it owns its values as a `Box` does.
unsafe impl<T: Send> Send for Huge<T> {}
// SAFETY: as above.
unsafe impl<T: Sync> Sync for Huge<T> {}

impl<T: Copy> Huge<T> {
    /// `len` times `value`.
    ///
    /// # Panics
    /// When that is more than an address can tell.
    pub(crate) fn filled(value: T, len: usize) -> Self {
        const { assert!(align_of::<T>() <= LINE) };
        let size = size_of::<T>().checked_mul(len).expect("a size");
        let (piece, start) = room(size.max(1));
        let start = start.cast::<T>();
        for i in 0..len {
            // SAFETY: the room is for `len` values, begins with a cache line, and belongs to nobody else.
            unsafe { start.add(i).write(value) };
        }
        Self { start, len, _piece: piece }
    }
}

impl<T> Deref for Huge<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` values were written there, and the piece lives as long as this.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.len).as_ref() }
    }
}

impl<T> DerefMut for Huge<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        // SAFETY: as for `deref`; nobody else has this part of the piece.
        unsafe { NonNull::slice_from_raw_parts(self.start, self.len).as_mut() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_part_for_itself() {
        // Enough for some pieces, some larger than one.
        let sizes: Vec<usize> = (0..60).map(|i| if i % 20 == 7 { 70 << 20 } else { i * 131_071 }).collect();
        let mut all: Vec<Huge<u8>> = Vec::new();
        for (i, size) in sizes.iter().enumerate() {
            all.push(Huge::filled(i as u8, *size));
            if i % 3 == 0 {
                all.remove(i / 4);
                all.insert(i / 4, Huge::filled(i as u8, 1000));
            }
        }
        let mut parts: Vec<_> = all.iter().map(|huge| huge.as_ptr_range()).collect();
        parts.sort_by_key(|part| part.start);
        assert!(parts.windows(2).all(|pair| pair[0].end <= pair[1].start), "parts lie one behind the other");
        for huge in &mut all {
            assert_eq!(huge.as_ptr().align_offset(LINE), 0);
            assert!(huge.windows(2).all(|pair| pair[0] == pair[1]), "nobody wrote into it");
            huge.fill(7);
        }
    }

    #[test]
    fn nothing_takes_no_room() {
        assert!(Huge::<u64>::filled(1, 0).is_empty());
        assert_eq!(*Huge::filled([1u16; 3], 2), [[1; 3]; 2]);
    }
}
