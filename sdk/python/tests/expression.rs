//! The project's own modality in Python, `plugins/expression`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use medcoss_python_bridge::scaffold;

use crate::conformance::assert_conforms;
use crate::plugin::{Plugin, python};

fn folder() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../plugins/expression"))
}

#[test]
fn gene_expression_keeps_the_contract() {
    let skipped = [
        "option-presets",
        "account",
        "survey",
        "lengths",
        "token-ids",
        "targets",
        "target-values",
        "coordinates",
        "affines",
        "skip",
        "label-maps",
        "grids",
    ];
    // Its library is written beside the module.
    let source = fs::read_to_string(folder().join("expression.py")).unwrap();
    assert_conforms(Plugin::of_source("expression", &source), "expression", &skipped);
}

#[test]
fn gene_expression_reads_what_its_files_look_like() {
    let place = tempfile::tempdir().unwrap();
    for name in ["expression.py", "test_expression.py"] {
        fs::copy(folder().join(name), place.path().join(name)).unwrap();
    }
    let base = scaffold("any", "any").into_iter().find(|file| file.name == "medcoss_plugin.py").unwrap();
    fs::write(place.path().join(base.name), base.text).unwrap();
    let tested = Command::new(python()).args(["-m", "unittest"]).current_dir(place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&tested.stderr);
    assert!(tested.status.success() && said.contains("Ran 7 tests"), "{said}");
}
