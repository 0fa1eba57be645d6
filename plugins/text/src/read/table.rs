//! CSV: a header, then one document a row.

use medcoss_sdk::Error;

use super::{line_place, position_of};
use crate::{corpus::Corpus, options::Options};

/// Adds the text column of every row, with the label column where one is asked for. Ids have the line on which the row
/// begins; quoted fields may span lines.
///
/// # Errors
/// Columns that are not there, several columns and none asked for, rows of another width than the header.
pub fn read(content: &str, name: &str, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let refuse = |error: csv::Error| Error::corrupt(format!("{name} is no regular CSV")).caused_by(&error);
    let mut reader = csv::Reader::from_reader(content.as_bytes());
    let header = reader.headers().map_err(refuse)?;
    let names: Vec<_> = header.iter().collect();
    let text = position_of(options.column.as_deref(), "column", &names, name)?;
    let label = match options.label_column.as_deref() {
        Some(asked) => Some(position_of(Some(asked), "label_column", &names, name)?),
        None => None,
    };
    let mut row = csv::StringRecord::new();
    while reader.read_record(&mut row).map_err(refuse)? {
        let line = row.position().map_or(0, |start| line_of(content, start));
        let label = label.and_then(|column| row.get(column)).map(str::trim).filter(|label| !label.is_empty());
        corpus.add(line_place(line), label, row.get(text).unwrap_or_default());
    }
    Ok(())
}

/// The line on which a row begins. The reader counts ends of lines that come before a row, such as the second half of
/// the last row's CR LF, as part of it; they are passed over here, so that ids do not depend on them.
fn line_of(content: &str, start: &csv::Position) -> u64 {
    let before = usize::try_from(start.byte()).ok().and_then(|byte| content.as_bytes().get(byte..)).unwrap_or_default();
    let ends = before.iter().take_while(|byte| matches!(byte, b'\r' | b'\n'));
    start.line() + ends.filter(|&&byte| byte == b'\n').count() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn corpus(content: &str, column: Option<&str>, label: Option<&str>) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("t.csv", b"");
        let options =
            Options { column: column.map(String::from), label_column: label.map(String::from), ..Options::default() };
        read(content, "t.csv", &options, &mut corpus).map(|()| corpus)
    }

    #[test]
    fn rows_are_documents_at_the_line_they_begin_on() {
        let content = "kind,note\n3,\"two\nlines, \"\"quoted\"\"\"\n\n,plain\n5,\n";
        let corpus = corpus(content, Some("note"), Some("kind")).unwrap();
        let found: Vec<_> =
            (0..corpus.len()).map(|i| (corpus.id(i), corpus.text(i).to_owned(), corpus.label(i))).collect();
        assert_eq!(
            found,
            [
                ("t.csv#L0000002".into(), "two\nlines, \"quoted\"".into(), Some("3".into())),
                ("t.csv#L0000005".into(), "plain".into(), None)
            ]
        );
        assert_eq!(corpus.n_empty(), 1);
    }

    #[test]
    fn ids_are_the_same_with_either_end_of_line() {
        let ids = |content: &str| {
            let corpus = corpus(content, Some("b"), None).unwrap();
            (0..corpus.len()).map(|index| corpus.id(index)).collect::<Vec<_>>()
        };
        let content = "a,b\n1,x\n\n2,y\n3,z\n";
        assert_eq!(ids(content), ["t.csv#L0000002", "t.csv#L0000004", "t.csv#L0000005"]);
        assert_eq!(ids(content), ids(&content.replace('\n', "\r\n")));
    }

    #[test]
    fn the_only_column_needs_no_name() {
        assert_eq!(corpus("note\nclear\n", None, None).unwrap().text(0), "clear");
    }

    #[test]
    fn missing_columns_and_ragged_rows_are_refused() {
        assert!(corpus("a,b\n1,2\n", None, None).unwrap_err().message().contains("\"a\", \"b\""));
        assert!(corpus("a,b\n1,2\n", Some("c"), None).unwrap_err().message().contains("\"c\""));
        assert!(corpus("a,b\n1,2\n", Some("a"), Some("c")).unwrap_err().message().contains("label_column"));
        let error = corpus("a,b\n1,2\n1,2,3\n", Some("a"), None).unwrap_err();
        assert!(error.message().contains("t.csv") && error.to_string().contains("line: 3"), "{error}");
    }
}
