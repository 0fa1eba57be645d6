//! Sample files of the plugin's own making.

use std::fs;
use std::path::{Path, PathBuf};

use crate::ruling::{Ruling, Stop, breach, holds};
use crate::subject::Subject;

pub(super) fn synthesise(subject: &mut Subject) -> Ruling {
    let synthetic = subject.try_synthetic()?;
    let files = listed(&synthetic.open.base)?;
    if files.is_empty() {
        return Err(breach("no file was written; at least one was expected", "write files in the plugin's formats"));
    }
    let bytes: u64 = files.iter().map(|(_, content)| content.len() as u64).sum();
    holds(format!("{} files, {bytes} bytes", files.len()))
}

pub(super) fn same_files(subject: &mut Subject) -> Ruling {
    let first = listed(&subject.synthetic()?.open.base)?;
    let seed = subject.request.seed;
    let again = listed(&subject.synthesise("again", seed)?.base)?;
    if let Some(what) = difference(&first, &again) {
        return Err(breach(
            format!("with the same seed, {what}; the same bytes were expected"),
            "draw everything random from the seed, and write no times and no addresses",
        ));
    }
    let other = listed(&subject.synthesise("other", seed.wrapping_add(1))?.base)?;
    match difference(&first, &other) {
        Some(_) => holds(format!("{} files compared", first.len())),
        None => Err(breach("two different seeds wrote the same bytes", "draw from the seed that was given")),
    }
}

/// Files below a folder with their content, by path relative to it.
pub(super) fn listed(folder: &Path) -> Result<Vec<(PathBuf, Vec<u8>)>, Stop> {
    let failed = |error: std::io::Error| {
        breach(format!("the synthetic files cannot be read: {error}"), "write plain files that their owner may read")
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
                return Err(breach(
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
