//! Files of a folder, chosen by patterns: `{ folder = "LiTS", include = ["**/volume-*.nii"], exclude = ["**/*_old.nii"] }`.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use medcoss_plugin_host::EntryFacts;
use walkdir::WalkDir;

use super::file_patterns::FilePatterns;
use super::listed::Listed;
use super::resolved::ResolvedData;

/// The files of the folder that a pattern of `include` fits and none of `exclude`, by their path below it. Hidden files and folders are passed over.
///
/// # Errors
/// A folder that cannot be listed, a link that leads back into a folder above it, a name that is no text.
pub(super) fn read(listed: &Listed, base: &Path) -> Result<ResolvedData> {
    let place = listed.place();
    let patterns = FilePatterns::new(listed.include.as_deref(), listed.exclude.as_deref())?;
    let root = base.join(place);
    let mut found = ResolvedData::default();
    let is_hidden = |name: &std::ffi::OsStr| name.as_encoded_bytes().starts_with(b".");
    let entries = WalkDir::new(&root).follow_links(true).min_depth(1).sort_by_file_name().into_iter();
    for entry in entries.filter_entry(|entry| entry.depth() == 0 || !is_hidden(entry.file_name())) {
        let entry = entry.context("the folder cannot be listed")?;
        if entry.file_type().is_dir() {
            continue;
        }
        let below = entry.path().strip_prefix(&root).context("a file lies outside of the folder")?;
        let text = below.to_str().ok_or_else(|| anyhow!("the name {} is no text", below.display()))?;
        let file = place.join(below);
        match patterns.left_out(text) {
            Some(reason) => found.left_out.push((file.display().to_string(), reason)),
            None => found.add(file, EntryFacts::default()),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_choose_files_and_end_at_folders() {
        let folder = tempfile::tempdir().unwrap();
        for file in [
            "a/volume-0.nii",
            "a/segmentation-0.nii",
            "b/c/volume-1.nii",
            "b/volume-2_old.nii",
            "volume-3.nii",
            ".x/volume-4.nii",
        ] {
            let path = folder.path().join("d").join(file);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, file).unwrap();
        }
        let of = |include: &[&str], exclude: &[&str]| {
            let texts = |texts: &[&str]| Some(texts.iter().map(|text| text.to_string()).collect());
            let listed = Listed {
                folder: Some("d".into()),
                include: texts(include),
                exclude: texts(exclude),
                ..Listed::default()
            };
            read(&listed, folder.path())
        };
        let entries =
            |data: &ResolvedData| data.entries.iter().map(|entry| entry.display().to_string()).collect::<Vec<_>>();
        let data = of(&["**/volume-*.nii"], &["**/*_old.nii"]).unwrap();
        assert_eq!(entries(&data), ["d/a/volume-0.nii", "d/b/c/volume-1.nii", "d/volume-3.nii"]);
        assert_eq!(
            data.left_out,
            [
                ("d/a/segmentation-0.nii".to_string(), "not in data.include".to_string()),
                ("d/b/volume-2_old.nii".into(), "by data.exclude \"**/*_old.nii\"".into())
            ]
        );
        assert_eq!(entries(&of(&["*/volume-*.nii"], &[]).unwrap()), ["d/a/volume-0.nii", "d/b/volume-2_old.nii"]);
        assert_eq!(of(&[], &["a/*"]).unwrap().entries.len(), 3);
        let error = of(&["a/***"], &[]).unwrap_err().to_string();
        assert!(error.contains("data.include has \"a/***\", which is no pattern"), "{error}");
    }
}
