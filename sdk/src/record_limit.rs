//! A limit for the records of a table: a reader of CSV grows with a record, and a quotation mark that never closes makes one of the rest of
//! the file.

use std::cell::Cell;
use std::io::{self, Read};
use std::rc::Rc;

/// A source of bytes that fails where one record takes more than a number of them.
#[derive(Debug)]
pub struct RecordLimit<R> {
    inner: R,
    budget: RecordBudget,
}

/// The bytes that may still be read for the present record.
#[derive(Debug, Clone)]
pub struct RecordBudget {
    limit_bytes: u64,
    left: Rc<Cell<u64>>,
}

impl<R> RecordLimit<R> {
    /// The source, and its budget, which begins full.
    pub fn new(inner: R, limit_bytes: u64) -> (Self, RecordBudget) {
        let budget = RecordBudget { limit_bytes, left: Rc::new(Cell::new(limit_bytes)) };
        (Self { inner, budget: budget.clone() }, budget)
    }
}

impl RecordBudget {
    /// Another record begins.
    pub fn refill(&self) {
        self.left.set(self.limit_bytes);
    }

    /// Whether the record took more than there was.
    pub fn is_used_up(&self) -> bool {
        self.left.get() == 0
    }
}

impl<R: Read> Read for RecordLimit<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.budget.left.get();
        if left == 0 {
            let limit = self.budget.limit_bytes;
            return Err(io::Error::other(format!(
                "a row has more than {limit} bytes; look for a quotation mark that does not close"
            )));
        }
        let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
        let n = self.inner.read(&mut buffer[..most])?;
        self.budget.left.set(left - n as u64);
        Ok(n)
    }
}
