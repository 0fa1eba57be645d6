//! The layout of the Medical Segmentation Decathlon: `dataset.json` lists the images of `training` and `test`.
//!
//! Source: Antonelli et al. 2022, and the archives' own files. Images with several channels are files of four dimensions.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use medcoss_plugin_host::EntryFacts;

use super::dataset_json::DatasetJson;
use super::listed::Listed;
use super::resolved::ResolvedData;
use super::side::Side;
use crate::relative_paths::is_below;

/// The images that the list names.
///
/// # Errors
/// A folder without `dataset.json`, a list without images, a path that leads out of the folder.
pub(super) fn read(listed: &Listed, base: &Path, sides: &[Side]) -> Result<ResolvedData> {
    if listed.channel.is_some() {
        bail!("data.channel belongs to the layouts nnunet and bids\nhint: remove it");
    }
    let place = listed.place();
    let dataset = DatasetJson::read(&base.join(place))?;
    if dataset.training.is_empty() && dataset.test.is_empty() {
        bail!("dataset.json lists no images\nhint: layout = \"nnunet\" reads the folders imagesTr and imagesTs");
    }
    let mut found = ResolvedData::default();
    for (images, side) in [(&dataset.training, Side::Train), (&dataset.test, Side::Test)] {
        for image in images {
            let below: PathBuf = Path::new(image).components().filter(|part| part.as_os_str() != ".").collect();
            if !is_below(&below) {
                bail!("dataset.json names {image:?}, which leads out of its folder");
            }
            let file = place.join(below);
            let shown = file.display().to_string();
            if !sides.contains(&side) {
                found.left_out.push((shown, format!("of the split {}", side.name())));
            } else if !base.join(&file).exists() {
                found.left_out.push((shown, "named by dataset.json, and not there".into()));
            } else {
                let split = Some(side.name().into());
                found.add(file, EntryFacts { split, ..EntryFacts::default() });
            }
        }
    }
    Ok(found)
}
