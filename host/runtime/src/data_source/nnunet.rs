//! The layout of nnU-Net: `dataset.json`, images in `imagesTr` and `imagesTs` as `case_CCCC.ext` with the channel in four digits, masks in
//! `labelsTr` as `case.ext`.
//!
//! Source: nnU-Net's `documentation/dataset_format.md`.

use std::path::Path;

use anyhow::{Context, Result, bail};
use medcoss_plugin_host::EntryFacts;

use super::dataset_json::DatasetJson;
use super::folder;
use super::listed::{Listed, UsedValue};
use super::resolved::ResolvedData;
use super::side::Side;

/// The images of one channel. Cases are groups.
///
/// # Errors
/// A folder without `dataset.json` or `imagesTr`, a channel that the dataset does not have.
pub(super) fn read(listed: &Listed, base: &Path, sides: &[Side]) -> Result<ResolvedData> {
    let place = listed.place();
    let dataset = DatasetJson::read(&base.join(place))?;
    let channel = match &listed.channel {
        None => 0,
        Some(UsedValue::Number(channel)) if (0..10_000).contains(channel) => *channel as u32,
        Some(other) => bail!("data.channel is {:?}; nnU-Net's channels are 0 to 9999", other.text()),
    };
    if dataset.n_channels.is_some_and(|n| channel as usize >= n) {
        bail!("data.channel is {channel}; the dataset has {} channels", dataset.n_channels.unwrap_or_default());
    }
    let mut found = ResolvedData::default();
    let ending = format!("_{channel:04}");
    for (images, side) in [("imagesTr", Side::Train), ("imagesTs", Side::Test)] {
        let within = place.join(images);
        if !base.join(&within).is_dir() {
            if side == Side::Train {
                bail!("there is no folder imagesTr\nhint: nnU-Net's layout has dataset.json, imagesTr and labelsTr");
            }
            continue;
        }
        for name in folder::names(&base.join(&within)).with_context(|| format!("{images} cannot be listed"))? {
            let file = within.join(&name);
            let shown = file.display().to_string();
            let stem = folder::stem(&name);
            let Some((case, found_channel)) = stem.rsplit_once('_').filter(|(_, digits)| is_channel(digits)) else {
                found.left_out.push((shown, "a name without the four digits of a channel".into()));
                continue;
            };
            if !stem.ends_with(&ending) {
                found.left_out.push((shown, format!("of channel {found_channel}")));
            } else if !sides.contains(&side) {
                found.left_out.push((shown, format!("of the split {}", side.name())));
            } else {
                let split = Some(side.name().into());
                found.add(file, EntryFacts { group: Some(case.into()), split, ..EntryFacts::default() });
            }
        }
    }
    Ok(found)
}

fn is_channel(digits: &str) -> bool {
    digits.len() == 4 && digits.bytes().all(|digit| digit.is_ascii_digit())
}
