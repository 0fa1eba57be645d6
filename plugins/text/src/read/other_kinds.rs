//! Kinds of files that people keep reports in and that are not read: their names, and programs that convert them.

/// A kind of file that is not read.
struct OtherKind {
    /// Ends of names, in lower case.
    extensions: &'static [&'static str],
    /// What files of any name begin with.
    magic: &'static [&'static [u8]],
    /// Why it is left out, and how it can be read.
    reason: &'static str,
}

const COMPRESSED: &str =
    "a compressed file, which is not read: unpack it, for example with gunzip, unxz, bunzip2, unzstd or unzip";

const KINDS: &[OtherKind] = &[
    OtherKind {
        extensions: &[".pdf"],
        magic: &[b"%PDF-"],
        reason: "a PDF file, which is not read: convert it, for example with pdftotext -layout FILE.pdf FILE.txt",
    },
    OtherKind {
        extensions: &[".xlsx", ".xls", ".ods"],
        magic: &[],
        reason: "a spreadsheet, which is not read: save it as CSV, for example with soffice --headless --convert-to csv FILE",
    },
    OtherKind {
        extensions: &[".docx", ".odt"],
        magic: &[],
        reason: "a word processor's file, which is not read: convert it, for example with pandoc -t plain --wrap=none FILE -o FILE.txt",
    },
    OtherKind {
        extensions: &[".doc"],
        // Also spreadsheets of the same age.
        magic: &[&[0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]],
        reason: "an office file, which is not read: convert it, for example with soffice --headless --convert-to txt:Text FILE",
    },
    OtherKind {
        extensions: &[".rtf"],
        magic: &[b"{\\rtf"],
        reason: "an RTF file, which is not read: convert it, for example with pandoc -f rtf -t plain --wrap=none FILE -o FILE.txt",
    },
    OtherKind {
        extensions: &[".html", ".htm", ".xhtml"],
        magic: &[b"<!doctype html", b"<html"],
        reason: "an HTML file, which is not read: convert it, for example with pandoc -f html -t plain --wrap=none FILE -o FILE.txt",
    },
    OtherKind {
        extensions: &[".parquet", ".feather", ".arrow"],
        magic: &[b"PAR1", b"ARROW1"],
        reason: "a binary table, which is not read: convert it, for example with pandas.read_parquet(FILE).to_csv(FILE.csv)",
    },
    OtherKind {
        extensions: &[".gz", ".xz", ".bz2", ".zst", ".zip", ".7z", ".tar", ".tgz"],
        magic: &[&[0x1f, 0x8b], &[0xfd, b'7', b'z', b'X', b'Z', 0], b"BZh9", &[0x28, 0xb5, 0x2f, 0xfd], b"PK\x03\x04"],
        reason: COMPRESSED,
    },
];

/// Why a file of this name, in lower case, is not read; `None` for one of another name.
pub fn by_name(name: &str) -> Option<&'static str> {
    let has = |kind: &&OtherKind| kind.extensions.iter().any(|extension| name.ends_with(extension));
    KINDS.iter().find(has).map(|kind| kind.reason)
}

/// Why a file with this content is not read, whatever its name; `None` for text.
pub fn by_content(content: &[u8]) -> Option<&'static str> {
    let content = content.trim_ascii_start();
    let begins = |magic: &&[u8]| content.get(..magic.len()).is_some_and(|start| start.eq_ignore_ascii_case(magic));
    KINDS.iter().find(|kind| kind.magic.iter().any(&begins)).map(|kind| kind.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_recognised_by_name_or_by_their_beginning() {
        assert!(by_name("report.docx").unwrap().contains("pandoc"));
        assert!(by_name("reports.csv.gz").unwrap().contains("gunzip"));
        assert!(by_name("table.xlsx").unwrap().contains("CSV") && by_name("t.parquet").unwrap().contains("pandas"));
        assert_eq!([by_name("scan.dcm"), by_name("a.pdf.txt")], [None, None]);
        assert!(by_content(b"%PDF-1.7\n%").unwrap().contains("pdftotext"));
        assert!(by_content(b"\n<!DOCTYPE html>\n<p>").unwrap().contains("HTML"));
        assert!(by_content(b"{\\rtf1\\ansi clear}").unwrap().contains("RTF") && by_content(b"PK\x03\x04...").is_some());
        for text in [&b"{\"note\": 1}"[..], b"clear lungs", b"", b"<doc/>", b"Percent"] {
            assert_eq!(by_content(text), None);
        }
    }
}
