//! What an installation brings along: completions, man pages, the examination of a machine, the list of runs.

use std::fs;

use medcoss_test_support::program::{medcoss, refused, succeeded, text};
use serde_json::Value;

#[test]
fn completions_and_man_pages_know_every_command() {
    for (shell, expected) in [("bash", "_medcoss()"), ("zsh", "#compdef medcoss"), ("fish", "complete -c medcoss")] {
        let script = succeeded(medcoss(&["completions", shell]));
        assert!(script.contains(expected) && script.contains("label-efficiency"), "{shell}");
    }
    assert!(refused(medcoss(&["completions", "csh"])).contains("csh"));
    let folder = tempfile::tempdir().unwrap();
    let out = text(&folder.path().join("man"));
    let written: Value = serde_json::from_str(&succeeded(medcoss(&["manual", "--out", &out, "--json"]))).unwrap();
    let pages: Vec<&str> = written["pages"].as_array().unwrap().iter().map(|page| page.as_str().unwrap()).collect();
    for page in ["medcoss.1", "medcoss-plugin-check.1", "medcoss-finetune.1"] {
        assert!(pages.contains(&page), "{pages:?}");
    }
    let page = fs::read_to_string(folder.path().join("man/medcoss-plugin-check.1")).unwrap();
    assert!(page.contains(".TH medcoss\\-plugin\\-check 1") || page.contains(".TH medcoss-plugin-check 1"), "{page}");
}

#[test]
fn the_doctor_says_what_is_there_and_what_is_slow() {
    let found: Value = serde_json::from_str(&succeeded(medcoss(&["doctor", "--json"]))).unwrap();
    assert_eq!(found["devices"][0], "cpu");
    assert!(found["cores"].as_u64().unwrap() >= 1);
    let findings = found["findings"].to_string();
    assert!(!cfg!(debug_assertions) || findings.contains("not fully optimised"), "{found}");
    assert!(found["plugins"].to_string().contains("xray"), "{found}");
    assert!(succeeded(medcoss(&["doctor"])).contains("processor"));
}

#[test]
fn runs_are_found_below_a_folder_and_damaged_ones_are_named() {
    let folder = tempfile::tempdir().unwrap();
    let root = text(folder.path());
    assert_eq!(succeeded(medcoss(&["runs", &root])), "There are no runs.\n");
    fs::create_dir_all(folder.path().join("a/b")).unwrap();
    fs::write(folder.path().join("a/b/plugins.lock"), "").unwrap();
    let listed: Value = serde_json::from_str(&succeeded(medcoss(&["runs", &root, "--json"]))).unwrap();
    assert!(listed[0]["run"].as_str().unwrap().ends_with("a/b"), "{listed}");
    assert!(listed[0]["fault"].as_str().unwrap().contains("holds no run"), "{listed}");
}
