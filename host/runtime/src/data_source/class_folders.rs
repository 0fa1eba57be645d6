//! A folder for each class, as `torchvision.datasets.ImageFolder` reads it: `effusion/a.png`, `normal/b.png`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use medcoss_plugin_host::EntryFacts;

use super::folder;
use super::listed::Listed;
use super::resolved::ResolvedData;

/// The folders; the name of each is the label of its samples. Files beside them are left out.
///
/// # Errors
/// A folder without folders in it.
pub(super) fn read(listed: &Listed, base: &Path) -> Result<ResolvedData> {
    let place = listed.place();
    let mut found = ResolvedData::default();
    for name in folder::names(&base.join(place)).context("the folder cannot be listed")? {
        let path = place.join(&name);
        if base.join(&path).is_dir() {
            found.add(path, EntryFacts { label: Some(name), ..EntryFacts::default() });
        } else {
            found.left_out.push((path.display().to_string(), "beside the folders of classes".into()));
        }
    }
    if found.entries.is_empty() {
        bail!("there are no folders\nhint: layout = \"class-folders\" expects a folder for each class");
    }
    Ok(found)
}
