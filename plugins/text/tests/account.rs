//! What is left out, cut, assumed or unknown is counted and said, and nothing is read as something that it is not.

use std::path::Path;

use medcoss_sdk::serde_json::{Map, Value, json};
use medcoss_sdk::{Dataset, Error, Modality, OpenRequest, Sample, View, code, sample_rng, serde_json};
use medcoss_text::{Text, TextDataset};

const VOCABULARY: &str = "[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nclear\nlungs\n.\n";

/// A folder with files.
fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }
    folder
}

fn open_at(base: &Path, data: &str, options: Value) -> Result<TextDataset, Error> {
    let mut all = Map::from_iter([("min_document_count".to_owned(), json!(1))]);
    all.extend(options.as_object().unwrap().clone());
    let options = serde_json::from_value(all.into()).unwrap();
    Text::open(OpenRequest { base: base.into(), data: vec![data.into()], options, assets: None })
}

fn open(files: &[(&str, &[u8])], options: Value) -> Result<TextDataset, Error> {
    open_at(folder(files).path(), ".", options)
}

fn refused(files: &[(&str, &[u8])], options: Value) -> Error {
    open(files, options).map(|_| ()).unwrap_err()
}

/// Number, total and warning of the notice that has these words; `None` without such a notice.
fn notice(dataset: &TextDataset, words: &str) -> Option<(u64, u64, bool)> {
    let mut found = dataset.account().unwrap().notices().iter().filter(|notice| notice.what.contains(words));
    let notice = found.next()?;
    assert!(found.next().is_none(), "{words} is in two notices");
    Some((notice.n, notice.of, notice.warns))
}

fn left_out(dataset: &TextDataset) -> Vec<(String, String)> {
    dataset.account().unwrap().left_out().map(|(file, reason)| (file.to_owned(), reason.to_owned())).collect()
}

/// Id and text of every sample, with its tokens joined as they are rendered.
fn samples(dataset: &TextDataset) -> Vec<(String, String)> {
    (0..dataset.len()).map(|index| (dataset.record(index).id, text(dataset, index))).collect()
}

fn ids(dataset: &TextDataset, index: usize) -> Vec<i32> {
    let (mut ids, mut labels, mut n) = (vec![0; 112], vec![0; 112], 0);
    let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
    dataset.load(index, View::Evaluation, &mut sample_rng(0), sample).unwrap();
    ids.truncate(n as usize);
    ids
}

fn text(dataset: &TextDataset, index: usize) -> String {
    String::from_utf8(dataset.render(medcoss_sdk::Tokens::Discrete(&ids(dataset, index))).unwrap()).unwrap()
}

fn sample(id: &str, text: &str) -> (String, String) {
    (id.to_owned(), text.to_owned())
}

#[test]
fn tables_are_read_by_their_columns_whatever_separates_them() {
    let rows = ["id?findings", "1?clear lungs", "2?no effusion"].join("\n");
    let written = |delimiter: &str| rows.replace('?', delimiter).into_bytes();
    let column = json!({ "text_column": "findings" });
    for (name, delimiter, words) in [
        ("a.csv", ",", None),
        ("a.tsv", "\t", None),
        ("a.tab", "\t", None),
        ("a.csv", ";", Some("semicolons")),
        ("a.csv", "\t", Some("tabs")),
        ("a.tsv", ",", Some("commas")),
        ("a.csv", "|", Some("vertical bars")),
    ] {
        let dataset = open(&[(name, &written(delimiter))], column.clone()).unwrap();
        let expected =
            [sample(&format!("{name}#L0000002"), "clear lungs"), sample(&format!("{name}#L0000003"), "no effusion")];
        assert_eq!(samples(&dataset), expected, "{name} {delimiter:?}");
        assert_eq!(notice(&dataset, "tables are separated by").is_some(), words.is_some(), "{name} {delimiter:?}");
        assert!(words.is_none_or(|words| notice(&dataset, words) == Some((1, 1, true))));
        let given = json!({ "text_column": "findings", "delimiter": delimiter });
        let given = open(&[(name, &written(delimiter))], given).unwrap();
        assert_eq!((samples(&given), notice(&given, "separated")), (expected.to_vec(), None));
    }
    let text_file = [("a.txt", &written("\t")[..])];
    let dataset = open(&text_file, json!({ "text_column": "findings", "text_files": "tables" })).unwrap();
    assert_eq!((dataset.len(), notice(&dataset, "separated by tabs")), (2, Some((1, 1, true))));

    let error = refused(&[("a.tsv", &written("\t"))], json!({ "text_column": "note" }));
    let expected = "a.tsv has no column \"note\", which option text_column asks for; it has \"id\", \"findings\"";
    assert_eq!((error.message(), error.code()), (expected, code::BAD_REQUEST));
    let error = refused(&[("a.csv", b"a;b,c\n1;2,3\n")], json!({}));
    assert!(error.message().contains("commas (2 columns) and semicolons (2 columns)"), "{error}");
    let error = refused(&[("a.csv", b"id,note,note\n1,a,b\n")], json!({ "text_column": "note" }));
    assert!(error.message().contains("two columns \"note\", the 2. and the 3."), "{error}");
}

#[test]
fn options_that_nothing_in_the_data_fits_are_never_ignored() {
    let lines: (&str, &[u8]) = ("a.txt", b"clear lungs\n");
    let table: (&str, &[u8]) = ("b.csv", b"note\nclear\n");
    for (files, options, expected) in [
        (vec![lines], json!({ "text_column": "note" }), "option text_column is given, but a.txt, the only file,"),
        (vec![lines], json!({ "label_column": "note" }), "option label_column is given"),
        (vec![lines], json!({ "keep_rows": { "split": ["train"] } }), "option keep_rows is given"),
        (vec![lines], json!({ "delimiter": ";" }), "option delimiter is given"),
        (
            vec![lines, ("c.txt", b"x")],
            json!({ "unit": "sentence" }),
            "option unit is given, but none of 2 files, such as a.txt,",
        ),
        (vec![table], json!({ "text_files": "documents" }), "option text_files is given"),
    ] {
        let error = refused(&files, options);
        assert!(error.message().starts_with(expected) && error.message().contains("\nhint: "), "{error}");
        assert_eq!(error.code(), code::BAD_REQUEST);
    }
    let dataset = open(&[lines, table], json!({ "text_column": "note" })).unwrap();
    assert_eq!(notice(&dataset, "files have no columns, so that text_column does not apply"), Some((1, 2, true)));
}

#[test]
fn utf16_is_read_with_a_mark_and_named_without() {
    let units: Vec<u8> = "\u{feff}id,findings\n1,clear lungs\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    let column = json!({ "text_column": "findings" });
    let dataset = open(&[("a.csv", &units)], column.clone()).unwrap();
    assert_eq!(samples(&dataset), [sample("a.csv#L0000002", "clear lungs")]);
    assert_eq!(notice(&dataset, "files are UTF-16"), Some((1, 1, true)));
    let error = refused(&[("a.csv", &units[2..])], column);
    assert!(
        error.message().contains("UTF-16 without a byte order mark") && error.message().contains("iconv -f UTF-16LE")
    );
}

const REPORT: &str = "   FINAL REPORT\n\n FINDINGS:\n\n The lungs are clear.\n\n IMPRESSION:\n\n No acute process.\n";

#[test]
fn a_file_may_be_a_document() {
    let files: Vec<(String, String)> =
        (0..6).map(|n| (format!("p{}/s{n}.txt", n / 2), format!("{REPORT} Patient {n}.\n"))).collect();
    let files: Vec<(&str, &[u8])> = files.iter().map(|(name, text)| (name.as_str(), text.as_bytes())).collect();
    let lines = open(&files, json!({})).unwrap();
    assert_eq!(lines.len(), 36);
    assert_eq!(notice(&lines, "read line by line, 36 documents in all"), Some((6, 6, true)));
    let stated = open(&files, json!({ "text_files": "lines" })).unwrap();
    assert_eq!((stated.len(), notice(&stated, "line by line")), (36, None));

    let documents = open(&files, json!({ "text_files": "documents" })).unwrap();
    assert_eq!((documents.len(), notice(&documents, "line by line")), (6, None));
    let record = documents.record(3);
    assert_eq!((record.id.as_str(), record.file(), record.group.as_deref()), ("p1/s3.txt", "p1/s3.txt", None));
    let expected = "final report findings : the lungs are clear. impression : no acute process. patient 3.";
    assert_eq!(text(&documents, 3), expected);
    // A layout of its own is read as that.
    let abstracts: (&str, &[u8]) = ("a.txt", b"###1\nA\tclear\n###2\nA\tlungs\n");
    assert_eq!(open(&[abstracts], json!({ "text_files": "documents" })).unwrap().len(), 2);
    let long = format!("clear\n{}\n", "x".repeat(9 << 20));
    let error = refused(&[("a.txt", long.as_bytes())], json!({ "text_files": "documents" }));
    assert!(error.message().starts_with("a.txt, line 2: 9437184 bytes without a line break"), "{error}");
}

#[test]
fn json_files_are_objects_or_arrays_of_them() {
    let files: [(&str, &[u8]); 3] = [
        ("a.json", b"{\"note\": \"clear lungs\",\n \"id\": 1}"),
        ("b.json", b"[{\"note\": \"clear\"}, {\"note\": \"lungs\"}]"),
        ("c.json", b"[]"),
    ];
    let dataset = open(&files, json!({ "text_column": "note" })).unwrap();
    let expected =
        [sample("a.json", "clear lungs"), sample("b.json#0000001", "clear"), sample("b.json#0000002", "lungs")];
    assert_eq!(samples(&dataset), expected);
    assert_eq!(left_out(&dataset), [sample("c.json", "empty: no document in it")]);
    let error = refused(&[files[0]], json!({ "text_column": "nite" }));
    assert!(
        error.message().starts_with("a.json has no column \"nite\"") && error.message().contains("\"note\""),
        "{error}"
    );
}

#[test]
fn texts_that_the_vocabulary_does_not_know_are_reported_with_their_share() {
    let reports = "双肺纹理清晰\n心影大小正常\nclear lungs .\n";
    let given = json!({ "tokenizer": "vocab.txt" });
    let files: [(&str, &[u8]); 2] = [("a.txt", reports.as_bytes()), ("vocab.txt", VOCABULARY.as_bytes())];
    let dataset = open(&files, given.clone()).unwrap();
    // Twelve ideographs of fifteen tokens. The vocabulary is no document.
    assert_eq!(notice(&dataset, "tokens are unknown"), Some((12, 15, true)));
    assert!(notice(&dataset, "cannot tell these documents apart: name a tokenizer of their language").is_some());
    assert_eq!((dataset.len(), left_out(&dataset)), (3, vec![sample("vocab.txt", "the file of option tokenizer")]));
    let known = "clear lungs .\n".repeat(9) + "clear opacity\n";
    let dataset = open(&[("a.txt", known.as_bytes()), files[1]], given).unwrap();
    assert_eq!(notice(&dataset, "tokens are unknown to the vocabulary"), Some((1, 29, false)));

    // A vocabulary that is learned has the characters as its words.
    let reports: String = (0..20).map(|n| format!("双肺纹理清晰，心影大小正常。未见胸腔积液{n}\n")).collect();
    let dataset = open(&[("a.txt", reports.as_bytes())], json!({ "min_document_count": 5 })).unwrap();
    assert_eq!(notice(&dataset, "tokens are unknown"), None);
    let all: std::collections::BTreeSet<_> = (0..dataset.len()).map(|index| ids(&dataset, index)).collect();
    assert_eq!((all.len(), ids(&dataset, 0).len()), (20, 23));
    assert_eq!(text(&dataset, 7).replace(' ', ""), "双肺纹理清晰，心影大小正常。未见胸腔积液7");
}

#[test]
fn reports_that_are_cut_and_repeated_are_counted() {
    let long = "clear lungs . ".repeat(5);
    let content = format!("{long}\nclear\n{long}\nlungs\nclear\n");
    let files: [(&str, &[u8]); 2] = [("a.txt", content.as_bytes()), ("vocab.txt", VOCABULARY.as_bytes())];
    let dataset = open(&files, json!({ "tokenizer": "vocab.txt", "max_length": 12 })).unwrap();
    // 15 tokens each, of which 10 have room.
    let words = "longer than max_length (12 tokens with [CLS] and [SEP]) and are cut: 10 of 33 tokens are not used";
    assert_eq!(notice(&dataset, words), Some((2, 5, true)));
    assert_eq!(notice(&dataset, "repeat the text of an earlier one"), Some((2, 5, true)));
    // Of many, some are counted.
    let many: String = (0..20_001).map(|_| "clear opacity\n").collect();
    let dataset = open(&[("a.txt", many.as_bytes()), files[1]], json!({ "tokenizer": "vocab.txt" })).unwrap();
    let words = "unknown to the vocabulary (counted in 6667 of 20001 documents, evenly spaced)";
    assert_eq!(notice(&dataset, words), Some((6667, 13_334, true)));
}

#[test]
fn damaged_tables_lose_their_own_rows_alone_and_say_so() {
    let table = b"id,note,view\n1,clear,PA\n2,\"clear\n3,lungs\n4\n5,clear,lungs,PA\n6,lungs,\"PA\n7,clear\0 lungs,PA\n8,,PA\n9, \"\"x,PA\n";
    let dataset = open(&[("a.csv", table)], json!({ "text_column": "note" })).unwrap();
    let readable: Vec<_> = (0..dataset.len())
        .filter(|&index| {
            let (mut ids, mut labels, mut n) = (vec![0; 112], vec![0; 112], 0);
            let sample = Sample::Discrete { ids: &mut ids, labels: &mut labels, length: &mut n };
            dataset.load(index, View::Evaluation, &mut sample_rng(0), sample).is_ok()
        })
        .map(|index| sample(&dataset.record(index).id, &text(&dataset, index)))
        .collect();
    let expected = [
        sample("a.csv#L0000002", "clear"),
        sample("a.csv#L0000008", "clear lungs"),
        sample("a.csv#L0000010", "\" \" x"),
    ];
    assert_eq!(readable, expected);
    assert_eq!(notice(&dataset, "cannot be read and count as invalid samples"), Some((5, 9, true)));
    assert_eq!(notice(&dataset, "are empty and left out"), Some((1, 9, true)));
    assert_eq!(notice(&dataset, "zero bytes or replacement characters"), Some((1, 3, true)));
}

#[test]
fn a_column_of_numbers_dates_or_paths_is_reported() {
    let table = b"id,date,path,note\n1,2020-01-02,files/p10/s1.txt,No effusion .\n2,2020-03-04,files/p11/s2.txt,Clear lungs .\n";
    for (column, expected) in [("id", true), ("date", true), ("path", true), ("note", false)] {
        let dataset = open(&[("a.csv", table)], json!({ "text_column": column })).unwrap();
        let found = notice(&dataset, "a number, a date, a code, a path or a single word: check option text_column");
        assert_eq!(found, expected.then_some((2, 2, true)), "{column}");
    }
    // The first report of a table without a header.
    let dataset = open(&[("a.csv", b"No acute process.\nClear lungs.\n")], json!({})).unwrap();
    assert_eq!(notice(&dataset, "a row that reads like a report, but is taken as the header"), Some((1, 1, true)));
}

#[test]
fn files_of_other_kinds_are_left_out_with_a_way_to_convert_them() {
    let files: [(&str, &[u8]); 9] = [
        ("a.txt", b"clear\n"),
        ("b.docx", b"PK\x03\x04"),
        ("c.pdf", b"%PDF-1.4"),
        ("d.txt", b"%PDF-1.4\nstream\n"),
        ("e.xlsx", b"PK"),
        ("f.csv.gz", b"\x1f\x8b"),
        ("g.txt", b" \n"),
        ("h.csv", b""),
        ("i.dcm", b""),
    ];
    let dataset = open(&files, json!({})).unwrap();
    assert_eq!((dataset.len(), dataset.account().unwrap().n_used()), (1, 1));
    let found = left_out(&dataset);
    for (file, words) in [
        ("b.docx", "pandoc -t plain"),
        ("c.pdf", "pdftotext"),
        ("d.txt", "pdftotext"),
        ("e.xlsx", "save it as CSV"),
        ("f.csv.gz", "gunzip"),
        ("g.txt", "empty: no document in it"),
        ("h.csv", "empty: no document in it"),
        ("i.dcm", "another kind of file (.dcm)"),
    ] {
        let (_, reason) = found.iter().find(|(name, _)| name == file).unwrap();
        assert!(reason.contains(words), "{file}: {reason}");
    }
    assert_eq!(found.len(), 8);
    let folder = folder(&files);
    let error = open_at(folder.path(), "b.docx", json!({})).map(|_| ()).unwrap_err();
    assert!(error.message().contains("files left out: 1 a word processor's file, which is not read"), "{error}");
}

#[test]
fn letters_that_cleaning_deletes_and_rows_that_are_not_kept_are_counted() {
    let table =
        "note,split\nthe größe is normal today,train\nthe lungs are clear today,train\nthe heart is large today,test\n";
    let options = json!({ "text_column": "note", "cleaning": "reference", "keep_rows": { "split": ["train"] } });
    let dataset = open(&[("a.csv", table.as_bytes()), ("b.csv", b"note,split\nx,test\n")], options).unwrap();
    assert_eq!(notice(&dataset, "lose letters outside of ASCII"), Some((1, 4, true)));
    assert_eq!(notice(&dataset, "documents whose \"split\" is not \"train\" are left out"), Some((2, 4, true)));
    assert_eq!(left_out(&dataset), [sample("b.csv", "without a document that keep_rows and cleaning leave")]);
}
