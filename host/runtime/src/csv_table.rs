//! Tables in CSV, for spreadsheets: the one writer of all of them. A cell that a spreadsheet would take for a formula
//! begins with an apostrophe, since names of tasks and modalities may come from a stranger. Numbers stay numbers.

use anyhow::Result;

/// First characters of a cell that a spreadsheet may take for a formula.
const FORMULA: [char; 7] = ['=', '+', '-', '@', '\t', '\r', '\n'];

/// A table in CSV under construction.
pub(crate) struct CsvTable {
    writer: csv::Writer<Vec<u8>>,
}

impl CsvTable {
    /// A table without rows.
    pub(crate) fn new() -> Self {
        Self { writer: csv::Writer::from_writer(Vec::new()) }
    }

    /// Adds a row, or the row of column names.
    ///
    /// # Errors
    /// A row of another length than the rows before.
    pub(crate) fn row<T: AsRef<str>>(&mut self, cells: impl IntoIterator<Item = T>) -> Result<()> {
        for cell in cells {
            let cell = cell.as_ref();
            match is_formula(cell) {
                true => self.writer.write_field(format!("'{cell}"))?,
                false => self.writer.write_field(cell)?,
            }
        }
        Ok(self.writer.write_record(None::<&[u8]>)?)
    }

    /// The table as text.
    ///
    /// # Errors
    /// Text that cannot be written as CSV.
    pub(crate) fn finish(self) -> Result<Vec<u8>> {
        Ok(self.writer.into_inner().map_err(|error| error.into_error())?)
    }
}

fn is_formula(cell: &str) -> bool {
    cell.starts_with(FORMULA) && cell.parse::<f64>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_begin_with_an_apostrophe_and_numbers_stay() {
        let mut table = CsvTable::new();
        table.row(["task", "=1+1", "@x", "a,b"]).unwrap();
        table.row(["-0.5", "+1e-3", "-inf", "-1+cmd|' /C calc'!A0"]).unwrap();
        table.row(["\tx", "\rx", "-", ""]).unwrap();
        let text = String::from_utf8(table.finish().unwrap()).unwrap();
        let expected = "task,'=1+1,'@x,\"a,b\"\n-0.5,+1e-3,-inf,'-1+cmd|' /C calc'!A0\n'\tx,\"'\rx\",'-,\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn rows_of_several_lengths_are_an_error() {
        let mut table = CsvTable::new();
        table.row(["a", "b"]).unwrap();
        assert!(table.row(["a"]).is_err());
    }
}
