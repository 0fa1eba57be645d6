//! One document a line.

use super::line_numbers::line_id;
use crate::corpus::Corpus;

/// Adds every line as a document, without a label.
pub fn read(content: &str, corpus: &mut Corpus) {
    for (line, text) in (1..).zip(content.lines()) {
        corpus.add(line_id(line), None, text);
    }
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
        assert_eq!((corpus.len(), corpus.n_empty()), (2, 1));
    }
}
