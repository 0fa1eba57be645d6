//! Every unusual, rare or damaged file of the conformance set, opened by the plugin of its kind: it is read, or refused
//! with a reason; never a panic, never more than ten seconds or a gibibyte.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use medcoss_test_support::program::medcoss;
use serde_json::Value;

const LONGEST: Duration = Duration::from_secs(10);
const MOST_BYTES: u64 = 1 << 30;

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found.sort();
    found
}

/// The error about a file without its name and numbers, so that equal reasons are counted together.
fn reason(message: &str, path: &Path) -> String {
    let first = message.lines().next().unwrap_or_default().replace(&*path.to_string_lossy(), "it");
    let first = first.replace(&*path.file_name().unwrap().to_string_lossy(), "it");
    let plain: String = first.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    let start = plain.find("): ").map_or(0, |at| at + 3);
    plain[start..].chars().take(90).collect()
}

#[test]
#[ignore = "needs MEDCOSS_TEST_DATA"]
fn every_conformance_file_is_read_or_refused_with_its_reason() {
    let root = medcoss_test_support::data("conformance");
    for (kind, modality) in
        [("dicom", "xray"), ("dicom", "ct"), ("nifti", "ct"), ("nifti", "mri"), ("tiff", "pathology")]
    {
        let (mut n_read, mut refused) = (0, BTreeMap::<String, usize>::new());
        let (mut slowest, mut largest) = (Duration::ZERO, 0);
        for path in files(&root.join(kind)) {
            let (folder, name) =
                (path.parent().unwrap().to_string_lossy(), path.file_name().unwrap().to_string_lossy());
            let began = Instant::now();
            let arguments =
                ["data", "check", "--modality", modality, "--data-root", &folder, "--data", &name, "--json"];
            let output = medcoss(&arguments);
            let took = began.elapsed();
            let errors = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(matches!(output.status.code(), Some(0 | 1)), "{}: {:?} {errors}", path.display(), output.status);
            assert!(!errors.contains("panicked"), "{}: {errors}", path.display());
            assert!(took < LONGEST, "{} took {took:?}", path.display());
            slowest = slowest.max(took);
            match serde_json::from_slice::<Value>(&output.stdout) {
                Ok(report) => {
                    largest = largest.max(report["peak_memory_bytes"].as_u64().unwrap_or_default());
                    match report["invalid"].as_object().unwrap().values().next() {
                        None => n_read += 1,
                        Some(bad) => *refused.entry(reason(bad.as_str().unwrap(), &path)).or_default() += 1,
                    }
                }
                // No sample could be opened.
                Err(_) => {
                    let error = errors.lines().find_map(|line| line.strip_prefix("error: "));
                    let error = error.unwrap_or_else(|| panic!("{} says nothing: {errors}", path.display()));
                    *refused.entry(reason(error, &path)).or_default() += 1;
                }
            }
        }
        let n_refused: usize = refused.values().sum();
        println!(
            "\n{kind} through {modality}: {n_read} read, {n_refused} refused; slowest {slowest:.1?}, largest {} MiB",
            largest >> 20
        );
        let mut reasons: Vec<_> = refused.into_iter().collect();
        reasons.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
        reasons.iter().for_each(|(reason, n)| println!("  {n:3}  {reason}"));
        assert!(largest < MOST_BYTES && n_read > 0);
    }
}
