//! Products of f32 matrices, wherever their rows and columns lie; every call of `gemm` is here.

use gemm::{Parallelism, gemm};

/// A matrix in a slice: element `[r, c]` is at `r * row + c * column`.
#[derive(Clone, Copy)]
pub struct Strided<'a> {
    /// What it lies in.
    pub values: &'a [f32],
    /// From one row to the next.
    pub row: usize,
    /// From one column to the next.
    pub column: usize,
}

impl<'a> Strided<'a> {
    /// Rows that lie `stride` values apart.
    pub fn rows(values: &'a [f32], stride: usize) -> Self {
        Self { values, row: stride, column: 1 }
    }

    /// The same without the first `row` rows.
    pub fn from(self, row: usize) -> Self {
        Self { values: &self.values[row * self.row..], ..self }
    }

    /// The same with rows and columns swapped.
    pub fn transposed(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// Whether an element `[rows - 1, columns - 1]`, and so each before it, is in the slice.
    fn holds(self, rows: usize, columns: usize) -> bool {
        let last = |count: usize, stride: usize| count.checked_sub(1)?.checked_mul(stride);
        let last = last(rows, self.row).zip(last(columns, self.column));
        last.and_then(|(row, column)| row.checked_add(column)).is_some_and(|last| last < self.values.len())
    }
}

/// `out[m, n] (+)= a[m, k] · b[k, n]` on this thread; rows of `out` lie `out_stride` values apart.
///
/// # Panics
/// When an operand is too small, or a size is zero.
pub fn product(
    (m, n, k): (usize, usize, usize),
    a: Strided<'_>,
    b: Strided<'_>,
    out: &mut [f32],
    out_stride: usize,
    add: bool,
) {
    assert!(a.holds(m, k) && b.holds(k, n) && out_stride >= n, "operands too small");
    let needed = (m - 1).checked_mul(out_stride).and_then(|rows| rows.checked_add(n));
    assert!(needed.is_some_and(|needed| needed <= out.len()), "the output is too small");
    // SAFETY: the three operands are live slices that cover the sizes and strides given, as asserted, rows of `out` do
    // not overlap, and `out` overlaps neither input since it is borrowed mutably.
    #[allow(unsafe_code)]
    unsafe {
        gemm(
            m,
            n,
            k,
            out.as_mut_ptr(),
            1,
            out_stride as isize,
            add,
            a.values.as_ptr(),
            a.column as isize,
            a.row as isize,
            b.values.as_ptr(),
            b.column as isize,
            b.row as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}
