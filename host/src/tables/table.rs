//! Tables for people: aligned columns without lines, wrapped at the width of the terminal.

use comfy_table::{ContentArrangement, presets};

/// Width in columns for wrapped text when the output is no terminal.
const PAGE: u16 = 110;

/// Width of the terminal in columns, or of a page without a terminal.
pub(crate) fn page_width() -> usize {
    usize::from(terminal_size::terminal_size().map_or(PAGE, |(terminal_size::Width(width), _)| width.max(60)))
}

/// A table under construction.
#[derive(Debug)]
pub struct Table {
    table: comfy_table::Table,
}

impl Table {
    /// A table with a line of column names.
    pub fn new(header: &[&str]) -> Self {
        let mut table = Self::bare();
        table.table.set_header(header.iter().map(|name| name.to_uppercase()));
        table
    }

    /// A table without column names, for lists of names and values.
    pub fn bare() -> Self {
        let mut table = comfy_table::Table::new();
        table.load_preset(presets::NOTHING);
        Self { table }
    }

    /// Adds a row to the table.
    pub fn row<T: Into<String>>(&mut self, cells: impl IntoIterator<Item = T>) {
        self.table.add_row(cells.into_iter().map(Into::<String>::into).collect::<Vec<_>>());
    }

    /// The table as text without wrapping, for programs that read line by line.
    pub fn lines(mut self) -> String {
        self.table.set_content_arrangement(ContentArrangement::Disabled);
        self.finish()
    }

    /// The table as text, wrapped at the width of the terminal or of a page.
    pub fn wrapped(mut self) -> String {
        self.table.set_content_arrangement(ContentArrangement::Dynamic).set_width(page_width() as u16);
        self.finish()
    }

    fn finish(mut self) -> String {
        for column in self.table.column_iter_mut() {
            column.set_padding((0, 2));
        }
        let mut text = self.table.trim_fmt();
        text.push('\n');
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_without_trailing_blanks() {
        let mut table = Table::new(&["id", "source"]);
        table.row(["pathology", "built-in"]);
        table.row(["ct", "/plugins/ct.so"]);
        assert_eq!(table.lines(), "ID         SOURCE\npathology  built-in\nct         /plugins/ct.so\n");
    }

    #[test]
    fn long_text_is_wrapped_below_its_own_column() {
        let mut table = Table::bare();
        table.row(["name", &"word ".repeat(60)]);
        let text = table.wrapped();
        assert!(text.lines().count() > 1);
        assert!(text.lines().skip(1).all(|line| line.starts_with("      word")), "{text}");
    }
}
