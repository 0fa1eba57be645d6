//! Tables: a header, then one document a row.

use std::collections::BTreeMap;
use std::path::Path;

use medcoss_sdk::Error;
use medcoss_sdk::table::{Dialect, Rows};

use super::columns::position_of;
use super::content::MAX_LINE_BYTES;
use super::line_numbers::{LineCounter, line_id};
use super::row_filter::reason_to_leave_out;
use crate::{corpus::Corpus, options::Options};

/// Rows with a stray quotation mark that are got over; a file with more is given up.
const MAX_STRAY: usize = 64;
/// Words of a title from which on it reads like a report.
const WORDS_OF_A_REPORT: usize = 4;

/// Adds the text columns of every row that is kept, joined by blanks, with the label column where one is asked for. Ids have the line on which the row
/// begins; quoted fields may span lines. A row of another width than the header is a document that cannot be read, and so is one of which a
/// stray quotation mark has made several.
///
/// # Errors
/// Columns that are not there or there twice, several columns and none asked for, fields that more than one delimiter may separate, quotation
/// marks all over the place.
pub fn read(content: &str, file: &Path, name: &str, options: &Options, corpus: &mut Corpus) -> Result<(), Error> {
    let refuse = |error: csv::Error| Error::corrupt(format!("{name} is no table")).caused_by(&error);
    let dialect = options.delimiter.of_table(file, content, &options.columns(), name)?;
    let (mut rows, mut lines) = (Rows::new(content, dialect, MAX_LINE_BYTES as u64), LineCounter::new(content));
    let mut header = csv::StringRecord::new();
    let head = rows.next(&mut header).map_err(refuse)?;
    let names: Vec<_> = header.iter().collect();
    if let Some(fault) = head.and_then(|head| head.quoting.fault()) {
        return Err(Error::corrupt(format!("{name}, line 1: {fault}; expected a header")));
    }
    let column = |asked: Option<&str>| position_of(asked, "text_column", &names, name);
    let texts = match &options.text_column {
        Some(columns) => columns.names().iter().map(|asked| column(Some(asked))).collect::<Result<_, _>>()?,
        None => vec![column(None)?],
    };
    let kept = options
        .keep_rows
        .keys()
        .map(|asked| position_of(Some(asked), "keep_rows", &names, name).map(|position| (asked.as_str(), position)));
    let kept = kept.collect::<Result<BTreeMap<_, _>, _>>()?;
    let label = match options.label_column.as_deref() {
        Some(asked) => Some(position_of(Some(asked), "label_column", &names, name)?),
        None => None,
    };
    remark(dialect, &names, options, corpus);

    let (mut row, mut n_stray) = (csv::StringRecord::new(), 0);
    while let Some(found) = rows.next(&mut row).map_err(refuse)? {
        let line = lines.line_of(found.start);
        if let Some(fault) = found.quoting.fault() {
            n_stray += 1;
            let error = format!("{name}, line {line}: {fault}");
            if n_stray > MAX_STRAY {
                return Err(Error::corrupt(format!("{error}, after {MAX_STRAY} others; what follows is not read")));
            }
            corpus.add_unreadable(line_id(line), Error::corrupt(error));
            // Of what the mark swallowed only the first line is its own.
            rows.go_on_after_line_of(found);
        } else if row.len() == names.len() {
            if let Some(reason) = reason_to_leave_out(&options.keep_rows, |column| row.get(*kept.get(column)?)) {
                corpus.leave_out(&reason);
                continue;
            }
            let label = label.and_then(|column| row.get(column)).map(str::trim).filter(|label| !label.is_empty());
            let text: Vec<_> = texts.iter().filter_map(|&column| row.get(column)).collect();
            corpus.add(line_id(line), label, &text.join(" "));
        } else if !(row.len() == 1 && row[0].trim().is_empty()) {
            corpus.add_unreadable(line_id(line), wrong_width(&row, names.len(), &format!("{name}, line {line}")));
        }
    }
    Ok(())
}

/// Counts a table of which something is assumed.
fn remark(dialect: Dialect, names: &[&str], options: &Options, corpus: &mut Corpus) {
    if dialect.is_guess {
        let found = dialect.in_words();
        corpus.remark(format!(
            "tables are separated by {found}, as their header and first rows show (option delimiter states it)"
        ));
    }
    // A column that is asked for by name stands in a header.
    let reads_like_a_report = |name: &&str| name.split_whitespace().count() >= WORDS_OF_A_REPORT || name.ends_with('.');
    if options.text_column.is_none() && names.iter().any(reads_like_a_report) {
        corpus.remark("tables begin with a row that reads like a report, but is taken as the header");
    }
}

fn wrong_width(row: &csv::StringRecord, n_columns: usize, place: &str) -> Error {
    let n_lines = 1 + row.iter().map(|field| field.matches('\n').count()).sum::<usize>();
    let hint = match n_lines {
        1 => String::new(),
        _ => format!("\nhint: the row spans {n_lines} lines; look for a quotation mark that does not close"),
    };
    Error::corrupt(format!("{place}: a row of {} fields; expected {n_columns}, as in the header{hint}", row.len()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::TextColumns;

    fn corpus(content: &str, column: Option<&str>, label: Option<&str>) -> Result<Corpus, Error> {
        let mut corpus = Corpus::default();
        corpus.begin_file("t.csv", 0, b"");
        let options = Options {
            text_column: column.map(|column| TextColumns::One(column.into())),
            label_column: label.map(String::from),
            ..Options::default()
        };
        read(content, Path::new("t.csv"), "t.csv", &options, &mut corpus).map(|()| corpus)
    }

    fn ids(corpus: &Corpus) -> Vec<String> {
        (0..corpus.len()).map(|index| corpus.id(index)).collect()
    }

    fn reasons(corpus: &Corpus) -> Vec<&str> {
        corpus.unreadable().map(Error::message).collect()
    }

    #[test]
    fn rows_are_documents_at_the_line_they_begin_on() {
        let content = "kind,note\n3,\"two\nlines, \"\"quoted\"\"\"\n\n,plain\n5,\n";
        let corpus = corpus(content, Some("note"), Some("kind")).unwrap();
        assert_eq!(ids(&corpus), ["t.csv#L0000002", "t.csv#L0000005"]);
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["two\nlines, \"quoted\"", "plain"]);
        assert_eq!((corpus.label(0).as_deref(), corpus.label(1), corpus.n_empty()), (Some("3"), None, 1));
    }

    #[test]
    fn ids_and_texts_are_the_same_with_any_end_of_line_and_without_the_last() {
        let of = |content: &str| {
            let corpus = corpus(content, Some("b"), None).unwrap();
            (ids(&corpus), corpus.texts().map(String::from).collect::<Vec<_>>())
        };
        let content = "a,b\n1,x\n\n2,y\n3,\"z\"\n";
        let expected =
            (["t.csv#L0000002", "t.csv#L0000004", "t.csv#L0000005"].map(String::from).into(), vec!["x", "y", "z"]);
        let expected = (expected.0, expected.1.into_iter().map(String::from).collect());
        assert_eq!(of(content), expected);
        assert_eq!(of(content.trim_end()), expected);
        assert_eq!(of(&content.replace('\n', "\r\n")), expected);
        assert_eq!(of(content.replace('\n', "\r\n").trim_end()), expected);
        assert_eq!(of(&content.replace('\n', "\r")), expected);
    }

    #[test]
    fn the_only_column_needs_no_name() {
        assert_eq!(corpus("note\nclear\n", None, None).unwrap().text(0).unwrap(), "clear");
        assert_eq!(corpus("note\nend", None, None).unwrap().text(0).unwrap(), "end");
        assert_eq!(corpus("note", None, None).unwrap().len(), 0);
    }

    #[test]
    fn a_row_without_end_does_not_take_the_rest_of_the_file() {
        let long = format!("{}\n", "x".repeat(999)).repeat(MAX_LINE_BYTES / 500);
        let content = format!("a,b\n1,2\n3,\"{long}5,6\n");
        let corpus = corpus(&content, Some("a"), None).unwrap();
        let reasons = reasons(&corpus);
        assert_eq!(reasons[0], "t.csv, line 3: a quotation mark opens and never closes");
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["1", "5"]);
    }

    #[test]
    fn missing_columns_are_refused() {
        assert!(corpus("a,b\n1,2\n", None, None).unwrap_err().message().contains("\"a\", \"b\""));
        assert!(corpus("a,b\n1,2\n", Some("c"), None).unwrap_err().message().contains("\"c\""));
        assert!(corpus("a,b\n1,2\n", Some("a"), Some("c")).unwrap_err().message().contains("label_column"));
        assert!(corpus("\"a,b\n1,2\n", None, None).unwrap_err().message().starts_with("t.csv, line 1"));
    }

    #[test]
    fn ragged_rows_are_unreadable_documents_with_reasons() {
        let corpus = corpus("a,b\n1,2\n1,2,3\n1\n \n1,\"2\n3,4\",5\n6,7\n", Some("a"), None).unwrap();
        assert_eq!(ids(&corpus), [2, 3, 4, 6, 8].map(line_id).map(|place| format!("t.csv{place}")));
        assert_eq!(
            reasons(&corpus),
            [
                "t.csv, line 3: a row of 3 fields; expected 2, as in the header",
                "t.csv, line 4: a row of 1 fields; expected 2, as in the header",
                "t.csv, line 6: a row of 3 fields; expected 2, as in the header\n\
                 hint: the row spans 2 lines; look for a quotation mark that does not close"
            ]
        );
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["1", "6"]);
    }

    #[test]
    fn a_quotation_mark_that_never_closes_costs_its_own_row_and_no_other() {
        for end in ["", "\n", "\r\n", "\n\n"] {
            let corpus = corpus(&format!("a,b\n1,x\n2,\"y\n3,z\n4,w{end}"), Some("b"), None).unwrap();
            assert_eq!(ids(&corpus), [2, 3, 4, 5].map(line_id).map(|place| format!("t.csv{place}")));
            assert_eq!(corpus.texts().collect::<Vec<_>>(), ["x", "z", "w"]);
            assert_eq!(reasons(&corpus), ["t.csv, line 3: a quotation mark opens and never closes"]);
        }
        let last = corpus("a,b\n1,x\n2,\"", Some("b"), None).unwrap();
        assert_eq!((last.len(), last.n_unreadable()), (2, 1));
    }

    #[test]
    fn quotation_marks_all_over_the_place_end_the_reading() {
        // Read from any of these lines, a mark opens that none of the next ones closes.
        let content = format!("a,b\n1,x\n{}", "y\"\"\",\"\"\"\n".repeat(5000));
        let error = corpus(&content, Some("b"), None).unwrap_err();
        assert!(
            error.message().contains("line 67: a quotation mark opens and never closes, after 64 others"),
            "{error}"
        );
    }

    #[test]
    fn a_stray_mark_does_not_make_one_document_of_several_rows() {
        let corpus = corpus("a,b\n1,\"x\n2,y\n3,\"z\n4,w\n", Some("b"), None).unwrap();
        assert_eq!(corpus.texts().collect::<Vec<_>>(), ["y", "w"]);
        assert_eq!(
            reasons(&corpus),
            [
                "t.csv, line 2: a stray quotation mark makes one row of several",
                "t.csv, line 4: a quotation mark opens and never closes"
            ]
        );
    }

    #[test]
    fn delimiters_are_found_and_said_and_lines_keep_their_numbers() {
        let of = |content: &str| {
            let corpus = corpus(content, Some("b"), None).unwrap();
            (ids(&corpus), corpus.texts().map(String::from).collect::<Vec<_>>(), corpus.remarks().clone())
        };
        let (ids, texts, remarks) = of("a;b\n1;\"x; y\"\n2;3,5 cm\n");
        assert_eq!((ids[1].as_str(), texts), ("t.csv#L0000003", vec!["x; y".into(), "3,5 cm".into()]));
        assert!(remarks.keys().next().unwrap().starts_with("tables are separated by semicolons"));
        let (ids, texts, remarks) = of("sep=;\na;b\n1;x, y\n");
        assert_eq!((ids[0].as_str(), texts[0].as_str(), remarks.len()), ("t.csv#L0000003", "x, y", 0));
        let error = corpus("a;b,c\n1;2,3\n", None, None).unwrap_err();
        assert!(error.message().contains("option delimiter: \",\" or \";\""), "{error}");
    }

    #[test]
    fn a_first_row_that_reads_like_a_report_is_reported() {
        let remarks =
            |header: &str, column| corpus(&format!("{header}\nclear\n"), column, None).unwrap().remarks().len();
        assert_eq!(
            [remarks("note", None), remarks("No acute process.", None), remarks("the text of the note", None)],
            [0, 1, 1]
        );
        assert_eq!(remarks("the text of the note", Some("the text of the note")), 0);
    }
}
