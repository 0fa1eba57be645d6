//! Synthetic sample files of the plugin.

use std::fs;
use std::path::{Path, PathBuf};

use crate::outcome::{RuleResult, Stop, passed, violation};
use crate::plugin_under_test::PluginUnderTest;

pub(super) fn synthesise(under_test: &mut PluginUnderTest) -> RuleResult {
    let synthetic = under_test.try_synthetic()?;
    let files = listed(&synthetic.open.base)?;
    if files.is_empty() {
        return Err(violation("no file was written; at least one was expected", "write files in the plugin's formats"));
    }
    let bytes: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    passed(format!("{} files, {bytes} bytes", files.len()))
}

pub(super) fn same_files(under_test: &mut PluginUnderTest) -> RuleResult {
    let first = listed(&under_test.synthetic()?.open.base)?;
    let seed = under_test.request.seed;
    let again = listed(&under_test.synthesise("again", seed)?.base)?;
    if let Some(what) = difference(&first, &again) {
        return Err(violation(
            format!("with the same seed, {what}; the same bytes were expected"),
            "draw everything random from the seed, and write no times and no addresses",
        ));
    }
    let other = listed(&under_test.synthesise("other", seed.wrapping_add(1))?.base)?;
    match difference(&first, &other) {
        Some(_) => passed(format!("{} files compared", first.len())),
        None => Err(violation("two different seeds wrote the same bytes", "draw from the seed that was given")),
    }
}

/// Files below a folder with their content, by path relative to it.
pub(super) fn listed(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Stop> {
    let failed = |error: std::io::Error| {
        violation(format!("the synthetic files cannot be read: {error}"), "write plain files that their owner may read")
    };
    let mut files = Vec::new();
    let mut left = vec![folder.to_path_buf()];
    while let Some(next) = left.pop() {
        for entry in fs::read_dir(&next).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            let kind = entry.file_type().map_err(failed)?;
            if kind.is_dir() {
                left.push(entry.path());
            } else if kind.is_file() {
                let below = entry.path().strip_prefix(folder).map(Path::to_path_buf).unwrap_or_default();
                files.push((below, fs::read(entry.path()).map_err(failed)?));
            } else {
                return Err(violation(
                    format!("{} is neither a file nor a folder", entry.path().display()),
                    "write plain files",
                ));
            }
        }
    }
    files.sort();
    Ok(files)
}

fn difference(a: &[(PathBuf, Vec<u8>)], b: &[(PathBuf, Vec<u8>)]) -> Option<String> {
    if a.len() != b.len() {
        return Some(format!("{} files were written and then {}", a.len(), b.len()));
    }
    a.iter().zip(b).find(|(a, b)| a != b).map(|((path, content), (other, others))| {
        if path != other {
            return format!("{} was written and then {}", path.display(), other.display());
        }
        let at = content.iter().zip(others).position(|(a, b)| a != b).unwrap_or(content.len().min(others.len()));
        format!("{} differs from byte {at} on", path.display())
    })
}
