//! Quotation marks of a row: whether they are where they belong, and whether a stray one has swallowed rows.

/// Whether every quotation mark of a row opens or closes a whole field, or stands twice within one.
pub(super) fn is_well_quoted(row: &[u8], delimiter: u8) -> bool {
    #[derive(PartialEq)]
    enum At {
        Start,
        Plain,
        Quoted,
        Closed,
    }
    let mut at = At::Start;
    for &byte in row {
        at = match (at, byte) {
            (At::Quoted, b'"') => At::Closed,
            (At::Quoted, _) => At::Quoted,
            // The second of two marks.
            (At::Closed, b'"') => At::Quoted,
            (_, b'\n' | b'\r') => At::Start,
            (_, byte) if byte == delimiter => At::Start,
            (At::Start, b'"') => At::Quoted,
            (At::Closed, _) | (_, b'"') => return false,
            (At::Start | At::Plain, _) => At::Plain,
        };
    }
    at != At::Quoted
}

/// Whether a row of several lines has quotation marks where none belong, and one of its later lines is a row of the table by itself: then a
/// stray mark has made one row of several.
pub(super) fn has_swallowed_rows(row: &str, delimiter: u8, n_columns: usize) -> bool {
    let mut lines = row.as_bytes().split(|byte| matches!(byte, b'\n' | b'\r')).filter(|line| !line.is_empty());
    lines.next();
    n_columns > 1
        && !is_well_quoted(row.as_bytes(), delimiter)
        && lines.any(|line| n_fields(line, delimiter) == n_columns)
}

/// Fields of a line. A hostile table asks millions of times, so no reader is made for each.
fn n_fields(line: &[u8], delimiter: u8) -> usize {
    // Whether a mark would open a field, or go on with one that the mark before it closed.
    let (mut n, mut opens, mut is_quoted) = (1, true, false);
    for &byte in line {
        let is_mark = byte == b'"' && (opens || is_quoted);
        let ends = byte == delimiter && !is_quoted;
        opens = ends || (is_mark && is_quoted);
        is_quoted ^= is_mark;
        n += usize::from(ends);
    }
    n
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_belong_around_fields_and_twice_within() {
        for row in ["a,b", "\"a\",b", "a,\"b \"\"c\"\", d\"", "\"a\nb\",c\n", "\"\",\"\"", ""] {
            assert!(is_well_quoted(row.as_bytes(), b','), "{row}");
        }
        for row in ["a \"b\",c", "\"a\"b,c", "a,\"b", "5\",c", "\"a\" ,b"] {
            assert!(!is_well_quoted(row.as_bytes(), b','), "{row}");
        }
        assert!(is_well_quoted(b"a;\"b,c\"", b';') && !is_well_quoted(b"a;\"b,c\"", b','));
    }

    #[test]
    fn fields_are_counted_as_a_reader_counts_them() {
        for (line, expected) in [
            ("a,b", 2),
            ("\"a,b\",c", 2),
            ("\"a\"\",b\",c", 2),
            ("5\",c", 2),
            ("", 1),
            (",", 2),
            ("\"\",\"\"", 2),
            ("\"a", 1),
        ] {
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let mut row = csv::ByteRecord::new();
            reader.read_byte_record(&mut row).unwrap();
            assert_eq!((n_fields(line.as_bytes(), b','), row.len().max(1)), (expected, expected), "{line}");
        }
    }

    #[test]
    fn a_stray_mark_that_another_one_closes_has_swallowed_rows() {
        assert!(has_swallowed_rows("1,\"x\n2,y\n3,\"z\n", b',', 2));
        // A field of several lines, and one with marks of its own, which no line of it could be a row of.
        assert!(!has_swallowed_rows("1,\"x\n2,y\n3,z\"\n", b',', 2));
        assert!(!has_swallowed_rows("1,\"says \"ok\"\nclear.\"\n", b',', 2));
        assert!(!has_swallowed_rows("\"x\n2\n\"z\n", b',', 1));
    }
}
