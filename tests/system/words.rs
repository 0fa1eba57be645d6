//! Code, settings, messages and documents use the field's words. Words of the project's own that were given up do not
//! come back.

use std::fs;
use std::path::{Path, PathBuf};

/// Words that were given up, and the field's word for each. A word of several parts may have a space, a hyphen or an
/// underscore between them.
const GIVEN_UP: &[(&str, &str)] = &[
    ("bad ratio", "max_invalid_fraction"),
    ("bad sample", "invalid sample"),
    ("bad samples", "invalid samples"),
    ("centre ratio", "cluster_ratio"),
    ("cloze", "masked language modelling"),
    ("endings", "extensions, suffixes"),
    ("fill up", "backfill"),
    ("learner", "train state"),
    ("loader threads", "num_workers"),
    ("made up", "synthetic"),
    ("mend", "fix"),
    ("mended", "fixed"),
    ("mends", "fixes"),
    ("picture", "image"),
    ("pictures", "images"),
    ("plain view", "evaluation view"),
    ("refusal", "error"),
    ("seal", "checksum"),
    ("sealed", "with a checksum"),
    ("told", "reported"),
    ("verdict", "report"),
    ("verdicts", "reports"),
    ("catalogue", "registry"),
    ("contact memory", "probe cache"),
    ("draw some", "sample without replacement"),
    ("elastic weights", "ewc"),
    ("first contact", "probe"),
    ("foreign text", "untrusted text"),
    ("further loss", "auxiliary loss"),
    ("hurt", "overwritten"),
    ("left over", "remaining"),
    ("lesson", "step context"),
    ("most steps", "max_iterations"),
    ("own batch", "current-task batch"),
    ("own distillation", "lwf"),
    ("packed weights", "packnet"),
    ("put aside", "saved"),
    ("recalled", "replayed"),
    ("ruling", "outcome"),
    ("shelf", "prefetch queue"),
    ("surroundings", "search environment"),
];

/// Files that may contain these words: this one, and those that read the files of earlier versions or refuse a former
/// name.
const NAMES_THEM: [&str; 7] = [
    "tests/system/words.rs",
    // Its calls of the system are named so.
    "host/plugin-host/src/library_file.rs",
    "core/src/run/document.rs",
    "host/runtime/src/record.rs",
    "host/runtime/src/renamed_settings.rs",
    "host/runtime/src/report/history.rs",
    "sdk/python/package/src/medcoss/documents.py",
];

fn texts(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            // The frozen contract keeps its words; build folders hold no text of the project.
            if !name.starts_with('.') && !["target", "contract-v1"].contains(&name.as_str()) {
                texts(&path, found);
            }
        } else if ["rs", "md", "toml", "txt", "py"].iter().any(|extension| name.ends_with(&format!(".{extension}"))) {
            found.push(path);
        }
    }
}

/// Whether a lower-case text, with spaces in place of hyphens and underscores, contains the word as a whole.
fn has(text: &str, word: &str) -> bool {
    text.match_indices(word).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let behind = text[at + word.len()..].chars().next();
        ![before, behind].into_iter().flatten().any(char::is_alphanumeric)
    })
}

#[test]
fn words_that_were_given_up_do_not_come_back() {
    let root = medcoss_test_support::repository();
    let (mut files, mut found) = (Vec::new(), String::new());
    texts(&root, &mut files);
    assert!(files.len() > 300, "{} files", files.len());
    // This file and the migrations of earlier run folders name them.
    files.retain(|path| !NAMES_THEM.iter().any(|name| path.ends_with(name)));
    for path in files {
        for (nth, line) in fs::read_to_string(&path).unwrap().lines().enumerate() {
            let text = line.to_lowercase().replace(['-', '_'], " ");
            for (word, instead) in GIVEN_UP.iter().filter(|(word, _)| has(&text, word)) {
                let place = path.strip_prefix(&root).unwrap().display();
                found.push_str(&format!("{place}:{}: {word:?}; the field says {instead:?}\n", nth + 1));
            }
        }
    }
    assert!(found.is_empty(), "{found}");
}
