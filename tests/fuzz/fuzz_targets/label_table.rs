//! Tables of labels.
#![no_main]

use libfuzzer_sys::fuzz_target;
use medcoss_fuzz::{check_error, folder, put};
use medcoss_sdk::{FoundFile, labels::LabelTable};

fuzz_target!(|content: &[u8]| {
    put("labels.csv", content);
    let file = |name: &str| FoundFile { path: folder().join(name), id: name.to_owned(), entry: 0, bytes: 1, modified: None };
    let files = ["tile_0000.png", "a/tile_0001.png", "x.jpg"].map(file);
    for (key_column, label_column) in [("file", "nuclei"), ("nuclei", "nuclei")] {
        let (key_column, label_column) = (key_column.to_owned(), label_column.to_owned());
        let table = LabelTable::new("labels.csv", key_column, label_column);
        match table.labels_of(folder(), &files) {
            Ok(labels) => assert_eq!(labels.len(), files.len()),
            Err(error) => check_error(&error),
        }
    }
});
