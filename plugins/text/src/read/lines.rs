//! One document a line.

use super::line_numbers::line_id;
use crate::corpus::Corpus;

/// Lines that a table has at least, and that are looked at.
const LINES_OF_A_TABLE: (usize, usize) = (5, 20);

/// Adds every line as a document, without a label.
pub fn read(content: &str, corpus: &mut Corpus) {
    if looks_like_a_table(content) {
        corpus
            .remark("text files look like tables, but are read by lines (text_files = \"tables\" reads their columns)");
    }
    for (line, text) in (1..).zip(content.lines()) {
        corpus.add(line_id(line), None, text);
    }
}

/// Whether all of the first lines have equally many tabs, semicolons or vertical bars.
fn looks_like_a_table(content: &str) -> bool {
    let lines: Vec<&str> = content.lines().filter(|line| !line.trim().is_empty()).take(LINES_OF_A_TABLE.1).collect();
    let divides = |delimiter: char| {
        let mut counts = lines.iter().map(|line| line.matches(delimiter).count());
        counts.next().is_some_and(|first| first > 0 && counts.all(|count| count == first))
    };
    lines.len() >= LINES_OF_A_TABLE.0 && ['\t', ';', '|'].into_iter().any(divides)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_is_a_document_with_its_number() {
        let mut corpus = Corpus::default();
        corpus.begin_file("a.txt", 0, b"");
        read("no effusion.\r\n\r\nclear\tlungs", &mut corpus);
        assert_eq!((corpus.id(0).as_str(), corpus.text(0).unwrap()), ("a.txt#L0000001", "no effusion."));
        assert_eq!((corpus.id(1).as_str(), corpus.text(1).unwrap()), ("a.txt#L0000003", "clear\tlungs"));
        assert_eq!((corpus.len(), corpus.n_empty(), corpus.remarks().len()), (2, 1, 0));
    }

    #[test]
    fn lines_that_look_like_rows_are_reported() {
        assert!(looks_like_a_table("id\ttext\n1\ta\n2\tb\n\n3\tc\n4\td\n"));
        assert!(!looks_like_a_table("id\ttext\n1\ta\n2\tb\n"));
        assert!(!looks_like_a_table("a; b\nc; d\ne\nf; g\nh; i\n"));
        assert!(!looks_like_a_table("a\nb\nc\nd\ne\n"));
    }
}
