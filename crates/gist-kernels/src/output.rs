//! The output matrix shared by threads that each write their own columns.

// Disjoint columns of a row-major matrix cannot be handed out as slices.
#![allow(unsafe_code)]

use std::marker::PhantomData;

/// A row-major matrix whose columns are written by several threads.
pub(super) struct Columns<'a> {
    data: *mut f32,
    len: usize,
    columns: usize,
    borrow: PhantomData<&'a mut [f32]>,
}

// SAFETY: the only access is `write`, whose contract forbids two threads to touch the same element.
unsafe impl Sync for Columns<'_> {}

impl<'a> Columns<'a> {
    pub(super) fn new(data: &'a mut [f32], columns: usize) -> Self {
        Self { data: data.as_mut_ptr(), len: data.len(), columns, borrow: PhantomData }
    }

    /// Writes `values` to `row` from `column` on.
    ///
    /// # Safety
    /// No other thread may write the same elements while this matrix is shared.
    pub(super) unsafe fn write(&self, row: usize, column: usize, values: &[f32]) {
        let start = row * self.columns + column;
        assert!(column + values.len() <= self.columns && start + values.len() <= self.len);
        // SAFETY: the range was just checked to lie in the matrix, which is borrowed exclusively for `'a`; by this
        // function's contract nobody else writes there, and nobody reads before the borrow ends.
        unsafe { std::ptr::copy_nonoverlapping(values.as_ptr(), self.data.add(start), values.len()) }
    }
}
