//! Blocks of a product, whose operands are packed so that they stay in caches.

use std::arch::x86_64::{__m512i, _mm512_setzero_si512};
use std::cell::RefCell;

use super::super::matrix::{Matrix, Start, Task};
use super::kernel::{Begin, COLUMNS, ROWS, Tile};
use super::packing::{LANES, pack};

/// Most pairs of consecutive values along the depth that are multiplied at once.
const DEPTH: usize = 384;
/// Most rows of the left matrix that are packed at once: they stay in the cache of a core.
const HIGH: usize = 8 * ROWS;
/// Most columns of the right matrix that are packed at once: they stay in the cache that cores share.
const WIDE: usize = 64 * COLUMNS;

/// Cuts a task in two for numbers of threads, across the longer side: both halves pack the other operand, which costs the less the longer
/// the side is that remains.
pub fn halves(task: Task<'_>, threads: usize) -> (Task<'_>, Task<'_>) {
    let (m, n) = (task.a.rows, task.b.columns);
    let part = |size: usize, whole: usize| (size * threads.div_ceil(2) / threads).next_multiple_of(whole).min(size);
    if m > n { task.split_rows(part(m, ROWS)) } else { task.split_columns(part(n, COLUMNS)) }
}

/// Computes a task. Subnormal operands and subnormal sums count as zero. The result does not depend on how a product was cut: all tasks divide
/// the depth in the same way.
///
/// # Safety
/// The output must be valid for writes of the task's rows and columns, which no other code uses meanwhile, and the processor must multiply in
/// bfloat16.
pub unsafe fn on_this_thread(task: Task<'_>) {
    // SAFETY: promised by the caller.
    with_panels(|panels| unsafe { task.by_blocks(panels) });
}

/// Parts of both operands, packed. A thread keeps them for its next product: at most 172 kB and 3 MB.
#[derive(Default)]
struct Panels {
    left: Vec<__m512i>,
    right: Vec<__m512i>,
}

/// Calls `work` with the panels of this thread.
fn with_panels<T>(work: impl FnOnce(&mut Panels) -> T) -> T {
    thread_local! {
        static PANELS: RefCell<Panels> = RefCell::default();
    }
    PANELS.with_borrow_mut(work)
}

/// Room for `n` pairs, on whole lines of the cache.
#[target_feature(enable = "avx512f")]
fn room(values: &mut Vec<__m512i>, n: usize) -> *mut u32 {
    let n = n.div_ceil(LANES);
    if values.len() < n {
        values.resize(n, _mm512_setzero_si512());
    }
    values.as_mut_ptr().cast()
}

/// Size of each of the fewest about equal parts of `size` that are multiples of `multiple` and not larger than `most`.
fn part(size: usize, most: usize, multiple: usize) -> usize {
    size.div_ceil(size.div_ceil(most).max(1)).next_multiple_of(multiple).max(multiple)
}

/// The first `n` of the rows from `at` on.
fn rows(matrix: Matrix<'_>, at: usize, n: usize) -> Matrix<'_> {
    matrix.split_rows(at).1.split_rows(n).0
}

/// The first `n` of the columns from `at` on.
fn columns(matrix: Matrix<'_>, at: usize, n: usize) -> Matrix<'_> {
    matrix.split_columns(at).1.split_columns(n).0
}

/// A part of the product: panels of the left rows by panels of the right columns.
struct Block {
    row: usize,
    column: usize,
    high: usize,
    wide: usize,
    n_pairs: usize,
    /// Whether sums are added to the output of earlier blocks of the depth.
    is_added: bool,
}

impl Task<'_> {
    /// Multiplies block by block.
    ///
    /// # Safety
    /// As for [`on_this_thread`], and the processor must have the features.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn by_blocks(self, panels: &mut Panels) {
        let (m, n, k) = (self.a.rows, self.b.columns, self.a.columns);
        let n_pairs = k.div_ceil(2);
        let (most_high, most_wide) = (part(m, HIGH, ROWS), part(n, WIDE, COLUMNS));
        let depth = part(n_pairs, DEPTH, LANES);
        let (left, right) = (room(&mut panels.left, most_high * depth), room(&mut panels.right, most_wide * depth));
        for column in (0..n).step_by(most_wide) {
            let wide = most_wide.min(n - column);
            let of_columns = columns(self.b, column, wide).transposed();
            // One block without depth, where there is nothing to sum, writes the start.
            for pair in (0..n_pairs.max(1)).step_by(depth) {
                let values = (2 * depth).min(k - 2 * pair);
                // SAFETY: there is room for so many columns, of this depth.
                unsafe { pack::<COLUMNS>(columns(of_columns, 2 * pair, values), right) };
                for row in (0..m).step_by(most_high) {
                    let high = most_high.min(m - row);
                    let of_rows = columns(rows(self.a, row, high), 2 * pair, values);
                    let block = Block { row, column, high, wide, n_pairs: values.div_ceil(2), is_added: pair > 0 };
                    // SAFETY: there is room for so many rows, of this depth, and the block is within the output.
                    unsafe {
                        pack::<ROWS>(of_rows, left);
                        self.by_tiles(&block, left, right);
                    }
                }
            }
        }
    }

    /// Multiplies panels tile by tile. A panel of the right matrix stays in the nearest cache for all rows.
    ///
    /// # Safety
    /// The block must be within the output, and the panels those of its rows and columns.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    unsafe fn by_tiles(self, block: &Block, left: *const u32, right: *const u32) {
        for x in (0..block.wide).step_by(COLUMNS) {
            let begin = match self.start {
                _ if block.is_added => Begin::Out,
                Start::Zero => Begin::Zero,
                Start::Rows(row) => Begin::Row(row[block.column + x..].as_ptr()),
            };
            for y in (0..block.high).step_by(ROWS) {
                let tile = Tile {
                    out: self.out.beyond(block.row + y, block.column + x).values,
                    stride: self.out.stride,
                    rows: ROWS.min(block.high - y),
                    columns: COLUMNS.min(block.wide - x),
                    begin,
                    scale: self.scale,
                };
                // SAFETY: the tile is within the output, and its panels begin at whole panels before it.
                unsafe { tile.compute(left.add(y * block.n_pairs), right.add(x * block.n_pairs), block.n_pairs) };
            }
        }
    }
}
