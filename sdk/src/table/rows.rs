//! Rows of a table, of any width, with the bytes on which they begin.

use std::io::{Chain, Read};

use super::Dialect;
use super::quoting::has_swallowed_rows;
use crate::record_limit::{RecordBudget, RecordLimit};

/// The content and what is put behind it.
type Reader<'a> = csv::Reader<RecordLimit<Chain<&'a [u8], &'a [u8]>>>;

/// The rows of a table, the header first. Blank lines are no rows.
#[derive(Debug)]
pub struct Rows<'a> {
    content: &'a str,
    delimiter: u8,
    max_row_bytes: u64,
    /// Fields of the header, once it is read.
    n_columns: Option<usize>,
    /// Byte of the content at which `reader` began.
    from: usize,
    reader: Reader<'a>,
    budget: RecordBudget,
}

/// Where a row is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Byte of the content at which it begins.
    pub start: usize,
    /// Its quotation marks.
    pub quoting: Quoting,
}

/// What quotation marks have made of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Quoting {
    /// One row.
    Sound,
    /// All that follows: the content ends inside of quotation marks, or goes on in them for longer than a row may be.
    NeverCloses,
    /// Several rows in one: a stray mark opens, and a later stray one closes.
    SwallowsRows,
}

impl Quoting {
    /// What is wrong, in words; `None` for a sound row.
    pub fn fault(self) -> Option<&'static str> {
        match self {
            Self::Sound => None,
            Self::NeverCloses => Some("a quotation mark opens and never closes"),
            Self::SwallowsRows => Some("a stray quotation mark makes one row of several"),
        }
    }
}

impl<'a> Rows<'a> {
    /// What is put behind the content: a row that ends up inside of the last one if that does not end.
    const SENTINEL: &'static [u8] = b"\nend";

    /// The rows of a table as [`super::Delimiter::of_table`] found it, each of at most so many bytes.
    pub fn new(content: &'a str, dialect: Dialect, max_row_bytes: u64) -> Self {
        let Dialect { delimiter, start, .. } = dialect;
        let (reader, budget) = Self::reader(content, start, delimiter, max_row_bytes);
        Self { content, delimiter, max_row_bytes, n_columns: None, from: start, reader, budget }
    }

    fn reader(content: &'a str, from: usize, delimiter: u8, max_row_bytes: u64) -> (Reader<'a>, RecordBudget) {
        // A row may be as long as a line and its neighbours, of which the reader has read a part.
        let (bytes, budget) = RecordLimit::new(content.as_bytes()[from..].chain(Self::SENTINEL), max_row_bytes);
        let mut builder = csv::ReaderBuilder::new();
        (builder.has_headers(false).flexible(true).delimiter(delimiter).from_reader(bytes), budget)
    }

    /// The next row, into `row`; `None` at the end. The first one is the header.
    ///
    /// # Errors
    /// None that is known: text in memory can be read.
    pub fn next(&mut self, row: &mut csv::StringRecord) -> Result<Option<Row>, csv::Error> {
        self.budget.refill();
        let before = usize::try_from(self.reader.position().byte()).unwrap_or_default();
        let is_too_long = match self.reader.read_record(row) {
            Ok(true) => false,
            Ok(false) => return Ok(None),
            Err(_) if self.budget.is_used_up() => true,
            Err(error) => return Err(error),
        };
        let before = (self.from + before).min(self.content.len());
        // The reader counts ends of lines that come before a row, such as the second half of the last row's CR LF, as
        // part of it.
        let ends = self.content.as_bytes()[before..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
        let start = before + ends.count();
        if start >= self.content.len() {
            return Ok(None);
        }
        let read = usize::try_from(self.reader.position().byte()).unwrap_or(usize::MAX);
        // One byte of the sentinel ends the last row.
        let n_sentinel = read.saturating_sub(self.content.len() - self.from);
        let end = self.from.saturating_add(read).min(self.content.len());
        let n_columns = *self.n_columns.get_or_insert(row.len());
        let quoting = if is_too_long || n_sentinel > 1 {
            Quoting::NeverCloses
        } else if row.iter().any(|field| field.contains(['\n', '\r']))
            && has_swallowed_rows(&self.content[start..end], self.delimiter, n_columns)
        {
            Quoting::SwallowsRows
        } else {
            Quoting::Sound
        };
        Ok(Some(Row { start, quoting }))
    }

    /// Goes on with the line after the one on which a row begins, to get over quotation marks that took more than their own row.
    pub fn go_on_after_line_of(&mut self, row: Row) {
        let line = self.content[row.start..].find('\n').map_or(self.content.len(), |length| row.start + length + 1);
        self.from = line;
        (self.reader, self.budget) = Self::reader(self.content, line, self.delimiter, self.max_row_bytes);
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::table::Delimiter;

    /// Fields and faults of all rows; from a row with a fault, reading goes on with the next line.
    fn rows(content: &str) -> Vec<(Vec<String>, Option<&'static str>)> {
        let dialect = Delimiter::Auto.of_table(Path::new("a.csv"), content, &[], "a.csv").unwrap();
        let (mut rows, mut row, mut all) = (Rows::new(content, dialect, 1 << 12), csv::StringRecord::new(), Vec::new());
        while let Some(found) = rows.next(&mut row).unwrap() {
            let fault = found.quoting.fault();
            all.push((if fault.is_none() { row.iter().map(String::from).collect() } else { vec![] }, fault));
            if fault.is_some() {
                rows.go_on_after_line_of(found);
            }
        }
        all
    }

    fn sound(fields: &[&str]) -> (Vec<String>, Option<&'static str>) {
        (fields.iter().map(ToString::to_string).collect(), None)
    }

    #[test]
    fn rows_are_those_of_another_reader() {
        // As csv.reader of Python 3.11 gives them with these delimiters.
        for (delimiter, written) in [(',', "a,b\n"), (';', "a;b\n"), ('\t', "a\tb\n"), ('|', "a|b\n")] {
            let content = format!(
                "{written}\"x{delimiter}y\"{delimiter}\"says \"\"no\"\"\"\r\n\n1{delimiter}\"two\nlines\"\n{delimiter}\n"
            );
            let expected = [
                sound(&["a", "b"]),
                sound(&[&format!("x{delimiter}y"), "says \"no\""]),
                sound(&["1", "two\nlines"]),
                sound(&["", ""]),
            ];
            assert_eq!(rows(&content), expected);
        }
    }

    #[test]
    fn a_fault_of_quotation_costs_its_own_row_and_no_other() {
        let never = (vec![], Some("a quotation mark opens and never closes"));
        let found = rows("a,b\n1,x\n2,\"y\n3,z");
        assert_eq!(found, [sound(&["a", "b"]), sound(&["1", "x"]), never.clone(), sound(&["3", "z"])]);
        let swallows = (vec![], Some("a stray quotation mark makes one row of several"));
        let found = rows("a,b\n1,\"x\n2,y\n3,\"z\n4,w\n");
        let expected = [sound(&["a", "b"]), swallows, sound(&["2", "y"]), never.clone(), sound(&["4", "w"])];
        assert_eq!(found, expected);
        let long = format!("a,b\n1,\"{}\"\n2,y\n", "x".repeat(1 << 14));
        let found = rows(&long);
        assert_eq!(found[1..], [never, sound(&["2", "y"])]);
    }
}
