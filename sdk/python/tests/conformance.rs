//! The rules of the contract, on packed modules.

use std::fs;

use medcoss_conformance::{Outcome, Request, check, summary};
use medcoss_python_bridge::scaffold;

use crate::plugin::{Plugin, packed};

/// Every rule holds; those that cannot be tried are named.
pub fn assert_conforms(plugin: Plugin, id: &str, skipped: &[&str]) {
    let request = Request { id: Some(id.into()), ..Request::default() };
    let reports = check(plugin.header, &request, &mut |_| {});
    let named = |outcome| -> Vec<&str> {
        reports.iter().filter(|report| report.outcome == outcome).map(|report| report.rule.as_str()).collect()
    };
    assert_eq!(named(Outcome::Failed), [""; 0], "{}", summary(&reports));
    assert_eq!(named(Outcome::Skipped), skipped, "{}", summary(&reports));
}

#[test]
fn the_module_that_is_written_for_an_author_keeps_the_contract() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("tone");
    fs::create_dir(&folder).unwrap();
    for file in scaffold("tone", "series") {
        fs::write(folder.join(file.name), file.text).unwrap();
    }
    let packed = packed(&folder, false).unwrap();
    assert_eq!(packed.files, ["tone.py"], "tests and medcoss_plugin.py stay outside");
    let skipped = [
        "option-presets",
        "survey",
        "lengths",
        "token-ids",
        "targets",
        "valid",
        "target-values",
        "coordinates",
        "affines",
        "skip",
        "extras-optional",
        "label-maps",
        "grids",
    ];
    assert_conforms(Plugin::load(&packed.library, "tone"), "tone", &skipped);
}

#[test]
fn a_module_with_all_that_a_grid_can_have_keeps_the_contract() {
    let plugin = Plugin::of_source("everything", include_str!("modules/everything.py"));
    let skipped = ["lengths", "token-ids", "targets", "grids"];
    assert_conforms(plugin, "everything", &skipped);
}

#[test]
fn a_module_of_texts_keeps_the_contract() {
    let plugin = Plugin::of_source("letters", include_str!("modules/letters.py"));
    let skipped = [
        "option-presets",
        "account",
        "survey",
        "finite",
        "mask-values",
        "mask-count",
        "valid",
        "target-values",
        "coordinates",
        "affines",
        "skip",
        "extras-optional",
        "keep",
        "label-maps",
        "grids",
        "render-mask",
    ];
    assert_conforms(plugin, "letters", &skipped);
}

#[test]
fn the_module_of_the_guide_keeps_the_contract() {
    let guide = include_str!("../../GUIDE.md");
    let (_, from) = guide.split_once("```python\n").unwrap();
    let (source, _) = from.split_once("```").unwrap();
    let plugin = Plugin::of_source("guide_tone", &source.replace("id = \"tone\"", "id = \"guide_tone\""));
    let skipped = [
        "option-presets",
        "survey",
        "lengths",
        "token-ids",
        "targets",
        "valid",
        "target-values",
        "coordinates",
        "affines",
        "skip",
        "extras-optional",
        "label-maps",
        "grids",
        "render",
        "render-mask",
    ];
    assert_conforms(plugin, "guide_tone", &skipped);
}
