//! What separates the fields of a table: as the user says, or as its header and first rows show.

use std::path::Path;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::quoting::is_well_quoted;
use crate::Error;

/// Rows after the header, and bytes of a table, that are looked at.
const LOOKED_AT: (usize, usize) = (100, 1 << 20);
/// A delimiter that is not the extension's own must give at least so many of the rows the header's number of fields, unless it gives the
/// columns that are asked for.
const LEAST_SHARE: f64 = 0.5;
/// Delimiters that are known.
const KNOWN: [u8; 4] = [b',', b';', b'\t', b'|'];

/// What separates the fields of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Delimiter {
    /// The one that fits the header and the first 100 rows: of those whose header has all columns that are asked for, the one with most
    /// rows of as many fields as the header. Two that fit equally are an error.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// A comma.
    #[serde(rename = ",")]
    Comma,
    /// A semicolon.
    #[serde(rename = ";")]
    Semicolon,
    /// A tab.
    #[serde(rename = "\t")]
    Tab,
    /// A vertical bar.
    #[serde(rename = "|")]
    Bar,
}

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dialect {
    /// What separates fields: `,`, `;`, a tab or `|`.
    pub delimiter: u8,
    /// Byte at which the header begins: after a first line `sep=;`, as some spreadsheets write it.
    pub start: usize,
    /// Whether the delimiter was found in the table and is not the one of its extension, so that the user must know.
    pub is_guess: bool,
}

impl Dialect {
    /// The delimiter in words, in the plural.
    pub fn in_words(&self) -> &'static str {
        in_words(self.delimiter)
    }
}

impl Delimiter {
    /// Whether it is left to the table.
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }

    /// How a table is written, of which `content` is the whole, without a byte order mark. Messages call it `name`. `wanted` are the
    /// columns that are asked for.
    ///
    /// # Errors
    /// Two delimiters that fit equally, or none that fits well although the header has several fields by one.
    pub fn of_table(self, file: &Path, content: &str, wanted: &[&str], name: &str) -> Result<Dialect, Error> {
        let (stated, start) = stated_by_the_table(content);
        let given = match self {
            Self::Auto => stated,
            Self::Comma => Some(b','),
            Self::Semicolon => Some(b';'),
            Self::Tab => Some(b'\t'),
            Self::Bar => Some(b'|'),
        };
        if let Some(delimiter) = given {
            return Ok(Dialect { delimiter, start, is_guess: false });
        }
        let own = of_extension(file);
        let delimiter = found(&content.as_bytes()[start..], own.unwrap_or(b','), wanted)
            .map_err(|what| Error::bad_request(format!("{name}: {what}")))?;
        Ok(Dialect { delimiter, start, is_guess: own != Some(delimiter) })
    }
}

/// The delimiter of a first line `sep=;`, and where the next line begins.
fn stated_by_the_table(content: &str) -> (Option<u8>, usize) {
    let line = content.split_inclusive('\n').next().unwrap_or_default();
    match line.trim_end_matches(['\n', '\r']).strip_prefix("sep=").map(str::as_bytes) {
        Some(&[delimiter]) if KNOWN.contains(&delimiter) => (Some(delimiter), line.len()),
        _ => (None, 0),
    }
}

/// The delimiter that an extension stands for.
fn of_extension(file: &Path) -> Option<u8> {
    match file.extension()?.to_str()?.to_lowercase().as_str() {
        "csv" => Some(b','),
        "tsv" | "tab" => Some(b'\t'),
        _ => None,
    }
}

/// A delimiter, and how it fits.
struct Fit {
    delimiter: u8,
    /// Of the header.
    n_fields: usize,
    /// Rows that were looked at, and those with as many fields as the header.
    n_rows: usize,
    n_fitting: usize,
    /// Whether the header has all columns that are asked for.
    has_wanted: bool,
    header_is_well_quoted: bool,
}

impl Fit {
    fn of(content: &[u8], delimiter: u8, wanted: &[&str]) -> Self {
        let beginning = &content[..content.len().min(LOOKED_AT.1)];
        let mut rows =
            csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(beginning);
        let (mut header, mut row) = (csv::ByteRecord::new(), csv::ByteRecord::new());
        // A slice can be read.
        let _ = rows.read_byte_record(&mut header);
        let end = usize::try_from(rows.position().byte()).unwrap_or(beginning.len()).min(beginning.len());
        let has = |wanted: &&str| header.iter().any(|title| title.trim_ascii() == wanted.trim().as_bytes());
        let mut fit = Self {
            delimiter,
            n_fields: header.len(),
            n_rows: 0,
            n_fitting: 0,
            has_wanted: !wanted.is_empty() && wanted.iter().all(has),
            header_is_well_quoted: is_well_quoted(&beginning[..end], delimiter),
        };
        while fit.n_rows < LOOKED_AT.0 && rows.read_byte_record(&mut row).is_ok_and(|found| found) {
            let is_cut = rows.position().byte() == beginning.len() as u64 && beginning.len() < content.len();
            let is_blank = row.len() == 1 && row[0].trim_ascii().is_empty();
            if !is_cut && !is_blank {
                fit.n_rows += 1;
                fit.n_fitting += usize::from(row.len() == fit.n_fields);
            }
        }
        fit
    }

    /// Of rows with as many fields as the header, 1 where there are none.
    fn share(&self) -> f64 {
        if self.n_rows == 0 { 1.0 } else { self.n_fitting as f64 / self.n_rows as f64 }
    }
}

/// The delimiter that fits a table's beginning, `own` where no other one gives its header several fields.
///
/// # Errors
/// Why none can be chosen, as the end of a sentence.
fn found(content: &[u8], own: u8, wanted: &[&str]) -> Result<u8, String> {
    let all = KNOWN.map(|delimiter| Fit::of(content, delimiter, wanted));
    let is_named = all.iter().any(|fit| fit.has_wanted);
    let several = |fit: &&Fit| fit.n_fields > 1 && fit.header_is_well_quoted && fit.has_wanted == is_named;
    let several: Vec<&Fit> = all.iter().filter(several).collect();
    let fits_well = |fit: &&&Fit| is_named || fit.delimiter == own || fit.share() > LEAST_SHARE;
    let fitting: Vec<&Fit> = several.iter().filter(fits_well).copied().collect();
    let best = fitting.iter().map(|fit| fit.share()).fold(0.0, f64::max);
    let best: Vec<&Fit> = fitting.into_iter().filter(|fit| fit.share() == best).collect();
    match (best[..].first(), several.first()) {
        (Some(first), _) if best.len() == 1 => Ok(first.delimiter),
        (Some(first), _) => {
            let [mut words, mut options] = [Vec::new(), Vec::new()];
            for fit in &best {
                words.push(format!("{} ({} columns)", in_words(fit.delimiter), fit.n_fields));
                options.push(format!("{:?}", char::from(fit.delimiter).to_string()));
            }
            Err(format!(
                "{} separate its fields equally well in the header and {} of the first {} rows\nhint: say which it is with option \
                 delimiter: {}",
                words.join(" and "),
                first.n_fitting,
                first.n_rows,
                options.join(" or ")
            ))
        }
        (None, Some(fit)) => Err(format!(
            "its header has {} fields separated by {}, but only {} of the first {} rows have as many; expected one delimiter \
             throughout\nhint: say what separates fields with option delimiter: \",\", \";\", \"\\t\" or \"|\"",
            fit.n_fields,
            in_words(fit.delimiter),
            fit.n_fitting,
            fit.n_rows
        )),
        (None, None) => Ok(own),
    }
}

fn in_words(delimiter: u8) -> &'static str {
    match delimiter {
        b';' => "semicolons",
        b'\t' => "tabs",
        b'|' => "vertical bars",
        _ => "commas",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dialect(file: &str, content: &str, wanted: &[&str]) -> Result<(char, bool), Error> {
        let dialect = Delimiter::Auto.of_table(Path::new(file), content, wanted, file)?;
        Ok((dialect.delimiter.into(), dialect.is_guess))
    }

    #[test]
    fn the_delimiter_is_the_one_that_gives_all_rows_the_headers_number_of_fields() {
        for (file, content, expected) in [
            ("a.csv", "id,text\n1,clear\n2,\"a; b\"\n", (',', false)),
            ("a.tsv", "id\ttext\n1\tclear, dry\n", ('\t', false)),
            ("a.tab", "id\ttext\n", ('\t', false)),
            ("a.csv", "id;age;text\n1;4,5;a, b\n2;6,0;\"c; d\"\n", (';', true)),
            ("a.csv", "id\ttext\n1\ta, b; c\n", ('\t', true)),
            ("a.csv", "id|text\r\n1|clear\r\n", ('|', true)),
            ("a.tsv", "id,text\n1,clear\n", (',', true)),
            ("a.txt", "id,text\n1,clear\n", (',', true)),
            // One column.
            ("a.csv", "text\nclear; dry, no effusion\n", (',', false)),
            ("a.tsv", "text\nclear; dry, no effusion\n", ('\t', false)),
            ("a.csv", "", (',', false)),
            // A delimiter within quotation marks separates nothing.
            ("a.csv", "id,\"impression; findings\"\n1,a; b\n2,c; d\n", (',', false)),
            // Rows of another width tell: a name has a comma in two of three rows.
            ("a.csv", "id;name, first;n\n1;Doe, J;1\n2;Roe;2\n3;Poe, E;3\n", (';', true)),
            // Damaged rows do not count against the extension's own.
            ("a.csv", "id,text\n1\n2\n3,x\n", (',', false)),
        ] {
            assert_eq!(dialect(file, content, &[]).unwrap(), expected, "{content:?}");
        }
    }

    #[test]
    fn columns_that_are_asked_for_tell_what_widths_do_not() {
        let content = "id;name, first;n\n1;Doe, J;1\n";
        assert_eq!(dialect("a.csv", content, &["n", "id"]).unwrap(), (';', true));
        assert_eq!(dialect("a.csv", content, &["first;n"]).unwrap(), (',', false));
        // A column of one name with a delimiter in it.
        assert_eq!(dialect("a.csv", "a;b\n1;2\n", &["a;b"]).unwrap(), (',', false));
        // Rows that are all damaged.
        assert_eq!(dialect("a.csv", "id;text\n1\n2\n", &["text"]).unwrap(), (';', true));
    }

    #[test]
    fn what_cannot_be_decided_is_an_error_that_names_the_option() {
        let error = dialect("a.csv", "id;name, first;n\n1;Doe, J;1\n", &[]).unwrap_err();
        assert_eq!(
            error.message(),
            "a.csv: commas (2 columns) and semicolons (3 columns) separate its fields equally well in the header and 1 of the first 1 rows\n\
             hint: say which it is with option delimiter: \",\" or \";\""
        );
        let error = dialect("a.csv", "id;text\n1\n2\n3;x\n", &[]).unwrap_err();
        assert!(
            error.message().contains("only 1 of the first 3 rows") && error.message().contains("\nhint: "),
            "{error}"
        );
    }

    #[test]
    fn what_the_user_or_the_table_says_counts() {
        let content = "sep=;\r\nid;text\r\n1;a,b\r\n";
        let stated = Delimiter::Auto.of_table(Path::new("a.csv"), content, &[], "a.csv").unwrap();
        assert_eq!(stated, Dialect { delimiter: b';', start: 7, is_guess: false });
        let given = Delimiter::Tab.of_table(Path::new("a.csv"), "a,b\n1,2\n", &[], "a.csv").unwrap();
        assert_eq!(given, Dialect { delimiter: b'\t', start: 0, is_guess: false });
        let read: Vec<Delimiter> = serde_json::from_str(r#"["auto", ",", ";", "\t", "|"]"#).unwrap();
        assert_eq!(read, [Delimiter::Auto, Delimiter::Comma, Delimiter::Semicolon, Delimiter::Tab, Delimiter::Bar]);
    }

    #[test]
    fn a_row_that_the_looked_at_bytes_cut_counts_for_nothing() {
        let content = format!("a,b\n1,2\n3,\"{}", "x,".repeat(LOOKED_AT.1));
        assert_eq!(dialect("a.csv", &content, &[]).unwrap(), (',', false));
    }
}
