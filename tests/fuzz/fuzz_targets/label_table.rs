//! Tables of labels, as CSV and as a table with tabs; what separates their fields is found.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{check_error, folder, put};
use medcoss_sdk::{FoundFile, labels::LabelTable};

fuzz_target!(|content: &[u8]| {
    put("labels.csv", content);
    put("labels.tsv", content);
    let file =
        |name: &str| FoundFile { path: folder().join(name), id: name.to_owned(), entry: 0, bytes: 1, modified: None };
    let files = ["tile_0000.png", "a/tile_0001.png", "x.jpg"].map(file);
    for (table, key_column, label_column) in
        [("labels.csv", "file", "nuclei"), ("labels.csv", "nuclei", "nuclei"), ("labels.tsv", "file", "nuclei")]
    {
        let table = LabelTable::new(table, key_column, label_column);
        match table.labels_of(folder(), &files) {
            Ok(labels) => assert_eq!(labels.len(), files.len()),
            Err(error) => check_error(&error),
        }
    }
});
