//! Matrices within slices, and products of them that are computed block by block.

use half::bf16;
use rayon::prelude::*;

/// A matrix within a slice.
#[derive(Debug, Clone, Copy)]
pub struct Matrix<'a> {
    pub(super) values: &'a [f32],
    pub(super) rows: usize,
    pub(super) columns: usize,
    /// Distance between rows, in values.
    pub(super) row_stride: usize,
    /// Distance between columns. One of the two distances is 1.
    pub(super) column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// A row-major matrix `[rows, columns]`; the first values of two rows are `stride` values apart.
    ///
    /// # Panics
    /// When the slice is too short for it.
    pub fn new(values: &'a [f32], rows: usize, columns: usize, stride: usize) -> Self {
        let needed = rows.saturating_sub(1).checked_mul(stride).and_then(|n| n.checked_add(columns));
        let is_within = needed.is_some_and(|needed| needed <= values.len());
        assert!(rows == 0 || columns == 0 || is_within, "a matrix outside of its slice");
        Self { values, rows, columns, row_stride: stride, column_stride: 1 }
    }

    /// A row-major matrix without gaps.
    pub fn dense(values: &'a [f32], columns: usize) -> Self {
        Self::new(values, values.len() / columns.max(1), columns, columns)
    }

    /// The transposed matrix.
    pub fn transposed(self) -> Self {
        Self {
            rows: self.columns,
            columns: self.rows,
            row_stride: self.column_stride,
            column_stride: self.row_stride,
            ..self
        }
    }

    pub(super) fn split_rows(self, at: usize) -> (Self, Self) {
        let below = self.values.get(at * self.row_stride..).unwrap_or_default();
        (Self { rows: at, ..self }, Self { rows: self.rows - at, values: below, ..self })
    }

    pub(super) fn split_columns(self, at: usize) -> (Self, Self) {
        let (left, right) = self.transposed().split_rows(at);
        (left.transposed(), right.transposed())
    }

    /// The values rounded to bfloat16, without gaps: row by row, or column by column where columns are contiguous.
    pub(super) fn rounded(self) -> Vec<f32> {
        let lines = if self.column_stride == 1 { self } else { self.transposed() };
        let line = |at: usize| &lines.values[at * lines.row_stride..][..lines.columns];
        let mut values = vec![0.0; lines.rows * lines.columns];
        values.par_chunks_mut(lines.columns.max(1)).enumerate().for_each(|(at, rounded)| {
            rounded.iter_mut().zip(line(at)).for_each(|(rounded, value)| *rounded = bf16::from_f32(*value).to_f32());
        });
        values
    }

    /// A matrix of this shape with values in the order of [`Matrix::rounded`].
    pub(super) fn with_values(self, values: &[f32]) -> Matrix<'_> {
        match self.column_stride {
            1 => Matrix::new(values, self.rows, self.columns, self.columns),
            _ => Matrix::new(values, self.columns, self.rows, self.rows).transposed(),
        }
    }
}

/// Initial value that a product is added to.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// Zero: the content of the output is not read.
    Zero,
    /// One row, added to each row of the product.
    Rows(&'a [f32]),
}

/// Output of a product: rows that are `stride` values apart.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output {
    pub(super) values: *mut f32,
    pub(super) stride: usize,
}

// SAFETY: the parts of a product that threads write do not overlap, see `Task::split_columns` and `Task::split_rows`.
unsafe impl Send for Output {}

impl Output {
    /// The output from a position on; it is outside of the output where that part is empty.
    pub(super) fn beyond(self, row: usize, column: usize) -> Self {
        Self { values: self.values.wrapping_add(row * self.stride + column), ..self }
    }
}

/// A product, or a block of it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) out: Output,
    pub(super) start: Start<'a>,
    pub(super) a: Matrix<'a>,
    pub(super) b: Matrix<'a>,
    pub(super) scale: f32,
    /// Whether the processor multiplies in bfloat16.
    pub(super) is_bfloat16: bool,
}

impl Task<'_> {
    pub(super) fn n_multiplications(&self) -> usize {
        self.a.rows * self.a.columns * self.b.columns
    }

    pub(super) fn split_columns(self, at: usize) -> (Self, Self) {
        let (left, right) = self.b.split_columns(at);
        let (start_left, start_right) = match self.start {
            Start::Zero => (Start::Zero, Start::Zero),
            Start::Rows(row) => (Start::Rows(&row[..at]), Start::Rows(&row[at..])),
        };
        (
            Self { b: left, start: start_left, ..self },
            Self { b: right, start: start_right, out: self.out.beyond(0, at), ..self },
        )
    }

    pub(super) fn split_rows(self, at: usize) -> (Self, Self) {
        let (above, below) = self.a.split_rows(at);
        (Self { a: above, ..self }, Self { a: below, out: self.out.beyond(at, 0), ..self })
    }
}
