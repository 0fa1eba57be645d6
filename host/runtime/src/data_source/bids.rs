//! The Brain Imaging Data Structure: `sub-01/anat/sub-01_T1w.nii.gz`, `sub-01/ses-1/anat/sub-01_ses-1_T1w.nii.gz`.
//!
//! Source: the specification of BIDS, "Magnetic Resonance Imaging", anatomy data. Subjects are groups, sessions are named in the files.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use medcoss_plugin_host::EntryFacts;

use super::folder;
use super::listed::Listed;
use super::resolved::ResolvedData;

/// Folder of anatomical images.
const ANATOMY: &str = "anat";

/// The anatomical images of all subjects, or those with the suffix that `channel` names.
///
/// # Errors
/// A folder without subjects, subjects without images of this suffix.
pub(super) fn read(listed: &Listed, base: &Path) -> Result<ResolvedData> {
    let place = listed.place();
    let wanted = listed.channel.as_ref().map(|suffix| suffix.text());
    let mut found = ResolvedData::default();
    let mut n_subjects = 0;
    for subject in folder::names(&base.join(place)).context("the folder cannot be listed")? {
        let within = place.join(&subject);
        if !subject.starts_with("sub-") || !base.join(&within).is_dir() {
            found.left_out.push((within.display().to_string(), "beside the subjects of a BIDS dataset".into()));
            continue;
        }
        n_subjects += 1;
        let anatomy = anatomy_of(base, &within, &subject, &mut found)?;
        for name in anatomy {
            let shown = name.display().to_string();
            let file = name.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if !file.ends_with(".nii") && !file.ends_with(".nii.gz") {
                found.left_out.push((shown, "no NIfTI file".into()));
                continue;
            }
            let suffix = folder::stem(&file).rsplit('_').next().unwrap_or_default();
            match &wanted {
                Some(wanted) if wanted != suffix => found.left_out.push((shown, format!("of suffix {suffix}"))),
                _ => found.add(name, EntryFacts { group: Some(subject.clone()), ..EntryFacts::default() }),
            }
        }
    }
    if n_subjects == 0 {
        bail!(
            "there are no folders sub-...\nhint: layout = \"bids\" expects sub-LABEL/anat or sub-LABEL/ses-LABEL/anat"
        );
    }
    Ok(found)
}

/// Files in the `anat` folders of a subject; other folders of images are left out.
fn anatomy_of(base: &Path, within: &Path, subject: &str, found: &mut ResolvedData) -> Result<Vec<PathBuf>> {
    let list = |path: &Path| folder::names(&base.join(path)).with_context(|| format!("{subject} cannot be listed"));
    let mut files = Vec::new();
    let mut left = vec![within.to_path_buf()];
    while let Some(place) = left.pop() {
        for name in list(&place)? {
            let path = place.join(&name);
            if !base.join(&path).is_dir() {
                found.left_out.push((path.display().to_string(), "outside of anat".into()));
            } else if name == ANATOMY {
                files.extend(list(&path)?.into_iter().map(|file| path.join(file)));
            } else if name.starts_with("ses-") && place == within {
                left.push(path);
            } else {
                found.left_out.push((path.display().to_string(), "outside of anat".into()));
            }
        }
    }
    files.sort();
    Ok(files)
}
