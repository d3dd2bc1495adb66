//! Memory for weights, keys and values, on pages of 2 MB where the system has them (Linux calls them transparent huge
//! pages and gives them to who asks). Each token of an answer reads all of them: on pages of 4 KB that is an address to
//! look up every 64 lines, and where one ends hardware that fetches ahead stops.
//!
//! A matrix alone would leave most of its last page unused, so matrices lie one behind the other in pieces of 64 MB,
//! which go back to the system when the last matrix in them is gone. Keys and values have an [`Arena`] for each context.

// Matrices and buffers are parts of a piece, each of one owner.
#![allow(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::fmt;
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
    /// Zeros; `None` when the system has no room. Memory is taken when it is written to.
    fn map(size: usize) -> Option<Self> {
        let mut memory = MmapMut::map_anon(size).ok()?;
        // What has no huge pages to give does without.
        #[cfg(target_os = "linux")]
        let _ = memory.advise(memmap2::Advice::HugePage);
        let start = NonNull::new(memory.as_mut_ptr()).expect("memory lies somewhere");
        Some(Self { start, _memory: memory })
    }

    fn new(size: usize) -> Self {
        let layout =
            Layout::from_size_align(size, LINE).expect("sizes are far smaller than the address space");
        Self::map(size).unwrap_or_else(|| handle_alloc_error(layout))
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

/// A stretch of memory for buffers that are kept, one behind the other.
pub struct Arena {
    piece: Arc<Piece>,
    size: usize,
    /// How far it is given out.
    at: usize,
}

impl Arena {
    /// Room for `size` bytes; `None` when the system has none. Memory is taken when it is written to, and goes back when
    /// the arena and its last buffer are gone.
    pub fn new(size: usize) -> Option<Self> {
        Some(Self { piece: Arc::new(Piece::map(size)?), size, at: 0 })
    }

    /// A buffer of `len` zeros; `None` when so many are not left.
    pub fn zeros(&mut self, len: usize) -> Option<Huge<u8>> {
        let left = self.size.checked_sub(self.at)?;
        // SAFETY: `at + len` is within the piece.
        let start = (len <= left).then(|| unsafe { self.piece.start.add(self.at) })?;
        self.at = (self.at + len).next_multiple_of(LINE);
        // What the system gives is zeros, and each part is given out once.
        Some(Huge { start, len, piece: Some(Arc::clone(&self.piece)) })
    }

    /// Whether a buffer lies in it.
    pub fn holds(&self, buffer: &Huge<u8>) -> bool {
        buffer.piece.as_ref().is_some_and(|piece| Arc::ptr_eq(piece, &self.piece))
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("size", &self.size).field("at", &self.at).finish_non_exhaustive()
    }
}

/// A slice of values in such memory, which never grows.
pub struct Huge<T> {
    start: NonNull<T>,
    len: usize,
    /// None of no values.
    piece: Option<Arc<Piece>>,
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
        Self { start, len, piece: Some(piece) }
    }
}

impl Huge<u8> {
    /// `len` zeros that go back to the system when they are gone.
    pub fn zeros(len: usize) -> Self {
        let piece = Piece::new(len.max(1));
        Self { start: piece.start, len, piece: Some(Arc::new(piece)) }
    }
}

impl<T> fmt::Debug for Huge<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Huge").field("len", &self.len).finish_non_exhaustive()
    }
}

impl<T> Default for Huge<T> {
    fn default() -> Self {
        Self { start: NonNull::dangling(), len: 0, piece: None }
    }
}

impl<T> Deref for Huge<T> {
    type Target = [T];

    fn deref(&self) -> &[T] {
        // SAFETY: `len` values lie there, and the piece lives as long as this.
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
    fn buffers_of_an_arena_lie_one_behind_the_other() {
        let mut arena = Arena::new(1000).unwrap();
        let mut all: Vec<_> = std::iter::from_fn(|| arena.zeros(100)).collect();
        // 128 bytes each, as they begin with a line.
        assert_eq!(all.len(), 8);
        assert!(all.iter().all(|buffer| arena.holds(buffer)) && !arena.holds(&Huge::zeros(100)));
        drop(arena);
        for (i, buffer) in all.iter_mut().enumerate() {
            assert!(buffer.len() == 100 && buffer.iter().all(|x| *x == 0));
            buffer.fill(i as u8 + 1);
        }
        assert!(all.iter().enumerate().all(|(i, buffer)| buffer.iter().all(|x| *x == i as u8 + 1)));
        assert_eq!(*Huge::zeros(3), [0; 3]);
        assert!(Huge::zeros(0).is_empty() && Huge::<u64>::default().is_empty());
    }

    #[test]
    fn nothing_takes_no_room() {
        assert!(Huge::<u64>::filled(1, 0).is_empty());
        assert_eq!(*Huge::filled([1u16; 3], 2), [[1; 3]; 2]);
    }
}
